"""lib.nn against the classes of the same names in torch.nn."""

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

import lib
import lib.nn as ours
from lib.nn import convert

F64 = torch.float64

# name, constructor arguments, shape of the input
CASES = [
    ("Linear", {"in_features": 5, "out_features": 3}, (4, 5)),
    ("Linear", {"in_features": 5, "out_features": 3, "bias": False}, (2, 4, 5)),
    ("Conv2d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3}, (2, 4, 6, 7)),
    (
        "Conv2d",
        {
            "in_channels": 4,
            "out_channels": 6,
            "kernel_size": (3, 2),
            "stride": (2, 1),
            "padding": (1, 0),
            "dilation": (1, 2),
            "groups": 2,
            "bias": False,
        },
        (2, 4, 6, 7),
    ),
    (
        "Conv2d",
        {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "same"},
        (2, 2, 5, 5),
    ),
    (
        "Conv2d",
        {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "valid"},
        (2, 5, 5),
    ),
    ("MaxPool2d", {"kernel_size": 2}, (2, 3, 5, 6)),
    (
        "MaxPool2d",
        {
            "kernel_size": (3, 2),
            "stride": 1,
            "padding": 1,
            "dilation": (1, 2),
            "ceil_mode": True,
            "return_indices": True,
        },
        (2, 3, 6, 7),
    ),
    ("AvgPool2d", {"kernel_size": 2}, (2, 3, 5, 6)),
    (
        "AvgPool2d",
        {
            "kernel_size": (3, 2),
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "count_include_pad": False,
        },
        (2, 3, 6, 7),
    ),
    ("AvgPool2d", {"kernel_size": 2, "divisor_override": 3}, (2, 3, 4, 4)),
    ("BatchNorm1d", {"num_features": 3}, (5, 3)),
    ("BatchNorm1d", {"num_features": 3, "eps": 0.1, "momentum": None}, (5, 3, 4)),
    ("BatchNorm2d", {"num_features": 3, "momentum": 0.3}, (2, 3, 4, 4)),
    ("BatchNorm2d", {"num_features": 3, "affine": False}, (2, 3, 4, 4)),
    ("BatchNorm2d", {"num_features": 3, "track_running_stats": False}, (2, 3, 4, 4)),
    ("BatchNorm2d", {"num_features": 3, "bias": False}, (2, 3, 4, 4)),
    ("InstanceNorm2d", {"num_features": 3}, (2, 3, 4, 4)),
    ("InstanceNorm2d", {"num_features": 3, "affine": True}, (3, 4, 4)),
    (
        "InstanceNorm2d",
        {"num_features": 3, "track_running_stats": True, "momentum": 0.3},
        (2, 3, 4, 4),
    ),
    (
        "InstanceNorm2d",
        {"num_features": 3, "track_running_stats": True, "momentum": None},
        (2, 3, 4, 4),
    ),
    (
        "InstanceNorm2d",
        {"num_features": 3, "affine": True, "bias": False},
        (2, 3, 4, 4),
    ),
    ("LayerNorm", {"normalized_shape": 4}, (2, 3, 4)),
    ("LayerNorm", {"normalized_shape": [3, 4], "eps": 0.1, "bias": False}, (2, 3, 4)),
    ("LayerNorm", {"normalized_shape": 4, "elementwise_affine": False}, (2, 3, 4)),
    ("GroupNorm", {"num_groups": 2, "num_channels": 4}, (2, 4, 3, 3)),
    ("GroupNorm", {"num_groups": 2, "num_channels": 4, "affine": False}, (2, 4, 3)),
    (
        "GroupNorm",
        {"num_groups": 4, "num_channels": 4, "eps": 0.1, "bias": False},
        (2, 4, 3),
    ),
    ("RMSNorm", {"normalized_shape": 4}, (2, 3, 4)),
    ("RMSNorm", {"normalized_shape": (3, 4), "eps": 0.1}, (2, 3, 4)),
    ("RMSNorm", {"normalized_shape": 4, "elementwise_affine": False}, (2, 3, 4)),
    ("Dropout", {"p": 0.0}, (4, 5)),
    ("Dropout", {"p": 1.0, "inplace": True}, (4, 5)),
    ("Dropout2d", {"p": 0.0}, (2, 3, 4, 4)),
    ("Dropout2d", {"p": 1.0}, (2, 3, 4, 4)),
    ("Sigmoid", {}, (4, 5)),
    ("Tanh", {}, (4, 5)),
    ("Softsign", {}, (4, 5)),
    ("ReLU", {}, (4, 5)),
    ("ReLU", {"inplace": True}, (4, 5)),
    ("LeakyReLU", {}, (4, 5)),
    ("LeakyReLU", {"negative_slope": 0.2, "inplace": True}, (4, 5)),
    ("PReLU", {}, (2, 3, 4)),
    ("PReLU", {"num_parameters": 3, "init": 0.1}, (2, 3, 4)),
]
IDS = [f"{name}{i}" for i, (name, *_) in enumerate(CASES)]
every_case = pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)


