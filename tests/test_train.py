"""lib.train: descent against its formula, and a bar that knows when to be silent."""

import copy
import io
import math
import sys

import pytest
import torch
from torch import nn

from lib.train import LayerStatistics, evaluate, fit

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def data():
    x = torch.randn(23, 4, generator=seeded(1), dtype=F64)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def network(*middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), *middle, nn.Tanh(), nn.Linear(5, 2)).double()


def train(model, data, **options):
    defaults = {"epochs": 2, "lr": 0.1, "batch_size": 5, "generator": seeded()}
    return fit(model, data, **(defaults | options))


# fit


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_updates_are_those_of_the_formula(momentum, weight_decay, data):
    x, y = data
    model, reference = network(), network()
    history = train(model, data, momentum=momentum, weight_decay=weight_decay)

    generator, losses = seeded(), []
    velocity = [torch.zeros_like(w) for w in reference.parameters()]
    for _ in range(2):
        for batch in torch.randperm(23, generator=generator).split(5):
            loss = nn.functional.cross_entropy(reference(x[batch]), y[batch])
            grads = torch.autograd.grad(loss, list(reference.parameters()))
            losses.append((loss.item(), len(batch)))
            with torch.no_grad():
                for w, v, g in zip(
                    reference.parameters(), velocity, grads, strict=True
                ):
                    v.mul_(momentum).add_(g + weight_decay * w)
                    w.sub_(0.1 * v)

    for w, expected in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(w, expected, rtol=1e-12, atol=1e-14)
    assert history.loss == pytest.approx([value for value, _ in losses], rel=1e-12)
    epochs = [sum(v * n for v, n in part) / 23 for part in (losses[:5], losses[5:])]
    assert history.epoch_loss == pytest.approx(epochs, rel=1e-12)


def test_every_example_is_seen_once_an_epoch():
    seen = []
    model = nn.Linear(1, 1)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.arange(10.0)[:, None]
    train(model, (x, x), batch_size=4, loss=nn.functional.mse_loss, lr=1e-6)
    assert [len(s) for s in seen] == [4, 4, 2] * 2
    for epoch in (seen[:3], seen[3:]):
        assert sorted(torch.cat(epoch)[:, 0].tolist()) == list(range(10))
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


def test_own_loss_and_training_mode(data):
    model = network(nn.Dropout(0.5)).eval()
    calls = []

    def loss(output, target):
        calls.append(model[1].training)
        return nn.functional.cross_entropy(output, target) * 0

    before = copy.deepcopy(model.state_dict())
    history = train(model, data, loss=loss)
    assert calls == [True] * 10
    assert history.loss == [0.0] * 10
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_follows_its_generator_alone(data):
    models = [network() for _ in range(3)]
    losses = []
    for model, seed in zip(models, (1, 1, 2), strict=True):
        torch.rand(3)  # torch's own generator moves on
        losses.append(train(model, data, generator=seeded(seed)).loss)
    assert losses[0] == losses[1] != losses[2]


def test_learns_and_no_epoch_changes_nothing(data):
    model = network()
    before = evaluate(model, *data)
    assert train(model, data, epochs=0).loss == []
    assert evaluate(model, *data) == before
    train(model, data, epochs=100, lr=0.5)
    assert evaluate(model, *data).accuracy == 1
    assert evaluate(model, *data).loss < before.loss / 4


def test_a_loss_that_is_not_finite_is_recorded(data):
    history = train(network(), (data[0] * math.inf, data[1]), epochs=1)
    assert len(history.loss) == 5
    assert all(math.isnan(value) for value in history.loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs must not be negative, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": -0.1}, "lr must not be negative, got -0.1"),
        ({"lr": math.nan}, "lr must not be negative, got nan"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, r"momentum must lie in \[0, 1\), got -0.1"),
        ({"weight_decay": -1}, "weight_decay must not be negative, got -1"),
    ],
)
def test_fit_refuses(options, message, data):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        train(model, data, **options)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("n", [(3, 2), (0, 0)])
def test_inputs_and_targets_must_be_equally_many(n):
    x, y = torch.zeros(n[0], 4, dtype=F64), torch.zeros(n[1], dtype=torch.int64)
    message = "x and y must be equally many and some, got "
    with pytest.raises(ValueError, match=message):
        train(network(), (x, y))
    with pytest.raises(ValueError, match=message):
        evaluate(network(), x, y)


# The bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    """Make standard error a terminal, outside of CI and notebooks; return setter."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)

    def put(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return put


def test_bar_in_a_terminal(stderr, data):
    terminal = stderr(Terminal())
    train(network(), data)
    assert "2/2" in terminal.getvalue()
    terminal = stderr(Terminal())
    train(network(), data, progress=False)
    assert terminal.getvalue() == ""


def test_no_bar_where_nobody_watches(stderr, monkeypatch, data):
    file = stderr(io.StringIO())
    train(network(), data)
    stderr(None)
    train(network(), data)
    terminal = stderr(Terminal())
    with monkeypatch.context() as context:
        context.setenv("CI", "true")
        train(network(), data)
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "ipykernel", object())
        train(network(), data)
    assert file.getvalue() == terminal.getvalue() == ""


