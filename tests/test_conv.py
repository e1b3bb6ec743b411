"""lib.conv against torch, and its own derivatives."""

import re
from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import conv
from lib.conv import conv2d, conv2d_backward, conv_output_size, im2col, linear

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
F64 = torch.float64
TOLERANCE = {  # one rounding of the result; the sums are made in more digits
    F64: {"rtol": 1e-10, "atol": 1e-11},
    torch.float32: {"rtol": 1.3e-6, "atol": 2e-5},
    torch.bfloat16: {"rtol": 2**-8, "atol": 1e-2},
    torch.float16: {"rtol": 2**-11, "atol": 1e-3},
}
CASES = {  # shape of the input, shape of the filters, options
    "plain": ((2, 3, 6, 7), (4, 3, 3, 2), {}),
    "one by one": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "whole image": ((3, 2, 4, 5), (4, 2, 4, 5), {}),
    "padding pair": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": (0, 2)}),
    "wide padding": ((1, 2, 2, 3), (3, 2, 2, 2), {"padding": 4}),
    "valid": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "valid", "stride": 2}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 5), {"padding": "same", "dilation": (2, 1)}),
    "same, even": ((2, 3, 5, 6), (4, 3, 2, 4), {"padding": "same", "dilation": (3, 1)}),
    "stride beyond kernel": ((2, 3, 9, 11), (4, 3, 2, 2), {"stride": [4]}),
    "unread border": ((2, 3, 10, 10), (4, 3, 2, 2), {"stride": 3, "padding": (1, 0)}),
    "both": ((2, 3, 12, 13), (4, 3, 3, 3), {"stride": (2, 3), "dilation": (3, 2)}),
    "depthwise": ((2, 3, 6, 6), (6, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    "unbatched": ((3, 5, 6), (4, 3, 3, 3), {"padding": 1, "stride": (1, 2)}),
    "empty batch": ((0, 4, 5, 6), (4, 2, 3, 3), {"groups": 2, "padding": 1}),
}
LINEAR = [((4, 3), (5, 3)), ((3,), (5, 3)), ((2, 1, 4, 3), (5, 3)), ((4, 2, 3), (3,))]
LINEAR += [((3,), (3,)), ((2, 0, 3), (5, 3)), ((2, 0), (5, 0)), ((2, 3), (0, 3))]
PAIRS = [(conv2d, F.conv2d, *case) for case in CASES.values()]
PAIRS += [(linear, F.linear, *case, {}) for case in LINEAR]
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_pair = pytest.mark.parametrize("pair", PAIRS, ids=[*CASES, *map(str, LINEAR)])
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
devices = ["cpu", pytest.param("cuda", marks=cuda)]
EXACT = {"rtol": 0, "atol": 0}


@pytest.fixture(autouse=True)
def one_thread():
    """The tensors are small: a second thread would only wait for its turn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def inputs_of(shape, filters, dtype=F64, device="cpu"):
    shapes = [shape, filters, filters[:1]][: 1 + min(2, len(filters))]
    tensors = [random(*s, seed=i) for i, s in enumerate(shapes)]
    return [t.to(device, dtype).requires_grad_() for t in tensors]


def compare(ours, theirs, inputs, tolerance, **options):
    """Values and gradients; the right ones in float64."""
    exact = [t.detach().to(F64).requires_grad_() for t in inputs]
    actual, expected = ours(*inputs, **options), theirs(*exact, **options)
    assert actual.is_contiguous()
    g = random(*expected.shape, seed=9).to(actual)
    grads = torch.autograd.grad(actual, inputs, g)
    right = torch.autograd.grad(expected, exact, g.to(expected))
    for a, b in zip((actual, *grads), (expected, *right), strict=True):
        assert a.dtype == inputs[0].dtype
        torch.testing.assert_close(a.to(b), b, **tolerance)


@every_pair
@pytest.mark.parametrize("device", devices)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_agrees_with_torch(pair, dtype, device):
    ours, theirs, shape, filters, options = pair
    inputs, tolerance = inputs_of(shape, filters, dtype, device), TOLERANCE[dtype]
    if ours is linear and dtype.itemsize == 2:  # rounds before it adds the bias
        tolerance = {name: 4 * value for name, value in tolerance.items()}
    for n in (2, len(inputs)):  # without bias and with
        compare(ours, theirs, inputs[:n], tolerance, **options)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data())
def test_any_geometry(data):
    def integers(low, high):
        return data.draw(st.integers(low, high))

    def pair(low, high):
        return integers(low, high), integers(low, high)

    groups, kernel, dilation = integers(1, 3), pair(1, 3), pair(1, 3)
    channels = groups * integers(1, 2)
    filters = (groups * integers(1, 2), channels // groups, *kernel)
    same = data.draw(st.booleans())
    stride, padding = (1, "same") if same else (pair(1, 4), pair(0, 3))
    size = [d * (k - 1) + integers(1, 6) for k, d in zip(kernel, dilation, strict=True)]
    inputs = inputs_of((integers(0, 3), channels, *size), filters)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    compare(conv2d, F.conv2d, inputs, TOLERANCE[F64], groups=groups, **options)


SMALL = ((1, 4, 5, 4), (2, 2, 2, 2), {"groups": 2, "dilation": (2, 1), "padding": 1})
SECOND = [(conv2d, (2, 2, 3, 4), (2, 2, 2, 2), {"stride": (1, 2)}), (conv2d, *SMALL)]
SECOND += [(linear, *case, {}) for case in LINEAR[:5]]


@pytest.mark.parametrize(("function", "shape", "filters", "options"), SECOND)
def test_gradgradcheck(function, shape, filters, options):
    inputs, f = inputs_of(shape, filters), partial(function, **options)
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


@every_case
def test_gradient_is_the_derived_one_and_adjoint(case):
    """⟨δ, conv(x, W)⟩ = ⟨gradient of x, x⟩ = ⟨gradient of W, W⟩: it is bilinear."""
    shape, filters, options = case
    inputs = inputs_of(shape, filters)
    output = conv2d(*inputs, **options)
    g = random(*output.shape, seed=9)
    x, w, b = (t.detach() for t in inputs)
    derived = conv2d_backward(g, x, w, **options)
    torch.testing.assert_close(torch.autograd.grad(output, inputs, g), derived, **EXACT)
    dx = conv.conv2d_input_backward(g, x.shape, w, **options)
    dw = conv.conv2d_weight_backward(g, x, w.shape, **options)
    torch.testing.assert_close((dx, dw), derived[:2], **EXACT)
    product = (g * conv2d(x, w, **options)).sum()
    torch.testing.assert_close((dx * x).sum(), product)
    torch.testing.assert_close((dw * w).sum(), product)
    assert conv2d(x, w, b, **options).equal(output)  # x, w, b are as they were


def test_linear_gradient_is_the_derived_one():
    inputs, g = inputs_of((4, 3), (5, 3)), random(4, 5, seed=9)
    derived = conv.linear_backward(g, *inputs[:2])
    grads = torch.autograd.grad(linear(*inputs), inputs, g)
    torch.testing.assert_close(grads, derived, **EXACT)


@pytest.mark.parametrize("needed", list(product([True, False], repeat=3))[:-1])
def test_only_what_is_needed(needed):
    for function, case in (conv2d, CASES["plain"]), (linear, LINEAR[0]):
        inputs = inputs_of(*case[:2])
        for t, n in zip(inputs, needed, strict=True):
            t.requires_grad_(n)
        output = function(*inputs)
        output.sum().backward()
        assert [t.grad is not None for t in inputs] == list(needed)
        backward = getattr(conv, f"{function.__name__}_backward")
        grads = backward(output.detach(), *inputs[:2], output_mask=needed)
        assert [t is not None for t in grads] == list(needed)


def test_layouts():
    x, w, b = (t.detach() for t in inputs_of((2, 4, 6, 6), (3, 4, 3, 3)))
    last = {"memory_format": torch.channels_last}
    strided = torch.stack([x, -x], -1)[..., 0]
    expected = conv2d(x, w, b, padding=1)
    derived = conv2d_backward(expected, x, w, padding=1)
    for layout in (x.contiguous(**last), strided, x.mT.contiguous().mT):
        assert not layout.is_contiguous()
        actual = conv2d(layout, w.contiguous(**last), b, padding=1)
        torch.testing.assert_close(actual, expected, **EXACT)
        ours = conv2d_backward(expected.contiguous(**last), layout, w, padding=1)
        torch.testing.assert_close(ours, derived, rtol=1e-12, atol=1e-13)
    expanded = x[:1].expand(3, 4, 6, 6)
    torch.testing.assert_close(conv2d(expanded, w), F.conv2d(expanded, w))
    x, w = strided[0, 0], w[0, :, 0].t()
    torch.testing.assert_close(linear(x[:, :4], w), x[:, :4] @ w.T)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # dynamo's own
def test_without_grad_and_compiled():
    x, w, b = inputs_of(*CASES["depthwise"][:2])
    with torch.no_grad():
        assert not conv2d(x, w, b, groups=3).requires_grad
    compiled = torch.compile(conv2d, backend="eager")
    torch.testing.assert_close(compiled(x, w, b, groups=3), conv2d(x, w, b, groups=3))


def test_known_values():
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    w = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = torch.tensor([[[[37.0, 47.0], [67.0, 77.0]]]])  # not flipped
    assert conv2d(x, w, torch.tensor([0.5])).equal(expected + 0.5)
    g = torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]])
    dx, dw, db = conv2d_backward(g, x, w)
    assert dx[0, 0].tolist() == [[1, 2, 0], [3, 3, -2], [0, -3, -4]]
    assert dw.equal(torch.full((1, 1, 2, 2), -4.0))  # x_hw - x_h+1,w+1
    assert db.tolist() == [0]


def test_hard_values():
    x, w, b = (t.detach() for t in inputs_of((2, 3, 6, 6), (4, 3, 3, 3), torch.float32))
    far = x + 1e4
    exact = F.conv2d(far.to(F64), w.to(F64), b.to(F64))
    actual = conv2d(far, w, b).to(F64)
    torch.testing.assert_close(actual, exact, rtol=1e-6, atol=27e4 * 2**-22)
    y = conv2d(torch.full_like(x, 2.0), w, b)
    assert y.equal(y[:1, :, :1, :1].expand_as(y))
    x[0, 0, 0, 5] = torch.inf  # reaches the places that see it, and no other
    assert conv2d(x, w, b).isfinite().equal(F.conv2d(x, w, b).isfinite())


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 12), st.integers(1, 5), *[st.integers(1, 4)] * 3)
def test_output_size_counts_places(n, k, s, d, p):
    p -= 1
    places = [t for t in range(-p, n + p, s) if t + d * (k - 1) < n + p]
    if places:
        assert conv_output_size(n, k, s, p, d) == len(places)
    else:
        with pytest.raises(ValueError, match="^kernel must fit"):
            conv_output_size(n, k, s, p, d)


@every_case
def test_im2col(case):
    shape, (filters, _, *kernel), options = case
    options = {k: v for k, v in options.items() if k != "groups"}
    x, w = random(*shape), random(filters, shape[-3], *kernel)
    columns = im2col(x, kernel, **options)
    expected = conv2d(x, w, **options)
    assert columns.shape == (*shape[:-2], *kernel, *expected.shape[-2:])
    y = torch.tensordot(columns, w, ([-5, -4, -3], [1, 2, 3])).movedim(-1, -3)
    torch.testing.assert_close(y, expected)  # one matrix product


def test_im2col_is_a_view():
    x = random(2, 3, 6, 7)[:, 1:, 1:]
    columns = im2col(x, (2, 3), stride=(2, 2))
    assert columns.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert im2col(x, 3, padding=1).untyped_storage().nbytes() == 2 * 2 * 7 * 9 * 8
    x = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: im2col(x, 2, 2, 1, 2), (x,))


X, W, B = torch.ones(2, 4, 5, 6), torch.ones(6, 4, 3, 3), torch.ones(6)
FLOATING = "must be a tensor of a floating dtype, got"
IMAGES = "input must have shape (N, C, H, W) or (C, H, W), only N may be 0, got"
FILTERS = "weight must have shape (C_out, C_in / groups, K_h, K_w), none of them 0, got"
LEAST = "must be an integer, at least"
ERRORS = [
    (f"input {FLOATING} list", {"input": [1.0]}),
    (f"weight {FLOATING} float", {"weight": 3.0}),
    (f"bias {FLOATING} torch.int64", {"bias": B.long()}),
    ("weight must be torch.float32 on cpu, as input is", {"weight": W.double()}),
    (f"{IMAGES} (5, 6)", {"input": X[0, 0]}),
    (f"{IMAGES} (2, 4, 0, 6)", {"input": X[:, :, :0], "padding": 2}),
    (f"{FILTERS} (6, 4, 3)", {"weight": W[..., 0]}),
    (f"{FILTERS} (0, 4, 3, 3)", {"weight": W[:0], "bias": B[:0]}),
    ("weight must have a multiple of 4 filters", {"weight": W[:, :1], "groups": 4}),
    ("input must have 1 * 3 channels, got 4", {"weight": W[:, :1], "groups": 3}),
    ("bias must have shape (6,), got (6, 1)", {"bias": B[:, None]}),
    (f"stride {LEAST} 1, got 0", {"stride": (1, 0)}),
    ("stride must be an integer or a pair of integers, got ()", {"stride": ()}),
    ("stride must be 1 for 'same', got (1, 2)", {"stride": (1, 2), "padding": "same"}),
    (f"padding {LEAST} 0, got -1", {"padding": -1}),
    ("padding must be 'same' or 'valid', got full", {"padding": "full"}),
    (f"dilation {LEAST} 1, got 0", {"dilation": 0}),
    (f"groups {LEAST} 1, got 0", {"groups": 0}),
    (
        "kernel must fit into padded size 6, got span 7",
        {"padding": (4, 0), "dilation": 3},
    ),
]


def raises(message):
    return pytest.raises(ValueError, match="^" + re.escape(message))


@pytest.mark.parametrize(("message", "changes"), ERRORS)
def test_errors(message, changes):
    arguments = {"input": X, "weight": W, "bias": B, **changes}
    with pytest.raises((RuntimeError, TypeError)):  # torch rejects it too
        F.conv2d(**arguments)
    with raises(message):
        conv2d(**arguments)


def test_errors_of_the_others():
    g, wrong = torch.ones(2, 6, 3, 4), "grad_output must have shape (2, 6, 3, 4), got"
    for backward, x, w in (
        (conv2d_backward, X, W),
        (conv.conv2d_input_backward, X.shape, W),
        (conv.conv2d_weight_backward, X, W.shape),
    ):
        backward(g, x, w)
        with raises(f"{wrong} (2, 6, 3, 3)"):
            backward(g[..., :3], x, w)
        with raises(f"grad_output {FLOATING}"):
            backward(g.long(), x, w)
    with raises(wrong):
        conv2d_backward(g[..., :3], X, W, output_mask=(False, False, True))
    for function, *arguments in (
        (conv2d_backward, g, X.long(), W),
        (im2col, X.long(), 3),
    ):
        with raises(f"input {FLOATING}"):
            function(*arguments)
    with raises(IMAGES):
        im2col(X[0, 0], 3)
    with raises(f"kernel_size {LEAST} 1"):
        im2col(X, (3, 0))
    for name in ("size", "kernel", "stride", "padding", "dilation"):
        least = 0 if name in ("size", "padding") else 1
        with raises(f"{name} {LEAST} {least}, got {least - 1}"):
            conv_output_size(**{"size": 5, "kernel": 2, name: least - 1})


def test_errors_of_linear():
    x, w, b = torch.ones(2, 3), torch.ones(5, 3), torch.ones(5)
    for message, inputs in {
        f"input {FLOATING}": (x.long(), w),
        "weight must be torch.float32 on cpu, as input is, got": (x, w.double()),
        "weight must have 1 or 2 axes, got (5, 3, 1)": (x, w[..., None]),
        "weight must have 1 or 2 axes, got ()": (x, w[0, 0]),
        "input must have shape (2, 3), got (2, 2)": (x[:, :2], w),
        "input must have shape (3,), got ()": (x[0, 0], w),
        "bias must have shape (5,), got (4,)": (x, w, b[:4]),
        "bias must be None for a vector weight, got": (x, w[0], b[:1]),
    }.items():
        with raises(message):
            linear(*inputs)
    for name, *inputs in ("input", x, x[:, :2], w), ("weight", x, x, w.double()):
        with raises(f"{name} must "):
            conv.linear_backward(*inputs)
    with raises("grad_output must have shape (2, 5), got (2, 3)"):
        conv.linear_backward(x, x, w)
