"""Normalisation over batches, layers, instances and groups.

Batch, layer, instance, group and root-mean-square normalisation are one computation;
only the axes over which the mean and the variance are taken differ. One forward and
one backward serve all five. In the book ``weight`` is γ and ``bias`` is β.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lib._function import check, check_floating, check_shape, widen

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class _Layout(NamedTuple):
    """How one member of the family reads its input: as (N, G, K, L)."""

    shape: tuple[int, int, int, int]
    channel: tuple[int, int, int, int]  # of weight and bias: (1, G, K, 1)
    axes: tuple[int, ...]  # one mean and one variance are taken over these
    inner: tuple[int, ...]  # those of them over which weight and bias do not vary
    count: int  # how many values share one mean; 1 where there are none
    block: int  # examples that are worked on at a time: they fit into a CPU's cache
    centred: bool


def _layout(
    shape: tuple[int, int, int, int], axes: tuple[int, ...], centred: bool = True
) -> _Layout:
    n, g, k, size = shape
    count = math.prod([shape[i] for i in axes])
    inner = tuple([i for i in axes if i != 2 and shape[i] > 1])
    block = n if 0 in axes else 2**19 // max(1, g * k * size)
    channel = 1, g, k, 1
    return _Layout(shape, channel, axes, inner, max(1, count), max(1, block), centred)


def _whole(layout: _Layout) -> bool:
    """Whether all examples are worked on at once."""
    return layout.shape[0] <= layout.block or torch.is_grad_enabled()


def _blockwise(function: Callable, layout: _Layout, *tensors: Tensor) -> Sequence:
    if _whole(layout):
        return function(*tensors)
    blocks = zip(*(t.split(layout.block) for t in tensors), strict=True)
    return [torch.cat(t) for t in zip(*(function(*b) for b in blocks), strict=True)]


def _statistics(
    x: Tensor, layout: _Layout, eps: float, deviation: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, biased variance and 1 / √(variance + eps); ``deviation`` takes x - mean.

    In two passes: E[x²] - E[x]² cancels where the mean is large.
    """
    axes, n = layout.axes, layout.count
    # eq-norm-mean; the root mean square is taken about 0
    mean = x.sum(axes, True) / n if layout.centred else x.new_zeros(len(x), 1, 1, 1)
    d = torch.sub(x, mean, out=deviation)
    var = (d * d).sum(axes, True) / n  # eq-norm-variance
    return mean, var, torch.rsqrt(var + eps)


def _affine_(
    y: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor | None, layout: _Layout
) -> None:
    """Turn deviations into the output, in place."""
    if layout.inner:
        y.mul_(rstd * weight)  # the smaller product first
    else:
        y.mul_(rstd).mul_(weight)  # eq-norm-standardise
    if bias is not None:
        y.add_(bias)  # eq-norm-output


