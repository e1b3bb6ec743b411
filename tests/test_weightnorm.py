"""lib.weightnorm against torch and its own derivatives."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad, gradcheck, gradgradcheck

from lib import weightnorm

F64 = torch.float64


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def compare(ours, theirs, inputs):
    a, b = ours(*inputs), theirs(*inputs)
    torch.testing.assert_close(a, b)
    g = random(*a.shape, seed=4)
    torch.testing.assert_close(grad(a, inputs, g), grad(b, inputs, g))


@pytest.mark.parametrize("dim", [0, 1, 2, None])
def test_weight_norm(dim):
    v = random(4, 3, 2).requires_grad_()
    ours = weightnorm.weight_norm
    shape = () if dim is None else [s if i == dim else 1 for i, s in enumerate(v.shape)]
    g = random(*shape, seed=1).requires_grad_()
    axis = -1 if dim is None else dim
    compare(
        lambda v, g: ours(v, g, dim),
        lambda v, g: torch._weight_norm(v, g, axis),
        [v, g],
    )
    assert gradcheck(ours, (v, g, dim))
    assert gradgradcheck(ours, (v, g, dim))
    length = torch.linalg.vector_norm(ours(v, g, dim)).square()
    torch.testing.assert_close(length, g.square().sum())
    dw = random(4, 3, 2, seed=2)
    want = grad(ours(v, g, dim), (v, g), dw)
    torch.testing.assert_close(weightnorm.weight_norm_backward(dw, v, g, dim), want)


def test_weight_norm_of_one_axis_and_small_dtypes():
    v, g = random(5), random(5, seed=1)
    torch.testing.assert_close(weightnorm.weight_norm(v, g), g * v.sign())
    v, g = random(4, 300).bfloat16(), random(4, 1).bfloat16()
    w = weightnorm.weight_norm(v, g)
    assert w.dtype == torch.bfloat16
    want = weightnorm.weight_norm(v.double(), g.double())
    torch.testing.assert_close(w.double(), want, rtol=0.01, atol=1e-3)


def clamped(x, w, eps=1e-8):
    a, b = (t / t.norm(dim=-1, keepdim=True).clamp(min=eps) for t in (x, w))
    return a @ b.T


def test_cosine_linear():
    x, w = random(2, 5, 4).requires_grad_(), random(3, 4, seed=1).requires_grad_()
    theirs = lambda x, w: F.cosine_similarity(x[..., None, :], w, dim=-1)  # noqa: E731
    compare(weightnorm.cosine_linear, theirs, [x, w])
    for eps in (1e-8, 1.5):  # 1.5 lies between the lengths: both branches
        f = lambda x, w, eps=eps: weightnorm.cosine_linear(x, w, eps)  # noqa: E731
        compare(f, lambda x, w, eps=eps: clamped(x, w, eps), [x, w])
        assert gradcheck(f, (x, w))
        assert gradgradcheck(f, (x, w))
    assert (weightnorm.cosine_linear(100 * x, w).abs() <= 1 + 1e-12).all()
    g = random(2, 5, 3, seed=2)
    want = grad(weightnorm.cosine_linear(x, w), (x, w), g)
    torch.testing.assert_close(weightnorm.cosine_linear_backward(g, x, w), want)
    zero = torch.zeros(2, 4, requires_grad=True)
    y = weightnorm.cosine_linear(zero, w.float())
    assert (y == 0).all()
    assert grad(y.sum(), zero)[0].isfinite().all()
    assert (
        weightnorm.cosine_linear(x[0].bfloat16(), w.bfloat16()).dtype == torch.bfloat16
    )
    assert weightnorm.cosine_linear(x[:, :0], w).shape == (2, 0, 3)


ERRORS = [
    ("weight_norm", (torch.ones(3, 4), torch.ones(3)), "g must have shape"),
    ("weight_norm", (torch.ones(3, 4), torch.ones(3, 1), 2), "dim must be None or"),
    ("weight_norm", (torch.ones(3, 4), torch.ones(3, 1), -1), "dim must be None or"),
    ("weight_norm", (torch.ones(()), torch.ones(())), "v must have at least one axis"),
    (
        "weight_norm",
        (torch.ones(3, 4), torch.ones(3, 1).double()),
        "g must be torch.float32 on cpu",
    ),
    ("weight_norm", (torch.ones(3, 4).long(), torch.ones(3, 1)), "v must be a tensor"),
    ("cosine_linear", (torch.ones(3, 4), torch.ones(2, 3)), "weight must have shape"),
    ("cosine_linear", (torch.ones(3, 4), torch.ones(4)), "weight must have shape"),
    ("cosine_linear", (torch.ones(()), torch.ones(2, 4)), "input must have at least"),
    (
        "cosine_linear",
        (torch.ones(3, 4), torch.ones(2, 4).half()),
        "weight must be torch.float32",
    ),
    (
        "cosine_linear",
        (torch.ones(3, 4), torch.ones(2, 4), 0.0),
        "eps must be positive",
    ),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e[0]}: {e[2]}")
def test_errors(error):
    name, args, message = error
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(weightnorm, name)(*args)
