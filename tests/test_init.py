"""lib.init against torch.nn.init, bit for bit, and against what it promises."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lib import init

SHAPES = [(3, 5), (5, 3), (4, 4), (1, 7), (6, 2, 3), (8, 3, 5, 5), (2, 3, 1, 2, 2)]
every_shape = pytest.mark.parametrize("shape", SHAPES)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
NONLINEARITIES = [
    *("linear", "conv1d", "conv2d", "conv3d"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("sigmoid", "tanh", "relu", "leaky_relu", "selu"),
]


def same(name, shape, dtype=torch.float32, **options):
    """Fill with ours and torch's from equal generators: equal bits, equal states."""
    filled, states = [], []
    for module in (init, nn.init):
        generator = torch.Generator().manual_seed(5)
        tensor = torch.empty(shape, dtype=dtype)
        result = getattr(module, name)(tensor, **options, generator=generator)
        assert result is tensor
        filled.append(tensor)
        states.append(generator.get_state())
    torch.testing.assert_close(*filled, rtol=0, atol=0)
    assert torch.equal(*states)
    return filled[0]


@every_shape
def test_fans(shape):
    tensor = torch.empty(shape)
    assert init.calculate_fan(tensor) == nn.init._calculate_fan_in_and_fan_out(tensor)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("param", [None, 0, 0.2, 1, -3.5])
def test_gains(nonlinearity, param):
    expected = nn.init.calculate_gain(nonlinearity, param)
    assert init.calculate_gain(nonlinearity, param) == expected


@every_shape
@both_dtypes
@pytest.mark.parametrize("gain", [1.0, 5 / 3, 0.0, 2])
@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_"])
def test_xavier_is_torchs(name, shape, dtype, gain):
    same(name, shape, dtype, gain=gain)


@every_shape
@both_dtypes
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"a": 0.2},
        {"a": math.sqrt(5), "mode": "fan_out"},
        {"a": 3, "nonlinearity": "relu"},
        {"mode": "FAN_OUT", "nonlinearity": "tanh"},
        {"nonlinearity": "linear"},
    ],
)
def test_kaiming_is_torchs(name, shape, dtype, options):
    same(name, shape, dtype, **options)


@every_shape
@both_dtypes
@pytest.mark.parametrize("gain", [1, 0.5, -2.0])
def test_orthogonal_is_torchs(shape, dtype, gain):
    same("orthogonal_", shape, dtype, gain=gain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "name",
    ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"],
)
def test_short_dtypes(name, dtype):
    same(name, (4, 3, 2), dtype)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.floats(-3, 3),
    st.sampled_from(["fan_in", "fan_out"]),
    st.sampled_from(NONLINEARITIES),
)
def test_any_shape_and_option(shape, a, mode, nonlinearity):
    options = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        same(name, shape, torch.float64, **options)
    for name in ("xavier_uniform_", "xavier_normal_"):
        same(name, shape, gain=abs(a))
    same("orthogonal_", shape, gain=a)


LAYERS = [
    lambda: nn.Linear(7, 4),
    lambda: nn.Linear(7, 4, bias=False),
    lambda: nn.Linear(3, 11, dtype=torch.float64),
    lambda: nn.Conv2d(3, 8, 5),
    lambda: nn.Conv2d(4, 8, (3, 2), groups=2, dtype=torch.float64),
    lambda: nn.Conv1d(2, 3, 3),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_of_torch_start_from_fan_in_uniform(layer):
    torch.manual_seed(3)
    expected = layer()
    actual = layer()
    generator = torch.Generator().manual_seed(3)
    result = init.fan_in_uniform_(actual.weight, actual.bias, generator)
    assert result is actual.weight
    assert torch.equal(actual.weight, expected.weight)
    assert actual.bias is None or torch.equal(actual.bias, expected.bias)
    torch.manual_seed(3)
    init.fan_in_uniform_(actual.weight, actual.bias)
    assert torch.equal(actual.weight, expected.weight)


def test_fan_in_uniform_without_inputs():
    bias = torch.ones(4)
    with pytest.warns(UserWarning, match="^tensor is empty: nothing to initialise$"):
        init.fan_in_uniform_(torch.empty(4, 0), bias)
    assert torch.equal(bias, torch.zeros(4))


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("xavier_uniform_", math.sqrt(2 / 500)),
        ("xavier_normal_", math.sqrt(2 / 500)),
        ("kaiming_uniform_", math.sqrt(2 / 300)),
        ("kaiming_normal_", math.sqrt(2 / 300)),
        ("fan_in_uniform_", math.sqrt(1 / 900)),
    ],
)
def test_scale(name, std):
    """Mean and variance within 5 standard errors of what the docstring says."""
    generator = torch.Generator().manual_seed(0)
    w = torch.empty(200, 300, dtype=torch.float64)
    getattr(init, name)(w, generator=generator)
    n, uniform = w.numel(), "uniform" in name
    assert abs(w.mean()) < 5 * std / math.sqrt(n)
    # Var w² / (E w²)² is 4/5 for a uniform and 2 for a normal distribution.
    error = 5 * math.sqrt((0.8 if uniform else 2) / n)
    assert abs(w.square().mean() / std**2 - 1) < error
    if uniform:  # the largest of n falls short of the bound by 1/n on average
        bound = math.sqrt(3) * std
        assert bound * (1 - 12 / n) < w.max() < bound
        assert -bound < w.min() < -bound * (1 - 12 / n)


@every_shape
def test_orthogonal_is_orthogonal(shape):
    w = init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain=3)
    m = w.flatten(1)
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    torch.testing.assert_close(gram, 9 * torch.eye(len(gram), dtype=torch.float64))


