"""lib.pool against torch, its own derivatives, and its adjoints."""

import re
from math import inf, nan

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lib import pool

F64 = torch.float64
CASES = {
    "2x2": {"kernel_size": 2},
    "list": {"kernel_size": [3], "stride": [2, 1], "padding": (1, 0)},
    "empty stride": {"kernel_size": (2, 3), "stride": ()},
    "overlapping": {"kernel_size": 3, "stride": 1},
    "gaps": {"kernel_size": 2, "stride": 3},
    "padding": {"kernel_size": 3, "stride": 2, "padding": 1},
    "ceil": {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
    "dropped": {"kernel_size": 2, "stride": 5, "padding": 1, "ceil_mode": True},
    "whole": {"kernel_size": (7, 9)},
}
MAX_CASES = {
    **CASES,
    "dilation": {"kernel_size": (3, 2), "stride": 1, "dilation": (2, 3)},
    "dilated padding": {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 3},
}
EXCLUDE = {"kernel_size": (2, 3), "padding": 1, "count_include_pad": False}
AVG_CASES = {
    **CASES,
    "exclude pad": EXCLUDE,
    "exclude pad, ceil": {**EXCLUDE, "stride": (3, 2), "ceil_mode": True},
    "divisor": {"kernel_size": 2, "padding": 1, "divisor_override": -3},
}
PAIRS = {
    "max": (pool.max_pool2d, F.max_pool2d, MAX_CASES),
    "avg": (pool.avg_pool2d, F.avg_pool2d, AVG_CASES),
}
EVERY = [(*pair[:2], case) for pair in PAIRS.values() for case in pair[2].values()]
every_case = pytest.mark.parametrize(("ours", "theirs", "case"), EVERY)
each_pool = pytest.mark.parametrize("name", PAIRS)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
devices = ["cpu", pytest.param("cuda", marks=cuda)]
DTYPES = F64, torch.float32, torch.bfloat16, torch.float16


def random(*shape, dtype=F64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=F64).to(dtype)


def compare(ours, theirs, *inputs):
    """Values and gradients: one rounding from those of float64."""
    a = [t.detach().clone().requires_grad_() for t in inputs]
    b = [t.detach().to(F64).requires_grad_() for t in inputs]
    actual, expected = ours(*a), theirs(*b)
    cotangent = random(*expected.shape, seed=1).to(actual)
    actual.backward(cotangent)
    expected.backward(cotangent.to(F64))
    pairs = [(actual, expected), *((x.grad, y.grad) for x, y in zip(a, b, strict=True))]
    for (x, y), t in zip(pairs, (inputs[0], *inputs), strict=True):
        assert x.dtype == t.dtype
        wide = pool.widen(inputs[0]).dtype
        eps = 4 * max(torch.finfo(t.dtype).eps, torch.finfo(wide).eps)
        torch.testing.assert_close(x.to(F64), y, rtol=eps, atol=eps)


@every_case
@pytest.mark.parametrize("device", devices)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_agrees_with_torch(ours, theirs, case, dtype, device):
    x = random(2, 3, 7, 9, dtype=dtype).to(device)
    views = x[0], x[:0], x.mT.contiguous().mT, x[:1].expand(4, 3, 7, 9)
    for t in (x, x.round(), *views):
        compare(lambda t: ours(t, **case), lambda t: theirs(t, **case), t)
    nhwc = x.contiguous(memory_format=torch.channels_last)
    assert ours(nhwc, **case).equal(ours(x, **case))
    if ours is pool.max_pool2d:
        ties = {"input": x.round(), **case, "return_indices": True}
        for a, b in zip(ours(**ties), theirs(**ties), strict=True):
            assert a.equal(b)


def outcome(function, x, case):
    """Values and the gradient of a fixed weighting, or the fact of an error."""
    x = x.clone().requires_grad_()
    try:
        output = function(x, **case)
    except (RuntimeError, ValueError):
        return None
    first = output[0] if isinstance(output, tuple) else output
    weights = torch.arange(1.0, first.numel() + 1, dtype=F64).view(first.shape)
    return output, torch.autograd.grad(first, x, weights)


def pairs(low, high):
    return st.tuples(*2 * [st.integers(low, high)])


OPTIONS = {
    "kernel_size": pairs(1, 4),
    "stride": st.none() | pairs(1, 5),
    "padding": pairs(0, 2),
    "ceil_mode": st.booleans(),
}
MAX = {**OPTIONS, "dilation": st.integers(1, 3), "return_indices": st.just(True)}
DIVISORS = st.none() | st.integers(-3, 3)
AVG = {**OPTIONS, "count_include_pad": st.booleans(), "divisor_override": DIVISORS}


@each_pool
@settings(deadline=None, max_examples=60, derandomize=True)
@given(size=pairs(1, 9), data=st.data())
def test_any_options(name, size, data):
    case = data.draw(st.fixed_dictionaries(MAX if name == "max" else AVG))
    x = random(2, *size).round()
    actual = outcome(PAIRS[name][0], x, case)
    if actual is None and case.get("dilation", 1) > 1:
        # torch goes beyond the image where a dilated window misses it altogether
        assume(not any(case["padding"]))
    expected = outcome(PAIRS[name][1], x, case)
    assert (actual is None) == (expected is None)
    if actual is not None:
        torch.testing.assert_close(actual, expected)


FUNCTIONS = [(lambda x, f=f, c=c: f(x, **c), [(1, 7, 9)]) for f, _, c in EVERY]
FUNCTIONS += [
    (lambda x: pool.upsample_kronecker(x, (3, 2)), [(2, 3, 4)]),
    (lambda *t: pool.subsample2d(*t, (3, 2)), [(2, 3, 6, 4), (3,), (3,)]),
    (lambda *t: pool.subsample2d(*t, 2), [(3, 2, 4), (3,), (3,)]),
]


@pytest.mark.parametrize(("function", "shapes"), FUNCTIONS)
def test_gradients(function, shapes):
    leaves = [random(*s, seed=i).requires_grad_() for i, s in enumerate(shapes)]
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


def test_gradients_are_the_derived_ones():
    x, g = random(2, 3, 6, 6).requires_grad_(), random(2, 3, 3, 3, seed=1)
    y, indices = pool.max_pool2d(x, 2, return_indices=True)
    (actual,) = torch.autograd.grad(y, x, g)
    assert actual.equal(pool.max_pool2d_backward(g, indices, x.shape))
    assert not indices.requires_grad
    assert indices.dtype == torch.int64
    (actual,) = torch.autograd.grad(pool.avg_pool2d(x, 2), x, g)
    assert actual.equal(pool.avg_pool2d_backward(g, x, 2))
    assert actual.equal(pool.avg_pool2d_backward(g, x.shape, 2))
    g.requires_grad_()
    (actual,) = torch.autograd.grad(pool.upsample_kronecker(g, 2), g, x)
    assert actual.equal(pool.upsample_kronecker_backward(x, 2))
    leaves = x, *random(2, 3).requires_grad_()
    actual = torch.autograd.grad(pool.subsample2d(*leaves, 2), leaves, g)
    derived = pool.subsample2d_backward(g, *leaves[:2], 2)
    assert all(a.equal(b) for a, b in zip(actual, derived, strict=True))
    for i in range(3):  # only what is asked for
        mask = [j == i for j in range(3)]
        part = pool.subsample2d_backward(g, *leaves[:2], 2, mask)
        assert [p is not None for p in part] == mask
        assert part[i].equal(derived[i])


def test_inputs_are_left_alone():
    x = random(2, 3, 7, 9)
    before = x.clone()
    for ours, _, case in EVERY:
        y = ours(x, **case)
        assert y.data_ptr() != x.data_ptr()
    for kernel_size in (1, (1, 2), (2, 1)):
        for name in PAIRS:
            PAIRS[name][0](x, kernel_size, 1).zero_()
        pool.upsample_kronecker(x, kernel_size).zero_()
    assert x.equal(before)


def test_max_nan_and_infinities():
    x, draw = random(2, 3, 7, 9), random(2, 3, 7, 9, seed=1)
    x[draw < -0.8] = nan
    x[draw > 0.2] = -inf
    x[(draw > -0.2) & (draw < 0)] = inf
    x = torch.cat([x, torch.full_like(x, -inf), torch.full_like(x, nan)])
    for case in MAX_CASES.values():
        actual = pool.max_pool2d(x, **case, return_indices=True)
        expected = F.max_pool2d(x, **case, return_indices=True)
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


def test_known_values():
    """The figure of cs231n; of equal maxima the first; a constant far from 0."""
    x = torch.tensor([[[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4.0]]])
    assert pool.max_pool2d(x, 2).tolist() == [[[6, 8], [3, 4]]]
    assert pool.avg_pool2d(x, 2).tolist() == [[[3.25, 5.25], [2, 2]]]
    x = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]], requires_grad=True)
    pool.max_pool2d(x, 2).sum().backward()
    assert x.grad.flatten().tolist() == [0, 1, 0, 0]
    x = torch.full((1, 1, 8, 8), 1e4)
    means = pool.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert means.equal(torch.full_like(means, 1e4))