def test_bar_where_it_is_asked_for(stderr, data):
    file = stderr(io.StringIO())
    train(network(), data, progress=True)
    assert "2/2" in file.getvalue()


def test_nothing_is_imported_without_a_bar(monkeypatch, data):
    """Importing tqdm is harmless, but a bar starts a thread even when disabled."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    train(network(), data, progress=False)
    with pytest.raises(ImportError):
        train(network(), data, progress=True)


# evaluate


def test_evaluate_counts_and_averages():
    output = torch.tensor([[2.0, 1], [0, 1], [3, 0], [0, 5]])
    y = torch.tensor([0, 1, 1, 1])
    accuracy, loss = evaluate(nn.Identity(), output, y)
    assert accuracy == 0.75
    assert loss == pytest.approx(nn.functional.cross_entropy(output, y).item())
    assert (
        evaluate(nn.Identity(), output, y, loss=lambda *_: torch.tensor(7.0)).loss == 7
    )


def test_evaluate_leaves_the_model_as_it_was(data):
    model = network(nn.BatchNorm1d(5).double(), nn.Dropout(0.5).eval())
    model.train()
    model[2].eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    first, second = evaluate(model, *data), evaluate(model, *data)
    assert first == second, "dropout is off"
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())


def test_evaluate_restores_the_mode_after_an_error(data):
    model = network().train()
    with pytest.raises(RuntimeError):
        evaluate(model, data[0][:, :2], data[1])
    assert model.training


# LayerStatistics


def test_statistics_are_those_of_the_outputs(data):
    x, y = data
    model = network(nn.ReLU(inplace=True))
    with LayerStatistics(model) as layers:
        nn.functional.cross_entropy(model(x), y).backward()
    assert list(layers) == ["0", "1", "2", "3"]
    assert len(layers) == 4

    outputs, value = {}, x
    for name, layer in network(nn.ReLU()).named_children():
        value = layer(value)
        value.retain_grad()
        outputs[name] = value
    nn.functional.cross_entropy(value, y).backward()
    for name, statistics in layers.items():
        out = outputs[name].detach()
        assert statistics is layers[name]
        expected = {
            "mean": out.mean(),
            "second_moment": out.square().mean(),
            "std": out.std(correction=0),
            "grad_second_moment": outputs[name].grad.square().mean(),
        }
        for key, number in expected.items():
            assert getattr(statistics, key) == pytest.approx([number.item()], rel=1e-12)


def test_statistics_of_several_passes(data):
    """One entry a pass; gradients find theirs, in whatever order they are taken."""
    model = network()
    with LayerStatistics(model, nn.Linear) as layers:
        a, b = model(data[0]), model(2 * data[0])
        (5 * b).sum().backward()
        with torch.no_grad():
            model(data[0])
    a.sum().backward()  # of a forward pass that was watched
    model(data[0]).sum().backward()  # not watched
    assert list(layers) == ["0", "2"]
    assert len(layers["2"].mean) == 3
    assert layers["2"].mean[0] == layers["2"].mean[2] != layers["2"].mean[1]
    grads = layers["2"].grad_second_moment
    assert grads[:2] == [1, 25]
    assert math.isnan(grads[2])
    assert not any(module._forward_hooks for module in model.modules())


def test_a_shared_layer_is_recorded_each_time(data):
    layer = nn.Linear(4, 4).double()
    model = nn.Sequential(layer, nn.Tanh(), layer)
    with LayerStatistics(model) as layers:
        model(data[0]).sum().backward()
    assert list(layers) == ["0", "1"]
    assert layers["0"].grad_second_moment[1] == 1
    assert layers["0"].grad_second_moment[0] != 1


def test_hooks_are_removed_after_an_error(data):
    model = network()
    with pytest.raises(RuntimeError), LayerStatistics(model):
        model(data[0][:, :3])
    assert not any(module._forward_hooks for module in model.modules())


def test_statistics_of_small_dtypes_and_large_means():
    x = torch.full((300, 300), 1e4)
    x[::2] += 2
    with LayerStatistics(model := nn.Identity()) as layers:
        model(x)
        model(x[:, :1].half().expand(300, 300))  # the sum of squares is beyond float16
        model((x, x))  # not a tensor
    assert layers[""].mean == pytest.approx([10001, 10001], rel=1e-4)
    assert layers[""].std[0] == 1
    assert layers[""].second_moment[0] == 1e8 + 2e4 + 2
    assert layers[""].second_moment[1] == pytest.approx(1.0002e8, rel=1e-3)


def test_statistics_refuse_a_model_without_such_layers():
    message = "kinds must be those of layers of the model, got .*Conv2d"
    with pytest.raises(ValueError, match=message):
        LayerStatistics(network(), nn.Conv2d)


def test_empty_containers_count_as_layers():
    """A container is falsy when empty: it must not make its parent a layer."""
    model = nn.Sequential(nn.Sequential(), nn.Tanh())
    assert list(LayerStatistics(model)) == ["0", "1"]
