"""Pooling: the maximum or the mean of windows, and what sends gradients back.

A window is a rectangle, so a maximum or a sum over it is one along its rows and then
one along its columns. Each pass visits the offsets of the kernel one by one and takes,
for all windows at once, the slice of the image that lies under that offset. Padding is
never stored: windows skip what lies outside the image.

Besides torch's functions, the sub-sampling layer of Bouvrie, whose down-sampling is
the sum over distinct blocks and whose up-sampling is a Kronecker product with ones.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lib._function import (
    check,
    check_floating,
    check_images,
    check_shape,
    differentiable,
    pair,
    widen,
)

Size = int | Sequence[int]


class _Axis(NamedTuple):
    """The windows along one axis of an image."""

    dim: int  # -2: the rows, -1: the columns
    size: int  # of the image
    kernel: int
    stride: int
    padding: int
    dilation: int
    windows: int  # how many there are

    def shifts(self) -> Iterator[tuple[tuple, tuple]]:
        """For each offset in the kernel: which windows, and what they see there."""
        after = (slice(None),) * (-1 - self.dim)
        for k in range(self.kernel):
            offset = k * self.dilation - self.padding
            # the slice lies in the image: 0 <= window * stride + offset < size
            first = max(0, -(offset // self.stride))
            last = min(self.windows - 1, (self.size - 1 - offset) // self.stride)
            if first <= last:
                start, stop = (w * self.stride + offset for w in (first, last))
                seen = slice(start, stop + 1, self.stride)
                yield (..., slice(first, last + 1), *after), (..., seen, *after)

    def counts(self, include_pad: bool) -> list[int]:
        """How many elements each window covers; never what ceil_mode adds beyond."""
        low, high = (-self.padding, self.padding) if include_pad else (0, 0)
        corners = (w * self.stride - self.padding for w in range(self.windows))
        return [min(c + self.kernel, self.size + high) - max(c, low) for c in corners]

    def zeros(self, like: Tensor, length: int) -> Tensor:
        """Zeros of another length along the axis."""
        before, after = like.shape[: self.dim], like.shape[self.dim :][1:]
        return like.new_zeros(*before, length, *after)


Axes = tuple[_Axis, _Axis]


def max_pool2d_backward(
    grad_output: Tensor, indices: Tensor, input_size: Sequence[int]
) -> Tensor:
    r"""Gradient of :func:`max_pool2d`: each window's goes to where its maximum was.

    .. math::

        \frac{\partial L}{\partial x_i}
            = \sum_{w:\,\operatorname{argmax}(w) = i} \frac{\partial L}{\partial y_w}

    Args:
        grad_output: Gradient of the loss with respect to the maxima.
        indices: Where the maxima were, as ``return_indices`` gives it.
        input_size: Shape of the input.

    Shape:
        - grad_output, indices: ``(*, H_out, W_out)``.

    Returns:
        The gradient with respect to the input, of shape ``(*, H, W)``.

    Raises:
        ValueError: The shapes of ``grad_output`` and ``indices`` differ.

    References:
        Equation ``eq-max-pool-backward``.
    """
    check_shape("indices", indices, grad_output.shape)
    delta = widen(grad_output).flatten(-2)
    grad = delta.new_zeros(*input_size[:-2], input_size[-2] * input_size[-1])
    grad.scatter_add_(-1, indices.flatten(-2), delta)  # eq-max-pool-backward
    return grad.view(input_size).to(grad_output.dtype)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
        height, width = input.shape[-2:]
        index = torch.arange(height * width, dtype=torch.int32, device=input.device)
        y, index = input, index.view(height, width)
        for axis in reversed(axes):
            y, index = _max(y, index, axis)  # eq-max-pool
        return y, index.long()

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)  # there is none for the indices
        ctx.save_for_backward(output[1])
        ctx.input_size = inputs[0].shape

    @staticmethod
    def backward(ctx, grad_output: Tensor | None, _: None) -> tuple:
        if grad_output is None:
            return None, None
        (indices,) = ctx.saved_tensors
        return max_pool2d_backward(grad_output, indices, ctx.input_size), None


def _max(x: Tensor, index: Tensor, axis: _Axis) -> tuple[Tensor, Tensor]:
    """Maxima of the windows of one axis, and the indices of these elements.

    The first of equal elements wins and the last NaN, as in torch. Indices grow from
    offset to offset, so the last improvement is the largest index.
    """
    shifts, y = list(axis.shifts()), axis.zeros(x, axis.windows)
    where = torch.zeros_like(y, dtype=index.dtype)
    for windows, seen in reversed(shifts[: axis.padding + 1]):  # first in the image
        y[windows], where[windows] = x[seen], index[seen]
    for windows, seen in shifts[1:]:
        value, largest, place = x[seen].clone(), y[windows], where[windows]
        better = value.gt(largest).logical_or_(value.ne(value))
        torch.maximum(largest, value, out=largest)
        torch.maximum(place, index[seen].clone() * better, out=place)
    return y, where


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Largest element of each window.

    .. math::

        y_{uv} = \max_{0 \le a < k_h,\; 0 \le b < k_w}
            x_{u s_h - p_h + a d_h,\; v s_w - p_w + b d_w}

    Of equal maxima the first (row by row) receives the gradient; a NaN is larger
    than every number.

    Args:
        input: Images.
        kernel_size: Height and width k of a window; one number for both.
        stride: Step s from window to window; ``None`` takes ``kernel_size``.
        padding: Rows and columns p of -inf around the image, at most half a window.
        dilation: Step d from element to element of a window.
        ceil_mode: Also take windows that reach beyond the padding at the end.
        return_indices: Also return where the maxima are.

    Shape:
        - input: ``(N, C, H, W)`` or ``(C, H, W)``; N may be 0.
        - output: ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``.

    Returns:
        The maxima; with ``return_indices`` a pair of them and their positions in the
        flattened ``H * W`` elements of the image.

    Raises:
        ValueError: ``input`` is not floating or not of such a shape, an option is no
            integer (pair) in its range, or a window does not meet the image.

    References:
        Equation ``eq-max-pool``.
    """
    check_floating(input=input)
    axes = _axes(input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    output, indices = _MaxPool.apply(input, axes)
    return (output, indices) if return_indices else output


def avg_pool2d_backward(
    grad_output: Tensor,
    input: Tensor | Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    r"""Gradient of :func:`avg_pool2d`: each window's is shared out equally.

    .. math::

        \frac{\partial L}{\partial x_i}
            = \sum_{w \ni i} \frac{1}{n_w} \frac{\partial L}{\partial y_w}

    Args:
        grad_output: Gradient of the loss with respect to the means.
        input: The images, or only their shape: their values do not matter.
        kernel_size: As in :func:`avg_pool2d`, like all that follow.
        stride: Step s from window to window.
        padding: Rows and columns p of zeros.
        ceil_mode: Also windows that reach beyond the padding?
        count_include_pad: Does n count the zeros?
        divisor_override: Instead of n.

    Shape:
        - grad_output: ``(*, H_out, W_out)``.

    Returns:
        The gradient with respect to the input, of shape ``(*, H, W)``.

    Raises:
        ValueError: The shape of ``grad_output`` is not that of the means, or an
            option is out of its range.

    References:
        Equation ``eq-avg-pool-backward``.
    """
    check_floating(grad_output=grad_output)
    size = input.shape if torch.is_tensor(input) else input
    axes = _axes(size, kernel_size, stride, padding, 1, ceil_mode)
    n = _divisor(axes, count_include_pad, divisor_override, grad_output)
    _check_grad(grad_output, size, axes)
    return _spread(grad_output / n, axes).to(grad_output.dtype)  # eq-avg-pool-backward


@differentiable(avg_pool2d_backward, "input")
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    r"""Mean of each window.

    .. math::

        y_{uv} = \frac{1}{n_{uv}} \sum_{0 \le a < k_h} \sum_{0 \le b < k_w}
            x_{u s_h - p_h + a,\; v s_w - p_w + b}

    Args:
        input: Images.
        kernel_size: Height and width k of a window; one number for both.
        stride: Step s from window to window; ``None`` takes ``kernel_size``.
        padding: Rows and columns p of zeros around the image, at most half a window.
        ceil_mode: Also take windows that reach beyond the padding at the end.
        count_include_pad: Does n count the zeros of the padding? It never counts what
            lies beyond them.
        divisor_override: Divide by this instead of n.

    Shape:
        - input: ``(N, C, H, W)`` or ``(C, H, W)``; N may be 0.
        - output: ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``.

    Raises:
        ValueError: ``input`` is not floating or not of such a shape, or an option is
            no integer (pair) in its range.

    References:
        Equation ``eq-avg-pool``.
    """
    check_floating(input=input)
    axes = _axes(input.shape, kernel_size, stride, padding, 1, ceil_mode)
    n = _divisor(axes, count_include_pad, divisor_override, input)
    return (_sum(input, axes) / n).to(input.dtype)  # eq-avg-pool


def _divisor(axes: Axes, include_pad, override, like: Tensor) -> Tensor | int:
    if override is not None:
        ok = type(override) is int and override != 0
        check(ok, "divisor_override", "be an integer other than 0", override)
        return override
    rows, columns = (widen(like[:0]).new_tensor(a.counts(include_pad)) for a in axes)
    return rows[:, None] * columns


def upsample_kronecker_backward(grad_output: Tensor, kernel_size: Size) -> Tensor:
    r"""Gradient of :func:`upsample_kronecker`: the sum over each block.

    .. math::

        \frac{\partial L}{\partial x_{uv}} = \sum_{0 \le a < k_h} \sum_{0 \le b < k_w}
            \frac{\partial L}{\partial y_{u k_h + a,\; v k_w + b}}

    Args:
        grad_output: Gradient of the loss with respect to the blocks.
        kernel_size: Height and width k of a block; one number for both.

    Shape:
        - grad_output: ``(*, H * k_h, W * k_w)``.

    Returns:
        The gradient with respect to the input, of shape ``(*, H, W)``.

    Raises:
        ValueError: ``grad_output`` is not floating or does not divide into blocks, or
            ``kernel_size`` is not positive.

    References:
        Equation ``eq-kronecker-upsampling-backward``.
    """
    axes = _blocks("grad_output", grad_output, kernel_size)
    down = _sum(grad_output, axes)  # eq-kronecker-upsampling-backward
    return down.to(grad_output.dtype)


@differentiable(upsample_kronecker_backward, "input")
def upsample_kronecker(input: Tensor, kernel_size: Size) -> Tensor:
    r"""Repeat each element over a block: Bouvrie's up-sampling.

    .. math:: \operatorname{up}(x) = x \otimes 1_{k_h \times k_w}

    It is the adjoint of summing over blocks: ⟨up(x), y⟩ = ⟨x, down(y)⟩.

    Args:
        input: Matrices.
        kernel_size: Height and width k of a block; one number for both.

    Shape:
        - input: ``(*, H, W)``.
        - output: ``(*, H * k_h, W * k_w)``.

    Raises:
        ValueError: ``input`` is not floating or has no two dimensions, or
            ``kernel_size`` is not positive.

    References:
        Bouvrie (2006), *Notes on Convolutional Neural Networks*, section 3.1.2;
        equation ``eq-kronecker-upsampling``.
    """
    _check_matrices("input", input)
    height, width = pair("kernel_size", kernel_size, 1)
    rows = input.repeat_interleave(height, -2)
    return rows.repeat_interleave(width, -1)  # eq-kronecker-upsampling


def subsample2d_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    kernel_size: Size,
    output_mask: Sequence[bool] = (True, True, True),
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    r"""Gradients of :func:`subsample2d`.

    .. math::

        \frac{\partial L}{\partial x_c} = \beta_c \operatorname{up}(\delta_c), \qquad
        \frac{\partial L}{\partial \beta_c}
            = \sum_{u,v} (\delta_c \circ \operatorname{down}(x_c))_{uv}, \qquad
        \frac{\partial L}{\partial b_c} = \sum_{u,v} (\delta_c)_{uv}

    with sums over the images of the batch too.

    Args:
        grad_output: Gradient δ of the loss with respect to the output.
        input: Images x.
        weight: Factor β of each channel.
        kernel_size: Height and width of a block; one number for both.
        output_mask: Which of the three gradients to compute.

    Shape:
        - grad_output: ``(*, C, H / k_h, W / k_w)``.
        - input: ``(*, C, H, W)``.
        - weight: ``(C,)``.

    Returns:
        Gradients with respect to ``input``, ``weight`` and ``bias``, ``None`` where
        not asked for.

    Raises:
        ValueError: The shape of ``grad_output`` is not that of the output, or the
            images do not divide into blocks.

    References:
        Equations ``eq-subsampling-backward-input``, ``eq-subsampling-backward-weight``
        and ``eq-subsampling-backward-bias``.
    """
    check_floating(grad_output=grad_output, weight=weight)
    axes = _blocks("input", input, kernel_size)
    _check_grad(grad_output, input.shape, axes)
    delta, beta = widen(grad_output), weight[:, None, None]
    others = (-1, -2) if delta.ndim == 3 else (-1, -2, 0)
    dx = dw = db = None
    if output_mask[0]:  # eq-subsampling-backward-input
        dx = upsample_kronecker(beta * delta, kernel_size).to(input.dtype)
    if output_mask[1]:  # eq-subsampling-backward-weight
        dw = (delta * _sum(input, axes)).sum(others).to(weight.dtype)
    if output_mask[2]:
        db = delta.sum(others).to(weight.dtype)  # eq-subsampling-backward-bias
    return dx, dw, db


@differentiable(subsample2d_backward, "input", "weight", "bias")
def subsample2d(
    input: Tensor, weight: Tensor, bias: Tensor, kernel_size: Size
) -> Tensor:
    r"""Bouvrie's sub-sampling layer before its activation function.

    .. math::

        y_c = \beta_c \operatorname{down}(x_c) + b_c, \qquad
        \operatorname{down}(x)_{uv}
            = \sum_{0 \le a < k_h} \sum_{0 \le b < k_w} x_{u k_h + a,\; v k_w + b}

    The blocks are distinct and summed, not averaged; β and b are trained.

    Args:
        input: Images x.
        weight: Factor β of each channel.
        bias: Offset b of each channel.
        kernel_size: Height and width k of a block; one number for both.

    Shape:
        - input: ``(N, C, H, W)`` or ``(C, H, W)``, H and W multiples of k.
        - weight, bias: ``(C,)``.
        - output: ``(N, C, H / k_h, W / k_w)`` or ``(C, H / k_h, W / k_w)``.

    Raises:
        ValueError: ``input`` is not floating, not of such a shape, or does not divide
            into blocks; ``kernel_size`` is not positive; ``weight`` or ``bias`` is not
            floating or not of shape ``(C,)``.

    References:
        Bouvrie (2006), *Notes on Convolutional Neural Networks*, section 3.2;
        equation ``eq-subsampling``.
    """
    check_floating(input=input, weight=weight, bias=bias)
    check_images("input", input.shape)
    check_shape("weight", weight, input.shape[-3:-2])
    check_shape("bias", bias, input.shape[-3:-2])
    down = _sum(input, _blocks("input", input, kernel_size))
    y = weight[:, None, None] * down + bias[:, None, None]  # eq-subsampling
    return y.to(input.dtype)


def _sum(x: Tensor, axes: Axes) -> Tensor:
    """Sum of each window, at least in single precision."""
    x = widen(x)
    for axis in axes:
        y = axis.zeros(x, axis.windows)
        for windows, seen in axis.shifts():
            y[windows].add_(x[seen])
        x = y
    return x


def _spread(y: Tensor, axes: Axes) -> Tensor:
    """Adjoint of :func:`_sum`: add the value of each window to all it covers."""
    for axis in reversed(axes):
        x = axis.zeros(y, axis.size)
        for windows, seen in axis.shifts():
            x[seen].add_(y[windows])
        y = x
    return y


def _axes(input_size, kernel_size, stride, padding, dilation, ceil_mode) -> Axes:
    check_images("input", input_size)
    kernels = pair("kernel_size", kernel_size, 1)
    strides = kernels if stride in (None, (), []) else pair("stride", stride, 1)
    paddings, dilations = pair("padding", padding, 0), pair("dilation", dilation, 1)
    axes, sizes = [], tuple(input_size[-2:])
    given = (-2, -1), sizes, kernels, strides, paddings, dilations
    for dim, n, k, s, p, d in zip(*given, strict=True):
        check(p <= k // 2, "padding", f"be at most half of kernel_size {k}", padding)
        room = n + 2 * p - d * (k - 1) - 1
        windows = (room + (s - 1) * ceil_mode) // s + 1  # eq-pool-output-size
        windows -= ceil_mode and (windows - 1) * s >= n + p  # begins beyond the image
        check(windows > 0, "kernel_size", f"fit the padded image {sizes}", kernel_size)
        meets = all(corner % d < n for corner in range(-p, 0, s)[:windows])
        check(meets, "dilation", "leave every window an element", dilation)
        axes.append(_Axis(dim, n, k, s, p, d, windows))
    return tuple(axes)


def _blocks(name: str, tensor: Tensor, kernel_size: Size) -> Axes:
    _check_matrices(name, tensor)
    kernels, sizes = pair("kernel_size", kernel_size, 1), tensor.shape[-2:]
    axes = tuple(zip((-2, -1), sizes, kernels, strict=True))
    ok = all(n % k == 0 for _, n, k in axes)
    check(ok, name, f"divide into blocks of {kernels}", f"shape {tuple(tensor.shape)}")
    return tuple(_Axis(dim, n, k, k, 0, 1, n // k) for dim, n, k in axes)


def _check_matrices(name: str, tensor: Tensor) -> None:
    check_floating(**{name: tensor})
    check(tensor.ndim >= 2, name, "have shape (*, H, W)", tuple(tensor.shape))


def _check_grad(grad_output: Tensor, input_size: Sequence[int], axes: Axes) -> None:
    size = (*input_size[:-2], *(axis.windows for axis in axes))
    check_shape("grad_output", grad_output, size)
