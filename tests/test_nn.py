"""lib.nn against the classes of the same names in torch.nn."""

import copy
import inspect
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

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
NAMES = sorted({name for name, *_ in CASES})
IDS = [f"{name}{i}" for i, (name, *_) in enumerate(CASES)]
every_case = pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
# torch.nn's norms without bias= are those before 2.12
takes = {name: inspect.signature(getattr(nn, name)).parameters for name in NAMES}


def pair(name, options, **like):
    """Ours and torch's, made with equal seeds."""
    missing = set(options) - set(takes[name])
    if missing:
        pytest.skip(f"this torch has no {missing}")
    torch.manual_seed(3)
    mine = getattr(ours, name)(**options, **like)
    after = torch.rand(1)
    torch.manual_seed(3)
    theirs = getattr(nn, name)(**options, **like)
    assert torch.equal(after, torch.rand(1)), "as many random numbers are drawn"
    return mine, theirs


def attributes(module):
    return {k: v for k, v in vars(module).items() if not k.startswith("_")}


def assert_same_state(mine, theirs):
    mine, theirs = mine.state_dict(), theirs.state_dict()
    assert list(mine) == list(theirs)
    for name, value in theirs.items():
        assert mine[name].dtype == value.dtype
        assert torch.equal(mine[name], value), name


# Construction


@every_case
def test_constructed_alike(name, options, shape):
    mine, theirs = pair(name, options)
    assert repr(mine) == repr(theirs)
    assert attributes(mine) == attributes(theirs)
    assert_same_state(mine, theirs)
    assert mine.state_dict()._metadata == theirs.state_dict()._metadata
    for kind in ("_parameters", "_buffers"):
        assert list(getattr(mine, kind)) == list(getattr(theirs, kind))
        absent = [
            [k for k, v in getattr(m, kind).items() if v is None]
            for m in (mine, theirs)
        ]
        assert absent[0] == absent[1]


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_torchs(name):
    mine = inspect.signature(getattr(ours, name)).parameters
    theirs = takes[name]
    assert [k for k in mine if k != "bias"] == [k for k in theirs if k != "bias"]
    for key, parameter in theirs.items():
        assert mine[key].default == parameter.default
        assert mine[key].kind == parameter.kind


@every_case
def test_device_and_dtype(name, options, shape):
    if "dtype" not in takes[name]:
        return
    mine, theirs = pair(name, options, dtype=F64)
    assert_same_state(mine, theirs)
    mine, theirs = pair(name, options, device="meta", dtype=torch.bfloat16)
    for key, value in theirs.state_dict().items():
        assert mine.state_dict()[key].is_meta
        assert mine.state_dict()[key].dtype == value.dtype


@every_case
def test_parameters_are_reset_alike(name, options, shape):
    mine, theirs = pair(name, options)
    for module in (mine, theirs):
        for value in module.state_dict().values():
            value.fill_(7)
        torch.manual_seed(5)
        if hasattr(theirs, "reset_parameters"):
            module.reset_parameters()
    assert_same_state(mine, theirs)


@every_case
def test_state_dict_loads_both_ways(name, options, shape):
    mine, theirs = pair(name, options)
    torch.manual_seed(9)
    source = getattr(nn, name)(**options)
    for value in source.state_dict().values():
        value.copy_(torch.rand(value.shape) * 9)
    mine.load_state_dict(source.state_dict(), strict=True)
    assert_same_state(mine, source)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    assert_same_state(theirs, source)


# Behaviour


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


