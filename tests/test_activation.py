"""lib.activation against torch, closed forms, SciPy, and its own derivatives."""

import functools
import math

import pytest
import scipy.integrate
import scipy.special
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import activation as ours

F64 = torch.float64
NAMES = ["sigmoid", "tanh", "softsign", "relu", "leaky_relu"]
every_function = pytest.mark.parametrize("name", NAMES)
every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16]
)
CASES = [  # shape of the input, shape of prelu's weight
    ((), ()),
    ((), (1,)),
    ((5,), (1,)),
    ((5, 3), ()),
    ((5, 3), (3,)),
    ((5, 3), (1,)),
    ((5, 1), (1,)),
    ((2, 3, 4), (3,)),
    ((2, 3, 4, 5), (3,)),
    ((0, 3, 4, 5), (3,)),
    ((2, 0), (0,)),
    ((3, 3, 3), (3,)),
]
every_case = pytest.mark.parametrize(("shape", "weight_shape"), CASES)

# Dynamo makes an instance of each autograd.Function, which torch itself warns about.
ignore_dynamo = pytest.mark.filterwarnings("ignore:.*should not be instantiated")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def randn(generator, *shape, dtype=F64):
    return torch.randn(shape, generator=generator, dtype=F64).to(dtype)


def grads(function, inputs, grad_output):
    inputs = [t.detach().requires_grad_() for t in inputs]
    return torch.autograd.grad(function(*inputs), inputs, grad_output)


def slopes(function, x):
    return grads(function, [x], torch.ones_like(x))[0]


def equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@every_function
@every_dtype
@pytest.mark.parametrize("shape", [(), (400,), (0, 3)])
def test_agrees_with_torch(name, dtype, shape, generator):
    x, grad_output = (3 * randn(generator, *shape, dtype=dtype) for _ in range(2))
    a, b = getattr(ours, name), getattr(F, name)
    if name == "softsign" and dtype.itemsize == 2:  # torch rounds at each step
        b = lambda t: F.softsign(t.float()).to(dtype)  # noqa: E731
    torch.testing.assert_close(a(x), b(x))
    expected = grads(b, [x], grad_output)
    torch.testing.assert_close(grads(a, [x], grad_output), expected)


@every_function
def test_gradient_is_the_derived_one(name, generator):
    x, grad_output = randn(generator, 9), randn(generator, 9)
    at = getattr(ours, name)(x) if name in ("sigmoid", "tanh", "relu") else x
    derived = getattr(ours, f"{name}_backward")(grad_output, at)
    equal(grads(getattr(ours, name), [x], grad_output)[0], derived)


@every_function
def test_gradients(name, generator):
    x = randn(generator, 7).requires_grad_()
    assert torch.autograd.gradcheck(getattr(ours, name), x)
    assert torch.autograd.gradgradcheck(getattr(ours, name), x)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softsign"])
def test_third_derivative(name, generator):
    x = torch.cat([torch.zeros(1), randn(generator, 5)])
    weight = randn(generator, 6)

    def third(function):
        t = x.clone().requires_grad_()
        y = weight * function(t)
        for _ in range(3):
            (y,) = torch.autograd.grad(y.sum(), t, create_graph=True)
        return y.detach()

    torch.testing.assert_close(third(getattr(ours, name)), third(getattr(F, name)))


@every_function
def test_hard_values(name):
    values = [0.0, -0.0, 1e-30, -1e-30, 40.0, -40.0, 1e4, -1e4, 3e38, -3e38]
    a, b = getattr(ours, name), getattr(F, name)
    x = torch.tensor([*values, math.inf, -math.inf, math.nan])
    y = b(x)
    if name == "softsign":
        y[-3:-1] = torch.nan  # inf / inf, as torch
    torch.testing.assert_close(a(x), y, equal_nan=True, rtol=1.3e-6, atol=1e-44)
    expected = slopes(b, x)
    if name == "softsign":
        expected[-3:-1] = 0  # torch gives nan
    if name == "relu":
        expected[-1] = 0  # torch gives 1 at nan
    torch.testing.assert_close(slopes(a, x), expected, equal_nan=True)


