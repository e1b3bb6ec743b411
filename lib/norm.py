"""Normalisation: of activations over batches, layers, instances and groups, of weights.

Batch, layer, instance, group and root-mean-square normalisation are one computation;
only the axes over which the mean and the variance are taken differ. One forward and
one backward serve all five. In the book ``weight`` is γ and ``bias`` is β.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class _Layout(NamedTuple):
    """How one member of the family reads its input."""

    shape: tuple[int, int, int, int]  # (N, G, K, L); weight and bias are (1, G, K, 1)
    axes: tuple[int, ...]  # the mean and the variance are taken over these
    centred: bool = True

    @property
    def count(self) -> int:
        """How many values share one mean; 1 where there are none."""
        return max(1, math.prod(self.shape[i] for i in self.axes))

    @property
    def channel(self) -> tuple[int, int, int, int]:
        return (1, *self.shape[1:3], 1)

    @property
    def shared(self) -> tuple[int, ...]:
        """Axes over which neither the statistics nor weight and bias vary."""
        return tuple(i for i in self.axes if self.channel[i] == 1 < self.shape[i])


def _wide(tensor: Tensor) -> Tensor:
    """In float32 at least, where float16 and bfloat16 are summed."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _statistics(input: Tensor, layout: _Layout) -> tuple[Tensor, Tensor]:
    x, n = _wide(input).reshape(layout.shape), layout.count
    if not layout.centred:  # the root mean square is taken about 0
        square = x.square().sum(layout.axes, keepdim=True) / n
        return torch.zeros_like(square), square
    mean = x.sum(layout.axes, keepdim=True) / n  # eq-norm-mean
    # Two passes: E[x²] - E[x]² cancels where the mean is large.
    var = (x - mean).square_().sum(layout.axes, keepdim=True) / n  # eq-norm-variance
    return mean, var


class _Normalise(torch.autograd.Function):
    """(x - mean) / √(var + eps) · weight + bias, where mean and var may belong to x.

    They come in computed, and the first derivative uses them again. Where a graph of
    the derivative is wanted, it computes them anew, as functions of x.
    """

    @staticmethod
    def forward(input, weight, bias, mean, var, layout, eps, fixed):
        x, rstd = _wide(input).reshape(layout.shape), torch.rsqrt(var + eps)
        w = None if weight is None else weight.reshape(layout.channel)
        y = _scale(x - mean, rstd, w, layout)  # eq-norm-standardise
        if bias is not None:
            y.add_(bias.reshape(layout.channel))  # eq-norm-output
        return y.reshape(input.shape).to(input.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        *tensors, ctx.layout, ctx.eps, ctx.fixed = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx, grad_output):
        *tensors, mean, var = ctx.saved_tensors
        options = ctx.layout, ctx.eps, ctx.fixed
        if torch.is_grad_enabled() and not ctx.fixed:
            mean, var = _statistics(tensors[0], ctx.layout)
        needs = ctx.needs_input_grad[:3]
        grads = _gradients(grad_output, *tensors, mean, var, *options, needs)
        return *grads, None, None, None, None, None


def _gradients(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    layout: _Layout,
    eps: float,
    fixed: bool,
    needs: Sequence[bool] = (True, True, True),
) -> Gradients:
    axes, n, grads = layout.axes, layout.count, [None, None, None]
    dy, x = (_wide(t).reshape(layout.shape) for t in (grad_output, input))
    w = None if weight is None else weight.reshape(layout.channel).to(x.dtype)
    rstd = torch.rsqrt(var + eps)
    # Σ dy and Σ dy·z, z = (x - mean)·rstd, first over the axes that all sums share
    if shared := layout.shared:
        sum_dy, sum_dy_x = (t.sum(shared, keepdim=True) for t in (dy, dy * x))
        sum_dy_z = (sum_dy_x - mean * sum_dy) * rstd
    else:
        sum_dy, sum_dy_z = dy, dy * (x - mean).mul_(rstd)
    if needs[1] and w is not None:  # eq-norm-backward-weight
        total = sum_dy_z.sum_to_size(layout.channel)
        grads[1] = total.reshape(weight.shape).to(weight.dtype)
    if needs[2] and bias is not None:  # eq-norm-backward-bias
        total = sum_dy.sum_to_size(layout.channel)
        grads[2] = total.reshape(bias.shape).to(bias.dtype)
    if needs[0]:
        dx = _scale(dy, rstd, w, layout)  # eq-norm-backward-fixed
        if not fixed:
            h, h_z = (_weighted_sum(t, w, axes) / n for t in (sum_dy, sum_dy_z))
            slope = -h_z * rstd * rstd
            shift = -slope * mean - h * rstd if layout.centred else None
            dx = dx.addcmul_(x, slope)  # a·dy + k·x + c: eq-norm-backward-input
            dx = dx if shift is None else dx.add_(shift)
        grads[0] = dx.reshape(input.shape).to(input.dtype)
    return tuple(grads)