def test_indices_of_the_maxima():
    x = torch.randn(2, 3, 6, 6, dtype=F64)
    options = {"kernel_size": 2, "return_indices": True}
    (mine, index), (theirs, expected) = (m(x) for m in pair("MaxPool2d", options))
    assert torch.equal(mine, theirs)
    assert torch.equal(index, expected)


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
@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(kind, dim):
    options = (4, 3) if kind == "Linear" else (4, 3, 2)
    torch.manual_seed(2)
    layer = getattr(ours, kind)(*options, dtype=F64)
    theirs = parametrizations.weight_norm(
        getattr(nn, kind)(*options, dtype=F64),
        dim=None if dim is None else dim % layer.weight.ndim,
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
    axis = None if dim is None else dim % plain.weight.ndim
    assert repr(mine).startswith(f"WeightNorm(\n  dim={axis}\n  (layer): {kind}(")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ours.Conv2d(4, 6, 3, groups=3),
            "groups must divide 4 and 6 .*, got 3",
        ),
        (
            lambda: ours.Conv2d(6, 4, 3, groups=3),
            "groups must divide 6 and 4 .*, got 3",
        ),
        (lambda: ours.Conv2d(6, 4, 3, groups=0), "groups must divide .*, got 0"),
        (
            lambda: ours.Conv2d(1, 1, 3, padding="full"),
            "padding must be .*, got 'full'",
        ),
        (
            lambda: ours.Conv2d(1, 1, 3, 2, padding="same"),
            "stride must be 1 with padding='same', got 2",
        ),
        (
            lambda: ours.Conv2d(1, 1, 3, padding_mode="reflect"),
            "padding_mode must be 'zeros', got 'reflect'",
        ),
        (
            lambda: ours.GroupNorm(3, 4),
            "num_groups must divide num_channels = 4, got 3",
        ),
        (lambda: ours.GroupNorm(0, 4), "num_groups must divide .*, got 0"),
        (lambda: ours.Dropout(1.5), r"p must lie in \[0, 1\], got 1.5"),
        (lambda: ours.Dropout2d(-0.5), r"p must lie in \[0, 1\], got -0.5"),
        (lambda: ours.WeightNorm(nn.Linear(2, 2)), "layer must be a Linear or Conv2d"),
        (lambda: ours.WeightNorm(ours.Linear(2, 2), 2), "dim must be an axis .* got 2"),
        (lambda: ours.WeightNorm(ours.Linear(2, 2), -3), "dim must be .* got -3"),
        (
            lambda: ours.WeightNorm(ours.WeightNorm(ours.Linear(2, 2)).layer),
            "layer must be a Linear or Conv2d of lib",
        ),
        (
            lambda: ours.BatchNorm1d(3)(torch.ones(2, 3, 4, 4)),
            r"input must have 2 or 3 axes, got shape \(2, 3, 4, 4\)",
        ),
        (lambda: ours.BatchNorm2d(3)(torch.ones(2, 3)), "input must have 4 axes"),
        (
            lambda: ours.InstanceNorm2d(3)(torch.ones(2, 3)),
            "input must have 3 or 4 axes",
        ),
        (
            lambda: ours.InstanceNorm2d(3, affine=True)(torch.ones(2, 4, 5, 5)),
            "input must have num_features = 3 channels, got 4",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_instance_norm_warns_of_other_channels():
    x = torch.randn(2, 4, 3, 3)
    with pytest.warns(UserWarning, match="num_features = 3 channels, got 4: not used"):
        actual = ours.InstanceNorm2d(3)(x)
    torch.testing.assert_close(actual, nn.functional.instance_norm(x))


# convert


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding="same"),
            nn.GroupNorm(2, width),
        )
        self.act = nn.PReLU(width)

    def forward(self, x):
        return self.act(x + self.body(x))


def vgg():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.InstanceNorm2d(4, affine=True),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.BatchNorm1d(8, momentum=None),
        nn.Tanh(),
        nn.Dropout(0.0),
        nn.Linear(8, 3),
    )


def residual():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        Residual(4),
        Residual(4),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(16),
        nn.Linear(16, 8),
        nn.Softsign(),
        nn.RMSNorm(8),
        nn.Linear(8, 8),
        nn.Sigmoid(),
        nn.Linear(8, 3),
    )


@pytest.mark.parametrize("build", [vgg, residual])
def test_converted_models_train_as_the_originals(build):
    torch.manual_seed(0)
    theirs = build().double()
    mine = convert(copy.deepcopy(theirs))
    for (name, module), (other, layer) in zip(
        mine.named_modules(), theirs.named_modules(), strict=True
    ):
        assert name == other
        if type(layer).__name__ in NAMES:
            assert type(module) is getattr(ours, type(layer).__name__)
    assert repr(mine) == repr(theirs)
    x = torch.randn(25, 6, 1, 8, 8, dtype=F64)
    y = torch.randint(3, (25, 6))
    for model in (mine, theirs):
        sgd = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        for batch, labels in zip(x, y, strict=True):
            sgd.zero_grad()
            nn.functional.cross_entropy(model(batch), labels).backward()
            sgd.step()
    states = [dict(model.state_dict()) for model in (mine, theirs)]
    torch.testing.assert_close(*states, rtol=1e-8, atol=1e-8)
    outputs = [model.eval()(x[0]) for model in (mine, theirs)]
    torch.testing.assert_close(*outputs, rtol=1e-8, atol=1e-8)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    mine.load_state_dict(theirs.state_dict(), strict=True)


@every_case
def test_convert_keeps_everything(name, options, shape):
    """A layer by itself is returned swapped, with the same objects inside."""
    _, layer = pair(name, options)
    layer.eval()
    layer.note = ["the reader's"]
    held = dict(layer.named_parameters()) | dict(layer.named_buffers())
    before = attributes(layer)
    new = convert(layer)
    assert type(new) is getattr(ours, name)
    assert repr(new) == repr(layer)
    assert attributes(new) == before
    assert not new.training
    after = dict(new.named_parameters()) | dict(new.named_buffers())
    assert list(after) == list(held)
    assert all(after[key] is held[key] for key in held)
    assert convert(new) is new
    if torch.randn(shape).dtype == torch.float32:
        x = torch.randn(shape)
        torch.testing.assert_close(new(x.clone()), layer(x.clone()))


def test_convert_is_in_place_and_keeps_sharing():
    shared, dtype = nn.Linear(3, 3), torch.bfloat16
    inner = nn.ModuleDict({"a": shared, "b": shared})
    model = nn.ModuleList([shared, inner, nn.ModuleList([inner, nn.ReLU()])]).to(dtype)
    model.again = shared
    weight = shared.weight
    assert convert(model) is model
    new = model[0]
    assert type(new) is ours.Linear
    assert new is model.again is model[1]["a"] is model[1]["b"]
    assert model[1] is model[2][0] is inner
    assert type(model[2][1]) is ours.ReLU
    assert new.weight is weight
    assert weight.dtype == dtype
    assert len(list(model.parameters())) == 2
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert convert(model) is model
    assert [n for n, _ in model.named_modules(remove_duplicate=False)] == names


