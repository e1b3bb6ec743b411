"""lib.train: descent against its formula, and a bar that knows when to be silent."""

import copy
import io
import math
import sys

import pytest
import torch
from torch import nn

from lib.loss import cross_entropy
from lib.train import LayerStatistics, evaluate, fit

F64 = torch.float64
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


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


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# fit


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("options", "optimizer"),
    [
        ({}, torch.optim.SGD),
        ({"momentum": 0.9}, torch.optim.SGD),
        ({"weight_decay": 0.01}, torch.optim.SGD),
        ({"momentum": 0.9, "weight_decay": 0.01}, torch.optim.SGD),
        ({"optimizer": torch.optim.Adam}, torch.optim.Adam),
        ({"optimizer": torch.optim.AdamW, "weight_decay": 0.01}, torch.optim.AdamW),
    ],
)
def test_equals_a_plain_loop(options, optimizer, device, data):
    """To the last bit, where the batches come in the same order."""
    x, y = (t.to(device) for t in data)
    model, plain = network().to(device), network().to(device)
    history = train(model, (x, y), epochs=3, **options)

    options = {name: v for name, v in options.items() if name != "optimizer"}
    descent, order, losses = optimizer(plain.parameters(), 0.1, **options), seeded(), []
    for _ in range(3):
        for batch in torch.randperm(23, generator=order).to(device).split(5):
            descent.zero_grad()
            loss = cross_entropy(plain(x[batch]), y[batch])
            loss.backward()
            descent.step()
            losses.append(loss.item())
    assert same(model, plain)
    assert history.loss == losses
    sizes = torch.tensor([5, 5, 5, 5, 3], dtype=F64)
    epochs = torch.tensor(losses, dtype=F64).reshape(3, 5) @ sizes / 23
    assert history.epoch_loss == pytest.approx(epochs.tolist(), rel=1e-14)


def test_updates_are_those_of_the_formula(data):
    x, y = data
    model, reference = network(), network()
    train(model, data, momentum=0.9, weight_decay=0.01)
    weights, generator = list(reference.parameters()), seeded()
    velocity = [torch.zeros_like(w) for w in weights]
    for _ in range(2):
        for batch in torch.randperm(23, generator=generator).split(5):
            loss = nn.functional.cross_entropy(reference(x[batch]), y[batch])
            grads = torch.autograd.grad(loss, weights)
            for w, v, g in zip(weights, velocity, grads, strict=True):
                v.mul_(0.9).add_(g + 0.01 * w.detach())
                w.data.sub_(0.1 * v)
    for w, expected in zip(model.parameters(), weights, strict=True):
        torch.testing.assert_close(w, expected, rtol=1e-12, atol=1e-14)


def test_every_example_is_seen_once_an_epoch():
    seen, model = [], nn.Linear(1, 1)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.arange(10.0)[:, None]
    train(model, (x, x), batch_size=4, loss=nn.functional.mse_loss, lr=0)
    assert [len(s) for s in seen] == [4, 4, 2] * 2
    for epoch in (seen[:3], seen[3:]):
        assert sorted(torch.cat(epoch)[:, 0].tolist()) == list(range(10))
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


def test_own_loss_and_training_mode(data):
    model, calls = network(nn.Dropout(0.5)).eval(), []

    def loss(output, target):
        calls.append(model[1].training)
        return cross_entropy(output, target) * 0

    assert train(model, data, loss=loss).loss == [0.0] * 10
    assert calls == [True] * 10
    assert model.training
    assert same(model, network(nn.Dropout(0.5)))


def test_follows_its_generator_alone(data):
    models, losses = [network() for _ in range(3)], []
    for model, seed in zip(models, (1, 1, 2), strict=True):
        torch.rand(3)  # torch's own generator moves on
        losses.append(train(model, data, generator=seeded(seed)).loss)
    assert losses[0] == losses[1] != losses[2]
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_learns_and_no_epoch_changes_nothing(data):
    model = network()
    before = evaluate(model, *data)
    assert train(model, data, epochs=0).loss == []
    assert evaluate(model, *data) == before
    train(model, data, epochs=100, lr=0.5)
    assert evaluate(model, *data).accuracy == 1
    assert evaluate(model, *data).loss < before.loss / 4