def pair(name, options, **like):
    """Ours and torch's, made with equal seeds."""
    missing = set(options) - set(inspect.signature(getattr(nn, name)).parameters)
    if missing:  # the norms of torch before 2.12
        pytest.skip(f"this torch has no {missing}")
    torch.manual_seed(3)
    mine = getattr(ours, name)(**options, **like)
    torch.manual_seed(3)
    return mine, getattr(nn, name)(**options, **like)


@every_case
def test_is_made_and_reset_as_torchs(name, options, shape):
    modules = pair(name, options)
    assert repr(modules[0]) == repr(modules[1])
    states = [dict(m.state_dict()) for m in modules]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    for module in modules:
        for value in module.state_dict().values():
            value.fill_(7)
        torch.manual_seed(5)
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_signature_of_conv2d_is_torchs():
    assert inspect.signature(ours.Conv2d) == inspect.signature(nn.Conv2d)


def run(module, x, cotangent_seed=4):
    """Output and gradients under a random cotangent."""
    x = x.clone().requires_grad_()
    out = module(x * 1)  # not a leaf, for layers that work in place
    out = out[0] if isinstance(out, tuple) else out
    torch.manual_seed(cotangent_seed)
    inputs = [x, *module.parameters()]
    grads = torch.autograd.grad(out, inputs, torch.randn_like(out))
    return out.detach(), *grads


@every_case
def test_computes_alike(name, options, shape):
    """Three passes in training, so that running statistics count; one evaluating."""
    modules = [module.double() for module in pair(name, options)]
    torch.manual_seed(1)
    batches = [torch.randn(shape, dtype=F64) + k for k in range(4)]
    with torch.no_grad():
        scale = [torch.rand_like(w) for w in modules[0].parameters()]
        for module in modules:
            for w, s in zip(module.parameters(), scale, strict=True):
                w.mul_(s).add_(s)
    for x in batches[:3]:
        results = [run(module, x) for module in modules]
        torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        *[dict(m.state_dict()) for m in modules], rtol=1e-12, atol=1e-12
    )
    for module in modules:
        module.eval()
    results = [run(module, batches[3]) for module in modules]
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        *[dict(m.state_dict()) for m in modules], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", ["Dropout", "Dropout2d"])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_drops_while_training(name, inplace):
    torch.manual_seed(0)
    layer, x = getattr(ours, name)(0.25, inplace), torch.ones(40, 50, 4, 4)
    out = layer(x)
    units = out if name == "Dropout" else out[:, :, 0, 0]
    if name == "Dropout2d":
        assert torch.equal(out, units[:, :, None, None].expand_as(out))
    assert set(out.unique().tolist()) == {0, torch.tensor(4 / 3).item()}
    dropped = (units == 0).double().mean().item()
    assert abs(dropped - 0.25) < 4 * (0.25 * 0.75 / units.numel()) ** 0.5
    assert (out.data_ptr() == x.data_ptr()) == inplace
    assert torch.equal(layer.eval()(out), out)


def test_statistics_that_are_no_longer_tracked():
    """In training they are left alone; in evaluation they are used."""
    modules = [m.double() for m in pair("BatchNorm2d", {"num_features": 3})]
    x = torch.randn(2, 3, 4, 4, dtype=F64)
    for training in (True, False):
        for module in modules:
            module.track_running_stats = False
            module.running_mean.fill_(2)
            module.train(training)
        torch.testing.assert_close(modules[0](x), modules[1](x))
        assert torch.equal(modules[0].running_mean, modules[1].running_mean)