def _scale(t: Tensor, rstd: Tensor, w: Tensor | None, layout: _Layout) -> Tensor:
    if w is None:
        return t * rstd
    return t * (rstd * w) if layout.shared else (t * w).mul_(rstd)


def _weighted_sum(t: Tensor, w: Tensor | None, axes: tuple[int, ...]) -> Tensor:
    if w is not None and t.shape[1] == t.shape[3] == 1:  # rows: a matrix product
        return (t[:, 0, :, 0] @ w.flatten())[:, None, None, None]
    return (t if w is None else t * w).sum(axes, keepdim=True)


def _forward(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    layout: _Layout,
    eps: float,
    running: tuple[Tensor, Tensor] | None = None,
    momentum: float | None = None,
) -> Tensor:
    """Normalise by the input's statistics, or by ``running`` if momentum is None."""
    fixed = running is not None and momentum is None
    with torch.no_grad():
        if fixed:
            mean, var = (_wide(t).reshape(layout.channel) for t in running)
        else:
            mean, var = _statistics(input.detach(), layout)
        if not fixed and running is not None and input.numel() > 0:
            n = layout.count
            unbiased = var * (n / (n - 1))  # eq-norm-running-variance
            for old, new in zip(running, (mean, unbiased), strict=True):
                new = new.reshape(-1, len(old)).mean(0)  # the instances' mean
                old.copy_(torch.lerp(_wide(old), new, momentum))  # eq-norm-running
    return _Normalise.apply(input, weight, bias, mean, var, layout, eps, fixed)


def _backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    layout: _Layout,
    eps: float,
    running: tuple[Tensor, Tensor] | None = None,
) -> Gradients:
    _check(
        tuple(grad_output.shape) == tuple(input.shape),
        "grad_output",
        f"have the shape of input, {tuple(input.shape)}",
        tuple(grad_output.shape),
    )
    if running is None:
        stats = _statistics(input, layout)
    else:
        stats = [_wide(t).reshape(layout.channel) for t in running]
    fixed = running is not None
    return _gradients(grad_output, input, weight, bias, *stats, layout, eps, fixed)


def _check(holds: bool, name: str, rule: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name} must {rule}, got {got}")


def _check_floating(**tensors: object) -> None:
    for name, t in tensors.items():
        ok = torch.is_tensor(t) and t.is_floating_point()
        got = t.dtype if torch.is_tensor(t) else type(t).__name__
        _check(ok, name, "be a tensor of a floating dtype", got)


def _check_parameters(
    input: Tensor, shape: Sequence[int], *, mixed: bool = False, **tensors: Tensor
) -> None:
    """``mixed`` allows every floating dtype, as torch's rms_norm does."""
    given = {name: t for name, t in tensors.items() if t is not None}
    _check_floating(**given)
    half = input.dtype in (torch.float16, torch.bfloat16)
    allowed = {input.dtype, torch.float32} if half else {input.dtype}
    first = next(iter(given.values()), input).dtype
    for name, t in given.items():
        got = tuple(t.shape)
        _check(got == tuple(shape), name, f"have shape {tuple(shape)}", got)
        if not mixed:
            rule = f"have the dtype of input, {input.dtype}"
            rule += ", or float32" if half else ""
            _check(t.dtype in allowed, name, rule, t.dtype)
            rule = f"have the dtype of the other parameters, {first}"
            _check(t.dtype == first, name, rule, t.dtype)