def test_half_precision_is_summed_in_single():
    x = torch.full((1, 4, 4), 60000.0, dtype=torch.float16)
    assert pool.avg_pool2d(x, 2).equal(x[:, :2, :2])
    weight, bias = torch.tensor([0.25]).half().requires_grad_(), torch.zeros(1).half()
    assert pool.subsample2d(x, weight, bias, 2).equal(x[:, :2, :2])
    pool.subsample2d(x, weight, bias, 4).backward(torch.full((1, 1, 1), 2**-5).half())
    assert weight.grad.item() == 30000
    x = torch.ones(1, 259, 1, dtype=torch.bfloat16)
    assert pool.avg_pool2d(x, (259, 1)) == 1  # 259 itself is 260 in bfloat16
    x = torch.zeros(1, 5, 5, dtype=torch.bfloat16)
    x[0, 2, 2] = 1
    g = torch.ones(1, 3, 3, dtype=x.dtype)
    g[0, 0, 0] = 256  # 256 + 1 is 256 in bfloat16
    _, indices = pool.max_pool2d(x, 3, 1, return_indices=True)
    assert pool.max_pool2d_backward(g, indices, x.shape)[0, 2, 2] == 264


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # dynamo's own
@each_pool
def test_without_grad_and_compiled(name):
    ours, x = PAIRS[name][0], random(2, 3, 4, 4).requires_grad_()
    with torch.no_grad():
        assert not ours(x, 2).requires_grad
    compiled = torch.compile(ours, backend="eager")
    assert compiled(x, 2).equal(ours(x, 2))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_kronecker(dtype):
    x = random(2, 3, 4, dtype=dtype)
    for kernel_size in (1, 2, (3, 2), [2]):
        height, width = pool.pair("kernel_size", kernel_size, 1)
        up = lambda t: pool.upsample_kronecker(t, kernel_size)  # noqa: B023, E731
        ones = torch.ones(1, height, width, dtype=F64)
        compare(up, lambda t: torch.kron(t, ones), x)  # noqa: B023
    assert pool.upsample_kronecker(x[0], 2).shape == (6, 8)
    assert pool.upsample_kronecker(x[:0], 2).shape == (0, 6, 8)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernel_size", [1, 2, (3, 4)])
