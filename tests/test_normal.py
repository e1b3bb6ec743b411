"""lib.normal against torch.distributions, SciPy, and its own derivatives."""

import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

import lib

F64 = torch.float64
FUNCTIONS = {
    "pdf": (lib.normal_pdf, lambda d, x: d.log_prob(x).exp()),
    "log_pdf": (lib.normal_log_pdf, Normal.log_prob),
    "cdf": (lib.normal_cdf, Normal.cdf),
    "quantile": (lib.normal_quantile, Normal.icdf),
}
BACKWARD = {
    "pdf": lib.normal_pdf_backward,
    "log_pdf": lib.normal_log_pdf_backward,
    "cdf": lib.normal_cdf_backward,
    "quantile": lib.normal_quantile_backward,
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def arguments(name, generator, shape=(7,)):
    """Points (probabilities for the quantile), means and standard deviations."""
    x = torch.rand(shape, generator=generator, dtype=F64) * 0.98 + 0.01
    x = x if name == "quantile" else 8 * x - 4
    mean = torch.randn(shape, generator=generator, dtype=F64)
    std = torch.rand(shape, generator=generator, dtype=F64) + 0.3
    return x, mean, std


@every_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_torch(name, dtype, generator):
    ours, theirs = FUNCTIONS[name]
    x, mean, std = (t.to(dtype) for t in arguments(name, generator, (500,)))
    expected = theirs(Normal(mean, std), x)
    torch.testing.assert_close(ours(x, mean, std), expected)


@every_function
def test_agrees_with_scipy(name, generator):
    scipy_name = {"log_pdf": "logpdf", "quantile": "ppf"}.get(name, name)
    x, mean, std = arguments(name, generator, (500,))
    expected = getattr(scipy.stats.norm, scipy_name)(x, mean, std)
    actual = FUNCTIONS[name][0](x, mean, std)
    torch.testing.assert_close(
        actual, torch.as_tensor(expected), rtol=1e-13, atol=1e-14
    )


@every_function
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_keeps_small_dtypes(name, dtype, generator):
    x, mean, std = (t.to(dtype) for t in arguments(name, generator))
    actual = FUNCTIONS[name][0](x, mean, std)
    exact = FUNCTIONS[name][0](x.to(F64), mean.to(F64), std.to(F64))
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.to(F64), exact, rtol=0.03, atol=0.03)


@every_function
def test_gradients(name, generator):
    inputs = [t.requires_grad_() for t in arguments(name, generator)]
    assert torch.autograd.gradcheck(FUNCTIONS[name][0], inputs)
    assert torch.autograd.gradgradcheck(FUNCTIONS[name][0], inputs)


@every_function
def test_gradient_is_the_derived_one(name, generator):
    """The function is differentiated by its _backward, and that agrees with torch."""
    ours, theirs = FUNCTIONS[name]
    x, mean, std = (t.requires_grad_() for t in arguments(name, generator))
    grad_output = torch.randn(x.shape, generator=generator, dtype=F64)
    actual = torch.autograd.grad(ours(x, mean, std), (x, mean, std), grad_output)
    derived = BACKWARD[name](grad_output, x, mean, std)
    expected = torch.autograd.grad(
        theirs(Normal(mean, std), x), (x, mean, std), grad_output
    )
    torch.testing.assert_close(actual, derived, rtol=0, atol=0)
    torch.testing.assert_close(actual, expected)


@every_function
def test_gradients_of_broadcast_parameters(name, generator):
    x, mean, std = arguments(name, generator, (3, 4))
    inputs = [t.requires_grad_() for t in (x, mean[0], std[:, :1].clone())]
    assert torch.autograd.gradcheck(FUNCTIONS[name][0], inputs)


@every_function
def test_works_with_torch_func(name, generator):
    function = FUNCTIONS[name][0]
    x, mean, std = arguments(name, generator)
    slope = torch.func.grad(lambda *inputs: function(*inputs).sum())(x, mean, std)
    expected = BACKWARD[name](torch.ones_like(x), x, mean, std)[0]
    torch.testing.assert_close(slope, expected, rtol=0, atol=0)