def _check_channels(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    training: bool,
    switch: str,
) -> tuple[Tensor, Tensor] | None:
    """Check what batch and instance normalisation share; return the running pair."""
    _check_floating(input=input)
    _check(input.ndim >= 2, "input", "have at least 2 axes", tuple(input.shape))
    _check(eps >= 0, "eps", "be non-negative", eps)
    running = {"running_mean": running_mean, "running_var": running_var}
    none = [t is None for t in running.values()]
    _check(
        none[0] == none[1],
        "running_mean and running_var",
        "both be given or both be None",
        ["a tensor" if t is not None else None for t in running.values()],
    )
    if not training:
        rule = f"be given unless {switch}"
        _check(not none[0], "running_mean and running_var", rule, None)
    shape = input.shape[1:2]
    _check_parameters(input, shape, weight=weight, bias=bias, **running)
    if none[0]:
        return None
    for name, t in running.items():
        asks = t.requires_grad and torch.is_grad_enabled()
        _check(not asks, name, "not require a gradient", "requires_grad=True")
    return running_mean, running_var


def _batch(input, running_mean, running_var, weight, bias, training, eps):
    running = _check_channels(
        input, running_mean, running_var, weight, bias, eps, training, "training"
    )
    n, c, *rest = input.shape
    if training:
        _check(eps > 0, "eps", "be positive in training", eps)
        ok = n * math.prod(rest) != 1
        rule = "have more than 1 value per channel in training"
        _check(ok, "input", rule, f"shape {tuple(input.shape)}")
    return _Layout((n, c, 1, math.prod(rest)), (0, 2, 3)), running


def _instance(input, running_mean, running_var, weight, bias, use_input_stats, eps):
    switch = "use_input_stats"
    running = _check_channels(
        input, running_mean, running_var, weight, bias, eps, use_input_stats, switch
    )
    n, c, *rest = input.shape
    if use_input_stats:
        ok, rule = math.prod(rest) != 1, "have more than 1 spatial element"
        _check(ok, "input", rule, f"shape {tuple(input.shape)}")
    return _Layout((n, c, 1, math.prod(rest)), (2, 3)), running


