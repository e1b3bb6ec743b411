"""lib.dropout against its law, its own derivative, and torch's rules."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.dropout import dropout, dropout2d, dropout_backward

F64 = torch.float64
BOTH = {"dropout": (dropout, F.dropout), "dropout2d": (dropout2d, F.dropout2d)}
both = pytest.mark.parametrize(("ours", "theirs"), BOTH.values(), ids=BOTH)
each = pytest.mark.parametrize("ours", [dropout, dropout2d])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def values(shape=(4, 3, 5, 6), dtype=F64):
    """Nowhere 0, so that a dropped element shows."""
    return (1 + torch.rand(shape, generator=seeded(1), dtype=F64)).to(dtype)


@each
@settings(deadline=None, max_examples=40)
@given(
    p=st.floats(0, 1),
    shape=st.lists(st.integers(0, 4), min_size=2, max_size=5),
    seed=st.integers(0, 99),
)
def test_keeps_scaled_or_drops(ours, p, shape, seed):
    x = values(tuple(shape))
    y = ours(x, p, generator=seeded(seed))
    assert y.shape == x.shape
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / (1 - p))
    if ours is dropout2d:
        channels = kept.flatten(2) if len(shape) > 2 else kept[..., None]
        assert torch.equal(channels, channels[..., :1].expand_as(channels)) or (
            0 in shape
        )


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, F64])
def test_law(p, dtype):
    """Frequency, mean and variance within 4 standard errors of the derived ones."""
    n = 100_000
    for ours, shape in ((dropout, (n,)), (dropout2d, (n // 10, 10))):
        y = ours(torch.ones(shape, dtype=dtype), p, generator=seeded()).to(F64)
        dropped = (y == 0).to(F64).mean()
        assert abs(dropped - p) < 4 * math.sqrt(p * (1 - p) / n)
        scale = y.max()  # 1 / (1 - p), rounded to the dtype
        torch.testing.assert_close(
            y.max().to(dtype), torch.tensor(1 / (1 - p)).to(dtype)
        )
        mean, variance = y.mean() / (scale * (1 - p)), y.var() / (scale * (1 - p)) ** 2
        ratio = p / (1 - p)  # eq-dropout-variance: Var(h' | h) = h² p / (1 - p)
        assert abs(mean - 1) < 4 * math.sqrt(ratio / n)
        # standard error of a Bernoulli variance: |1 - 2p| sqrt(p (1 - p) / n)
        error = abs(1 - 2 * p) * math.sqrt(p * (1 - p) / n) / (1 - p) ** 2
        assert abs(variance - ratio) < 4 * error + 1e-4


def test_elements_are_independent():
    kept = dropout(torch.ones(300, 300), 0.3, generator=seeded()) != 0
    kept = kept.to(F64) - 0.7
    bound = 4 * 0.3 * 0.7 / math.sqrt(kept.numel())
    for other in (kept.roll(1, 0), kept.roll(1, 1), kept.T):
        product = (kept * other).fill_diagonal_(0)
        assert abs(product.mean()) < bound


def test_channels_are_dropped_whole_and_each_for_itself():
    y = dropout2d(torch.ones(200, 50, 2, 3), 0.4, generator=seeded())
    kept = (y != 0).flatten(2)
    assert torch.equal(kept.all(-1), kept.any(-1))
    kept = kept[..., 0].to(F64) - 0.6
    for other in (kept.roll(1, 0), kept.roll(1, 1)):
        assert abs((kept * other).mean()) < 4 * 0.24 / math.sqrt(kept.numel())
    unbatched = dropout2d(torch.ones(50, 40, 6), 0.5, generator=seeded()) != 0
    assert torch.equal(unbatched.all(-1), unbatched.any(-1))  # read as (N, C, L)
    assert not torch.equal(unbatched.all(1), unbatched.any(1))
    matrix = dropout2d(torch.ones(50, 40), 0.5, generator=seeded()) != 0
    assert 0.4 < matrix.to(F64).mean() < 0.6


# torch warns of shapes that it may read otherwise one day
pytestmark = pytest.mark.filterwarnings("ignore:dropout2d")


@both
def test_identity(ours, theirs):
    x = values()
    for case in (
        (x, 0.0),
        (x, 0),
        (x, 0.5, False),
        (x, 1.0, False, True),
        (x, 0.0, True, True),
    ):
        assert ours(*case) is x
        assert theirs(*case) is x
    assert torch.equal(x, values())
    whole = torch.arange(4)
    assert ours(whole, 0.5, False) is whole


@both
def test_p_one(ours, theirs):
    x = values().requires_grad_()
    for function in (ours, theirs):
        y = function(x, 1.0)
        assert torch.equal(y, torch.zeros_like(x))
        (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert torch.equal(grad, torch.zeros_like(x))
    infinite = torch.full((2, 3, 1, 1), math.inf)
    assert ours(infinite, 1.0).isnan().all()  # as there: the input times 0
    assert theirs(infinite, 1.0).isnan().all()


@both
def test_numbers_that_are_not_finite(ours, theirs):
    for bad in (math.inf, math.nan):
        x = torch.full((20, 30, 1, 1), bad)
        for function in (ours, theirs):
            y = function(x, 0.5)
            assert not y.isfinite().any()
            assert y.isnan().any()


@each
@pytest.mark.parametrize("inplace", [False, True])
def test_gradients(ours, inplace):
    def function(t):
        t = t.clone() if inplace else t
        return ours(t, 0.3, True, inplace, generator=seeded())

    x = values((2, 3, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


@each
def test_gradient_is_the_derived_one(ours):
    x = values().requires_grad_()
    y = ours(x, 0.3, generator=seeded())
    g = torch.randn(x.shape, generator=seeded(2), dtype=F64)
    (actual,) = torch.autograd.grad(y, x, g)
    mask = (y != 0).to(F64)
    assert torch.equal(actual, dropout_backward(g, mask, 0.3))
    assert torch.equal(actual, dropout_backward(g, mask.bool(), 0.3))
    torch.testing.assert_close(actual, g * y.detach() / x.detach())


@each
def test_inplace(ours):
    x = values()
    before = x.clone()
    y = ours(x, 0.5, inplace=True, generator=seeded())
    assert y is x
    assert torch.equal(y, ours(before, 0.5, generator=seeded()))
    assert torch.equal(before, values())
    leaf = values().requires_grad_()
    with pytest.raises(ValueError, match="^input must not be .*a leaf"):
        ours(leaf, 0.5, inplace=True)
    assert torch.equal(leaf, values())
    with torch.no_grad():
        assert ours(leaf, 0.5, inplace=True) is leaf
    doubled = 2 * leaf.detach().requires_grad_()
    root = doubled.exp()  # needs its own output for its gradient
    ours(root, 0.5, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        root.sum().backward()


@each
def test_generator(ours):
    x = values((40, 50, 1, 1))
    y = ours(x, generator=seeded())
    assert torch.equal(y, ours(x, generator=seeded()))
    assert not torch.equal(y, ours(x, generator=seeded(1)))
    state = torch.get_rng_state()
    ours(x, generator=seeded())
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(0)
    first = ours(x)
    assert not torch.equal(first, ours(x))
    torch.manual_seed(0)
    assert torch.equal(first, ours(x))
    torch.set_rng_state(state)


@each
def test_dtypes_layouts_and_empty(ours):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, F64):
        x = values(dtype=dtype).requires_grad_()
        y = ours(x, 0.3, generator=seeded())
        y.sum().backward()
        assert y.dtype == x.grad.dtype == dtype
        kept = y != 0
        eps = torch.finfo(dtype).eps
        exact = x.detach().to(F64)[kept] / 0.7
        torch.testing.assert_close(y[kept].to(F64), exact, rtol=eps, atol=0)
    x = values()
    nhwc = x.contiguous(memory_format=torch.channels_last)
    for view in (
        nhwc,
        x.permute(1, 0, 3, 2),
        x[:, :, ::2],
        x[:, :1].expand(4, 3, 5, 6),
    ):
        expected = ours(view.contiguous(), generator=seeded())
        assert torch.equal(ours(view, generator=seeded()), expected)
    assert ours(nhwc).is_contiguous(memory_format=torch.channels_last)
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4)):
        leaf = torch.ones(shape, requires_grad=True)
        ours(leaf).sum().backward()
        assert leaf.grad.shape == shape


@each
def test_works_with_torch_func(ours):
    x = values()
    slope = torch.func.grad(lambda t: ours(t, generator=seeded()).sum())(x)
    expected = ours(torch.ones_like(x), generator=seeded())
    torch.testing.assert_close(slope, expected)


def test_shapes_as_torch():
    assert dropout(torch.ones(()), 0.5).shape == ()
    assert dropout(torch.ones(7), 0.5).shape == (7,)
    vector = torch.ones(4)
    for p in (0.0, 1.0):
        assert torch.equal(dropout2d(vector, p), F.dropout2d(vector, p)) or p == 0
    assert dropout2d(vector, 0.5, False) is vector
    assert dropout2d(vector[:0], 0.5).shape == (0,)
    for bad in (vector, vector[0]):
        shape = tuple(bad.shape)
        with pytest.raises(
            ValueError, match="^input must have at least 2 axes"
        ) as error:
            dropout2d(bad, 0.5)
        assert str(error.value).endswith(f", got {shape}")
        with pytest.raises(RuntimeError):
            torch.feature_dropout(bad, 0.5, True)


@each
@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf])
def test_errors_of_p(ours, p):
    for training in (True, False):
        with pytest.raises(ValueError, match=rf"^p must lie in \[0, 1\], got {p}$"):
            ours(values(), p, training)
    with pytest.raises(ValueError, match=r"^p must lie in \[0, 1\], got "):
        dropout_backward(values(), values(), p)


@each
def test_errors(ours):
    for dtype in (torch.int64, torch.bool, torch.complex64):
        bad = torch.ones(2, 3, 4, 4, dtype=dtype)
        with pytest.raises(ValueError, match=f"^input must .* dtype, got {dtype}$"):
            ours(bad, 0.5)
    with pytest.raises(ValueError, match="^input must be a tensor .*, got float$"):
        ours(1.0, 0.5)
    elsewhere = torch.ones(2, 3, 4, 4, device="meta")
    with pytest.raises(ValueError, match="^generator must be on .* meta, got cpu$"):
        ours(elsewhere, 0.5, generator=seeded())


def test_mask_is_drawn_in_enough_digits():
    """Half precision would draw from 256 numbers: p = 0.001 would become 1/256 or 0."""
    n = 400_000
    x = torch.ones(n, dtype=torch.bfloat16)
    dropped = (dropout(x, 0.001, generator=seeded()) == 0).to(F64).mean()
    assert abs(dropped - 0.001) < 4 * math.sqrt(0.001 * 0.999 / n)


@each
def test_drops_half_by_default(ours):
    x = values((40, 50, 1, 1))
    y = ours(x, generator=seeded())
    torch.testing.assert_close(y[y != 0], 2 * x[y != 0])
    assert abs((y == 0).double().mean() - 0.5) < 4 * math.sqrt(0.25 / 2000)