@pytest.mark.parametrize("shape", [(2, 3, 6, 4), (3, 6, 4), (0, 3, 6, 4)])
def test_subsample(shape, kernel_size, dtype):
    def reference(x, weight, bias):
        down = F.avg_pool2d(x, kernel_size, divisor_override=1)
        return weight[:, None, None] * down + bias[:, None, None]

    def ours(*t):
        return pool.subsample2d(*t, kernel_size)

    x, parameters = random(*shape, dtype=dtype), random(2, 3, seed=1)
    compare(ours, reference, x, *parameters.to(dtype))
    compare(ours, reference, x, *parameters)  # of another dtype


def raises(message):
    return pytest.raises(ValueError, match="^" + re.escape(message))


X, ONES = torch.zeros(2, 3, 5, 5), torch.ones(3)
FLOATING = "must be a tensor of a floating dtype, got"
IMAGES = "input must have shape (N, C, H, W) or (C, H, W), only N may be 0, got"
ERRORS = [
    (f"input {FLOATING} torch.bool", {"input": X.bool()}),
    (f"input {FLOATING} float", {"input": 1.0}),
    (f"{IMAGES} (5, 5)", {"input": X[0, 0]}),
    (f"{IMAGES} (1, 2, 3, 5, 5)", {"input": X[None]}),
    (f"{IMAGES} (2, 0, 5, 5)", {"input": X[:, :0]}),
    (f"{IMAGES} (0, 5, 5)", {"input": X[0, :0]}),
    ("kernel_size must be an integer, at least 1, got 0", {"kernel_size": 0}),
    ("kernel_size must be an integer or a pair", {"kernel_size": (1, 2, 3)}),
    ("kernel_size must be an integer, at least 1, got 2.0", {"kernel_size": 2.0}),
    ("stride must be an integer, at least 1, got -1", {"stride": (1, -1)}),
    ("padding must be an integer, at least 0, got -1", {"padding": -1}),
    ("padding must be at most half of kernel_size 2, got 2", {"padding": 2}),
    (
        "kernel_size must fit the padded image (5, 5), got (2, 6)",
        {"kernel_size": (2, 6)},
    ),
]