@every_function
def test_whole_numbers_as_parameters(name, generator):
    function = FUNCTIONS[name][0]
    x = arguments(name, generator)[0]
    whole, floating = torch.tensor([2, 3]), torch.tensor([2.0, 3.0], dtype=F64)
    torch.testing.assert_close(function(x, *whole), function(x, *floating))


@every_function
def test_empty_and_strided(name, generator):
    function = FUNCTIONS[name][0]
    assert function(torch.empty(0, 3, dtype=F64)).shape == (0, 3)
    x = arguments(name, generator, (4, 6))[0]
    torch.testing.assert_close(function(x.t()), function(x).t(), rtol=0, atol=0)


@every_function
def test_errors(name):
    function, x = FUNCTIONS[name][0], torch.tensor([0.3, 0.6])
    first = "p" if name == "quantile" else "x"
    with pytest.raises(
        ValueError, match=rf"^{first} must be a tensor.*, got torch.int64$"
    ):
        function(torch.tensor([1]))
    with pytest.raises(ValueError, match=rf"^{first} must be a tensor.*, got float$"):
        function(0.5)
    with pytest.raises(ValueError, match="^std must be positive, got 0.0$"):
        function(x, 0.0, 0.0)
    with pytest.raises(ValueError, match="^std must be positive, got "):
        function(x, torch.zeros(2), torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="^std must be positive, got nan"):
        function(x, 0.0, float("nan"))


def test_tails():
    x = torch.tensor([-37.0, -20.0, 20.0, 40.0], dtype=F64)
    expected = torch.as_tensor(scipy.stats.norm.cdf(x))
    torch.testing.assert_close(lib.normal_cdf(x), expected, rtol=1e-12, atol=0)
    assert lib.normal_pdf(x)[-1] == 0
    assert lib.normal_log_pdf(x)[-1] == -800 - math.log(2 * math.pi) / 2


def test_quantile_ends_and_tails():
    p = torch.tensor([0.0, 5e-324, 1e-300, 1e-20, 0.5, 1 - 2**-53, 1.0], dtype=F64)
    actual = lib.normal_quantile(p)
    torch.testing.assert_close(actual, torch.special.ndtri(p), rtol=1e-13, atol=0)
    assert actual.isinf().tolist() == [True, *5 * [False], True]
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^p must lie in \[0, 1\], got "):
            lib.normal_quantile(torch.tensor([bad]))


@settings(deadline=None, max_examples=50)
@given(z=st.floats(-37, 8))
def test_quantile_inverts_cdf(z):
    z = torch.tensor(z, dtype=F64)
    p = lib.normal_cdf(z)
    # where p is near 1 its own spacing limits how well z can be recovered
    spacing = 2.0**-53 / lib.normal_pdf(z) if z > 0 else 0
    assert abs(lib.normal_quantile(p) - z) <= 2 * spacing + 1e-13 * abs(z) + 1e-15


def test_entropy():
    tiny = torch.tensor([1e-200], dtype=F64)
    torch.testing.assert_close(lib.normal_entropy(tiny), Normal(0, tiny).entropy())
    std = torch.tensor([0.1, 1.0, 2.5], dtype=F64, requires_grad=True)
    torch.testing.assert_close(lib.normal_entropy(std), Normal(0, std).entropy())
    assert torch.autograd.gradcheck(lib.normal_entropy, (std,))
    assert torch.autograd.gradgradcheck(lib.normal_entropy, (std,))
    (grad,) = torch.autograd.grad(lib.normal_entropy(std).sum(), std)
    assert torch.equal(grad, lib.normal_entropy_backward(torch.ones(3), std)[0])
    with pytest.raises(ValueError, match="^std must be positive"):
        lib.normal_entropy(torch.tensor(0.0))