@pytest.mark.parametrize("name", ["Dropout", "Dropout2d"])
def test_dropout_from_a_generator(name):
    layer, x = getattr(ours, name)(0.5), torch.ones(4, 50, 2, 2)
    outputs = []
    for seed in (1, 1, 2):
        layer.generator = torch.Generator().manual_seed(seed)
        outputs.append(layer(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_cosine_linear():
    torch.manual_seed(2)
    layer = ours.CosineLinear(5, 3, dtype=F64)
    torch.manual_seed(2)
    assert torch.equal(layer.weight, nn.Linear(5, 3, bias=False, dtype=F64).weight)
    assert repr(layer) == "CosineLinear(in_features=5, out_features=3, eps=1e-08)"
    x = torch.randn(4, 5, dtype=F64)
    expected = nn.functional.cosine_similarity(x[:, None], layer.weight, dim=-1)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(100 * x), expected)
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize("kind", ["Linear", "Conv2d"])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(kind, dim):
    options = (4, 3) if kind == "Linear" else (4, 3, 2)
    torch.manual_seed(2)
    layer = getattr(ours, kind)(*options, dtype=F64)
    theirs = parametrizations.weight_norm(
        getattr(nn, kind)(*options, dtype=F64),
        dim=dim,
    )
    own = theirs.parametrizations.weight
    with torch.no_grad():
        own.original1.copy_(layer.weight)
        theirs.bias.copy_(layer.bias)
    plain = copy.deepcopy(layer)
    mine = ours.WeightNorm(layer, dim)
    assert list(mine.state_dict()) == ["weight_g", "weight_v", "layer.bias"]
    shape = (5, 4) if kind == "Linear" else (5, 4, 3, 3)
    x = torch.randn(shape, dtype=F64)
    torch.testing.assert_close(mine(x), plain(x))
    with torch.no_grad():
        mine.weight_g.mul_(torch.rand_like(mine.weight_g) + 1)
        own.original0.copy_(mine.weight_g)
    results = [run(module, x) for module in (mine, theirs)]
    (y, gx, gg, gv, gb), (y2, gx2, gb2, gg2, gv2) = results
    for actual, expected in ((y, y2), (gx, gx2), (gg, gg2), (gv, gv2), (gb, gb2)):
        torch.testing.assert_close(actual, expected)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding="same", groups=2)
        self.norm2 = nn.GroupNorm(2, channels)
        self.relu = nn.ReLU(inplace=True)  # in two places

    def forward(self, x):
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(y)))


def vgg():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
        *(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.InstanceNorm2d(6, affine=True)),
        *(nn.LeakyReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.PReLU(8)),
        *(nn.BatchNorm2d(8, momentum=None), nn.MaxPool2d(3, 2, 1), nn.Flatten()),
        *(nn.Linear(32, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 10)),
    )


def residual():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)),
        *(nn.Softsign(), Residual(8), nn.AvgPool2d(2), Residual(8), nn.Flatten()),
        *(nn.LayerNorm(32), nn.Linear(32, 16), nn.Sigmoid(), nn.RMSNorm(16)),
        nn.Linear(16, 10),
    )


FORBIDDEN = (  # parts of the names of the kernels that do the work of a layer
    *("convolution", "conv2d", "thnn", "unfold", "im2col", "col2im", "mkldnn"),
    *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"),
    *("pool", "dropout", "relu", "sigmoid", "tanh", "threshold", "softsign"),
    *("softmax", "nll_loss", "cross_entropy"),
)


