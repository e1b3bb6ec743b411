r"""Convolution and the linear layer, with the gradients of each.

A convolution is a sum over the positions (i, j) of its kernel. Each position is one
matrix, which maps the channels of the input to those of the output, and it multiplies
the input shifted by (i, j):

.. math:: y_{h,w} = b + \sum_{i,j} W_{i,j} \, x_{h+i,\,w+j}

So are its two gradients, with the transposed matrix and with the outer product. Here
a shift costs nothing. The padded images of a batch stand one after the other, row
after row, as one long line; to shift by (i, j) is to start i rows and j columns later.
The last columns of each row then mix the end of a row with the beginning of the next:
we compute these few and discard them. A stride s > 1 sees only every s-th row: the
input is first dealt out, like cards, to s images, its phases, and each position of the
kernel reads one of them, again with stride 1.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lib._function import (
    check,
    check_alike,
    check_images,
    check_integer,
    check_shape,
    differentiable,
    pair,
    widen,
)

Pair = int | Sequence[int]


def conv_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    r"""Number of places where a kernel fits on a padded axis.

    .. math:: \Bigl\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \Bigr\rfloor + 1

    Args:
        size: Length n of the axis.
        kernel: Length k of the kernel.
        stride: Step s from one place to the next.
        padding: Zeros p added at each end.
        dilation: Distance d between neighbouring elements of the kernel.

    Returns:
        The number of places, at least 1.

    Raises:
        ValueError: The kernel does not fit, or an argument is not an integer in its
            range.

    References:
        Dumoulin and Visin (2016), arXiv:1603.07285, relationship 15; equation
        ``eq-conv-output-size``.
    """
    check_integer("size", size, 0)
    check_integer("kernel", kernel, 1)
    check_integer("stride", stride, 1)
    check_integer("padding", padding, 0)
    check_integer("dilation", dilation, 1)
    padded, span = size + 2 * padding, dilation * (kernel - 1) + 1
    check(span <= padded, "kernel", f"fit into padded size {padded}", f"span {span}")
    return (padded - span) // stride + 1  # eq-conv-output-size


def im2col(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
) -> Tensor:
    r"""Every patch that the kernel covers, as a view: the patches are not copied.

    .. math:: X_{n,c,i,j,h,w} = x_{n,\,c,\,s h + d i,\,s w + d j}

    where x is padded. With these patches as columns, and each filter as a row, a
    convolution is one matrix product. But the product needs them copied out, K_h K_w
    times the memory of the input, which is why :func:`conv2d` does without.

    Args:
        input: Images.
        kernel_size: Height and width of the kernel.
        stride: Step s from one patch to the next.
        padding: Zeros around the images, ``"valid"`` or ``"same"``, as in
            :func:`conv2d`.
        dilation: Distance d between neighbouring elements of the kernel.

    Shape:
        - input: ``(N, C, H, W)`` or ``(C, H, W)``.
        - result: ``(N, C, K_h, K_w, H_out, W_out)``, or the same without N. Its
          elements overlap in memory: read them, do not write to them.

    Returns:
        The view of the padded input; of the input itself where nothing is padded.

    Raises:
        ValueError: What :func:`conv2d` would not accept.

    References:
        Chellapilla, Puri and Simard (2006); equation ``eq-conv-im2col``.
    """
    check_alike(input=input)
    filters = (1, *input.shape[-3:-2], *pair("kernel_size", kernel_size, 1))
    plan = _plan(input.shape, filters, stride, padding, dilation)
    x = _embed(input, plan.corner, plan.padded)
    *outer, row, column = x.stride()
    (sh, sw), (dh, dw) = plan.stride, plan.dilation
    size = (*x.shape[:-2], *plan.kernel, *plan.output[-2:])
    strides = (*outer, dh * row, dw * column, sh * row, sw * column)
    return x.as_strided(size, strides)  # eq-conv-im2col


def conv2d_input_backward(
    grad_output: Tensor,
    input_size: Sequence[int],
    weight: Tensor,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    r"""Gradient of :func:`conv2d` with respect to its input.

    .. math::

        \frac{\partial L}{\partial x_{n,c,u,v}} =
        \sum_{o} \sum_{\substack{i,j,h,w \\ sh + di = u,\; sw + dj = v}}
        W_{o,c,i,j} \, \delta_{n,o,h,w}

    What the forward pass reads at a shift, this adds at the same shift, multiplied by
    the transposed matrix. With stride 1 it is the convolution of δ, padded in full,
    with the filters turned by 180°.

    Args:
        grad_output: Gradient δ of the loss with respect to the output.
        input_size: Shape of the input; its values do not matter.
        weight: Filters W.
        stride: Step s.
        padding: Zeros at each end, ``"valid"`` or ``"same"``.
        dilation: Distance d between neighbouring elements of the kernel.
        groups: Number of parts of the channels.

    Shape:
        - grad_output: that of the output of :func:`conv2d`.
        - result: ``input_size``.

    Raises:
        ValueError: A shape, dtype or option does not fit; see the message.

    References:
        Bouvrie (2006), section 3.1.1; equation ``eq-conv-backward-input``.
    """
    check_alike(grad_output=grad_output, weight=weight)
    plan = _plan(input_size, weight.shape, stride, padding, dilation, groups)
    check_shape("grad_output", grad_output, plan.output)
    w, delta = _matrices(weight, groups), plan.lines(grad_output)[0]
    (rows, columns), (sh, sw), (top, left) = plan.phase, plan.stride, plan.corner
    dx = delta.new_zeros(sh * sw, *w.shape[2::2], delta.shape[-1])
    for (i, j), dx_ij, delta_hw in plan.positions(dx, delta):
        dx_ij.baddbmm_(w[i, j].mT, delta_hw)  # eq-conv-backward-input
    C, H, W = input_size[-3:]
    dx = dx.view(sh, sw, C, -1, rows, columns).permute(3, 2, 4, 0, 5, 1)
    dx = dx.flatten(4).flatten(2, 3)[..., top : top + H, left : left + W]
    return dx.to(weight.dtype).contiguous().view(tuple(input_size))


def conv2d_weight_backward(
    grad_output: Tensor,
    input: Tensor,
    weight_size: Sequence[int],
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    r"""Gradient of :func:`conv2d` with respect to its filters.

    .. math::

        \frac{\partial L}{\partial W_{o,c,i,j}} =
        \sum_{n,h,w} \delta_{n,o,h,w} \, x_{n,\,c,\,s h + d i,\,s w + d j}

    Args:
        grad_output: Gradient δ of the loss with respect to the output.
        input: Images x.
        weight_size: Shape of the filters; their values do not matter.
        stride: Step s.
        padding: Zeros at each end, ``"valid"`` or ``"same"``.
        dilation: Distance d between neighbouring elements of the kernel.
        groups: Number of parts of the channels.

    Shape:
        - grad_output: that of the output of :func:`conv2d`.
        - result: ``weight_size``.

    Raises:
        ValueError: A shape, dtype or option does not fit; see the message.

    References:
        Bouvrie (2006), section 3.1.1; equation ``eq-conv-backward-weight``.
    """
    check_alike(grad_output=grad_output, input=input)
    plan = _plan(input.shape, weight_size, stride, padding, dilation, groups)
    check_shape("grad_output", grad_output, plan.output)
    x, delta = plan.lines(input, plan.stride, plan.corner), plan.lines(grad_output)[0]
    positions = plan.positions(x, delta)
    # eq-conv-backward-weight
    dw = [torch.bmm(delta_hw, x_ij.mT) for _, x_ij, delta_hw in positions]
    return torch.stack(dw, -1).to(input.dtype).view(tuple(weight_size))


def conv2d_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
    output_mask: Sequence[bool] = (True, True, True),
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    r"""Gradients of :func:`conv2d`, each again a sum over the kernel's positions.

    .. math:: \frac{\partial L}{\partial b_o} = \sum_{n,h,w} \delta_{n,o,h,w}

    where δ is ``grad_output``; the other two are :func:`conv2d_input_backward` and
    :func:`conv2d_weight_backward`.

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: As in :func:`conv2d`, and so are the other arguments.
        weight: Filters.
        stride: Step.
        padding: Zeros at each end, ``"valid"`` or ``"same"``.
        dilation: Distance between neighbouring elements of the kernel.
        groups: Number of parts of the channels.
        output_mask: Which of the three gradients to compute.

    Returns:
        Gradients with respect to ``input``, ``weight`` and the bias, ``None`` where
        not asked for.

    Raises:
        ValueError: A shape, dtype or option does not fit; see the message.

    References:
        Bouvrie (2006), section 3.1.1; equation ``eq-conv-backward-bias``.
    """
    check_alike(grad_output=grad_output, input=input, weight=weight)
    options = stride, padding, dilation, groups
    dx = dw = db = None
    if output_mask[0]:
        dx = conv2d_input_backward(grad_output, input.shape, weight, *options)
    if output_mask[1]:
        dw = conv2d_weight_backward(grad_output, input, weight.shape, *options)
    if output_mask[2]:
        size = _plan(input.shape, weight.shape, *options).output
        check_shape("grad_output", grad_output, size)
        db = grad_output.reshape(-1, *size[-3:]).sum((0, 2, 3))  # eq-conv-backward-bias
    return dx, dw, db


@differentiable(conv2d_backward, "input", "weight", "bias")
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    r"""Convolve images with a bank of filters.

    .. math::

        y_{n,o,h,w} =
        b_o + \sum_{c,i,j} W_{o,c,i,j} \, x_{n,\,c,\,s h + d i,\,s w + d j}

    where x is padded. As everywhere in deep learning the filters are not flipped:
    mathematicians call this a cross-correlation.

    Args:
        input: Images x.
        weight: Filters W.
        bias: One number b for each filter.
        stride: Step s from one place of the kernel to the next.
        padding: Zeros at each end of height and width; ``"valid"`` for none, ``"same"``
            for as many as make the output as large as the input, the odd one at the
            bottom and at the right.
        dilation: Distance d between neighbouring elements of the kernel.
        groups: Number of parts into which the channels are divided, inputs and outputs
            alike; each part of the outputs sees one part of the inputs.

    Shape:
        - input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        - weight: ``(C_out, C_in / groups, K_h, K_w)``.
        - bias: ``(C_out,)``.
        - result: ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, with
          :func:`conv_output_size`.

    Raises:
        ValueError: A shape, dtype or option does not fit; see the message.

    References:
        Bouvrie (2006), section 3.1; equation ``eq-conv-positions``.
    """
    check_alike(input=input, weight=weight, bias=bias)
    plan = _plan(input.shape, weight.shape, stride, padding, dilation, groups)
    check_shape("bias", bias, weight.shape[:1])
    x, w = plan.lines(input, plan.stride, plan.corner), _matrices(weight, groups)
    b = w.new_zeros(len(weight)) if bias is None else widen(bias)
    y = b.view(groups, -1, 1).repeat(1, 1, x.shape[-1])
    for (i, j), x_ij, y_hw in plan.positions(x, y):
        y_hw.baddbmm_(w[i, j], x_ij)  # eq-conv-positions
    *_, height, width = plan.output
    y = y.view(len(weight), -1, *plan.phase)[..., :height, :width].transpose(0, 1)
    return y.to(input.dtype).contiguous().view(plan.output)


class _Plan(NamedTuple):
    """Where the kernel stands on the padded images; pairs are height and width.

    A phase begins at row a and column b of the padded image, a and b below the
    stride, and holds every s-th row and column from there.
    """

    kernel: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int]
    groups: int
    corner: Sequence[int]  # where the image begins in the padded one
    padded: Sequence[int]  # size of the padded image
    phase: Sequence[int]  # rows and columns of each of its phases
    output: Sequence[int]  # the whole shape

    def lines(self, images: Tensor, stride=(1, 1), corner=(0, 0)) -> Tensor:
        """Pad, and deal out to phases, each a line: (phases, G, C / G, N rows cols)."""
        x = widen(images).reshape(-1, *images.shape[-3:]).transpose(0, 1)
        (C, N), (rows, columns), (sh, sw) = x.shape[:2], self.phase, stride
        x = _embed(x, corner, (rows * sh, columns * sw))
        x = x.reshape(C, N, rows, sh, columns, sw).permute(3, 5, 0, 1, 2, 4)
        return x.reshape(sh * sw, self.groups, C // self.groups, N * rows * columns)

    def positions(self, x: Tensor, y: Tensor) -> Iterator[tuple]:
        """Each position (i, j), what it reads of the lines x, and for which of y."""
        (dh, dw), (sh, sw), columns = self.dilation, self.stride, self.phase[1]
        h, w = self.kernel
        last = (h - 1) * dh // sh * columns + (w - 1) * dw // sw
        n = y.shape[-1] - last  # the rest of y is discarded, or zero
        for i, j in itertools.product(range(h), range(w)):
            (down, a), (right, b) = divmod(i * dh, sh), divmod(j * dw, sw)
            start = down * columns + right
            yield (i, j), x[a * sw + b, ..., start : start + n], y[..., :n]


def _embed(images: Tensor, corner: Sequence[int], size: Sequence[int]) -> Tensor:
    """Surround images by zeros."""
    (top, left), (height, width) = corner, images.shape[-2:]
    pad = (left, size[1] - width - left, top, size[0] - height - top)
    return F.pad(images, pad) if any(pad) else images


def _matrices(weight: Tensor, groups: int) -> Tensor:
    """One matrix for each position and group: (K_h, K_w, G, C_out / G, C_in / G)."""
    return widen(weight).permute(2, 3, 0, 1).contiguous().unflatten(2, (groups, -1))


def _plan(input_size, weight_size, stride, padding, dilation, groups=1) -> _Plan:
    check_integer("groups", groups, 1)
    check_images("input", input_size)
    rule = "have shape (C_out, C_in / groups, K_h, K_w), none of them 0"
    ok = len(weight_size) == 4 and 0 not in weight_size
    check(ok, "weight", rule, tuple(weight_size))
    (C_out, C_in, *kernel), (C, *size) = weight_size, input_size[-3:]
    check(C_out % groups == 0, "weight", f"have a multiple of {groups} filters", C_out)
    check(C_in * groups == C, "input", f"have {C_in} * {groups} channels", C)
    s, d = pair("stride", stride, 1), pair("dilation", dilation, 1)
    if isinstance(padding, str):
        check(padding in ("same", "valid"), "padding", "be 'same' or 'valid'", padding)
        check(padding == "valid" or s == (1, 1), "stride", "be 1 for 'same'", s)
        total = [(padding == "same") * d[a] * (kernel[a] - 1) for a in (0, 1)]
    else:
        total = [2 * p for p in pair("padding", padding, 0)]
    corner, padded = [t // 2 for t in total], [size[a] + total[a] for a in (0, 1)]
    phase = [-(-padded[a] // s[a]) for a in (0, 1)]  # rounded up
    output = (conv_output_size(padded[a], kernel[a], s[a], 0, d[a]) for a in (0, 1))
    output = (*input_size[:-3], C_out, *output)
    return _Plan(kernel, s, d, groups, corner, padded, phase, output)


def linear_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    output_mask: Sequence[bool] = (True, True, True),
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    r"""Gradients of :func:`linear`.

    .. math::

        \frac{\partial L}{\partial \mathbf{x}} = \mathbf{W}^\top \boldsymbol\delta,
        \qquad
        \frac{\partial L}{\partial \mathbf{W}} =
        \sum_n \boldsymbol\delta_n \mathbf{x}_n^\top, \qquad
        \frac{\partial L}{\partial \mathbf{b}} = \sum_n \boldsymbol\delta_n

    Args:
        grad_output: Gradients δ of the loss with respect to the outputs.
        input: Vectors x, along the last axis.
        weight: Matrix W.
        output_mask: Which of the three gradients to compute.

    Returns:
        Gradients with respect to ``input``, ``weight`` and the bias, ``None`` where
        not asked for.

    Raises:
        ValueError: A shape or dtype does not fit.

    References:
        Equations ``eq-linear-backward-input``, ``eq-linear-backward-weight`` and
        ``eq-linear-backward-bias``.
    """
    check_alike(grad_output=grad_output, input=input, weight=weight)
    _check_linear(input, weight, None)
    check_shape("grad_output", grad_output, (*input.shape[:-1], *weight.shape[:-1]))
    x, w = input[None].flatten(0, -2), weight[None].flatten(0, -2)  # matrices
    delta = grad_output.reshape(len(x), len(w))
    dx = dw = db = None
    if output_mask[0]:
        dx = (delta @ w).view(input.shape)  # eq-linear-backward-input
    if output_mask[1]:
        dw = (delta.t() @ x).view(weight.shape)  # eq-linear-backward-weight
    if output_mask[2]:
        db = delta.sum(0)  # eq-linear-backward-bias
    return dx, dw, db


@differentiable(linear_backward, "input", "weight", "bias")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""Linear layer: the same matrix for each vector of a batch.

    .. math:: \mathbf{y} = \mathbf{W} \mathbf{x} + \mathbf{b}

    Args:
        input: Vectors x, along the last axis.
        weight: Matrix W.
        bias: Vector b.

    Shape:
        - input: ``(*, n_in)``.
        - weight: ``(n_out, n_in)``, or ``(n_in,)`` for a single output without axis.
        - bias: ``(n_out,)``; none with a weight of one axis.
        - result: ``(*, n_out)`` or ``(*)``.

    Raises:
        ValueError: A shape or dtype does not fit.

    References:
        Equation ``eq-linear``.
    """
    check_alike(input=input, weight=weight, bias=bias)
    _check_linear(input, weight, bias)
    y = input @ weight.t()  # eq-linear
    return y if bias is None else y + bias


def _check_linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    check(weight.ndim in (1, 2), "weight", "have 1 or 2 axes", tuple(weight.shape))
    check_shape("input", input, (*input.shape[:-1], weight.shape[-1]))
    check(bias is None or weight.ndim == 2, "bias", "be None for a vector weight", bias)
    check_shape("bias", bias, weight.shape[:1])