@every_function
def test_slope_at_the_kink_is_torchs(name):
    x = torch.tensor([0.0, -0.0])
    equal(slopes(getattr(ours, name), x), slopes(getattr(F, name), x))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_relative_accuracy(dtype):
    """The exponentials cancel neither near 0 nor in the tails."""
    eps = torch.finfo(dtype).eps
    small = torch.logspace(-30, 1, 400, dtype=dtype)
    small = torch.cat([small, -small])
    exact = torch.tanh(small.to(F64)).to(dtype)
    torch.testing.assert_close(ours.tanh(small), exact, rtol=6 * eps, atol=0)
    far = torch.linspace(0, 40, 200, dtype=dtype)
    far = torch.cat([far, -far])
    exact = torch.as_tensor(scipy.special.expit(far.to(F64).numpy())).to(dtype)
    torch.testing.assert_close(ours.sigmoid(far), exact, rtol=6 * eps, atol=0)


@every_function
def test_strides(name, generator):
    function = getattr(ours, name)
    x = randn(generator, 2, 3, 4, 5)
    for t in (x.transpose(1, 3), x[..., ::2], x.expand(2, 2, 3, 4, 5)):
        equal(function(t), function(t.contiguous()))
    channels_last = x.to(memory_format=torch.channels_last)
    equal(function(channels_last), function(x))
    assert function(channels_last).is_contiguous(memory_format=torch.channels_last)


@every_function
def test_no_grad_and_torch_func(name, generator):
    function, x = getattr(ours, name), randn(generator, 6)
    with torch.no_grad():
        assert not function(x.requires_grad_()).requires_grad
    x = x.detach()
    slope = torch.func.grad(lambda t: function(t).sum())(x)
    equal(slope, slopes(function, x))


@every_function
@ignore_dynamo
def test_compiles(name, generator):
    function, x = getattr(ours, name), randn(generator, 6)
    compiled = torch.compile(function, backend="eager")
    equal(compiled(x), function(x))
    equal(slopes(compiled, x), slopes(function, x))
    torch.compiler.reset()


@every_function
def test_input_is_kept(name, generator):
    x = randn(generator, 6)
    before = x.clone()
    getattr(ours, name)(x)
    equal(x, before)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=64), max_size=6), st.floats(-2, 2))
def test_any_numbers(values, slope):
    x = torch.tensor(values, dtype=F64)
    pairs = [(getattr(ours, name), getattr(F, name)) for name in NAMES]
    options = {"negative_slope": slope}
    pairs += [(functools.partial(f, **options) for f in pairs[-1])]
    for a, b in pairs:
        torch.testing.assert_close(a(x), b(x))
        torch.testing.assert_close(slopes(a, x), slopes(b, x))


def test_symmetries(generator):
    x = randn(generator, 100)
    torch.testing.assert_close(ours.tanh(-x), -ours.tanh(x), rtol=1e-15, atol=0)
    equal(ours.softsign(-x), -ours.softsign(x))
    assert ours.tanh(torch.tensor(-0.0)).signbit()
    torch.testing.assert_close(ours.sigmoid(-x), 1 - ours.sigmoid(x))
    torch.testing.assert_close(ours.tanh(x), 2 * ours.sigmoid(2 * x) - 1)
    equal(ours.relu(x) - ours.relu(-x), x)
    equal(ours.leaky_relu(x, 0.0), ours.relu(x))
    equal(ours.leaky_relu(x, 1.0), x)


# The rectifiers in place, and the slope.