def test_sample_follows_the_law(generator):
    sample = lib.normal_sample((100_001,), 2.0, 1.5, generator=generator)
    distance, p_value = scipy.stats.kstest(sample, "norm", (2.0, 1.5))
    assert p_value > 1e-3, distance
    # the two halves come from the same radii: they must be uncorrelated, squares too
    a, b = sample[:50_000] - 2, sample[50_001:] - 2
    for f in (lambda t: t, lambda t: t**2):
        r = torch.corrcoef(torch.stack([f(a), f(b)]))[0, 1]
        assert abs(r) < 4 / math.sqrt(50_000)


def test_sample_options(generator):
    a = lib.normal_sample((3, 5), generator=generator, dtype=torch.float32)
    assert a.shape == (3, 5)
    assert a.dtype == torch.float32
    b = lib.normal_sample((3, 5), generator=generator.manual_seed(0))
    assert torch.equal(a, b.float())
    std = torch.tensor([1.0, 10.0, 100.0], dtype=F64)
    c = lib.normal_sample((4, 3), 7.0, std, generator=generator.manual_seed(0))
    standard = lib.normal_sample((4, 3), generator=generator.manual_seed(0))
    torch.testing.assert_close(c, 7 + std * standard)
    assert lib.normal_sample((0, 2), generator=generator).shape == (0, 2)
    assert lib.normal_sample((), generator=generator).shape == ()
    with pytest.raises(ValueError, match="^std must be positive, got -1.0"):
        lib.normal_sample((2,), 0.0, -1.0, generator=generator)
    for name, shape in (("mean", (2, 1)), ("std", (2,))):
        wrong = {name: torch.ones(shape)}
        with pytest.raises(ValueError, match=rf"^{name} must broadcast to \(3,\), got"):
            lib.normal_sample((3,), **wrong, generator=generator)


def test_kde_agrees_with_scipy(generator):
    sample = lib.normal_sample((200,), 1.0, 2.0, generator=generator)
    x = torch.linspace(-8, 10, 101, dtype=F64)
    for bandwidth in (None, 0.3):
        ratio = None if bandwidth is None else bandwidth / sample.std().item()
        expected = scipy.stats.gaussian_kde(sample, ratio)(x)
        actual = lib.gaussian_kde(x, sample, bandwidth)
        torch.testing.assert_close(
            actual, torch.as_tensor(expected), rtol=1e-12, atol=0
        )
    grid = x.reshape(1, 101, 1)
    assert torch.equal(
        lib.gaussian_kde(grid, sample).flatten(), lib.gaussian_kde(x, sample)
    )


def test_kde_gradients(generator):
    x, sample = torch.randn(2, 5, generator=generator, dtype=F64)
    inputs = x.requires_grad_(), sample.requires_grad_()
    assert torch.autograd.gradcheck(lib.gaussian_kde, inputs)


def test_kde_errors():
    x, sample = torch.zeros(3), torch.arange(4.0)
    with pytest.raises(
        ValueError, match=r"^sample must have shape \(n,\).*got \(2, 2\)"
    ):
        lib.gaussian_kde(x, sample.reshape(2, 2))
    with pytest.raises(ValueError, match=r"^sample must have shape.*got \(0,\)"):
        lib.gaussian_kde(x, sample[:0], 1.0)
    with pytest.raises(
        ValueError, match=r"^sample must have shape.*n >= 2, got \(1,\)"
    ):
        lib.scott_bandwidth(sample[:1])
    with pytest.raises(ValueError, match=r"^sample must be a tensor.*got torch.int64"):
        lib.scott_bandwidth(sample.long())
    with pytest.raises(ValueError, match=r"^x must be a tensor.*got float"):
        lib.gaussian_kde(0.5, sample)
    for bad in (0.0, math.nan, sample):
        with pytest.raises(
            ValueError, match="^bandwidth must be one positive number, got"
        ):
            lib.gaussian_kde(x, sample, bad)
    with pytest.raises(
        ValueError, match="^bandwidth must be one positive number, got 0"
    ):
        lib.gaussian_kde(x, torch.ones(4))