@each_pool
@pytest.mark.parametrize(("message", "changes"), ERRORS)
def test_errors(name, message, changes):
    arguments = {"input": X, "kernel_size": 2, **changes}
    with raises(message):
        PAIRS[name][0](**arguments)
    with pytest.raises((RuntimeError, TypeError, IndexError)):  # torch rejects it too
        PAIRS[name][1](**arguments)


def test_errors_of_options():
    with raises("dilation must be an integer, at least 1, got 0"):
        pool.max_pool2d(X, 2, dilation=0)
    with raises("dilation must leave every window an element, got 3"):
        pool.max_pool2d(X[..., :2, :2], 2, 1, 1, 3)
    for bad in (0, 2.5, (1, 2), True):
        with raises("divisor_override must be an integer other than 0, got"):
            pool.avg_pool2d(X, 2, divisor_override=bad)
        with raises("divisor_override must be an integer other than 0, got"):
            pool.avg_pool2d_backward(X[..., :2, :2], X, 2, divisor_override=bad)


def test_errors_of_gradients():
    with raises("grad_output must have shape (2, 3, 2, 2), got (2, 3, 5, 5)"):
        pool.avg_pool2d_backward(X, X, 2)
    with raises("indices must have shape (2, 3, 5, 5), got (2, 3, 2, 2)"):
        pool.max_pool2d_backward(X, X[..., :2, :2].long(), X.shape)
    with raises("grad_output must have shape (2, 3, 1, 1), got (2, 3, 5, 5)"):
        pool.subsample2d_backward(X, X, ONES, 5)
    with raises(
        "grad_output must divide into blocks of (2, 2), got shape (2, 3, 5, 5)"
    ):
        pool.upsample_kronecker_backward(X, 2)


def test_errors_of_bouvrie():
    for kernel_size in (2, (5, 2), (2, 5)):
        with raises("input must divide into blocks of"):
            pool.subsample2d(X, ONES, ONES, kernel_size)
    with raises(f"{IMAGES} (5, 5)"):
        pool.subsample2d(X[0, 0], ONES, ONES, 5)
    for name in ("weight", "bias"):
        good = {"input": X, "weight": ONES, "bias": ONES, "kernel_size": 5}
        with raises(f"{name} must have shape (3,), got (2,)"):
            pool.subsample2d(**{**good, name: ONES[:2]})
        with raises(f"{name} {FLOATING} torch.int64"):
            pool.subsample2d(**{**good, name: ONES.long()})
    for function in (pool.upsample_kronecker, pool.upsample_kronecker_backward):
        with raises("kernel_size must be an integer, at least 1, got 0"):
            function(X, 0)
        for bad in (ONES, X.long()):
            with pytest.raises(ValueError, match="have shape .*, H, W|floating"):
                function(bad, 1)