@pytest.mark.parametrize("slope", [0, 0.01, 0.25, 1, 3.0, -0.5, True])
def test_negative_slope(slope, generator):
    x, grad_output = randn(generator, 50), randn(generator, 50)
    a, b = (functools.partial(f.leaky_relu, negative_slope=slope) for f in (ours, F))
    equal(a(x), b(x))
    equal(grads(a, [x], grad_output), grads(b, [x], grad_output))
    assert torch.autograd.gradgradcheck(a, x.requires_grad_())
    equal(ours.leaky_relu(x.detach(), slope), b(x.detach()))


@pytest.mark.parametrize(
    ("name", "options"),
    [("relu", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0})],
)
def test_in_place(name, options, generator):
    x = torch.cat([torch.tensor([0.0, math.nan]), randn(generator, 50)])
    grad_output = randn(generator, 52)
    function = functools.partial(getattr(ours, name), inplace=True, **options)
    expected = getattr(ours, name)(x, **options)
    t = x.clone()
    assert function(t) is t
    equal(t, expected)

    def through(function):
        return lambda x: function(x * 1)

    outside = functools.partial(getattr(ours, name), **options)
    equal(
        grads(through(function), [x], grad_output),
        grads(through(outside), [x], grad_output),
    )
    x = x[2:].requires_grad_()
    assert torch.autograd.gradcheck(through(function), x)
    assert torch.autograd.gradgradcheck(through(function), x)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_in_place_on_a_view(name, generator):
    x, grad_output = randn(generator, 4, 3), randn(generator, 4, 3)

    def through(module):
        def function(x):
            y = x * 1
            getattr(module, name)(y[1], inplace=True)
            return y

        return function

    a, b = through(ours), through(F)
    equal(a(x), b(x))
    equal(grads(a, [x], grad_output), grads(b, [x], grad_output))


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_in_place_refuses_leaves(name):
    function = getattr(ours, name)
    x = torch.tensor([[-1.0, 1.0]], requires_grad=True)
    for leaf in (x, x[0], x.t()):
        with pytest.raises(
            ValueError, match=r"^input must not be .*leaf .*, got shape \("
        ):
            function(leaf, inplace=True)
    equal(x.detach(), torch.tensor([[-1.0, 1.0]]))
    with torch.no_grad():
        function(x, inplace=True)
    assert x[0, 0] > -1


# PReLU.


@every_case
@every_dtype
def test_prelu_agrees_with_torch(shape, weight_shape, dtype, generator):
    x, grad_output = (randn(generator, *shape, dtype=dtype) for _ in range(2))
    weight = randn(generator, *weight_shape, dtype=dtype)
    torch.testing.assert_close(ours.prelu(x, weight), F.prelu(x, weight))
    actual = grads(ours.prelu, [x, weight], grad_output)
    expected = grads(F.prelu, [x, weight], grad_output)
    rtol = 4 * torch.finfo(dtype).eps  # of a sum, in another order
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol)
    equal(actual, ours.prelu_backward(grad_output, x, weight))


@every_case
def test_prelu_gradients(shape, weight_shape, generator):
    x, weight = randn(generator, *shape), randn(generator, *weight_shape)
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    assert torch.autograd.gradcheck(ours.prelu, inputs)
    assert torch.autograd.gradgradcheck(ours.prelu, inputs)


def test_prelu_hard_values():
    x = torch.tensor([0.0, -0.0, 1e4, -1e4, math.inf, -math.inf, math.nan])
    weight = torch.tensor([0.25])
    equal(ours.prelu(x, weight), F.prelu(x, weight))
    for values in (x[:4], x):
        inputs, ones = [values, weight], torch.ones_like(values)
        equal(grads(ours.prelu, inputs, ones), grads(F.prelu, inputs, ones))


