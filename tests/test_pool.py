"""lib.pool against torch, its own derivatives, and its adjoints."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lib import pool

F64 = torch.float64
MAX_CASES = {
    "2x2": {"kernel_size": 2},
    "pair": {"kernel_size": (2, 3)},
    "list": {"kernel_size": [3], "stride": [2, 1], "padding": (1, 0)},
    "empty stride": {"kernel_size": 2, "stride": ()},
    "overlapping": {"kernel_size": 3, "stride": 1},
    "gaps": {"kernel_size": 2, "stride": 3},
    "padding": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilation": {"kernel_size": (3, 2), "stride": 1, "dilation": (2, 3)},
    "dilated padding": {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 3},
    "ceil": {"kernel_size": 2, "ceil_mode": True},
    "ceil padding": {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
    "ceil drops a window": {
        "kernel_size": 2,
        "stride": 5,
        "padding": 1,
        "ceil_mode": True,
    },
    "whole": {"kernel_size": (7, 9)},
    "one": {"kernel_size": 1, "stride": 2},
}
AVG_CASES = {
    **{name: case for name, case in MAX_CASES.items() if "dilat" not in name},
    "exclude pad": {"kernel_size": 3, "padding": 1, "count_include_pad": False},
    "exclude pad, ceil": {
        "kernel_size": (2, 3),
        "stride": (3, 2),
        "padding": 1,
        "ceil_mode": True,
        "count_include_pad": False,
    },
    "divisor": {"kernel_size": 2, "divisor_override": 3},
    "negative divisor": {"kernel_size": 2, "padding": 1, "divisor_override": -2},
    "divisor, ceil": {
        "kernel_size": 2,
        "stride": 3,
        "ceil_mode": True,
        "divisor_override": 1,
    },
}
max_cases = pytest.mark.parametrize("case", MAX_CASES.values(), ids=MAX_CASES)
avg_cases = pytest.mark.parametrize("case", AVG_CASES.values(), ids=AVG_CASES)
PAIRS = {
    "max": (pool.max_pool2d, F.max_pool2d),
    "avg": (pool.avg_pool2d, F.avg_pool2d),
}
each_pool = pytest.mark.parametrize("name", PAIRS)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def images(generator, shape=(2, 3, 7, 9), dtype=F64, ties=False):
    x = torch.randn(shape, generator=generator, dtype=F64)
    return (x.round() if ties else x).to(dtype)


def compare(ours, theirs, x, generator):
    """Values and gradients, with a random cotangent."""
    a, b = (x.detach().clone().requires_grad_() for _ in range(2))
    actual, expected = ours(a), theirs(b)
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn(expected.shape, generator=generator, dtype=F64)
    for output in (actual, expected):
        output.backward(cotangent.to(x.dtype))
    torch.testing.assert_close(a.grad, b.grad)


@max_cases
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("ties", [False, True])
def test_max_agrees_with_torch(case, dtype, ties, generator):
    x = images(generator, dtype=dtype, ties=ties)
    compare(
        lambda t: pool.max_pool2d(t, **case),
        lambda t: F.max_pool2d(t, **case),
        x,
        generator,
    )
    actual = pool.max_pool2d(x, **case, return_indices=True)
    expected = F.max_pool2d(x, **case, return_indices=True)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@avg_cases
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_avg_agrees_with_torch(case, dtype, generator):
    x = images(generator, dtype=dtype)
    compare(
        lambda t: pool.avg_pool2d(t, **case),
        lambda t: F.avg_pool2d(t, **case),
        x,
        generator,
    )


sizes = st.tuples(*2 * [st.integers(1, 9)])
options = st.fixed_dictionaries(
    {
        "kernel_size": st.tuples(*2 * [st.integers(1, 4)]),
        "stride": st.none() | st.tuples(*2 * [st.integers(1, 5)]),
        "padding": st.tuples(*2 * [st.integers(0, 2)]),
        "ceil_mode": st.booleans(),
    }
)


def outcome(function, x, case):
    """Values and the gradient of a fixed weighting, or the fact of an error."""
    x = x.clone().requires_grad_()
    try:
        output = function(x, **case)
    except (RuntimeError, ValueError):
        return None
    first = output[0] if isinstance(output, tuple) else output
    cotangent = torch.arange(1.0, first.numel() + 1, dtype=F64).view(first.shape)
    (grad,) = torch.autograd.grad(first, x, cotangent)
    return output, grad


@settings(deadline=None, max_examples=60)
@given(size=sizes, case=options, dilation=st.integers(1, 3), seed=st.integers(0, 99))
def test_max_any_options(size, case, dilation, seed):
    case = {**case, "dilation": dilation, "return_indices": True}
    x = images(torch.Generator().manual_seed(seed), (2, *size), ties=True)
    actual = outcome(pool.max_pool2d, x, case)
    if actual is None:
        # torch goes beyond the image where a dilated window misses it altogether
        assume(dilation == 1 or not any(case["padding"]))
    expected = outcome(F.max_pool2d, x, case)
    assert (actual is None) == (expected is None)
    if actual is not None:
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@settings(deadline=None, max_examples=60)
@given(
    size=sizes,
    case=options,
    include=st.booleans(),
    divisor=st.none() | st.integers(-3, 3),
)
def test_avg_any_options(size, case, include, divisor):
    case = {**case, "count_include_pad": include, "divisor_override": divisor}
    x = images(torch.Generator().manual_seed(0), (2, *size))
    actual = outcome(pool.avg_pool2d, x, case)
    expected = outcome(F.avg_pool2d, x, case)
    assert (actual is None) == (expected is None)
    if actual is not None:
        torch.testing.assert_close(actual, expected)


@max_cases
def test_max_gradients(case, generator):
    x = images(generator, (1, 7, 9)).requires_grad_()
    function = lambda t: pool.max_pool2d(t, **case)  # noqa: E731
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


@avg_cases
def test_avg_gradients(case, generator):
    x = images(generator, (1, 7, 9)).requires_grad_()
    function = lambda t: pool.avg_pool2d(t, **case)  # noqa: E731
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_gradients_are_the_derived_ones(generator):
    x = images(generator, (2, 3, 6, 6)).requires_grad_()
    g = images(generator, (2, 3, 3, 3))
    y, indices = pool.max_pool2d(x, 2, return_indices=True)
    (actual,) = torch.autograd.grad(y, x, g)
    assert torch.equal(actual, pool.max_pool2d_backward(g, indices, x.shape))
    (actual,) = torch.autograd.grad(pool.avg_pool2d(x, 2), x, g)
    assert torch.equal(actual, pool.avg_pool2d_backward(g, x.shape, 2))
    (actual,) = torch.autograd.grad(
        pool.upsample_kronecker(g.requires_grad_(), 2), g, x
    )
    assert torch.equal(actual, pool.upsample_kronecker_backward(x, 2))
    leaves = g, *torch.randn(2, 3, generator=generator, dtype=F64).requires_grad_()
    cotangent = images(generator, (2, 3, 1, 1))
    actual = torch.autograd.grad(pool.subsample2d(*leaves, 3), leaves, cotangent)
    derived = pool.subsample2d_backward(cotangent, *leaves[:2], 3)
    for a, b in zip(actual, derived, strict=True):
        assert torch.equal(a, b)


def test_indices_are_not_differentiable(generator):
    x = images(generator).requires_grad_()
    y, indices = pool.max_pool2d(x, 2, return_indices=True)
    assert y.requires_grad
    assert not indices.requires_grad
    assert indices.dtype == torch.int64
    values = x.flatten(-2).gather(-1, indices.flatten(-2))
    assert torch.equal(values, y.flatten(-2))


@each_pool
def test_input_is_left_alone(name, generator):
    x = images(generator)
    before = x.clone()
    for kernel_size, stride in ((1, 1), (2, 1), ((1, 2), 1), (2, 2)):
        PAIRS[name][0](x, kernel_size, stride)
    assert torch.equal(x, before)


def test_max_nan_and_infinities(generator):
    x = images(generator, (2, 3, 8, 8))
    draw = torch.rand(x.shape, generator=generator)
    x[draw < 0.2] = math.nan
    x[draw > 0.6] = -math.inf
    x[(draw > 0.3) & (draw < 0.35)] = math.inf
    x = torch.cat([x, torch.full_like(x, -math.inf), torch.full_like(x, math.nan)])
    for case in MAX_CASES.values():
        if case["kernel_size"] == (7, 9):
            continue
        actual = pool.max_pool2d(x, **case, return_indices=True)
        expected = F.max_pool2d(x, **case, return_indices=True)
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


def test_max_first_of_equals_wins():
    x = torch.zeros(1, 3, 3, requires_grad=True)
    pool.max_pool2d(x, 3).sum().backward()
    assert x.grad.flatten().tolist() == [1, *8 * [0]]
    x = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]], requires_grad=True)
    pool.max_pool2d(x, 2).sum().backward()
    assert x.grad.flatten().tolist() == [0, 1, 0, 0]


def test_values_of_the_sources():
    """The figure of cs231n, maxima and means."""
    x = torch.tensor([[[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4.0]]])
    assert pool.max_pool2d(x, 2).tolist() == [[[6, 8], [3, 4]]]
    assert pool.avg_pool2d(x, 2).tolist() == [[[3.25, 5.25], [2, 2]]]


@each_pool
def test_unbatched_empty_and_strided(name, generator):
    ours, theirs = PAIRS[name]
    x = images(generator, (2, 3, 6, 8))
    torch.testing.assert_close(ours(x[0], 2), ours(x, 2)[0])
    empty = x[:0].requires_grad_()
    result = ours(empty, 2)
    assert result.shape == (0, 3, 3, 4)
    result.sum().backward()
    assert empty.grad.shape == empty.shape
    nhwc = x.contiguous(memory_format=torch.channels_last)
    for view in (nhwc, x.transpose(2, 3), x[:, ::2, 1:, ::2], x[:1].expand(4, 3, 6, 8)):
        compare(
            lambda t: ours(t, 3, 2, 1), lambda t: theirs(t, 3, 2, 1), view, generator
        )
    result = ours(nhwc, 3, 2, 1)
    assert result.is_contiguous(memory_format=torch.channels_last)


@each_pool
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name, dtype, generator):
    ours, theirs = PAIRS[name]
    x = images(generator, (2, 3, 9, 9), dtype=dtype).requires_grad_()
    exact = x.detach().to(F64).requires_grad_()
    y, expected = ours(x, 3, 1), theirs(exact, 3, 1)
    assert y.dtype == dtype
    eps = torch.finfo(dtype).eps  # one rounding of the result, none on the way
    torch.testing.assert_close(y.to(F64), expected, rtol=eps, atol=eps)
    g = images(generator, y.shape, dtype=dtype)
    y.backward(g)
    expected.backward(g.to(F64))
    assert x.grad.dtype == dtype
    torch.testing.assert_close(x.grad.to(F64), exact.grad, rtol=eps, atol=eps)


def test_half_precision_sums_do_not_overflow():
    x = torch.full((1, 4, 4), 60000.0, dtype=torch.float16)
    assert torch.equal(pool.avg_pool2d(x, 2), x[:, :2, :2])
    weight, bias = torch.tensor([0.25], dtype=x.dtype), torch.zeros(1, dtype=x.dtype)
    assert torch.equal(pool.subsample2d(x, weight, bias, 2), x[:, :2, :2])
    weight = weight.requires_grad_()
    pool.subsample2d(x, weight, bias, 4).backward(torch.full((1, 1, 1), 2**-5).half())
    assert weight.grad.item() == 30000


@each_pool
def test_works_with_torch_func(name, generator):
    ours, theirs = PAIRS[name]
    x = images(generator)
    slope = torch.func.grad(lambda t: (ours(t, 2) ** 2).sum())(x)
    expected = torch.func.grad(lambda t: (theirs(t, 2) ** 2).sum())(x)
    torch.testing.assert_close(slope, expected)


def test_avg_constant_with_large_mean():
    x = torch.full((1, 1, 8, 8), 1e4)
    assert torch.equal(pool.avg_pool2d(x, 4), x[..., :2, :2])
    means = pool.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert torch.equal(means, torch.full_like(means, 1e4))


def test_avg_is_the_adjoint_of_its_backward(generator):
    x, y = images(generator, (1, 8, 8)), images(generator, (1, 4, 4))
    case = {"kernel_size": 3, "stride": 2, "padding": 1}
    ahead = (pool.avg_pool2d(x, **case) * y).sum()
    back = (x * pool.avg_pool2d_backward(y, x.shape, **case)).sum()
    torch.testing.assert_close(ahead, back)


def test_kronecker(generator):
    x = images(generator, (2, 3, 4))
    for kernel_size in (1, 2, (3, 2), [2]):
        pair = (kernel_size * 2)[:2] if isinstance(kernel_size, list) else kernel_size
        ones = torch.ones(pair if isinstance(pair, tuple | list) else (pair, pair))
        expected = torch.stack([torch.kron(m, ones.to(F64)) for m in x])
        up = pool.upsample_kronecker(x, kernel_size)
        assert torch.equal(up, expected)
        y = images(generator, up.shape)
        down = pool.upsample_kronecker_backward(y, kernel_size)
        torch.testing.assert_close((up * y).sum(), (x * down).sum())
    leaf = x.clone().requires_grad_()
    function = lambda t: pool.upsample_kronecker(t, (3, 2))  # noqa: E731
    assert torch.autograd.gradcheck(function, (leaf,))
    assert torch.autograd.gradgradcheck(function, (leaf,))
    assert pool.upsample_kronecker(x[0], 2).shape == (6, 8)
    assert pool.upsample_kronecker(x[:0], 2).shape == (0, 6, 8)


def subsample_reference(x, weight, bias, kernel_size):
    down = F.avg_pool2d(x, kernel_size, divisor_override=1)
    return weight[:, None, None] * down + bias[:, None, None]


@pytest.mark.parametrize("shape", [(2, 3, 6, 4), (3, 6, 4)])
@pytest.mark.parametrize("kernel_size", [1, 2, (3, 4)])
def test_subsample(shape, kernel_size, generator):
    x = images(generator, shape)
    parameters = torch.randn(2, 3, generator=generator, dtype=F64)
    leaves = [t.clone().requires_grad_() for t in (x, *parameters)]
    y = pool.subsample2d(*leaves, kernel_size)
    expected = subsample_reference(*leaves, kernel_size)
    torch.testing.assert_close(y, expected)
    cotangent = images(generator, y.shape)
    actual = torch.autograd.grad(y, leaves, cotangent)
    torch.testing.assert_close(actual, torch.autograd.grad(expected, leaves, cotangent))
    function = lambda *t: pool.subsample2d(*t, kernel_size)  # noqa: E731
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


def test_subsample_computes_what_is_asked(generator):
    x, g = images(generator, (2, 3, 4, 4)), images(generator, (2, 3, 2, 2))
    weight, bias = torch.randn(2, 3, generator=generator, dtype=F64)
    full = pool.subsample2d_backward(g, x, weight, 2)
    for i in range(3):
        mask = [j == i for j in range(3)]
        part = pool.subsample2d_backward(g, x, weight, 2, mask)
        assert [p is not None for p in part] == mask
        assert torch.equal(part[i], full[i])
    bias.requires_grad_()
    pool.subsample2d(x, weight, bias, 2).backward(g)
    torch.testing.assert_close(bias.grad, full[2])
    empty = pool.subsample2d_backward(g[:0], x[:0], weight, 2)
    assert [t.shape for t in empty] == [(0, 3, 4, 4), (3,), (3,)]
    assert pool.subsample2d(x[:0], weight, bias, 2).shape == (0, 3, 2, 2)


def test_subsample_dtypes_follow_arguments(generator):
    x = images(generator, (2, 3, 4, 4), torch.bfloat16).requires_grad_()
    weight = torch.ones(3, requires_grad=True)
    bias = torch.zeros(3, dtype=F64, requires_grad=True)
    y = pool.subsample2d(x, weight, bias, 2)
    assert y.dtype == x.dtype
    y.sum().backward()
    for t in (x, weight, bias):
        assert t.grad.dtype == t.dtype


IMAGE = torch.zeros(2, 3, 5, 5)
BOTH_ERRORS = {
    "integers": (
        {"input": IMAGE.long()},
        "input must be a tensor of a floating dtype, got torch.int64",
    ),
    "no tensor": ({"input": 1.0}, "input must be a tensor of .*, got float"),
    "matrix": ({"input": IMAGE[0, 0]}, r"input must have shape .*, got \(5, 5\)"),
    "video": ({"input": IMAGE[None]}, r"input must have shape .*, got \(1, 2, 3, 5, 5"),
    "channels": ({"input": IMAGE[:, :0]}, r"input must have .*, got \(2, 0, 5, 5\)"),
    "no rows": ({"input": IMAGE[..., :0, :]}, r"input must .*, got \(2, 3, 0, 5\)"),
    "unbatched empty": ({"input": IMAGE[0, :0]}, r"input must .*, got \(0, 5, 5\)"),
    "kernel 0": (
        {"kernel_size": 0},
        "kernel_size must be an integer of .* 1 .*, got 0",
    ),
    "triple": ({"kernel_size": (1, 2, 3)}, r"kernel_size must be .*, got \(1, 2, 3\)"),
    "no kernel": ({"kernel_size": ()}, r"kernel_size must be .*, got \(\)"),
    "fraction": ({"kernel_size": 2.0}, "kernel_size must be made of .*, got 2.0"),
    "bool": ({"kernel_size": True}, "kernel_size must be made of .*, got True"),
    "stride 0": ({"stride": 0}, "stride must be an integer of .* 1 .*, got 0"),
    "stride -1": ({"stride": (1, -1)}, r"stride must be .*, got \(1, -1\)"),
    "padding -1": ({"padding": -1}, "padding must be an integer of .* 0 .*, got -1"),
    "padding": (
        {"kernel_size": 3, "padding": 2},
        r"padding must be at most half of kernel_size \(3, 3\), got 2",
    ),
    "too large": (
        {"kernel_size": (2, 6)},
        r"kernel_size must fit into the padded image \(5, 5\), got \(2, 6\)",
    ),
}


@each_pool
@pytest.mark.parametrize("case", BOTH_ERRORS.values(), ids=BOTH_ERRORS)
def test_errors(name, case):
    changes, message = case
    arguments = {"input": IMAGE, "kernel_size": 2, **changes}
    with pytest.raises(ValueError, match=f"^{message}"):
        PAIRS[name][0](**arguments)
    if arguments["input"] is not BOTH_ERRORS["integers"][0]["input"]:  # torch takes it
        with pytest.raises((RuntimeError, TypeError, IndexError)):
            PAIRS[name][1](**arguments)


def test_errors_of_max():
    for dilation in (0, -1, (1, 0)):
        with pytest.raises(ValueError, match="^dilation must be an integer .*, got "):
            pool.max_pool2d(IMAGE, 2, dilation=dilation)
    with pytest.raises(ValueError, match="^dilation must leave .* got 3$"):
        pool.max_pool2d(IMAGE[..., :2, :2], 2, 1, 1, 3)
    pool.max_pool2d(IMAGE, 2, 1, 1, 3)


def test_errors_of_avg():
    with pytest.raises(
        ValueError, match="^divisor_override must be one nonzero integer, got 0$"
    ):
        pool.avg_pool2d(IMAGE, 2, divisor_override=0)
    for bad in (2.5, (1, 2), True):
        with pytest.raises(ValueError, match="^divisor_override must be .*, got "):
            pool.avg_pool2d(IMAGE, 2, divisor_override=bad)
        with pytest.raises(ValueError, match="^divisor_override must be .*, got "):
            pool.avg_pool2d_backward(IMAGE, (2, 3, 10, 10), 2, divisor_override=bad)
    with pytest.raises(
        ValueError, match=r"^grad_output must have shape \(2, 3, 2, 2\)"
    ):
        pool.avg_pool2d_backward(IMAGE, IMAGE.shape, 2)


def test_errors_of_max_backward():
    indices = torch.zeros(2, 3, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"^indices must have shape \(2, 3, 5, 5\), "):
        pool.max_pool2d_backward(IMAGE, indices, IMAGE.shape)


def test_errors_of_bouvrie():
    ones = torch.ones(3)
    with pytest.raises(ValueError, match=r"^input must divide into blocks of \(2, 2\)"):
        pool.subsample2d(IMAGE, ones, ones, 2)
    with pytest.raises(ValueError, match="^input must divide into blocks"):
        pool.subsample2d_backward(IMAGE, IMAGE, ones, (5, 2))
    with pytest.raises(
        ValueError, match=r"^grad_output must have shape \(2, 3, 1, 1\)"
    ):
        pool.subsample2d_backward(IMAGE, IMAGE, ones, 5)
    with pytest.raises(ValueError, match=r"^input must have shape .*, got \(5, 5\)"):
        pool.subsample2d(IMAGE[0, 0], ones, ones, 5)
    for name in ("weight", "bias"):
        arguments = {"weight": ones, "bias": ones}
        wrong = {**arguments, name: ones[:2]}
        with pytest.raises(
            ValueError, match=rf"^{name} must have shape \(3,\), got \(2"
        ):
            pool.subsample2d(IMAGE, **wrong, kernel_size=5)
        wrong = {**arguments, name: ones.long()}
        with pytest.raises(ValueError, match=f"^{name} must be a tensor of a floating"):
            pool.subsample2d(IMAGE, **wrong, kernel_size=5)
    for function in (pool.upsample_kronecker, pool.upsample_kronecker_backward):
        with pytest.raises(
            ValueError, match="^kernel_size must be an integer .* got 0"
        ):
            function(IMAGE, 0)
        with pytest.raises(
            ValueError, match=r"must have at least 2 .* got shape \(3,\)"
        ):
            function(ones, 2)
        with pytest.raises(ValueError, match="must be a tensor .*, got torch.int64"):
            function(IMAGE.long(), 2)
    with pytest.raises(ValueError, match="^grad_output must divide into blocks"):
        pool.upsample_kronecker_backward(IMAGE, 2)


def test_half_precision_gradients_of_one_maximum_are_summed_in_single():
    x = torch.zeros(1, 5, 5, dtype=torch.bfloat16)
    x[0, 2, 2] = 1
    g = torch.ones(1, 3, 3, dtype=torch.bfloat16)
    g[0, 0, 0] = 256  # 256 + 1 is 256 in bfloat16
    _, indices = pool.max_pool2d(x, 3, 1, return_indices=True)
    assert pool.max_pool2d_backward(g, indices, x.shape)[0, 2, 2] == 264