def test_on_step_comes_after_each_update_and_changes_nothing(data):
    model, watched, steps, weights = network(), network(), [], []

    def on_step(step):
        steps.append(step)
        weights.append(watched[0].weight.detach().clone())
        evaluate(watched, *data)

    history = train(model, data)
    assert train(watched, data, on_step=on_step) == history
    assert steps == list(range(1, 11))
    assert same(model, watched)
    assert not torch.equal(weights[0], network()[0].weight)
    assert torch.equal(weights[-1], model[0].weight)


def test_a_loss_that_is_not_finite_is_recorded(data):
    history = train(network(), (data[0] * math.inf, data[1]), epochs=1)
    assert [math.isnan(value) for value in history.loss] == [True] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs must be an integer, at least 0, got -1"),
        ({"epochs": 0.5}, "epochs must be an integer, at least 0, got 0.5"),
        ({"batch_size": 0}, "batch_size must be an integer, at least 1, got 0"),
        ({"lr": -0.1}, "lr must be finite and not negative, got -0.1"),
        ({"lr": math.nan}, "lr must be finite and not negative, got nan"),
        ({"lr": math.inf}, "lr must be finite and not negative, got inf"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, r"momentum must lie in \[0, 1\), got -0.1"),
        ({"weight_decay": -1}, "weight_decay must be finite and not negative, got -1"),
        ({"weight_decay": math.inf}, "weight_decay must be finite .*, got inf"),
    ],
)
def test_fit_refuses(options, message, data):
    model = network().eval()
    with pytest.raises(ValueError, match=message):
        train(model, data, **options)
    assert same(model, network())
    assert not model.training


@pytest.mark.parametrize("n", [(3, 2), (2, 3), (0, 0)])
def test_inputs_and_targets_must_be_equally_many(n):
    x, y = torch.zeros(n[0], 4, dtype=F64), torch.zeros(n[1], dtype=torch.int64)
    message = f"x and y must be equally many, at least one, got {n[0]} and {n[1]}"
    with pytest.raises(ValueError, match=message):
        train(network(), (x, y))
    with pytest.raises(ValueError, match=message):
        evaluate(network(), x, y)