def test_orthogonal_prefers_no_direction():
    """Every element of a Haar matrix is symmetric about 0; bare QR's diagonal is not.

    Each has mean 0 and variance 1/n, so a mean of 300 lies within 5/√(300 n).
    """
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack(
        [init.orthogonal_(torch.empty(3, 3), generator=generator) for _ in range(300)]
    )
    assert draws.mean(0).abs().max() < 5 / math.sqrt(300 * 3)


def test_variance_survives_thirty_layers():
    """ReLU layers of width n multiply E x² by 1 on average, with variance 5/n each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 512, generator=generator)
    for _ in range(30):
        w = init.kaiming_normal_(
            torch.empty(512, 512), nonlinearity="relu", generator=generator
        )
        x = (x @ w.T).clamp(min=0)
    # Half of E z² survives the rectifier, and the next layer doubles it again.
    assert abs(math.log(x.square().mean())) < 3 * math.sqrt(5 * 30 / 512)


ALL = [
    *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
    *("fan_in_uniform_", "orthogonal_"),
]
every_name = pytest.mark.parametrize("name", ALL)


@every_name
def test_parameters_and_strides(name):
    function = getattr(init, name)
    parameter = nn.Parameter(torch.empty(4, 3, 2, 2))
    result = function(parameter, generator=torch.Generator().manual_seed(0))
    assert result is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad_fn is None
    strided = torch.zeros(8, 3, 2, 2).to(memory_format=torch.channels_last)[::2]
    function(strided, generator=torch.Generator().manual_seed(0))
    assert (strided != 0).all()
    assert len(strided.unique()) == strided.numel()
    if name == "orthogonal_":
        torch.testing.assert_close(strided, parameter.detach())


@every_name
def test_global_generator(name):
    torch.manual_seed(1)
    first = getattr(init, name)(torch.empty(4, 3))
    torch.manual_seed(1)
    assert torch.equal(first, getattr(init, name)(torch.empty(4, 3)))
    given_one = torch.Generator().manual_seed(1)
    assert torch.equal(
        first, getattr(init, name)(torch.empty(4, 3), generator=given_one)
    )


@every_name
def test_meta(name):
    assert getattr(init, name)(torch.empty(4, 3, device="meta")).is_meta


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_kaiming_of_nothing(name, shape):
    with pytest.warns(
        UserWarning, match="^tensor is empty: nothing to initialise$"
    ) as w:
        getattr(init, name)(torch.empty(shape))
    assert w[0].filename == __file__


def test_nothing_to_fill():
    for shape in [(0, 3), (3, 0), (2, 3, 0), (0, 0)]:
        assert init.orthogonal_(torch.empty(shape)).shape == shape
    for shape in [(0, 3), (3, 0)]:
        assert init.xavier_uniform_(torch.empty(shape)).shape == shape
    for name in ("xavier_uniform_", "xavier_normal_"):
        with pytest.raises(
            ValueError,
            match=r"^tensor must have inputs or outputs, got .* \(2, 3, 0\)$",
        ):
            getattr(init, name)(torch.empty(2, 3, 0))


# Errors.


@pytest.mark.parametrize("name", [*ALL, "calculate_fan"])
def test_refuses_vectors(name):
    for tensor in (torch.empty(3), torch.tensor(1.0)):
        message = r"^tensor must have at least 2 axes, got shape \((3,)?\)$"
        with pytest.raises(ValueError, match=message):
            getattr(init, name)(tensor)


@every_name
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_refuses_integers(name, dtype):
    tensor = torch.ones(3, 2, dtype=dtype)
    with pytest.raises(ValueError, match=rf"^\w+ must .*float.*, got {dtype}$"):
        getattr(init, name)(tensor)
    assert (tensor == 1).all()


def test_orthogonal_refuses_short_dtypes():
    for dtype in (torch.float16, torch.bfloat16):
        message = f"^tensor must be float32 or float64, got {dtype}$"
        with pytest.raises(ValueError, match=message):
            init.orthogonal_(torch.empty(3, 2, dtype=dtype))
        with pytest.raises(RuntimeError):
            nn.init.orthogonal_(torch.empty(3, 2, dtype=dtype))


def test_fan_in_uniform_refuses_before_any_work():
    weight, bias = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(
        ValueError, match="^bias must be a tensor of a floating dtype, got "
    ):
        init.fan_in_uniform_(weight, bias)
    assert (weight == 0).all()


@pytest.mark.parametrize("gain", [-1.0, math.nan, math.inf, "relu", None])
@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_"])
def test_refuses_gains(name, gain):
    with pytest.raises(ValueError, match=f"^gain must be a finite .*, got {gain}$"):
        getattr(init, name)(torch.empty(3, 2), gain)


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_kaiming_refuses(name):
    function, w = getattr(init, name), torch.zeros(3, 2)
    for mode in ("fan", None, "fan_avg"):
        message = f"^mode must be 'fan_in' or 'fan_out', got {mode!r}$"
        with pytest.raises(ValueError, match=message):
            function(w, mode=mode)
    with pytest.raises(ValueError, match="^nonlinearity must be .*, got 'gelu'$"):
        function(w, nonlinearity="gelu")
    with pytest.raises(ValueError, match="^param must be a number, got 'x'$"):
        function(w, "x")
    with pytest.raises(ValueError, match="^a must be a number, got nan$"):
        function(w, math.nan)
    assert (w == 0).all()


def test_calculate_gain_refuses():
    for param in (True, "x", torch.tensor(1.0)):
        with pytest.raises(ValueError, match="^param must be a number, got "):
            init.calculate_gain("leaky_relu", param)
        assert init.calculate_gain("relu", param) == math.sqrt(2)
    for nonlinearity in ("gelu", None, ["relu"], ""):
        with pytest.raises(ValueError, match="^nonlinearity must be one of linear, "):
            init.calculate_gain(nonlinearity)
