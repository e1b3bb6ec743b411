"""lib.loss against torch, and its own derivatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad, gradcheck, gradgradcheck

from lib import loss

F64 = torch.float64
DTYPES = [F64, torch.float32, torch.bfloat16, torch.float16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def random(*shape, seed=0, dtype=F64):
    g = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=g, dtype=F64)).to(dtype)


def compare(ours, theirs, x):
    """In 16 bits with what is right in 64: torch rounds there at each step."""
    wide = F64 if x.dtype.itemsize == 2 else x.dtype
    inputs = [x.detach().to(t).requires_grad_() for t in (x.dtype, wide)]
    a, b = ours(inputs[0]), theirs(inputs[1])
    torch.testing.assert_close(a, b.to(a.dtype), equal_nan=True)
    g = random(*a.shape, seed=4, dtype=a.dtype)
    actual, expected = grad(a, inputs[0], g)[0], grad(b, inputs[1], g.to(wide))[0]
    # the derivative of softmax is computed from its rounded value
    atol = 4 * torch.finfo(x.dtype).eps
    torch.testing.assert_close(actual, expected.to(x.dtype), rtol=atol, atol=atol)


@every_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((5, 4), 1), ((5, 4), 0), ((2, 3, 4), -2), ((0, 4), 1), ((), 0)]
)
def test_softmax_agrees_with_torch(name, shape, dim, dtype):
    ours, theirs = getattr(loss, name), getattr(F, name)
    x = random(*shape, dtype=dtype)
    compare(lambda t: ours(t, dim), lambda t: theirs(t, dim), x)


@every_dtype
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2), (2, 3, 2, 2), (5, 1)])
def test_cross_entropy_agrees_with_torch(shape, reduction, dtype):
    x, classes = random(*shape, dtype=dtype), shape[1]
    size = (shape[0], *shape[2:])
    index = torch.randint(classes, size, generator=torch.Generator().manual_seed(1))
    share = loss.softmax(random(*shape, seed=2), 1).to(dtype)
    unnormalised = share * 3
    for target in (index, share, unnormalised):
        compare(
            lambda t, y=target: loss.cross_entropy(t, y, reduction),
            lambda t, y=target: F.cross_entropy(
                t, y.to(t.dtype) if y.is_floating_point() else y, reduction=reduction
            ),
            x,
        )


def test_empty_batch():
    x, target = torch.empty(0, 3), torch.empty(0, dtype=torch.long)
    for reduction in ("mean", "sum", "none"):
        torch.testing.assert_close(
            loss.cross_entropy(x, target, reduction),
            F.cross_entropy(x, target, reduction=reduction),
            equal_nan=True,
        )


def test_gradients():
    x, target = random(4, 3).requires_grad_(), torch.tensor([0, 2, 1, 1])
    share = loss.softmax(random(4, 3, seed=1), 1)
    functions = [
        lambda t: loss.softmax(t, 1),
        lambda t: loss.log_softmax(t, 0),
        *(
            lambda t, y=y, r=r: loss.cross_entropy(t, y, r)
            for y in (target, share)
            for r in ("mean", "sum", "none")
        ),
    ]
    for function in functions:
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)


def test_backward_is_the_one_used():
    x, target = random(4, 3).requires_grad_(), torch.tensor([0, 2, 1, 1])
    g = random(4, 3, seed=3)
    for name in ("softmax", "log_softmax"):
        y = getattr(loss, name)(x, 1)
        derived = getattr(loss, f"{name}_backward")(g, y, 1)
        assert torch.equal(derived, grad(y, x, g)[0])
    value = loss.cross_entropy(x, target)
    derived = loss.cross_entropy_backward(torch.tensor(2.0), x, target)
    assert torch.equal(derived, grad(value, x, torch.tensor(2.0, dtype=F64))[0])
    right = F.one_hot(target, 3)
    torch.testing.assert_close(derived, (loss.softmax(x, 1) - right) * 2 / 4)


def test_extreme_logits():
    z = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    assert loss.softmax(z, 1).tolist() == [[1, 0, 0]]
    assert loss.log_softmax(z, 1).tolist() == [[0, -1e4, -2e4]]
    value = loss.cross_entropy(z, torch.tensor([2]))
    assert value.item() == 2e4
    assert grad(value, z)[0].tolist() == [[1, 0, -1]]
    assert loss.cross_entropy(torch.zeros(1, 7), torch.tensor([3])).item() == (
        pytest.approx(math.log(7))
    )


def test_a_shift_of_all_logits_changes_nothing():
    z = random(5, 4)
    torch.testing.assert_close(loss.softmax(z + 3, 1), loss.softmax(z, 1))


ERRORS = [
    ("softmax", (torch.ones(3).long(), 0), "input must be a tensor of a floating"),
    (
        "softmax",
        (torch.ones(3), 1),
        r"dim must be an axis of input, of shape \(3,\), g",
    ),
    ("log_softmax", (torch.ones(3), -2), "dim must be an axis of input"),
    ("log_softmax", (torch.ones(3), None), "dim must be an axis of input"),
    ("cross_entropy", (torch.ones(3, 2).long(), None), "input must be a tensor"),
    (
        "cross_entropy",
        (torch.ones(3), torch.tensor(0)),
        r"input must have shape \(N, C",
    ),
    ("cross_entropy", (torch.ones(3, 2), torch.zeros(3, 1)), "target must have the sh"),
    ("cross_entropy", (torch.ones(3, 2), torch.zeros(2).long()), "target must have sh"),
    ("cross_entropy", (torch.ones(1, 2), torch.tensor([2])), "target must hold class"),
    ("cross_entropy", (torch.ones(1, 2), torch.tensor([-1])), "target must hold class"),
    ("cross_entropy", (torch.ones(1, 2), torch.tensor([True])), "target must be a ten"),
    ("cross_entropy", (torch.ones(1, 2), [0]), "target must be a tensor"),
    ("cross_entropy", (torch.ones(1, 2), torch.tensor([0]), "total"), "reduction must"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e[0]}: {e[2]}")
def test_errors(error):
    name, args, message = error
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(loss, name)(*args)