def _gradients(
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor,
    layout: _Layout,
    fixed: bool,
    dx: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to weight and bias, and to x, which ``dx`` takes."""
    axes, inner = layout.axes, layout.inner
    if inner:
        sum_dy, sum_dy_x = dy.sum(inner, True), (dy * x).sum(inner, True)
        sum_dy_z = (sum_dy_x - mean * sum_dy) * rstd
        h = weight * sum_dy
        dx = torch.mul(dy, rstd * weight, out=dx)  # eq-norm-backward-fixed
    else:
        sum_dy, sum_dy_z = dy, (x - mean).mul_(rstd).mul_(dy)
        h = weight * dy
        dx = torch.mul(h, rstd, out=dx)
    if not fixed:
        share = rstd / layout.count
        slope = (weight * sum_dy_z).sum(axes, True) * (share * rstd)
        shift = slope * mean
        if layout.centred:
            shift -= h.sum(axes, True) * share
        dx = dx.addcmul_(x, slope, value=-1).add_(shift)  # eq-norm-backward-input
    # eq-norm-backward-weight, eq-norm-backward-bias
    dw, db = (t.sum_to_size(layout.channel) for t in (sum_dy_z, sum_dy))
    return dw, db, dx


def _backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
    layout: _Layout,
    fixed: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    w = weight.reshape(layout.channel)
    tensors = *(t.reshape(layout.shape) for t in (grad_output, input)), mean, rstd
    if fixed or _whole(layout):
        dw, db, dx = _gradients(*tensors, w, layout, fixed)
        return dx.reshape(input.shape), dw.view(weight.shape), db.view(weight.shape)
    dx = input.new_empty(layout.shape)

    def gradients(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return _gradients(*tensors[:4], w, layout, fixed, tensors[4])[:2]

    parts = _blockwise(gradients, layout, *tensors, dx)
    dw, db = (t.view(-1, *weight.shape).sum(0) for t in parts)
    return dx.view(input.shape), dw, db


class _Normalise(torch.autograd.Function):
    """Normalise by fixed statistics, or by the input's own, told to ``update``."""

    @staticmethod
    def forward(ctx, input, weight, bias, layout, eps, fixed, update):
        x, w = input.reshape(layout.shape), weight.reshape(layout.channel)
        b = None if bias is None else bias.reshape(layout.channel)
        output = input.new_empty(input.shape)
        y = output.view(layout.shape)

        def normalise(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, var, rstd = _statistics(x, layout, eps, y)
            _affine_(y, rstd, w, b, layout)
            return mean, var, rstd

        if fixed is None:
            mean, var, rstd = _blockwise(normalise, layout, x, y)
            if update is not None:
                update(mean, var)
        else:
            mean, rstd = _fixed(fixed, layout, eps)
            _affine_(torch.sub(x, mean, out=y), rstd, w, b, layout)
        ctx.options = layout, eps, fixed is not None
        ctx.save_for_backward(input, weight, mean, rstd)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, mean, rstd = ctx.saved_tensors
        layout, eps, fixed = ctx.options
        if torch.is_grad_enabled() and not fixed:  # they are functions of the input
            mean, _, rstd = _statistics(input.reshape(layout.shape), layout, eps)
        dx, dw, db = _backward(grad_output, input, weight, mean, rstd, layout, fixed)
        return dx, dw, db if ctx.needs_input_grad[2] else None, None, None, None, None


def _fixed(
    fixed: tuple[Tensor, Tensor], layout: _Layout, eps: float
) -> tuple[Tensor, Tensor]:
    mean, var = (widen(t).reshape(layout.channel) for t in fixed)
    return mean, torch.rsqrt(var + eps)


def _weight(
    weight: Tensor | None, bias: Tensor | None, layout: _Layout, x: Tensor
) -> Tensor:
    if weight is not None:
        return widen(weight)
    return x.new_ones(layout.channel if bias is None else bias.shape)


def _normalise(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    layout: _Layout,
    eps: float,
    fixed: tuple[Tensor, Tensor] | None = None,
    update: Callable | None = None,
) -> Tensor:
    x = widen(input)
    w = _weight(weight, bias, layout, x)
    y = _Normalise.apply(x, w, widen(bias), layout, eps, fixed, update)
    return y if y.dtype == input.dtype else y.to(input.dtype)


def _derivative(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    layout: _Layout,
    eps: float,
    fixed: tuple[Tensor, Tensor] | None = None,
) -> Gradients:
    check_shape("grad_output", grad_output, input.shape)
    x = widen(input)
    w = _weight(weight, bias, layout, x)
    if fixed is None:
        mean, _, rstd = _statistics(x.reshape(layout.shape), layout, eps)
    else:
        mean, rstd = _fixed(fixed, layout, eps)
    known = fixed is not None
    grads = _backward(widen(grad_output), x, w, mean, rstd, layout, known)
    pairs = zip(grads, (input, weight, bias), strict=True)
    return tuple(None if t is None else g.view(t.shape).to(t.dtype) for g, t in pairs)


def _updater(
    running: tuple[Tensor, Tensor] | None, layout: _Layout, momentum: float
) -> Callable | None:
    """What moves the running statistics, in place, towards those of a batch."""
    if running is None or 0 in layout.shape:
        return None
    n = layout.count

    def update(mean: Tensor, var: Tensor) -> None:
        unbiased = var * (n / (n - 1))  # eq-norm-running-variance
        for old, new in zip(running, (mean, unbiased), strict=True):
            new = new if len(new) == 1 else new.mean(0)  # of the instances
            old.lerp_(new.view(old.shape).to(old.dtype), momentum)  # eq-norm-running

    return update


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
    fixed = None if training else running
    return _derivative(grad_output, input, weight, bias, layout, eps, fixed)


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
    fixed = None if training else running
    update = _updater(running, layout, momentum) if training else None
    return _normalise(input, weight, bias, layout, eps, fixed, update)


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
    return _derivative(grad_output, input, weight, bias, layout, eps)


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
    return _normalise(input, weight, bias, layout, eps)


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
    fixed = None if use_input_stats else running
    return _derivative(grad_output, input, weight, bias, layout, eps, fixed)


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
    fixed = None if use_input_stats else running
    update = _updater(running, layout, momentum) if use_input_stats else None
    return _normalise(input, weight, bias, layout, eps, fixed, update)


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
    return _derivative(grad_output, input, weight, bias, layout, eps)


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
    return _normalise(input, weight, bias, layout, eps)


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
    return _derivative(grad_output, input, weight, None, layout, eps)[:2]


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
    return _normalise(input, weight, None, layout, eps)


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
    check_floating(weight=weight, running_mean=running_mean, running_var=running_var)
    check(weight.ndim >= 2, "weight", "have at least 2 axes", tuple(weight.shape))
    check(eps >= 0, "eps", "be non-negative", eps)
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
    scale = torch.rsqrt(widen(running_var) + eps)  # eq-fold-batch-norm
    scale = scale if gamma is None else scale * gamma
    shift = -running_mean * scale if bias is None else (bias - running_mean) * scale
    shift = shift if beta is None else shift + beta
    folded = weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    return folded.to(weight.dtype), shift.to(weight.dtype)


def _check_parameters(
    input: Tensor, shape: Sequence[int], *, mixed: bool = False, **tensors: Tensor
) -> None:
    """``mixed`` allows every floating dtype, as torch's rms_norm does."""
    check_floating(**tensors)
    given = {name: t for name, t in tensors.items() if t is not None}
    for name, t in given.items():
        check_shape(name, t, shape)
    kinds = {t.dtype for t in given.values()}
    if not mixed and kinds and kinds != {input.dtype}:
        half = input.dtype in (torch.float16, torch.bfloat16)
        rule = f"have the dtype of input, {input.dtype}" + ", or float32" * half
        allowed = {input.dtype, torch.float32} if half else {input.dtype}
        for name, t in given.items():
            check(t.dtype in allowed, name, rule, t.dtype)
        check(len(kinds) == 1, " and ".join(given), "have one dtype", kinds)


def _check_input(input: Tensor, eps: float) -> None:
    check_floating(input=input)
    check(input.ndim >= 2, "input", "have at least 2 axes", input.shape)
    check(eps >= 0, "eps", "be non-negative", eps)


def _channels(
    input, running_mean, running_var, weight, bias, own: bool, eps
) -> tuple[Tensor, Tensor] | None:
    """Check what batch and instance normalisation share; return the running pair."""
    _check_input(input, eps)
    pair = {"running_mean": running_mean, "running_var": running_var}
    missing = [name for name, t in pair.items() if t is None]
    rule = "both be given, or both be None where the input's own statistics are used"
    ok = not missing or (own and len(missing) == 2)
    check(ok, "running_mean and running_var", rule, f"no {' and no '.join(missing)}")
    _check_parameters(input, input.shape[1:2], weight=weight, bias=bias, **pair)
    if missing:
        return None
    for name, t in pair.items():
        asks = t.requires_grad and torch.is_grad_enabled()
        check(not asks, name, "not require a gradient", "requires_grad=True")
    return running_mean, running_var


def _batch(input, running_mean, running_var, weight, bias, training, eps):
    tensors = running_mean, running_var, weight, bias
    running = _channels(input, *tensors, training, eps)
    n, c, *rest = input.shape
    if training:
        check(eps > 0, "eps", "be positive in training", eps)
        rule = "have more than 1 value per channel in training"
        check(n * math.prod(rest) != 1, "input", rule, input.shape)
    return _layout((n, 1, c, math.prod(rest)), (0, 3)), running


def _instance(input, running_mean, running_var, weight, bias, use_input_stats, eps):
    tensors = running_mean, running_var, weight, bias
    running = _channels(input, *tensors, use_input_stats, eps)
    n, c, *rest = input.shape
    if not use_input_stats:  # all instances have the same statistics
        return _layout((n, 1, c, math.prod(rest)), (0, 3)), running
    rule = "have more than 1 spatial element"
    check(math.prod(rest) != 1, "input", rule, input.shape)
    return _layout((n, c, 1, math.prod(rest)), (2, 3)), running


def _group(input, num_groups, weight, bias, eps) -> _Layout:
    _check_input(input, eps)
    n, c, *rest = input.shape
    ok = num_groups > 0 and c % num_groups == 0
    check(ok, "num_groups", f"divide the number of channels, {c}", num_groups)
    ok = n * c // num_groups * math.prod(rest) != 1
    check(ok, "input", "have more than 1 value per group", input.shape)
    _check_parameters(input, (c,), weight=weight, bias=bias)
    return _layout((n, num_groups, c // num_groups, math.prod(rest)), (2, 3))


def _layer(input, normalized_shape, weight, bias, eps, centred=True) -> _Layout:
    check_floating(input=input)
    check(eps >= 0, "eps", "be non-negative", eps)
    shape = tuple(normalized_shape)
    check(len(shape) > 0, "normalized_shape", "have at least one axis", shape)
    ok, rule = tuple(input.shape[-len(shape) :]) == shape, "be the last axes of input"
    check(ok, "normalized_shape", rule, f"{shape} for {tuple(input.shape)}")
    _check_parameters(input, shape, mixed=not centred, weight=weight, bias=bias)
    rows, size = math.prod(input.shape[: -len(shape)]), math.prod(shape)
    return _layout((rows, 1, size, 1), (2,), centred)


def _rms(input, normalized_shape, weight, eps) -> tuple[_Layout, float]:
    check_floating(input=input)
    eps = torch.finfo(widen(input[:0]).dtype).eps if eps is None else eps
    return _layer(input, normalized_shape, weight, None, eps, centred=False), eps