# The bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "ci", "notebook", "progress", "shown"),
    [
        (Terminal, "", False, None, True),
        (Terminal, "", False, False, False),
        (io.StringIO, "", False, None, False),
        (Terminal, "true", False, None, False),
        (Terminal, "", True, None, False),
        (Terminal, "true", True, True, True),
        (io.StringIO, "true", True, True, True),
        (lambda: None, "", False, None, False),
    ],
)
def test_bar(stream, ci, notebook, progress, shown, data, monkeypatch):
    """Shown in a terminal where somebody watches, or where it is asked for."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", object())
    if not shown:  # the import is harmless, but a bar starts a thread
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", err := stream())
    train(network(), data, progress=progress)
    assert "2/2" in err.getvalue() if shown else not err or err.getvalue() == ""


# evaluate


def test_evaluate_counts_and_averages():
    output = torch.tensor([[2.0, 1], [0, 1], [3, 0], [0, 5]])
    y = torch.tensor([0, 1, 1, 1])
    accuracy, loss = evaluate(nn.Identity(), output, y)
    assert accuracy == 0.75
    assert loss == cross_entropy(output, y).item()
    assert loss == pytest.approx(nn.functional.cross_entropy(output, y).item())
    assert evaluate(nn.Identity(), output, y, loss=lambda *_: torch.ones(())).loss == 1


def test_evaluate_leaves_the_model_as_it_was(data):
    model = network(nn.BatchNorm1d(5).double(), nn.Dropout(0.5)).train()
    model[2].eval()
    modes, before = [m.training for m in model.modules()], copy.deepcopy(model)
    assert evaluate(model, *data) == evaluate(model, *data), "dropout is off"
    with pytest.raises(RuntimeError):
        evaluate(model, data[0][:, :2], data[1])
    assert [module.training for module in model.modules()] == modes
    assert same(model, before)
    model.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    seen = []
    evaluate(model, *data)
    assert seen == [False]


# LayerStatistics


def test_statistics_are_those_of_the_outputs(data):
    x, y = data
    model = network(nn.ReLU(inplace=True))
    with LayerStatistics(model, record=lambda t: t.std(0)) as layers:
        cross_entropy(model(x), y).backward()
    assert list(layers) == ["0", "1", "2", "3"]

    value = x
    for (name, layer), seen in zip(
        network(nn.ReLU()).named_children(), layers.values(), strict=True
    ):
        value = layer(value)
        value.retain_grad()
        layers[name] = (seen, value)
    cross_entropy(value, y).backward()
    for seen, output in layers.values():
        for prefix, t in (("", output.detach()), ("grad_", output.grad)):
            moments = {
                "mean": t.mean(),
                "std": t.std(correction=0),
                "second_moment": t.square().mean(),
            }
            for key, number in moments.items():
                actual = getattr(seen, prefix + key)
                assert actual == pytest.approx([number.item()], rel=1e-12, abs=1e-17)
            (recorded,) = getattr(seen, prefix + "recorded")
            torch.testing.assert_close(recorded, t.std(0))


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
    seen = layers["2"]
    assert seen.mean[0] == seen.mean[2] != seen.mean[1]
    assert seen.grad_second_moment == pytest.approx([1, 25, math.nan], nan_ok=True)
    assert seen.grad_mean == pytest.approx([1, 5, math.nan], nan_ok=True)
    assert seen.recorded == [None] * 3
    assert not any(module._forward_hooks for module in model.modules())


def test_a_shared_layer_is_recorded_each_time(data):
    layer = nn.Linear(4, 4).double()
    model = nn.Sequential(layer, nn.Tanh(), layer)
    with LayerStatistics(model) as layers:
        model(data[0]).sum().backward()
    assert list(layers) == ["0", "1"]
    assert layers["0"].grad_second_moment[1] == 1 != layers["0"].grad_second_moment[0]


def test_hooks_are_removed_after_an_error(data):
    model = network()
    with pytest.raises(RuntimeError), LayerStatistics(model):
        model(data[0][:, :3])
    assert not any(module._forward_hooks for module in model.modules())


def test_statistics_of_small_dtypes_and_large_means():
    x = torch.full((300, 300), 1e4, dtype=F64)
    x[::2] += 2
    with LayerStatistics(model := nn.Identity(), record=lambda t: t) as layers:
        model(x)
        model(x.half() - 1)  # the sum of the squares is beyond float16
        model((x, x))  # not a tensor
        model(x.long())  # not floating
    expected = x[:2, 0].clone()
    x.zero_()  # what was recorded is a copy
    assert layers[""].mean == pytest.approx([10001, 10000], rel=1e-3)
    assert layers[""].std[0] == 1
    assert layers[""].second_moment[0] == 1e8 + 2e4 + 2
    assert layers[""].second_moment[1] == pytest.approx(1e8, rel=2e-3)
    assert torch.equal(layers[""].recorded[0][:2, 0], expected)


def test_statistics_refuse_a_model_without_such_layers():
    message = "kinds must be those of layers of the model, got .*Conv2d"
    with pytest.raises(ValueError, match=message):
        LayerStatistics(network(), nn.Conv2d)
    # A container is falsy when empty: it must not make its parent a layer.
    model = nn.Sequential(nn.Sequential(), nn.Tanh())
    assert list(LayerStatistics(model)) == ["0", "1"]