def test_convert_reaches_layers_inside_layers():
    layer = nn.Linear(2, 2)
    layer.inner = nn.Sequential(nn.Tanh())
    layer.direct = nn.Tanh()
    new = convert(layer)
    assert type(new.inner[0]) is type(new.direct) is ours.Tanh


def test_what_has_no_counterpart_stays():
    class Own(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model = nn.Sequential(
        nn.Flatten(),
        nn.Identity(),
        nn.Softmax(1),
        nn.CrossEntropyLoss(),
        nn.Conv1d(2, 2, 1, padding_mode="reflect"),
        nn.BatchNorm3d(2),
        Own(2, 2),
        nn.MultiheadAttention(4, 2),
    )
    before = list(model.modules())
    assert list(convert(model).modules()) == before


HOOKS = [
    lambda m: m.register_forward_hook(lambda *_: None),
    lambda m: m.register_forward_pre_hook(lambda *_: None),
    lambda m: m.register_full_backward_hook(lambda *_: None),
    lambda m: m.register_full_backward_pre_hook(lambda *_: None),
    lambda m: m.register_state_dict_post_hook(lambda *_: None),
    lambda m: m.register_state_dict_pre_hook(lambda *_: None),
    lambda m: m.register_load_state_dict_pre_hook(lambda *_: None),
    lambda m: m.register_load_state_dict_post_hook(lambda *_: None),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile
@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        *((hook, "without hooks") for hook in HOOKS),
        (nn.utils.parametrizations.weight_norm, "without parametrisation"),
        (nn.utils.parametrizations.spectral_norm, "without parametrisation"),
        (lambda m: setattr(m, "forward", abs), "without a forward of its own"),
        (lambda m: m.compile(), "not compiled"),
        (lambda m: setattr(m, "padding_mode", "circular"), "padded with zeros"),
    ],
)
def test_convert_refuses_and_changes_nothing(spoil, rule):
    model = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Conv2d(2, 2, 3)))
    spoil(model[1][0])
    before = list(model.modules())
    with pytest.raises(ValueError, match=f"layer '1.0' must be {rule} to be swapped"):
        convert(model)
    assert list(model.modules()) == before


def test_convert_refuses_lazy_layers():
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    with pytest.raises(ValueError, match="layer '0' must be initialised"):
        convert(model)
    assert type(model[1]) is nn.ReLU
    model(torch.ones(2, 4))
    assert type(convert(model)[0]) is ours.Linear


def test_hooks_of_containers_stay():
    calls = []
    model = nn.Sequential(nn.Tanh())
    model.register_forward_hook(lambda *_: calls.append(1))
    convert(model)(torch.ones(2))
    assert calls == [1]


LAYERS = st.sampled_from(
    [nn.Tanh, nn.ReLU, nn.Sigmoid, nn.Softsign, nn.PReLU, nn.Flatten]
)


@given(
    tree=st.recursive(
        LAYERS, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6
    )
)
@settings(max_examples=25, deadline=None)
def test_any_nesting_converts(tree):
    def build(node):
        return nn.Sequential(*map(build, node)) if isinstance(node, list) else node()

    theirs = build(tree)
    mine = convert(copy.deepcopy(theirs))
    assert not [m for m in mine.modules() if type(m) in ours._COUNTERPARTS]
    x = torch.randn(2, 3)
    torch.testing.assert_close(mine(x.clone()), theirs(x.clone()))


# torch's tools


@pytest.mark.parametrize("build", [vgg, residual])
def test_copies_pickles_and_inference(build):
    torch.manual_seed(0)
    model = convert(build().double())
    x = torch.randn(4, 1, 8, 8, dtype=F64)
    model(x)
    model.eval()
    expected = model(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same_state(other, model)
        assert torch.equal(other(x), expected)
    with torch.no_grad():
        assert torch.equal(model(x), expected)
        assert not model(x).requires_grad
    with torch.inference_mode():
        assert torch.equal(model(x), expected)
    assert model.float()(x.float()).dtype == torch.float32


@pytest.mark.filterwarnings("ignore")  # of torch.compile, about itself
def test_compiles():
    """With whatever graphs torch makes of it; the numbers stay."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Linear(4, 2)
    model = convert(nn.Sequential(*layers).double())
    compiled = torch.compile(copy.deepcopy(model), backend="eager")
    x = torch.randn(5, 3, dtype=F64)
    outputs = [module(x) for module in (model, compiled)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for a, b in zip(model.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("build", [vgg, residual])
def test_on_a_gpu(build):
    torch.manual_seed(0)
    model = convert(build().double())
    x = torch.randn(4, 1, 8, 8, dtype=F64)
    expected = model(x)
    torch.testing.assert_close(model.cuda()(x.cuda()).cpu(), expected)