class NoKernelOfTorch(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not any(part in str(function) for part in FORBIDDEN), function
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [vgg, residual])
def test_converted_models_train_alike(make):
    """25 steps: the losses, and all parameters and statistics at the end."""
    torch.manual_seed(0)
    theirs = make().double()
    mine = convert(copy.deepcopy(theirs))
    x, t = torch.randn(100, 1, 8, 8, dtype=F64), torch.randint(10, (100,))
    losses = []
    for model in (theirs, mine):
        sgd = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        losses.append([])
        for batch in range(25):
            part = slice(batch % 5 * 20, batch % 5 * 20 + 20)
            sgd.zero_grad()
            loss = nn.functional.cross_entropy(model(x[part]), t[part])
            loss.backward()
            sgd.step()
            losses[-1].append(loss.item())
    assert losses[0][-1] < 0.8 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-8)
    states = [dict(model.state_dict()) for model in (theirs, mine)]
    torch.testing.assert_close(*states, rtol=1e-8, atol=1e-8)
    results = [model.eval()(x) for model in (theirs, mine)]
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", [vgg, residual])
def test_no_kernel_of_torch_does_the_work(make):
    x, t = torch.randn(4, 1, 8, 8), torch.randint(10, (4,))
    model = convert(nn.Sequential(make(), nn.Dropout(), nn.Dropout2d()))
    with NoKernelOfTorch():
        lib.cross_entropy(model(x), t).backward()
    with NoKernelOfTorch(), pytest.raises(AssertionError):
        make()(x)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # dynamo's own
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.filterwarnings("ignore:Guards may run slower")  # in Python 3.13.0
@pytest.mark.filterwarnings("ignore:Graph break")  # at copy_, in torch 2.6
def test_a_converted_model_compiles():
    torch.manual_seed(0)
    model = convert(residual()[4:].double())  # one layer of each kind
    x = torch.randn(6, 8, 4, 4, dtype=F64)
    copied = copy.deepcopy(model)
    outputs = model(x), torch.compile(copied, backend="eager")(x)
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    grads = [[w.grad for w in m.parameters()] for m in (model, copied)]
    torch.testing.assert_close(*grads)
    torch.compiler.reset()


def test_converts_in_place():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    inner = nn.Sequential(layer, nn.ModuleDict({"a": nn.Linear(2, 2)}))
    model = nn.ModuleList([inner, layer, nn.Flatten()])
    calls = []
    hook = layer.register_forward_hook(lambda *_: calls.append(1))
    before = dict(model.named_parameters())
    model.eval()
    assert convert(model) is model
    assert model[1] is inner[0]
    assert type(layer) is ours.Conv2d
    assert type(inner[1]["a"]) is ours.Linear
    assert type(model[2]) is nn.Flatten
    assert not layer.training
    assert dict(model.named_parameters()) == before
    layer(torch.ones(1, 1, 4, 4))
    assert calls == [1]
    hook.remove()
    assert type(convert(model)[1]) is ours.Conv2d
    assert type(convert(nn.ReLU())) is ours.ReLU
    assert repr(pickle.loads(pickle.dumps(model))) == repr(model)


def test_every_layer_is_converted():
    for name, options, _ in CASES:
        assert type(convert(pair(name, options)[1])) is getattr(ours, name)


class Own(nn.Linear):
    pass


def test_leaves_alone_what_it_does_not_know():
    for layer in (
        Own(2, 2),
        nn.GELU(),
        nn.Conv1d(1, 1, 2),
        nn.ConvTranspose2d(1, 1, 2),
    ):
        kind = type(layer)
        assert type(convert(layer)) is kind


def overridden():
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: x
    return layer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="reflect"), "padding_mode must be 'z"),
        (lambda: nn.LazyLinear(3), "model must have no uninitialised layer"),
        (
            lambda: parametrizations.weight_norm(nn.Linear(2, 2)),
            "model must not be par",
        ),
        (overridden, "model must have no layer with a forward of its own"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_refuses_what_would_change(make, message):
    model = nn.Sequential(nn.Linear(2, 2), make())
    with pytest.raises(ValueError, match=f"^{message}"):
        convert(model)
    assert type(model[0]) is nn.Linear


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.Conv2d(1, 1, 3, padding_mode="circular"), "padding_mode must be"),
        (lambda: ours.BatchNorm2d(3)(torch.ones(2, 3)), "input must have 4 axes, got"),
        (lambda: ours.BatchNorm1d(3)(torch.ones(3)), "input must have 2 or 3 axes"),
        (lambda: ours.InstanceNorm2d(3)(torch.ones(3, 3)), "input must have 3 or 4 ax"),
        (
            lambda: ours.InstanceNorm2d(3, affine=True)(torch.ones(1, 2, 4, 4)),
            "input must have num_features = 3 channels, got 2",
        ),
        (lambda: ours.WeightNorm(nn.Linear(2, 2)), "layer must be a Linear or Conv2d"),
        (lambda: ours.WeightNorm(ours.Linear(2, 2), -1), "dim must be None or in"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_weight_norm_takes_a_layer_once():
    layer = ours.Linear(2, 3)
    ours.WeightNorm(layer)
    with pytest.raises(ValueError, match="^layer must be a Linear or Conv2d"):
        ours.WeightNorm(layer)
