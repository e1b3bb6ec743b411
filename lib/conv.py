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
    counts = {"kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value in {**counts, "size": size, "padding": padding}.items():
        _check_integer(name, value, 1 if name in counts else 0)
    return _output_size(size, kernel, stride, 2 * padding, dilation)


def _output_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    span = dilation * (kernel - 1) + 1
    if span > size + pad:
        rule = f"kernel must fit into the padded input of size {size + pad}"
        raise ValueError(f"{rule}, got a kernel that spans {span}")
    return (size + pad - span) // stride + 1  # eq-conv-output-size


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
    _check_dtypes(input=input)
    _check_images("input", input.shape)
    kernel = _pair("kernel_size", kernel_size, 1)
    grid = _grid(input.shape[-2:], kernel, stride, padding, dilation)
    x = F.pad(input, grid.pad) if any(grid.pad) else input
    *outer, row, column = x.stride()
    (sh, sw), (dh, dw) = grid.stride, grid.dilation
    size = (*x.shape[:-2], *kernel, *grid.output)
    strides = (*outer, dh * row, dw * column, sh * row, sw * column)
    return x.as_strided(size, strides)  # eq-conv-im2col


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
    _check_dtypes(input=input, weight=weight, bias=bias)
    options = stride, padding, dilation, groups
    _plan(input.shape, weight.shape, *options)
    if bias is not None and bias.shape != weight.shape[:1]:
        rule = f"bias must have shape ({len(weight)},), one number for each filter"
        raise ValueError(f"{rule}, got {tuple(bias.shape)}")
    output = _Conv2d.apply(_batch(input), weight, bias, *options)
    return output if input.ndim == 4 else output[0]


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(input, weight, bias, stride, padding, dilation, groups):
        grid = _plan(input.shape, weight.shape, stride, padding, dilation, groups)
        x, w = _lines(input, grid, groups), _matrices(weight, groups)
        b = weight.new_zeros(len(weight)) if bias is None else bias
        y = b.to(x.dtype).view(groups, -1, 1).repeat(1, 1, x.shape[-1])
        n = grid.length(len(input))
        for i, j, phase, q in grid.positions():  # eq-conv-positions
            y[..., :n].baddbmm_(w[i, j], x[phase, ..., q : q + n])
        (height, width), (rows, columns) = grid.output, grid.phase
        y = y.view(len(weight), len(input), rows, columns)[..., :height, :width]
        return y.transpose(0, 1).to(input.dtype).contiguous()

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, weight, _, *ctx.options = inputs
        ctx.save_for_backward(input, weight)

    @staticmethod
    def backward(ctx, grad_output):
        input, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        grads = _conv2d_backward(grad_output, input, weight, ctx.options, needed)
        return *grads, None, None, None, None


def conv2d_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
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

    Returns:
        Gradients with respect to ``input``, ``weight`` and the bias.

    Raises:
        ValueError: A shape, dtype or option does not fit; see the message.

    References:
        Bouvrie (2006), section 3.1.1; equation ``eq-conv-backward-bias``.
    """
    options = stride, padding, dilation, groups
    return _conv2d_backward(grad_output, input, weight, options, (True, True, True))


def _conv2d_backward(grad_output, input, weight, options, needed):
    grads = [None, None, None]
    if needed[0]:
        grads[0] = conv2d_input_backward(grad_output, input.shape, weight, *options)
    if needed[1]:
        grads[1] = conv2d_weight_backward(grad_output, input, weight.shape, *options)
    if needed[2]:
        grads[2] = _batch(grad_output).sum((0, 2, 3))  # eq-conv-backward-bias
    return tuple(grads)


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
    _check_dtypes(grad_output=grad_output, weight=weight)
    grid = _plan(input_size, weight.shape, stride, padding, dilation, groups)
    _check_grad_output(grad_output, (*input_size[:-3], len(weight), *grid.output))
    g, w = _wide(grad_output, grid, groups), _matrices(weight, groups)
    N, n = len(_batch(grad_output)), grid.length(len(_batch(grad_output)))
    sh, sw = grid.stride
    x = g.new_zeros(sh * sw, groups, weight.shape[1], g.shape[-1])
    for i, j, phase, q in grid.positions():  # eq-conv-backward-input
        x[phase, ..., q : q + n].baddbmm_(w[i, j].mT, g[..., :n])
    x = x.view(sh, sw, input_size[-3], N, *grid.phase).permute(2, 3, 4, 0, 5, 1)
    x = x.flatten(4).flatten(2, 3)  # (C, N, rows * sh, columns * sw)
    x = F.pad(x, [-p for p in grid.margins(input_size)])
    return x.transpose(0, 1).to(weight.dtype).contiguous().view(input_size)


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
    _check_dtypes(grad_output=grad_output, input=input)
    grid = _plan(input.shape, weight_size, stride, padding, dilation, groups)
    _check_grad_output(grad_output, (*input.shape[:-3], weight_size[0], *grid.output))
    g, x = _wide(grad_output, grid, groups), _lines(_batch(input), grid, groups)
    n = grid.length(len(_batch(input)))
    w = [  # eq-conv-backward-weight
        torch.bmm(g[..., :n], x[phase, ..., q : q + n].mT)
        for _, _, phase, q in grid.positions()
    ]
    return torch.stack(w, -1).to(input.dtype).view(tuple(weight_size))


class _Grid(NamedTuple):
    """Geometry of a convolution; pairs are height and width, pad is that of F.pad."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int, int, int]
    output: tuple[int, int]
    phase: tuple[int, int]  # rows and columns of a phase

    def positions(self) -> Iterator[tuple[int, int, int, int]]:
        """Positions i, j of the kernel; the phase that each reads, and its shift."""
        (dh, dw), (sh, sw) = self.dilation, self.stride
        for i, j in itertools.product(*map(range, self.kernel)):
            (down, row), (right, column) = divmod(i * dh, sh), divmod(j * dw, sw)
            yield i, j, row * sw + column, down * self.phase[1] + right

    def length(self, batch: int) -> int:
        """Length of what is read at each shift: to the last element of the output."""
        (rows, columns), (height, width) = self.phase, self.output
        unread = (rows - height) * columns + columns - width
        return batch * rows * columns - unread if batch else 0

    def margins(self, size: Sequence[int]) -> tuple[int, int, int, int]:
        """Pad that makes images of whole phases; crops what no position reads."""
        (left, _, top, _), (height, width) = self.pad, size[-2:]
        (rows, columns), (sh, sw) = self.phase, self.stride
        return left, columns * sw - width - left, top, rows * sh - height - top


def _lines(images: Tensor, grid: _Grid, groups: int) -> Tensor:
    """Pad, and deal out to phases, each a line: (phases, G, C / G, N rows columns)."""
    x = F.pad(_wider(images).transpose(0, 1), grid.margins(images.shape))
    (rows, columns), (sh, sw) = grid.phase, grid.stride
    x = x.unflatten(3, (columns, sw)).unflatten(2, (rows, sh))
    x = x.permute(3, 5, 0, 1, 2, 4)  # (sh, sw, C, N, rows, columns)
    return x.flatten(3).flatten(0, 1).unflatten(1, (groups, x.shape[2] // groups))


def _wide(grad_output: Tensor, grid: _Grid, groups: int) -> Tensor:
    """Line of zeros as long as a phase, with a gradient where the output lies in it."""
    (rows, columns), (height, width) = grid.phase, grid.output
    g = _wider(_batch(grad_output)).transpose(0, 1)
    g = F.pad(g, (0, columns - width, 0, rows - height))
    return g.flatten(1).unflatten(0, (groups, len(g) // groups))


def _matrices(weight: Tensor, groups: int) -> Tensor:
    """One matrix for each position and group: (K_h, K_w, G, C_out / G, C_in / G)."""
    w = _wider(weight).permute(2, 3, 0, 1).contiguous()
    return w.unflatten(2, (groups, len(weight) // groups))


def _wider(tensor: Tensor) -> Tensor:
    """Sums of 16-bit numbers are accumulated in 32 bits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _batch(images: Tensor) -> Tensor:
    return images if images.ndim == 4 else images[None]


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
    _check_dtypes(input=input, weight=weight, bias=bias)
    _check_linear(input, weight, bias)
    return _Linear.apply(input, weight, bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(input, weight, bias):
        y = input @ weight.t()  # eq-linear
        return y if bias is None else y + bias

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx, grad_output):
        needed = ctx.needs_input_grad
        return _linear_backward(grad_output, *ctx.saved_tensors, needed)


def linear_backward(
    grad_output: Tensor, input: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
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

    Returns:
        Gradients with respect to ``input``, ``weight`` and the bias.

    Raises:
        ValueError: A shape or dtype does not fit.

    References:
        Equations ``eq-linear-backward-input``, ``eq-linear-backward-weight`` and
        ``eq-linear-backward-bias``.
    """
    _check_dtypes(grad_output=grad_output, input=input, weight=weight)
    _check_linear(input, weight, None)
    _check_grad_output(grad_output, (*input.shape[:-1], *weight.shape[:-1]))
    return _linear_backward(grad_output, input, weight, (True, True, True))


def _linear_backward(grad_output, input, weight, needed):
    n_in, n_out = weight.shape[-1], weight.shape[:-1].numel()
    n = input.shape[:-1].numel()
    g, x = grad_output.reshape(n, n_out), input.reshape(n, n_in)
    grads = [None, None, None]
    if needed[0]:
        w = weight.reshape(n_out, n_in)
        grads[0] = (g @ w).view(input.shape)  # eq-linear-backward-input
    if needed[1]:
        grads[1] = (g.t() @ x).view(weight.shape)  # eq-linear-backward-weight
    if needed[2]:
        grads[2] = g.sum(0)  # eq-linear-backward-bias
    return tuple(grads)


def _plan(input_size, weight_size, stride, padding, dilation, groups) -> _Grid:
    _check_integer("groups", groups, 1)
    _check_images("input", input_size)
    if len(weight_size) != 4 or 0 in weight_size:
        rule = "weight must have shape (C_out, C_in / groups, K_h, K_w), none of them 0"
        raise ValueError(f"{rule}, got {tuple(weight_size)}")
    if weight_size[0] % groups:
        rule = f"weight must have a multiple of groups = {groups} filters"
        raise ValueError(f"{rule}, got {weight_size[0]}")
    if input_size[-3] != weight_size[1] * groups:
        channels = f"{weight_size[1] * groups} channels to suit weight and groups"
        raise ValueError(f"input must have {channels}, got {input_size[-3]}")
    return _grid(input_size[-2:], weight_size[2:], stride, padding, dilation)


def _grid(size, kernel, stride, padding, dilation) -> _Grid:
    stride, dilation = _pair("stride", stride, 1), _pair("dilation", dilation, 1)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid', got {padding!r}")
        if padding == "same" and stride != (1, 1):
            raise ValueError(f"stride must be 1 with padding='same', got {stride}")
        whole = padding == "same"
        total = [whole * d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        before = [t // 2 for t in total]
    else:
        before = _pair("padding", padding, 0)
        total = [2 * p for p in before]
    pad = (before[1], total[1] - before[1], before[0], total[0] - before[0])
    axes = tuple(zip(size, kernel, stride, total, dilation, strict=True))
    output = tuple(_output_size(*axis) for axis in axes)
    phase = tuple(
        n + d * (k - 1) // s for n, (_, k, s, _, d) in zip(output, axes, strict=True)
    )
    return _Grid(tuple(kernel), stride, dilation, pad, output, phase)


def _pair(name: str, value: Pair, least: int) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(values) not in (1, 2):
        raise ValueError(f"{name} must be an integer or a pair, got {value}")
    for v in values:
        _check_integer(name, v, least)
    return values if len(values) == 2 else values * 2


def _check_integer(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer, at least {least}, got {value}")


def _check_dtypes(**tensors: Tensor | None) -> None:
    first, like = next(iter(tensors.items()))
    for name, x in tensors.items():
        if x is None:
            continue
        if not torch.is_tensor(x) or not x.is_floating_point():
            kind = x.dtype if torch.is_tensor(x) else type(x).__name__
            raise ValueError(f"{name} must be a tensor of a floating dtype, got {kind}")
        if (x.dtype, x.device) != (like.dtype, like.device):
            rule = f"{name} must be {like.dtype} on {like.device}, as {first} is"
            raise ValueError(f"{rule}, got {x.dtype} on {x.device}")


def _check_images(name: str, size: Sequence[int]) -> None:
    if len(size) not in (3, 4) or 0 in size[-3:]:
        rule = f"{name} must have shape (N, C, H, W) or (C, H, W), only N may be 0"
        raise ValueError(f"{rule}, got {tuple(size)}")


def _check_grad_output(grad_output: Tensor, size: Sequence[int]) -> None:
    if grad_output.shape != tuple(size):
        rule = f"grad_output must have the shape of the output, {tuple(size)}"
        raise ValueError(f"{rule}, got {tuple(grad_output.shape)}")


def _check_linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if weight.ndim not in (1, 2):
        rule = "weight must have shape (n_out, n_in) or (n_in,)"
        raise ValueError(f"{rule}, got {tuple(weight.shape)}")
    if input.ndim == 0 or input.shape[-1] != weight.shape[-1]:
        rule = f"input must have shape (*, {weight.shape[-1]}) to suit weight"
        raise ValueError(f"{rule}, got {tuple(input.shape)}")
    if bias is None:
        return
    if weight.ndim == 1:
        shape = tuple(bias.shape)
        raise ValueError(f"bias must be None with a weight of one axis, got {shape}")
    if bias.shape != weight.shape[:1]:
        rule = f"bias must have shape ({len(weight)},) to suit weight"
        raise ValueError(f"{rule}, got {tuple(bias.shape)}")