def test_prelu_computes_what_is_needed(generator):
    x, weight, grad_output = (randn(generator, 4) for _ in range(3))
    weight = weight[:1]
    both = ours.prelu_backward(grad_output, x, weight)
    only = ours.prelu_backward(grad_output, x, weight, (True, False))
    equal(only[0], both[0])
    assert only[1] is None
    only = ours.prelu_backward(grad_output, x, weight, (False, True))
    equal(only[1], both[1])
    assert only[0] is None
    y = ours.prelu(x, weight.requires_grad_())
    equal(torch.autograd.grad(y, weight, grad_output)[0], both[1])
    y = ours.prelu(x.requires_grad_(), weight.detach())
    equal(torch.autograd.grad(y, x, grad_output)[0], both[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.booleans(), st.integers(0, 99))
def test_prelu_of_any_shape(shape, shared, seed):
    generator = torch.Generator().manual_seed(seed)
    n = 1 if shared or len(shape) < 2 else shape[1]
    x, weight = randn(generator, *shape), randn(generator, n)
    grad_output = randn(generator, *shape)
    equal(ours.prelu(x, weight), F.prelu(x, weight))
    actual = grads(ours.prelu, [x, weight], grad_output)
    torch.testing.assert_close(actual, grads(F.prelu, [x, weight], grad_output))


@ignore_dynamo
def test_prelu_strides_and_compile(generator):
    x, weight = randn(generator, 2, 3, 4, 5), randn(generator, 6)[::2]
    channels_last = x.to(memory_format=torch.channels_last)
    y = ours.prelu(channels_last, weight)
    equal(y, ours.prelu(x, weight.clone()))
    assert y.is_contiguous(memory_format=torch.channels_last)
    equal(ours.prelu(x.transpose(0, 1), x[0, 0, 0, :2]).shape, torch.Size([3, 2, 4, 5]))
    equal(torch.compile(ours.prelu, backend="eager")(x, weight), y.contiguous())
    torch.compiler.reset()


# Errors.


@pytest.mark.parametrize("name", [*NAMES, "prelu"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.tensor([1]), "torch.int64"),
        (torch.tensor([True]), "torch.bool"),
        (torch.tensor([1j]), "torch.complex64"),
        (0.5, "float"),
    ],
)
def test_refuses_what_is_not_floating(name, value, kind):
    function = getattr(ours, name)
    arguments = (torch.ones(1),) if name == "prelu" else ()
    message = f"must be a tensor of a floating dtype, got {kind}$"
    with pytest.raises(ValueError, match="^input " + message):
        function(value, *arguments)
    if name == "prelu":
        with pytest.raises(ValueError, match="^weight " + message):
            function(torch.ones(1), value)


@pytest.mark.parametrize("slope", ["a", None, 1j, torch.tensor(0.1), torch.ones(2)])
def test_refuses_slopes_that_are_no_number(slope):
    with pytest.raises(ValueError, match=r"^negative_slope must be a number, got \w+$"):
        ours.leaky_relu(torch.ones(2), slope)


@pytest.mark.parametrize(
    ("shape", "weight", "message"),
    [
        ((5, 3), torch.ones(2), r"shape (1,) or (3,), got (2,)"),
        ((5, 3), torch.ones(0), r"shape (1,) or (3,), got (0,)"),
        ((5, 3), torch.ones(1, 3), r"shape (1,) or (3,), got (1, 3)"),
        ((5, 1), torch.ones(1, 1), r"shape (1,) or (1,), got (1, 1)"),
        ((3,), torch.ones(3), r"shape (1,) or (1,), got (3,)"),
        ((), torch.ones(2), r"shape (1,) or (1,), got (2,)"),
        (
            (3,),
            torch.ones(1, dtype=F64),
            "torch.float32 on cpu, as input is, got torch.f",
        ),
        (
            (3,),
            torch.ones(1, device="meta"),
            "on cpu, as input is, got torch.float32 on m",
        ),
    ],
)
def test_prelu_refuses_other_weights(shape, weight, message):
    with pytest.raises(ValueError, match="^weight must ") as error:
        ours.prelu(torch.ones(shape), weight)
    assert message in str(error.value)
    with pytest.raises(RuntimeError):
        F.prelu(torch.ones(shape), weight)


# Moments.

