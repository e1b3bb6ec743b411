"""Pooling: the maximum or the mean of windows, and what sends gradients back.

A window is a rectangle, so a maximum or a sum over it is one along its rows and then
one along its columns. Each pass visits the offsets of the kernel one by one and takes,
for all windows at once, the slice of the image that lies under that offset. Padding is
never stored: windows skip what lies outside the image.

Besides torch's functions, the sub-sampling layer of Bouvrie, whose down-sampling is
the sum over distinct blocks and whose up-sampling is a Kronecker product with ones.
"""

import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Size = int | Sequence[int]


class _Axis(NamedTuple):
    """The windows along one axis of an image."""

    size: int  # of the image
    kernel: int
    stride: int
    padding: int
    dilation: int
    windows: int  # how many there are

    def shifts(self) -> Iterator[tuple[slice, slice]]:
        """For each offset in the kernel: which windows, and what they see there."""
        for k in range(self.kernel):
            offset = k * self.dilation - self.padding
            # the slice lies in the image: 0 <= window * stride + offset < size
            first = max(0, -(offset // self.stride))
            last = min(self.windows - 1, (self.size - 1 - offset) // self.stride)
            if first <= last:
                start, stop = (w * self.stride + offset for w in (first, last))
                yield slice(first, last + 1), slice(start, stop + 1, self.stride)

    def counts(self, include_pad: bool) -> list[int]:
        """How many elements each window covers; never what ceil_mode adds beyond."""
        low, high = (-self.padding, self.padding) if include_pad else (0, 0)
        corners = (w * self.stride - self.padding for w in range(self.windows))
        return [min(c + self.kernel, self.size + high) - max(c, low) for c in corners]


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
    if indices.shape != grad_output.shape:
        expected, shape = tuple(grad_output.shape), tuple(indices.shape)
        raise ValueError(f"indices must have shape {expected}, got {shape}")
    wide = grad_output.to(_accumulator(grad_output)).flatten(-2)
    height, width = input_size[-2:]
    grad = wide.new_zeros(*input_size[:-2], height * width)
    grad.scatter_add_(-1, indices.flatten(-2), wide)  # eq-max-pool-backward
    return grad.reshape(input_size).to(grad_output.dtype)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, rows: _Axis, columns: _Axis) -> tuple[Tensor, Tensor]:
        count = rows.size * columns.size
        index = torch.arange(count, dtype=torch.int32, device=input.device)
        index = index.view(rows.size, columns.size)
        for dim, axis in ((-1, columns), (-2, rows)):
            input, index = _max_along(dim, axis, input, index)
        return input, index.long()

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        indices = output[1]
        ctx.mark_non_differentiable(indices)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(indices)
        ctx.input_size = inputs[0].shape

    @staticmethod
    def backward(ctx, grad_output: Tensor | None, _: None) -> tuple:
        if grad_output is None:
            return None, None, None
        (indices,) = ctx.saved_tensors
        return max_pool2d_backward(grad_output, indices, ctx.input_size), None, None


def _max_along(
    dim: int, axis: _Axis, values: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """Maximum of each window of an axis, and the index carried by that element.

    The first of equal elements wins and the last NaN, as in torch. Indices grow from
    offset to offset, so the last improvement is the largest index.
    """
    shifts = list(axis.shifts())
    best = _zeros(values, dim, axis.windows)
    where = torch.zeros_like(best, dtype=index.dtype)
    for windows, seen in reversed(shifts[: axis.padding + 1]):  # first in the image
        best[_along(dim, windows)] = values[_along(dim, seen)]
        where[_along(dim, windows)] = index[_along(dim, seen)]
    for windows, seen in shifts[1:]:
        window, element = _along(dim, windows), _along(dim, seen)
        value, largest, place = values[element].clone(), best[window], where[window]
        better = value.gt(largest).logical_or_(value.ne(value))
        torch.maximum(largest, value, out=largest)
        torch.maximum(place, index[element].clone() * better, out=place)
    return best, where


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
    _check_images(input)
    rows, columns = _axes(
        input.shape, kernel_size, stride, padding, dilation, ceil_mode
    )
    output, indices = _MaxPool.apply(input, rows, columns)  # eq-max-pool
    return (output, indices) if return_indices else output


def avg_pool2d_backward(
    grad_output: Tensor,
    input_size: Sequence[int],
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
        input_size: Shape of the input, whose values do not matter.
        kernel_size: As there, like all that follow.
        stride: As there.
        padding: As there.
        ceil_mode: As there.
        count_include_pad: As there.
        divisor_override: As there.

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
    axes = _axes(input_size, kernel_size, stride, padding, 1, ceil_mode)
    _check_divisor(divisor_override)
    _check_grad(grad_output, input_size, [a.windows for a in axes])
    divisor = _divisor(axes, count_include_pad, divisor_override, grad_output)
    share = grad_output / divisor
    return _spread(share, axes).to(grad_output.dtype)  # eq-avg-pool-backward


class _AvgPool(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, *options) -> Tensor:
        kernel_size, stride, padding, ceil_mode, include_pad, override = options
        axes = _axes(input.shape, kernel_size, stride, padding, 1, ceil_mode)
        divisor = _divisor(axes, include_pad, override, input)
        return (_sum(input, axes) / divisor).to(input.dtype)  # eq-avg-pool

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        ctx.input_size, ctx.options = inputs[0].shape, inputs[1:]

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple:
        grad = avg_pool2d_backward(grad_output, ctx.input_size, *ctx.options)
        return grad, *(None for _ in ctx.options)


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
    _check_images(input)
    _axes(input.shape, kernel_size, stride, padding, 1, ceil_mode)
    _check_divisor(divisor_override)
    options = kernel_size, stride, padding, ceil_mode
    return _AvgPool.apply(input, *options, count_include_pad, divisor_override)


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
    blocks = _sum(grad_output, axes)  # eq-kronecker-upsampling-backward
    return blocks.to(grad_output.dtype)


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, kernel_size: Size) -> Tensor:
        height, width = _pair("kernel_size", kernel_size, 1)
        blocks = input[..., :, None, :, None].expand(
            *input.shape[:-1], height, input.shape[-1], width
        )
        return blocks.flatten(-4, -3).flatten(-2)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        ctx.kernel_size = inputs[1]

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, None]:
        return upsample_kronecker_backward(grad_output, ctx.kernel_size), None


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
    _pair("kernel_size", kernel_size, 1)
    return _Upsample.apply(input, kernel_size)  # eq-kronecker-upsampling


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
    axes = _blocks("input", input, kernel_size)
    _check_grad(grad_output, input.shape, [a.windows for a in axes])
    delta = grad_output.to(_accumulator(grad_output))
    others = [d for d in range(delta.ndim) if d != delta.ndim - 3]
    grads = [None, None, None]
    if output_mask[0]:
        share = weight[:, None, None] * delta
        grad = upsample_kronecker(share, kernel_size)  # eq-subsampling-backward-input
        grads[0] = grad.to(input.dtype)
    if output_mask[1]:
        product = delta * _sum(input, axes)
        grad = product.sum(others)  # eq-subsampling-backward-weight
        grads[1] = grad.to(weight.dtype)
    if output_mask[2]:
        grad = delta.sum(others)  # eq-subsampling-backward-bias
        grads[2] = grad.to(weight.dtype)
    return tuple(grads)


class _Subsample(torch.autograd.Function):
    @staticmethod
    def forward(
        input: Tensor, weight: Tensor, bias: Tensor, kernel_size: Size
    ) -> Tensor:
        down = _sum(input, _blocks("input", input, kernel_size))
        output = weight[:, None, None] * down + bias[:, None, None]  # eq-subsampling
        return output.to(input.dtype)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        input, weight, _, ctx.kernel_size = inputs
        ctx.save_for_backward(input, weight)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple:
        mask, saved = ctx.needs_input_grad[:3], ctx.saved_tensors
        grads = subsample2d_backward(grad_output, *saved, ctx.kernel_size, mask)
        return *grads, None


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
    _check_images(input)
    _blocks("input", input, kernel_size)
    for name, tensor in (("weight", weight), ("bias", bias)):
        _check_floating(name, tensor)
        if tensor.shape != input.shape[-3:-2]:
            channels, shape = tuple(input.shape[-3:-2]), tuple(tensor.shape)
            raise ValueError(f"{name} must have shape {channels}, got {shape}")
    return _Subsample.apply(input, weight, bias, kernel_size)


def _along(dim: int, part: slice) -> tuple:
    return (..., part) if dim == -1 else (..., part, slice(None))


def _accumulator(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _zeros(like: Tensor, dim: int, length: int) -> Tensor:
    """Zeros of another length along ``dim``, in the same memory format."""
    size = list(like.shape)
    size[dim] = length
    nhwc = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    nhwc = nhwc and not like.is_contiguous()
    layout = torch.channels_last if nhwc else torch.contiguous_format
    empty = torch.empty(
        size, dtype=like.dtype, device=like.device, memory_format=layout
    )
    return empty.zero_()


def _sum(values: Tensor, axes: tuple[_Axis, _Axis]) -> Tensor:
    """Sum of each window, at least in single precision."""
    values = values.to(_accumulator(values))
    for dim, axis in zip((-2, -1), axes, strict=True):
        total = _zeros(values, dim, axis.windows)
        for windows, seen in axis.shifts():
            total[_along(dim, windows)].add_(values[_along(dim, seen)])
        values = total
    return values


def _spread(values: Tensor, axes: tuple[_Axis, _Axis]) -> Tensor:
    """Adjoint of :func:`_sum`: add the value of each window to all it covers."""
    for dim, axis in zip((-1, -2), reversed(axes), strict=True):
        total = _zeros(values, dim, axis.size)
        for windows, seen in axis.shifts():
            total[_along(dim, seen)].add_(values[_along(dim, windows)])
        values = total
    return values


def _divisor(
    axes: tuple[_Axis, _Axis], include_pad: bool, override: int | None, like: Tensor
) -> Tensor | int:
    if override is not None:
        return override
    rows, columns = (
        torch.tensor(a.counts(include_pad), dtype=_accumulator(like)) for a in axes
    )
    return (rows[:, None] * columns).to(like.device)


def _axes(
    input_size: Sequence[int],
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> tuple[_Axis, _Axis]:
    kernels = _pair("kernel_size", kernel_size, 1)
    given = stride is not None and not (isinstance(stride, Sequence) and not stride)
    strides = _pair("stride", stride, 1) if given else kernels
    paddings = _pair("padding", padding, 0)
    dilations = _pair("dilation", dilation, 1)
    if any(p > k // 2 for p, k in zip(paddings, kernels, strict=True)):
        rule = f"padding must be at most half of kernel_size {kernels}"
        raise ValueError(f"{rule}, got {padding}")
    axes = []
    for size, k, s, p, d in zip(
        input_size[-2:], kernels, strides, paddings, dilations, strict=True
    ):
        room = size + 2 * p - d * (k - 1) - 1
        windows = (room + (s - 1 if ceil_mode else 0)) // s + 1  # eq-pool-output-size
        if ceil_mode and (windows - 1) * s >= size + p:  # begins beyond the image
            windows -= 1
        if windows < 1:
            rule = "kernel_size must fit into the padded image"
            raise ValueError(f"{rule} {tuple(input_size[-2:])}, got {kernel_size}")
        if any(corner % d >= size for corner in range(-p, 0, s)[:windows]):
            rule = "dilation must leave every window an element of the image"
            raise ValueError(f"{rule} {tuple(input_size[-2:])}, got {dilation}")
        axes.append(_Axis(size, k, s, p, d, windows))
    return tuple(axes)


def _blocks(name: str, tensor: Tensor, kernel_size: Size) -> tuple[_Axis, _Axis]:
    _check_matrices(name, tensor)
    kernels, sizes = _pair("kernel_size", kernel_size, 1), tensor.shape[-2:]
    if any(size % k for size, k in zip(sizes, kernels, strict=True)):
        rule = f"{name} must divide into blocks of {kernels}"
        raise ValueError(f"{rule}, got shape {tuple(tensor.shape)}")
    return tuple(
        _Axis(size, k, k, 0, 1, size // k)
        for size, k in zip(sizes, kernels, strict=True)
    )


def _pair(name: str, value: Size, least: int) -> tuple[int, int]:
    pair = _integers(name, value)
    if len(pair) not in (1, 2) or min(pair) < least:
        rule = f"{name} must be an integer of at least {least} or a pair of such"
        raise ValueError(f"{rule}, got {value}")
    return pair[0], pair[-1]


def _integers(name: str, value: Size) -> list[int]:
    numbers = value if isinstance(value, Sequence) else [value]
    try:
        if any(isinstance(n, bool) for n in numbers):
            raise TypeError
        return [operator.index(n) for n in numbers]
    except TypeError:
        raise ValueError(f"{name} must be made of integers, got {value}") from None


def _check_floating(name: str, value: object) -> None:
    if not (torch.is_tensor(value) and value.is_floating_point()):
        kind = value.dtype if torch.is_tensor(value) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of a floating dtype, got {kind}")


def _check_matrices(name: str, value: Tensor) -> None:
    _check_floating(name, value)
    if value.ndim < 2:
        shape = tuple(value.shape)
        raise ValueError(f"{name} must have at least 2 dimensions, got shape {shape}")


def _check_images(input: Tensor) -> None:
    _check_floating("input", input)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        rule = "input must have shape (N, C, H, W) or (C, H, W), only N may be 0"
        raise ValueError(f"{rule}, got {tuple(input.shape)}")


def _check_divisor(value: int | None) -> None:
    if value is None:
        return
    if isinstance(value, Sequence) or _integers("divisor_override", value) == [0]:
        raise ValueError(f"divisor_override must be one nonzero integer, got {value}")


def _check_grad(
    grad_output: Tensor, input_size: Sequence[int], windows: Sequence[int]
) -> None:
    expected = (*input_size[:-2], *windows)
    if grad_output.shape != expected:
        shape = tuple(grad_output.shape)
        raise ValueError(f"grad_output must have shape {expected}, got {shape}")
