"""lib.conv against torch, and its own derivatives."""

import math
import re
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.conv import (
    conv2d,
    conv2d_backward,
    conv2d_input_backward,
    conv2d_weight_backward,
    conv_output_size,
    im2col,
    linear,
    linear_backward,
)

F64 = torch.float64
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
CASES = {  # shape of the input, shape of the filters, options
    "plain": ((2, 3, 6, 7), (4, 3, 3, 2), {}),
    "one by one": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "whole image": ((3, 2, 4, 5), (4, 2, 4, 5), {}),
    "padding": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    "padding pair": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": (0, 2)}),
    "wide padding": ((1, 2, 2, 3), (3, 2, 2, 2), {"padding": 4}),
    "valid": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "valid", "stride": 2}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 5), {"padding": "same"}),
    "same, even": ((2, 3, 5, 6), (4, 3, 2, 4), {"padding": "same"}),
    "same, dilated": (
        (2, 3, 5, 6),
        (4, 3, 2, 4),
        {"padding": "same", "dilation": (3, 1)},
    ),
    "stride": ((2, 3, 9, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride pair": ((2, 3, 9, 8), (4, 3, 3, 2), {"stride": (3, 2)}),
    "stride beyond kernel": ((2, 3, 9, 11), (4, 3, 2, 2), {"stride": 4}),
    "unread border": ((2, 3, 10, 10), (4, 3, 2, 2), {"stride": 3, "padding": (1, 0)}),
    "one-tuples": ((2, 3, 9, 8), (4, 3, 3, 3), {"stride": (2,), "padding": [1]}),
    "dilation": ((2, 3, 9, 8), (4, 3, 3, 3), {"dilation": 2, "padding": 1}),
    "dilation pair": ((2, 3, 9, 8), (4, 3, 3, 2), {"dilation": (1, 3)}),
    "stride and dilation": (
        (2, 3, 12, 13),
        (4, 3, 3, 3),
        {"stride": (2, 3), "dilation": (3, 2), "padding": 2},
    ),
    "groups": ((2, 6, 5, 6), (4, 3, 3, 3), {"groups": 2}),
    "depthwise": (
        (2, 3, 6, 6),
        (6, 1, 3, 3),
        {"groups": 3, "padding": 1, "stride": 2},
    ),
    "unbatched": ((3, 5, 6), (4, 3, 3, 3), {"padding": 1, "stride": (1, 2)}),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "empty batch": ((0, 3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    "empty batch, groups": ((0, 4, 5, 6), (4, 2, 3, 3), {"groups": 2, "stride": 2}),
}
every_case = pytest.mark.parametrize(
    ("shape", "filters", "options"), CASES.values(), ids=CASES
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors are small: a second thread would only wait for its turn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def arguments(generator, shape, filters, dtype=F64):
    shapes = shape, filters, filters[:1]
    tensors = [torch.randn(s, generator=generator, dtype=F64).to(dtype) for s in shapes]
    return [t.requires_grad_() for t in tensors]


def cotangent(generator, output):
    random = torch.randn(output.shape, generator=generator, dtype=F64)
    return random.to(output.dtype)


@every_case
@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_agrees_with_torch(shape, filters, options, with_bias, dtype, generator):
    inputs = arguments(generator, shape, filters, dtype)[: 2 + with_bias]
    actual, expected = conv2d(*inputs, **options), F.conv2d(*inputs, **options)
    tolerance = {"rtol": 1e-10, "atol": 1e-11} if dtype == F64 else {}
    if dtype == torch.float32:
        tolerance = {"rtol": 1.3e-6, "atol": 2e-5}
    torch.testing.assert_close(actual, expected, **tolerance)
    assert actual.is_contiguous()
    g = cotangent(generator, expected)
    grads = [torch.autograd.grad(y, inputs, g) for y in (actual, expected)]
    torch.testing.assert_close(*grads, **tolerance)


@every_case
def test_gradient_is_the_derived_one(shape, filters, options, generator):
    inputs = arguments(generator, shape, filters)
    output = conv2d(*inputs, **options)
    g = cotangent(generator, output)
    actual = torch.autograd.grad(output, inputs, g)
    x, w = (t.detach() for t in inputs[:2])
    derived = conv2d_backward(g, x, w, **options)
    torch.testing.assert_close(actual, derived, rtol=0, atol=0)
    parts = (
        conv2d_input_backward(g, x.shape, w, **options),
        conv2d_weight_backward(g, x, w.shape, **options),
    )
    torch.testing.assert_close(parts, derived[:2], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["stride and dilation", "depthwise", "same, even"])
def test_gradgradcheck(name, generator):
    _, filters, options = CASES[name]
    kernel = filters[2:]
    shape = (2, filters[1] * options.get("groups", 1), 4 + kernel[0], 4 + kernel[1])
    inputs = arguments(generator, shape, filters)

    def function(*inputs):
        return conv2d(*inputs, **options)

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_gradcheck_every_element(generator):
    inputs = arguments(generator, (2, 2, 3, 4), (2, 2, 2, 2))

    def function(*inputs):
        return conv2d(*inputs, stride=(1, 2), padding=1)

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@every_case
def test_double_backward_agrees_with_torch(shape, filters, options, generator):
    inputs = arguments(generator, shape, filters)

    def second(function):
        output = function(*inputs, **options)
        g = cotangent(generator.manual_seed(1), output).requires_grad_()
        grads = torch.autograd.grad(output, inputs, g, create_graph=True)
        directions = [cotangent(generator, t) for t in grads]
        wanted = [*inputs[:2], g]
        return torch.autograd.grad(grads, wanted, directions, materialize_grads=True)

    torch.testing.assert_close(second(conv2d), second(F.conv2d), rtol=1e-9, atol=1e-10)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any_geometry(data):
    def integers(low, high):
        return data.draw(st.integers(low, high))

    def pair(low, high):
        return integers(low, high), integers(low, high)

    groups, kernel, dilation = integers(1, 3), pair(1, 3), pair(1, 3)
    channels = groups * integers(1, 2)
    filters = (groups * integers(1, 2), channels // groups, *kernel)
    stride, padding = pair(1, 4), pair(0, 3)
    if data.draw(st.booleans()):
        stride, padding = 1, "same"
    size = [d * (k - 1) + integers(1, 6) for k, d in zip(kernel, dilation, strict=True)]
    x, w, b = arguments(
        torch.Generator().manual_seed(integers(0, 99)),
        (integers(0, 3), channels, *size),
        filters,
    )
    options = stride, padding, dilation, groups
    actual, expected = conv2d(x, w, b, *options), F.conv2d(x, w, b, *options)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-11)
    g = cotangent(torch.Generator().manual_seed(1), expected)
    grads = [torch.autograd.grad(y, (x, w, b), g) for y in (actual, expected)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_dtypes_accumulate_in_32_bits(dtype, generator):
    """400 terms: with 16-bit sums the error would be many roundings, not one."""
    inputs = arguments(generator, (4, 16, 9, 9), (8, 16, 5, 5), dtype)
    output = conv2d(*inputs, padding=2)
    g = cotangent(generator, output)
    actual = output, *torch.autograd.grad(output, inputs, g)
    exact = [t.detach().to(F64).requires_grad_() for t in inputs]
    output = F.conv2d(*exact, padding=2)
    expected = output, *torch.autograd.grad(output, exact, g.to(F64))
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == dtype
        half = torch.finfo(dtype).eps / 2  # of one rounding, relative
        torch.testing.assert_close(ours.to(F64), theirs, rtol=1.1 * half, atol=1e-4)


def test_layouts(generator):
    x, w, b = (t.detach() for t in arguments(generator, (2, 4, 6, 6), (3, 4, 3, 3)))
    expected = conv2d(x, w, b, padding=1)
    last = {"memory_format": torch.channels_last}
    strided = torch.stack([x, -x], -1)[..., 0]
    for layout in (x.contiguous(**last), strided, x.mT.contiguous().mT):
        assert not layout.is_contiguous()
        actual = conv2d(layout, w.contiguous(**last), b, padding=1)
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)
        ours = conv2d_backward(expected.contiguous(**last), layout, w, padding=1)
        theirs = conv2d_backward(expected, x, w, padding=1)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    expanded = x[:1].expand(3, 4, 6, 6)
    torch.testing.assert_close(
        conv2d(expanded, w), F.conv2d(expanded, w), rtol=1e-10, atol=1e-11
    )
    summed = torch.autograd.grad(conv2d(x.requires_grad_(), w).sum(), x)[0]
    ones = torch.autograd.grad(F.conv2d(x, w).sum(), x)[0]  # an expanded grad_output
    torch.testing.assert_close(summed, ones, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("needed", list(product([True, False], repeat=3))[:-1])
def test_only_what_is_needed(needed, generator, monkeypatch):
    calls = []
    for i, name in enumerate(("conv2d_input_backward", "conv2d_weight_backward")):
        real = globals()[name]
        monkeypatch.setattr(
            f"lib.conv.{name}", lambda *a, i=i, real=real: calls.append(i) or real(*a)
        )
    inputs = arguments(generator, *CASES["padding"][:2])
    for t, n in zip(inputs, needed, strict=True):
        t.requires_grad_(n)
    conv2d(*inputs).sum().backward()
    assert [t.grad is not None for t in inputs] == list(needed)
    assert calls == [i for i in range(2) if needed[i]]


def test_without_grad_and_with_torch_func(generator):
    x, w, b = arguments(generator, *CASES["depthwise"][:2])
    options = CASES["depthwise"][2]
    with torch.no_grad():
        assert not conv2d(x, w, b, **options).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(
            conv2d(x, w, b, **options), F.conv2d(x, w, b, **options)
        )
    x, w, b = x.detach(), w.detach(), b.detach()
    slopes = [
        torch.func.grad(lambda *t, f=f: f(*t, **options).square().sum(), (0, 1, 2))
        for f in (conv2d, F.conv2d)
    ]
    torch.testing.assert_close(*(f(x, w, b) for f in slopes))


def test_inputs_stay_as_they_are(generator):
    inputs = [t.detach() for t in arguments(generator, *CASES["stride"][:2])]
    before = [t.clone() for t in inputs]
    conv2d_backward(conv2d(*inputs), *inputs[:2])
    torch.testing.assert_close(inputs, before, rtol=0, atol=0)


def test_known_values():
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    w = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = torch.tensor([[[[37.0, 47.0], [67.0, 77.0]]]])  # not flipped
    assert torch.equal(conv2d(x, w), expected)
    assert torch.equal(conv2d(x, w, torch.tensor([0.5])), expected + 0.5)
    g = torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]])
    grads = conv2d_backward(g, x, w)
    spread = torch.tensor([[1.0, 2.0, 0.0], [3.0, 3.0, -2.0], [0.0, -3.0, -4.0]])
    assert torch.equal(grads[0][0, 0], spread)
    assert torch.equal(grads[1], torch.full((1, 1, 2, 2), -4.0))  # x_hw - x_h+1,w+1
    assert torch.equal(grads[2], torch.tensor([0.0]))


def test_adjoint(generator):
    """⟨δ, conv(x, W)⟩ = ⟨gradient of x, x⟩ = ⟨gradient of W, W⟩: it is bilinear."""
    for shape, filters, options in CASES.values():
        x, w, _ = (t.detach() for t in arguments(generator, shape, filters))
        y = conv2d(x, w, **options)
        g = cotangent(generator, y)
        grads = conv2d_backward(g, x, w, **options)
        product = (g * y).sum()
        torch.testing.assert_close((grads[0] * x).sum(), product)
        torch.testing.assert_close((grads[1] * w).sum(), product)


def test_input_gradient_is_a_full_convolution(generator):
    x, w, _ = (t.detach() for t in arguments(generator, (2, 3, 6, 7), (4, 3, 3, 2)))
    g = cotangent(generator, conv2d(x, w))
    turned = w.transpose(0, 1).flip(2, 3)
    full = conv2d(g, turned, padding=(2, 1))
    torch.testing.assert_close(conv2d_input_backward(g, x.shape, w), full)


def test_shifted_input_gives_shifted_output(generator):
    x, w, b = (t.detach() for t in arguments(generator, (1, 2, 9, 9), (3, 2, 3, 3)))
    shifted = x.roll((2, -2), (2, 3))
    y, z = (conv2d(t, w, b, stride=2) for t in (x, shifted))
    torch.testing.assert_close(z[:, :, 1:, :-1], y[:, :, :-1, 1:])
    assert not torch.allclose(
        conv2d(x.roll(1, 2), w, b, stride=2)[:, :, 1:], y[:, :, 1:]
    )


def test_hard_values(generator):
    x, w, b = arguments(generator, (2, 3, 6, 6), (4, 3, 3, 3), torch.float32)
    far = (x + 1e4).detach()
    exact = F.conv2d(far.to(F64), w.to(F64), b.to(F64))
    torch.testing.assert_close(
        conv2d(far, w, b).to(F64), exact, rtol=1e-6, atol=27e4 * 2**-22
    )
    constant = torch.full_like(far, 2.0)
    y = conv2d(constant, w, b)
    assert torch.equal(y, y[:1, :, :1, :1].expand_as(y))
    # a number that is not finite reaches the places that see it, and no other
    spoiled = x.detach().clone()
    spoiled[0, 0, 0, 5] = math.inf
    expected = F.conv2d(spoiled, w, b)
    assert torch.equal(conv2d(spoiled, w, b).isfinite(), expected.isfinite())


@settings(deadline=None, max_examples=100)
@given(
    n=st.integers(0, 12),
    k=st.integers(1, 5),
    s=st.integers(1, 4),
    p=st.integers(0, 3),
    d=st.integers(1, 3),
)
def test_output_size_counts_places(n, k, s, p, d):
    places = [t for t in range(-p, n + p, s) if t + d * (k - 1) < n + p]
    if places:
        assert conv_output_size(n, k, s, p, d) == len(places)
    else:
        with pytest.raises(ValueError, match="^kernel must fit"):
            conv_output_size(n, k, s, p, d)


@every_case
def test_im2col(shape, filters, options, generator):
    x, w, _ = (t.detach() for t in arguments(generator, shape, filters))
    kernel, groups = filters[2:], options.get("groups", 1)
    options = {k: v for k, v in options.items() if k != "groups"}
    columns = im2col(x, kernel, **options)
    expected = conv2d(x, w, groups=groups, **options)
    assert columns.shape == (*x.shape[:-2], *kernel, *expected.shape[-2:])
    if x.numel() and not isinstance(options.get("padding"), str | list):
        unfolded = F.unfold(x, kernel, **options)
        flat = columns.flatten(-5, -3).flatten(-2)
        torch.testing.assert_close(flat, unfolded, rtol=0, atol=0)
    if groups == 1:  # one matrix product
        flat = columns.flatten(-5, -3).flatten(-2)
        y = (w.flatten(1) @ flat).view(expected.shape)
        torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-11)


def test_im2col_is_a_view(generator):
    x = torch.randn(2, 3, 6, 7, generator=generator, dtype=F64)[:, 1:, 1:]
    columns = im2col(x, (2, 3), stride=(1, 2))
    assert columns.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert columns.shape == (2, 2, 2, 3, 4, 3)
    padded = im2col(x, 3, padding=1)
    assert padded.untyped_storage().nbytes() == 2 * 2 * 7 * 9 * 8
    x = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: im2col(x, 2, 2, 1, 2), (x,))