def _group(input, num_groups, weight, bias, eps):
    _check_floating(input=input)
    _check(input.ndim >= 2, "input", "have at least 2 axes", tuple(input.shape))
    _check(eps >= 0, "eps", "be non-negative", eps)
    n, c, *rest = input.shape
    ok = num_groups > 0 and c % num_groups == 0
    _check(ok, "num_groups", f"divide the number of channels, {c}", num_groups)
    ok = n * c // num_groups * math.prod(rest) != 1
    _check(ok, "input", "have more than 1 value per group", f"shape {(n, c, *rest)}")
    _check_parameters(input, (c,), weight=weight, bias=bias)
    return _Layout((n, num_groups, c // num_groups, math.prod(rest)), (2, 3))


def _layer(input, normalized_shape, weight, bias, eps, centred=True):
    _check_floating(input=input)
    _check(eps >= 0, "eps", "be non-negative", eps)
    shape = tuple(normalized_shape)
    _check(len(shape) > 0, "normalized_shape", "have at least one axis", shape)
    ok = tuple(input.shape[-len(shape) :]) == shape
    rule = f"be the last axes of input, of shape {tuple(input.shape)}"
    _check(ok, "normalized_shape", rule, shape)
    parameters = {"weight": weight, "bias": bias}
    _check_parameters(input, shape, mixed=not centred, **parameters)
    rows, size = math.prod(input.shape[: -len(shape)]), math.prod(shape)
    return _Layout((rows, 1, size, 1), (2, 3), centred)


def _rms(input, normalized_shape, weight, eps):
    _check_floating(input=input)
    if eps is None:
        eps = torch.finfo(torch.promote_types(input.dtype, torch.float32)).eps
    return _layer(input, normalized_shape, weight, None, eps, centred=False), eps


def batch_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Gradients:
    r"""Gradient of :func:`batch_norm`; arguments as there.

    With h = γ · dy, z the normalised input and means over what shares a statistic:

    .. math::

        dx = \frac{h - \overline{h} - z\,\overline{h z}}{\sqrt{\sigma^2 + \epsilon}},
        \quad d\gamma = \sum dy\, z, \qquad d\beta = \sum dy

    Returns:
        Gradients with respect to ``input``, ``weight`` and ``bias``, None where that
        is None. The running statistics are left as they are.

    References:
        Ioffe and Szegedy (2015), arXiv:1502.03167, section 3; equation
        ``eq-norm-backward-input``.
    """
    layout, running = _batch(
        input, running_mean, running_var, weight, bias, training, eps
    )
    known = None if training else running
    return _backward(grad_output, input, weight, bias, layout, eps, known)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    r"""Batch normalisation: each channel gets mean 0 and variance 1 over the batch.

    .. math:: y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    In training μ and σ² are those of the batch, σ² with 1/n; the running statistics
    are moved towards them in place, the running variance with 1/(n - 1). Otherwise
    they are the running statistics. An empty batch leaves these alone.

    Args:
        input: What is normalised.
        running_mean: Running mean; None to keep none (in training only).
        running_var: Running variance, likewise.
        weight: Scale γ; None for 1.
        bias: Shift β; None for 0.
        training: Normalise by the batch, and update the running statistics.
        momentum: Weight of the **new** value in the running statistics.
        eps: Added to the variance; positive in training.

    Shape:
        - input: ``(N, C, *)``; the result has the same.
        - running_mean, running_var, weight, bias: ``(C,)``, of one dtype, the input's
          or, if that is float16 or bfloat16, float32.

    Raises:
        ValueError: A shape, dtype or ``eps`` is wrong, a running statistic is missing
            or requires a gradient, or in training a channel has only one value.

    References:
        Ioffe and Szegedy (2015), arXiv:1502.03167, algorithms 1 and 2; equations
        ``eq-norm-output`` and ``eq-norm-running``.
    """
    layout, running = _batch(
        input, running_mean, running_var, weight, bias, training, eps
    )
    update = momentum if training else None
    return _forward(input, weight, bias, layout, eps, running, update)


def layer_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Gradients:
    """Gradient of :func:`layer_norm`; arguments as there.

    Returns:
        Gradients with respect to ``input``, ``weight`` and ``bias``, None where that
        is None; the formula is that of :func:`batch_norm_backward`.
    """
    layout = _layer(input, normalized_shape, weight, bias, eps)
    return _backward(grad_output, input, weight, bias, layout, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation: each example gets mean 0 and variance 1 over its last axes.

    The formula is that of :func:`batch_norm` in training, over other axes.

    Args:
        input: What is normalised.
        normalized_shape: Sizes of the last axes, over which the mean is taken.
        weight: Scale γ of each element; None for 1.
        bias: Shift β of each element; None for 0.
        eps: Added to the variance.

    Shape:
        - input: ``(*, *normalized_shape)``; the result has the same.
        - weight, bias: ``normalized_shape``.

    Raises:
        ValueError: A shape or a dtype is wrong, or ``eps`` is negative.

    References:
        Ba, Kiros and Hinton (2016), arXiv:1607.06450; equation ``eq-norm-output``.
    """
    layout = _layer(input, normalized_shape, weight, bias, eps)
    return _forward(input, weight, bias, layout, eps)


def instance_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Gradients:
    """Gradient of :func:`instance_norm`; arguments as there.

    Returns:
        Gradients with respect to ``input``, ``weight`` and ``bias``, None where that
        is None; the formula is that of :func:`batch_norm_backward`.
    """
    layout, running = _instance(
        input, running_mean, running_var, weight, bias, use_input_stats, eps
    )
    known = None if use_input_stats else running
    return _backward(grad_output, input, weight, bias, layout, eps, known)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalisation: each channel of each example gets mean 0, variance 1.

    The formula is that of :func:`batch_norm`, over other axes; the running statistics
    move towards the mean over the batch of the instances' statistics.

    Args:
        input: What is normalised.
        running_mean: Running mean; None to keep none.
        running_var: Running variance, likewise.
        weight: Scale γ; None for 1.
        bias: Shift β; None for 0.
        use_input_stats: Normalise by the input, and update the running statistics;
            otherwise normalise by these.
        momentum: Weight of the **new** value in the running statistics.
        eps: Added to the variance.

    Shape:
        - input: ``(N, C, *)``; the result has the same.
        - running_mean, running_var, weight, bias: ``(C,)``.

    Raises:
        ValueError: A shape, dtype or ``eps`` is wrong, a running statistic is missing
            or requires a gradient, or an instance has only one value.

    Differs from PyTorch:
        An empty batch leaves the running statistics alone; there they become NaN.

    References:
        Ulyanov, Vedaldi and Lempitsky (2016), arXiv:1607.08022; equation
        ``eq-norm-output``.
    """
    layout, running = _instance(
        input, running_mean, running_var, weight, bias, use_input_stats, eps
    )
    update = momentum if use_input_stats else None
    return _forward(input, weight, bias, layout, eps, running, update)


def group_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Gradients:
    """Gradient of :func:`group_norm`; arguments as there.

    Returns:
        Gradients with respect to ``input``, ``weight`` and ``bias``, None where that
        is None; the formula is that of :func:`batch_norm_backward`.
    """
    layout = _group(input, num_groups, weight, bias, eps)
    return _backward(grad_output, input, weight, bias, layout, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Group normalisation: each group of channels of each example, mean 0, variance 1.

    The formula is that of :func:`batch_norm` in training, over other axes. One group
    has the statistics of :func:`layer_norm`, but γ and β belong to a channel; as many
    groups as channels are :func:`instance_norm`.

    Args:
        input: What is normalised.
        num_groups: Number of groups; divides C.
        weight: Scale γ of each channel; None for 1.
        bias: Shift β of each channel; None for 0.
        eps: Added to the variance.

    Shape:
        - input: ``(N, C, *)``; the result has the same.
        - weight, bias: ``(C,)``.

    Raises:
        ValueError: A shape or a dtype is wrong, ``eps`` is negative, ``num_groups``
            does not divide C, or there is only one value in each group of the batch.

    References:
        Wu and He (2018), arXiv:1803.08494; equation ``eq-norm-output``.
    """
    layout = _group(input, num_groups, weight, bias, eps)
    return _forward(input, weight, bias, layout, eps)


def rms_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Gradient of :func:`rms_norm`; arguments as there.

    Returns:
        Gradients with respect to ``input`` and ``weight``, None where that is None;
        the formula is that of :func:`batch_norm_backward` without the mean of h.
    """
    layout, eps = _rms(input, normalized_shape, weight, eps)
    return _backward(grad_output, input, weight, None, layout, eps)[:2]


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    r"""Root-mean-square normalisation: layer normalisation without centring.

    .. math:: y = \gamma\, \frac{x}{\sqrt{\overline{x^2} + \epsilon}}

    Args:
        input: What is normalised.
        normalized_shape: Sizes of the last axes, over which the mean is taken.
        weight: Scale γ of each element, of any floating dtype; None for 1.
        eps: Added to the mean square; None for the machine epsilon of the dtype in
            which it is computed (float32 where the input is float16 or bfloat16).

    Shape:
        - input: ``(*, *normalized_shape)``; the result has the same.
        - weight: ``normalized_shape``.

    Raises:
        ValueError: A shape or a dtype is wrong, or ``eps`` is negative.

    References:
        Zhang and Sennrich (2019), arXiv:1910.07467; equation ``eq-norm-output``.
    """
    layout, eps = _rms(input, normalized_shape, weight, eps)
    return _forward(input, weight, None, layout, eps)


class _Formula(torch.autograd.Function):
    """A function with its backward, both made of differentiable operations."""

    @staticmethod
    def forward(function, backward, option, *tensors):
        return function(*tensors, option)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.formula, ctx.option, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx, grad_output):
        grads = ctx.formula(grad_output, *ctx.saved_tensors, ctx.option)
        needs = ctx.needs_input_grad[3:]
        return (
            None,
            None,
            None,
            *(g if need else None for g, need in zip(grads, needs, strict=True)),
        )


def _length(v: Tensor, dim: int | None) -> Tensor:
    axes = tuple(i for i in range(v.ndim) if i != dim)
    if not axes:  # one axis, a length for each element; () would mean all axes
        return v.abs()
    return torch.linalg.vector_norm(v, dim=axes, keepdim=dim is not None)


def _check_weight_norm(v: Tensor, g: Tensor, dim: int | None) -> None:
    _check_floating(v=v, g=g)
    _check(v.ndim > 0, "v", "have at least one axis", "shape ()")
    ok = dim is None or 0 <= dim < v.ndim
    _check(ok, "dim", f"be None or an axis from 0 to {v.ndim - 1}", dim)
    shape = tuple(s if i == dim else 1 for i, s in enumerate(v.shape))
    shape = () if dim is None else shape
    _check(tuple(g.shape) == shape, "g", f"have shape {shape}", tuple(g.shape))
    _check(g.dtype == v.dtype, "g", f"have the dtype of v, {v.dtype}", g.dtype)


def weight_norm_backward(
    grad_output: Tensor, v: Tensor, g: Tensor, dim: int | None = 0
) -> tuple[Tensor, Tensor]:
    r"""Gradient of :func:`weight_norm`; arguments as there.

    .. math::

        dg = \frac{dw \cdot v}{\lVert v \rVert}, \qquad
        dv = \frac{g}{\lVert v \rVert}\, dw - \frac{g\, dg}{\lVert v \rVert^2}\, v

    Returns:
        Gradients with respect to ``v`` and ``g``.

    References:
        Salimans and Kingma (2016), arXiv:1602.07868, eq. (3); equation
        ``eq-weight-norm-backward``.
    """
    _check_weight_norm(v, g, dim)
    dw, wide_v, wide_g = _wide(grad_output), _wide(v), _wide(g)
    length = _length(wide_v, dim)
    unit = wide_v / length
    grad_g = (dw * unit).sum_to_size(g.shape)  # eq-weight-norm-backward
    grad_v = wide_g / length * (dw - grad_g * unit)
    return grad_v.to(v.dtype), grad_g.to(g.dtype)


def _weight_norm(v: Tensor, g: Tensor, dim: int | None) -> Tensor:
    wide = _wide(v)
    return (wide * (_wide(g) / _length(wide, dim))).to(v.dtype)  # eq-weight-norm


def weight_norm(v: Tensor, g: Tensor, dim: int | None = 0) -> Tensor:
    r"""Weight normalisation: a weight from its direction v and its length g.

    .. math:: w = g\, \frac{v}{\lVert v \rVert}

    Args:
        v: Direction, of any length but 0 (which gives NaN, as in torch).
        g: Length of each slice of the weight.
        dim: The axis that numbers the slices; None for one length in all.

    Shape:
        - v: any with an axis; the result has the same.
        - g: that of v with every axis but ``dim`` of size 1; ``()`` if dim is None.

    Raises:
        ValueError: ``v`` or ``g`` is not floating or has the wrong shape, or ``dim``
            is not an axis.

    References:
        Salimans and Kingma (2016), arXiv:1602.07868, eq. (2); equation
        ``eq-weight-norm``.
    """
    _check_weight_norm(v, g, dim)
    return _Formula.apply(_weight_norm, weight_norm_backward, dim, v, g)


def _check_cosine(input: Tensor, weight: Tensor, eps: float) -> None:
    _check_floating(input=input, weight=weight)
    _check(input.ndim > 0, "input", "have at least one axis", "shape ()")
    ok = weight.ndim == 2 and weight.shape[1] == input.shape[-1]
    rule = f"have shape (out, {input.shape[-1]})"
    _check(ok, "weight", rule, tuple(weight.shape))
    rule = f"have the dtype of input, {input.dtype}"
    _check(weight.dtype == input.dtype, "weight", rule, weight.dtype)
    _check(eps > 0, "eps", "be positive", eps)


def cosine_linear_backward(
    grad_output: Tensor, input: Tensor, weight: Tensor, eps: float = 1e-8
) -> tuple[Tensor, Tensor]:
    r"""Gradient of :func:`cosine_linear`; arguments as there.

    With x̂ = x / ‖x‖ and ŵ likewise, of each row of the input:

    .. math::

        dx = \frac{1}{\lVert x \rVert} \bigl(d\hat x - (d\hat x \cdot \hat x)\,
        \hat x\bigr), \qquad d\hat x = \sum_j dy_j\, \hat w_j

    A length below ``eps`` counts as the constant ``eps``, and the second term is 0.

    Returns:
        Gradients with respect to ``input`` and ``weight``.

    References:
        Equation ``eq-cosine-backward``.
    """
    _check_cosine(input, weight, eps)
    dy = _wide(grad_output).reshape(-1, weight.shape[0])
    x, w = _wide(input).reshape(-1, weight.shape[1]), _wide(weight)
    grads = []
    for a, b, s in ((x, w, dy), (w, x, dy.T)):
        length, scale = (_length(a, 0), _length(b, 0).clamp(min=eps))
        unit = a / length.clamp(min=eps)
        grad = s @ (b / scale)
        along = (grad * unit).sum(1, keepdim=True) * (length > eps)
        grads.append(
            (grad - along * unit) / length.clamp(min=eps)
        )  # eq-cosine-backward
    return grads[0].reshape(input.shape).to(input.dtype), grads[1].to(weight.dtype)


def _cosine_linear(input: Tensor, weight: Tensor, eps: float) -> Tensor:
    x, w = _wide(input), _wide(weight)
    x_length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=eps)
    unit = w / _length(w, 0).clamp(min=eps)
    return (x / x_length @ unit.T).to(input.dtype)  # eq-cosine-linear


def cosine_linear(input: Tensor, weight: Tensor, eps: float = 1e-8) -> Tensor:
    r"""Cosine normalisation: a linear layer that gives cosines for products.

    .. math::

        y_j = \frac{x \cdot w_j}{\max(\lVert x \rVert, \epsilon)
        \max(\lVert w_j \rVert, \epsilon)}

    Args:
        input: What comes into the layer.
        weight: One row for each output.
        eps: Least length that is divided by.

    Shape:
        - input: ``(*, in)``.
        - weight: ``(out, in)``; the result is ``(*, out)``.

    Raises:
        ValueError: ``input`` or ``weight`` is not floating, their shapes or dtypes do
            not match, or ``eps`` is not positive.

    References:
        Luo et al. (2017), arXiv:1702.05870, eq. (2); equation ``eq-cosine-linear``.
    """
    _check_cosine(input, weight, eps)
    return _Formula.apply(_cosine_linear, cosine_linear_backward, eps, input, weight)


def _principal_axes(data: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, axes (as columns, the widest first) and 1 / √(variance + eps) of data."""
    _check_floating(data=data)
    ok = data.ndim == 2 and len(data) >= 2
    _check(ok, "data", "have shape (n, d), n >= 2", tuple(data.shape))
    _check(eps >= 0, "eps", "be non-negative", eps)
    wide = _wide(data.detach())
    mean = wide.mean(0)
    centred = wide - mean
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(data))
    variance, axes = variance.flip(0).clamp(min=0), axes.flip(1)
    least = (
        variance[-1:].sum()
        + eps
        - len(variance) * torch.finfo(wide.dtype).eps * variance[:1].sum()
    )
    rule = "vary in every direction where eps is 0"
    _check(eps > 0 or bool(least > 0), "data", rule, f"least variance {variance[-1:]}")
    # eigh leaves the sign open: make the largest component of each axis positive
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True)) if len(axes) else 1
    return mean, axes * torch.sign(largest), torch.rsqrt(variance + eps)


def pca_whitening(data: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    r"""Fit PCA whitening: ``(x - mean) @ transform.T`` has covariance 1.

    .. math::

        \Sigma = U \Lambda U^\top, \qquad W = (\Lambda + \epsilon)^{-1/2}\, U^\top

    The first coordinate belongs to the axis of largest variance; the largest component
    of each axis is positive. Covariances are taken with 1/n. It is a fit, not a layer:
    no gradient flows to ``data``.

    Args:
        data: The observations to fit.
        eps: Added to each variance.

    Shape:
        - data: ``(n, d)``, n at least 2.

    Returns:
        The mean ``(d,)`` and the transform ``(d, d)``, of the dtype of ``data``.

    Raises:
        ValueError: ``data`` is not floating or has the wrong shape, ``eps`` is
            negative, or it is 0 and some direction of ``data`` has no variance.

    References:
        Equation ``eq-whitening-pca``.
    """
    mean, axes, scale = _principal_axes(data, eps)
    transform = scale[:, None] * axes.T  # eq-whitening-pca
    return mean.to(data.dtype), transform.to(data.dtype)


def zca_whitening(data: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    r"""Fit ZCA whitening: ``(x - mean) @ transform.T``, white and nearest to x.

    .. math::

        W = U\, (\Lambda + \epsilon)^{-1/2}\, U^\top = (\Sigma + \epsilon I)^{-1/2}

    Args:
        data: The observations to fit; see :func:`pca_whitening`.
        eps: Added to each variance.

    Shape:
        - data: ``(n, d)``, n at least 2.

    Returns:
        The mean ``(d,)`` and the symmetric transform ``(d, d)``.

    Raises:
        ValueError: As :func:`pca_whitening`.

    References:
        Bell and Sejnowski (1997); equation ``eq-whitening-zca``.
    """
    mean, axes, scale = _principal_axes(data, eps)
    transform = axes * scale @ axes.T  # eq-whitening-zca
    return mean.to(data.dtype), transform.to(data.dtype)


def fold_batch_norm(
    weight: Tensor,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    r"""Fold a batch normalisation into the convolution or linear layer before it.

    .. math::

        w' = s\, w, \qquad b' = s\, (b - \mu) + \beta, \qquad
        s = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}

    Args:
        weight: Of the layer, outputs first (not a transposed convolution's).
        bias: Of the layer; None for 0.
        running_mean: Running mean μ of the normalisation.
        running_var: Its running variance σ².
        gamma: Its scale; None for 1.
        beta: Its shift; None for 0.
        eps: Added to the variance.

    Shape:
        - weight: ``(C, *)``.
        - bias, running_mean, running_var, gamma, beta: ``(C,)``.

    Returns:
        Weight and bias of a layer that gives what the two gave in evaluation. They
        are differentiable by torch's own rules.

    Raises:
        ValueError: A tensor is not floating or has the wrong shape, or ``eps`` is
            negative.

    References:
        Equation ``eq-fold-batch-norm``.
    """
    _check_floating(weight=weight, running_mean=running_mean, running_var=running_var)
    _check(weight.ndim >= 2, "weight", "have at least 2 axes", tuple(weight.shape))
    _check(eps >= 0, "eps", "be non-negative", eps)
    _check_parameters(
        weight,
        weight.shape[:1],
        mixed=True,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
        gamma=gamma,
        beta=beta,
    )
    scale = torch.rsqrt(_wide(running_var) + eps)  # eq-fold-batch-norm
    scale = scale if gamma is None else scale * gamma
    shift = -running_mean * scale if bias is None else (bias - running_mean) * scale
    shift = shift if beta is None else shift + beta
    folded = weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    return folded.to(weight.dtype), shift.to(weight.dtype)