SIX = {
    **{name: getattr(ours, name) for name in NAMES},
    "prelu": lambda x: ours.prelu(x, torch.tensor([0.25], dtype=F64)),
}
INPUTS = [(0, 1), (1.5, 0.7), (0.2, 1e-3), (-40, 25)]


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize(("mean", "std"), INPUTS)
def test_moments_agree_with_scipy(name, mean, std):
    """SciPy adapts to the integrand over x."""

    def integrand(x):
        x = torch.tensor(x, dtype=F64)
        y, slope = SIX[name](x), slopes(SIX[name], x)
        density = torch.exp(-(((x - mean) / std) ** 2) / 2) / std / math.sqrt(math.tau)
        return (torch.stack([y, y**2, slope**2]) * density).numpy()

    low, high = mean - 9 * std, mean + 9 * std
    points = [x for x in (mean, -2.0, 0.0, 2.0) if low < x < high]
    expected, _ = scipy.integrate.quad_vec(
        integrand, low, high, points=points, epsabs=1e-14, epsrel=1e-13
    )
    actual = torch.stack(ours.activation_moments(SIX[name], mean, std)).numpy()
    assert actual == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0, 7), (2, 0.5), (-6, 1.5), (9, 1)])
def test_moments_of_relu(mean, std):
    """The closed forms of the rectified normal distribution."""
    z = mean / std
    pdf = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    cdf = math.erfc(-z / math.sqrt(2)) / 2
    first = mean * cdf + std * pdf
    second = (mean**2 + std**2) * cdf + mean * std * pdf
    actual = [m.item() for m in ours.activation_moments(ours.relu, mean, std)]
    assert actual == pytest.approx([first, second, cdf], rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("a", [0, 0.01, 0.3, 1, -1])
@pytest.mark.parametrize("std", [1e-6, 1.0, 1e6])
def test_moments_of_leaky_relu(a, std):
    function = functools.partial(ours.leaky_relu, negative_slope=a)
    mean, second, slope = ours.activation_moments(function, std=std)
    half = (1 + a**2) / 2
    assert mean.item() / std == pytest.approx(
        (1 - a) / math.sqrt(2 * math.pi), rel=1e-13, abs=1e-15
    )
    assert second.item() / std**2 == pytest.approx(half, rel=1e-13)
    assert slope.item() == pytest.approx(half, rel=1e-13)


def test_moments_by_symmetry():
    for name in ("tanh", "softsign"):
        mean, _, _ = ours.activation_moments(SIX[name], 0, 3.0)
        assert abs(mean.item()) < 1e-15
    mean, _, _ = ours.activation_moments(ours.sigmoid, 0, 3.0)
    assert mean.item() == pytest.approx(0.5, rel=1e-14)


def test_moments_of_many():
    mean, std = torch.tensor([[0.0], [1.0]]), torch.tensor([0.5, 1.0, 2.0])
    actual = ours.activation_moments(ours.tanh, mean, std)
    assert all(m.shape == (2, 3) and m.dtype == F64 for m in actual)
    with torch.no_grad():
        one = ours.activation_moments(ours.tanh, 1.0, 2.0)
    equal([m[1, 2] for m in actual], list(one))
    assert not any(m.requires_grad for m in actual)
    empty = ours.activation_moments(ours.tanh, 0.0, torch.empty(0))
    assert all(m.shape == (0,) for m in empty)


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan, math.inf])
def test_moments_refuse_scales(std):
    with pytest.raises(ValueError, match="^std must be positive and finite, got "):
        ours.activation_moments(ours.tanh, 0.0, std)


def test_moments_refuse():
    for mean in (math.nan, math.inf):
        with pytest.raises(ValueError, match="^mean must be finite, got "):
            ours.activation_moments(ours.tanh, mean)
    with pytest.raises(ValueError, match=r"^function must keep the shape, got \(\) fr"):
        ours.activation_moments(torch.sum)