LINEAR = {
    "matrix": ((4, 3), (5, 3), True),
    "no bias": ((4, 3), (5, 3), False),
    "vector": ((3,), (5, 3), True),
    "many axes": ((2, 1, 4, 3), (5, 3), True),
    "one output": ((4, 3), (1, 3), True),
    "weight of one axis": ((4, 2, 3), (3,), False),
    "two vectors": ((3,), (3,), False),
    "empty batch": ((0, 3), (5, 3), True),
    "empty axis": ((2, 0, 3), (5, 3), True),
    "no inputs": ((2, 0), (5, 0), True),
    "no outputs": ((2, 3), (0, 3), True),
}


@pytest.mark.parametrize(("shape", "matrix", "with_bias"), LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_linear(shape, matrix, with_bias, dtype, generator):
    inputs = arguments(generator, shape, matrix, dtype)[: 2 + with_bias]
    actual, expected = linear(*inputs), F.linear(*inputs)
    tolerance = {"rtol": 1e-12, "atol": 1e-13} if dtype == F64 else {}
    torch.testing.assert_close(actual, expected, **tolerance)
    g = cotangent(generator, expected)
    grads = torch.autograd.grad(actual, inputs, g)
    theirs = torch.autograd.grad(expected, inputs, g)
    torch.testing.assert_close(grads, theirs, **tolerance)
    derived = linear_backward(g, *inputs[:2])
    torch.testing.assert_close(
        grads, tuple(t.detach() for t in derived)[: len(grads)], rtol=0, atol=0
    )
    if dtype == F64 and expected.numel():
        assert torch.autograd.gradcheck(linear, inputs)
        assert torch.autograd.gradgradcheck(linear, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_linear_small_dtypes_and_layouts(dtype, generator):
    x, w, b = (t.detach() for t in arguments(generator, (6, 8), (5, 8)))
    actual = linear(x.to(dtype), w.to(dtype), b.to(dtype))
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.to(F64), linear(x, w, b), rtol=0.02, atol=0.05)
    strided = torch.stack([x, x], -1)[..., 0].t().contiguous().t()
    torch.testing.assert_close(linear(strided, w.t().contiguous().t(), b), x @ w.T + b)
    g = cotangent(generator, x @ w.T).t().contiguous().t()
    ours, theirs = linear_backward(g, strided, w), linear_backward(g.clone(), x, w)
    torch.testing.assert_close(ours, theirs)


@settings(deadline=None, max_examples=50)
@given(
    lead=st.lists(st.integers(0, 3), max_size=3),
    n_in=st.integers(0, 4),
    n_out=st.integers(0, 4),
)
def test_linear_any_shape(lead, n_in, n_out):
    x, w, b = arguments(torch.Generator().manual_seed(0), (*lead, n_in), (n_out, n_in))
    actual, expected = linear(x, w, b), F.linear(x, w, b)
    torch.testing.assert_close(actual, expected)
    g = cotangent(torch.Generator().manual_seed(1), expected)
    grads = [torch.autograd.grad(y, (x, w, b), g) for y in (actual, expected)]
    torch.testing.assert_close(*grads)


def test_a_linear_layer_is_a_convolution_with_one_pixel(generator):
    x, w, b = arguments(generator, (4, 3), (5, 3))
    y = conv2d(x[..., None, None], w[..., None, None], b)
    torch.testing.assert_close(y[..., 0, 0], linear(x, w, b))


X, W, B = torch.ones(2, 4, 5, 6), torch.ones(6, 4, 3, 3), torch.ones(6)
FLOATING = "must be a tensor of a floating dtype, got"
IMAGES = "input must have shape (N, C, H, W) or (C, H, W), only N may be 0, got"
FILTERS = "weight must have shape (C_out, C_in / groups, K_h, K_w), none of them 0, got"
FILTER_BIAS = "bias must have shape (6,), one number for each filter, got"
ERRORS = {
    f"input {FLOATING} torch.int64": {"input": X.long()},
    f"input {FLOATING} list": {"input": [1.0]},
    f"weight {FLOATING} float": {"weight": 3.0},
    f"bias {FLOATING} torch.int64": {"bias": B.long()},
    "weight must be torch.float32 on cpu, as input is, got torch.float64 on cpu": {
        "weight": W.double()
    },
    "bias must be torch.float32 on cpu, as input is, got torch.float16 on cpu": {
        "bias": B.half()
    },
    f"{IMAGES} (5, 6)": {"input": X[0, 0]},
    f"{IMAGES} (1, 2, 4, 5, 6)": {"input": X[None]},
    f"{IMAGES} (2, 4, 0, 6)": {"input": X[:, :, :0], "padding": 2},
    f"{FILTERS} (6, 4, 3)": {"weight": W[..., 0]},
    f"{FILTERS} (0, 4, 3, 3)": {"weight": W[:0], "bias": B[:0]},
    f"{FILTERS} (6, 4, 0, 3)": {"weight": W[:, :, :0]},
    "weight must have a multiple of groups = 4 filters, got 6": {
        "weight": W[:, :1],
        "groups": 4,
    },
    "input must have 3 channels to suit weight and groups, got 4": {
        "weight": W[:, :1],
        "groups": 3,
    },
    "input must have 5 channels to suit weight and groups, got 4": {
        "weight": torch.ones(6, 5, 3, 3)
    },
    f"{FILTER_BIAS} (6, 1)": {"bias": B[:, None]},
    f"{FILTER_BIAS} ()": {"bias": B[0]},
    f"{FILTER_BIAS} (5,)": {"bias": B[1:]},
    "stride must be an integer, at least 1, got 0": {"stride": (1, 0)},
    "stride must be an integer, at least 1, got 1.0": {"stride": 1.0},
    "stride must be an integer, at least 1, got True": {"stride": True},
    "stride must be an integer or a pair, got (1, 1, 1)": {"stride": (1, 1, 1)},
    "stride must be an integer or a pair, got ()": {"stride": ()},
    "stride must be 1 with padding='same', got (1, 2)": {
        "stride": (1, 2),
        "padding": "same",
    },
    "padding must be an integer, at least 0, got -1": {"padding": -1},
    "padding must be an integer or a pair, got (1, 1, 1, 1)": {"padding": (1,) * 4},
    "padding must be 'same' or 'valid', got 'full'": {"padding": "full"},
    "dilation must be an integer, at least 1, got 0": {"dilation": 0},
    "groups must be an integer, at least 1, got 0": {"groups": 0},
    "kernel must fit into the padded input of size 6, got a kernel that spans 7": {
        "padding": (4, 0),
        "dilation": 3,
    },
}


def starts(message):
    return "^" + re.escape(message)


@pytest.mark.parametrize("message", ERRORS)
def test_errors(message):
    arguments = {"input": X, "weight": W, "bias": B, **ERRORS[message]}
    with pytest.raises((RuntimeError, TypeError)):  # torch rejects it too
        F.conv2d(**arguments)
    with pytest.raises(ValueError, match=starts(message) + "$"):
        conv2d(**arguments)


def test_errors_of_the_gradients():
    g = torch.ones(2, 6, 3, 4)
    wrong = "grad_output must have the shape of the output, (2, 6, 3, 4), got (2, 6, 3"
    for call in (
        lambda g: conv2d_backward(g, X, W),
        lambda g: conv2d_input_backward(g, X.shape, W),
        lambda g: conv2d_weight_backward(g, X, W.shape),
    ):
        call(g)
        with pytest.raises(ValueError, match=starts(wrong)):
            call(g[..., :3])
        with pytest.raises(ValueError, match="^(weight|input) must be torch.float64"):
            call(g.double())
        with pytest.raises(ValueError, match="^grad_output must be a tensor of a"):
            call(g.long())
    with pytest.raises(ValueError, match="^input must have 4 channels"):
        conv2d_input_backward(g, (2, 3, 5, 6), W)
    with pytest.raises(ValueError, match="^weight must have shape"):
        conv2d_weight_backward(g, X, (6, 4, 3))


def test_errors_of_im2col_and_output_size():
    with pytest.raises(ValueError, match="^input must be a tensor of a floating"):
        im2col(X.long(), 3)
    with pytest.raises(ValueError, match=starts("input must have shape (N, C, H, W)")):
        im2col(X[0, 0], 3)
    with pytest.raises(ValueError, match="^kernel_size must be an integer, at least 1"):
        im2col(X, (3, 0))
    with pytest.raises(ValueError, match="^kernel must fit"):
        im2col(X, 6)
    for name, bad in {
        "size": -1,
        "kernel": 0,
        "stride": 0,
        "padding": -1,
        "dilation": 0,
    }.items():
        good = {"size": 5, "kernel": 2}
        with pytest.raises(ValueError, match=f"^{name} must be an integer, at least"):
            conv_output_size(**{**good, name: bad})


def test_errors_of_linear():
    x, w, b = torch.ones(2, 3), torch.ones(5, 3), torch.ones(5)
    for message, inputs in {
        "input must be a tensor of a floating dtype, got torch.int64": (x.long(), w),
        "weight must be torch.float32 on cpu, as input is, got": (x, w.double()),
        "bias must be torch.float32 on cpu, as input is, got": (x, w, b.double()),
        "weight must have shape (n_out, n_in) or (n_in,), got (5, 3, 1)": (
            x,
            w[..., None],
        ),
        "weight must have shape (n_out, n_in) or (n_in,), got ()": (x, w[0, 0]),
        "input must have shape (*, 3) to suit weight, got (2, 2)": (x[:, :2], w),
        "input must have shape (*, 3) to suit weight, got ()": (x[0, 0], w),
        "bias must have shape (5,) to suit weight, got (4,)": (x, w, b[:4]),
        "bias must have shape (5,) to suit weight, got ()": (x, w, b[0]),
        "bias must be None with a weight of one axis, got (1,)": (x, w[0], b[:1]),
    }.items():
        with pytest.raises(ValueError, match=starts(message)):
            linear(*inputs)
    with pytest.raises(ValueError, match="^grad_output must have the shape of the out"):
        linear_backward(x, x, w)
    with pytest.raises(ValueError, match="^input must have shape"):
        linear_backward(x, x[:, :2], w)
