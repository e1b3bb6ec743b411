"""Activation functions, their derivatives, and their moments under a normal input.

Names and parameters are those of ``torch.nn.functional``. Each function is
differentiable through its own ``<name>_backward``, any number of times. Integer
tensors, of which torch accepts some, are refused.
"""

import functools
import math
import numbers
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def _differentiable(backward: Callable) -> Callable:
    """Make a function of one tensor differentiable by ``backward``."""

    def decorate(function: Callable) -> Callable:
        class Derived(torch.autograd.Function):
            @staticmethod
            def forward(input: Tensor) -> Tensor:
                return function(_wide(input)).to(input.dtype)

            @staticmethod
            def setup_context(ctx, inputs: tuple[Tensor], output: Tensor) -> None:
                ctx.save_for_backward(*inputs)

            @staticmethod
            def backward(ctx, grad_output: Tensor) -> Tensor:
                return backward(grad_output, *ctx.saved_tensors)

        @functools.wraps(function)
        def wrapper(input: Tensor) -> Tensor:
            _check_floating("input", input)
            return Derived.apply(input)

        return wrapper

    return decorate


def sigmoid_backward(grad_output: Tensor, input: Tensor) -> Tensor:
    r"""Gradient of :func:`sigmoid`, without cancellation in either tail.

    .. math:: \sigma'(x) = \sigma(x)\,(1 - \sigma(x)) = \sigma(x)\,\sigma(-x)

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.

    Returns:
        Gradient with respect to ``input``.
    """
    x = _wide(input)
    slope = sigmoid(x) * sigmoid(-x)  # eq-sigmoid-slope
    return (grad_output * slope).to(input.dtype)


@_differentiable(sigmoid_backward)
def sigmoid(input: Tensor) -> Tensor:
    r"""Logistic function, with values in (0, 1).

    .. math:: \sigma(x) = \frac{1}{1 + e^{-x}}

    Args:
        input: Tensor of a floating dtype.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor.

    References:
        Equations ``eq-sigmoid`` and ``eq-sigmoid-slope``.
    """
    return torch.exp(-input).add_(1).reciprocal_()  # eq-sigmoid


def tanh_backward(grad_output: Tensor, input: Tensor) -> Tensor:
    r"""Gradient of :func:`tanh`, without cancellation in either tail.

    .. math:: \tanh'(x) = 1 - \tanh^2(x) = 4\,\sigma'(2x)

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.

    Returns:
        Gradient with respect to ``input``.
    """
    x = _wide(input)
    return (4 * sigmoid_backward(grad_output, 2 * x)).to(input.dtype)  # eq-tanh-slope


@_differentiable(tanh_backward)
def tanh(input: Tensor) -> Tensor:
    r"""Hyperbolic tangent, with values in (-1, 1).

    The function is odd, and the exponential of a negative number cannot overflow:

    .. math::

        \tanh(x) = 2\sigma(2x) - 1 = \operatorname{sign}(x)\,\frac{-u}{2 + u},
        \qquad u = e^{-2|x|} - 1

    Args:
        input: Tensor of a floating dtype.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor.

    References:
        Equations ``eq-tanh`` and ``eq-tanh-slope``.
    """
    u = torch.expm1(-2 * input.abs())  # keeps all digits where x is small
    return torch.copysign(u / (2 + u), input)  # eq-tanh


def softsign_backward(grad_output: Tensor, input: Tensor) -> Tensor:
    r"""Gradient of :func:`softsign`.

    .. math:: f'(x) = \frac{1}{(1 + |x|)^2}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.

    Returns:
        Gradient with respect to ``input``.
    """
    d = 1 + _wide(input).abs()
    return (grad_output / d / d).to(input.dtype)  # eq-softsign-slope; d² may overflow


@_differentiable(softsign_backward)
def softsign(input: Tensor) -> Tensor:
    r"""Softsign, which approaches ±1 like 1/x where tanh does so exponentially.

    .. math:: f(x) = \frac{x}{1 + |x|}

    Args:
        input: Tensor of a floating dtype.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor.

    References:
        Glorot and Bengio (2010); equations ``eq-softsign`` and ``eq-softsign-slope``.
    """
    return input / (1 + input.abs())  # eq-softsign


def relu_backward(grad_output: Tensor, input: Tensor) -> Tensor:
    r"""Gradient of :func:`relu`, 0 at the kink.

    .. math:: f'(x) = \begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken; its output does as well.

    Returns:
        Gradient with respect to ``input``; 0 also where that is NaN (torch: 1).
    """
    return grad_output * (input > 0)  # eq-relu-slope


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, inplace: bool) -> Tensor:
        # max(0, x), eq-relu
        return input.clamp_(min=0) if inplace else input.clamp(min=0)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        input, inplace = inputs
        if inplace:
            ctx.mark_dirty(input)
        ctx.save_for_backward(output)  # the next layer keeps it anyway

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple:
        return relu_backward(grad_output, *ctx.saved_tensors), None


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    r"""Rectified linear unit.

    .. math:: f(x) = \max(0, x)

    Args:
        input: Tensor of a floating dtype.
        inplace: Overwrite ``input`` with the result.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor, or it is to be overwritten
            and is (a view of) a leaf that requires a gradient.

    References:
        Equations ``eq-relu`` and ``eq-relu-slope``.
    """
    _check_floating("input", input)
    _check_inplace(input, inplace)
    return _ReLU.apply(input, inplace)


def leaky_relu_backward(
    grad_output: Tensor, input: Tensor, negative_slope: float = 0.01
) -> Tensor:
    r"""Gradient of :func:`leaky_relu`, the negative slope at the kink.

    .. math:: f'(x) = \begin{cases} 1 & x > 0 \\ a & x \le 0 \end{cases}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken; its output does as well if a ≥ 0.
        negative_slope: Slope a.

    Returns:
        Gradient with respect to ``input``.
    """
    positive = grad_output * (input > 0)  # on a random mask torch.where is slow
    return positive + negative_slope * (grad_output - positive)  # eq-leaky-relu-slope


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, negative_slope: float, inplace: bool) -> Tensor:
        # eq-leaky-relu
        output = input.clamp(min=0) + negative_slope * input.clamp(max=0)
        return input.copy_(output) if inplace else output

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        input, ctx.negative_slope, inplace = inputs
        if inplace:
            ctx.mark_dirty(input)
        ctx.save_for_backward(output if inplace else input)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple:
        (saved,) = ctx.saved_tensors
        return leaky_relu_backward(grad_output, saved, ctx.negative_slope), None, None


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    r"""Leaky rectified linear unit.

    .. math:: f(x) = \max(0, x) + a \min(0, x)

    Args:
        input: Tensor of a floating dtype.
        negative_slope: Slope a, one number; :func:`prelu` learns it.
        inplace: Overwrite ``input`` with the result.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor, ``negative_slope`` is not a
            number, or ``input`` is to be overwritten, requires a gradient, and is (a
            view of) a leaf or cannot be told from the result because a < 0.

    References:
        Maas et al. (2013); equations ``eq-leaky-relu`` and ``eq-leaky-relu-slope``.
    """
    _check_floating("input", input)
    if not isinstance(negative_slope, numbers.Real):
        kind = type(negative_slope).__name__
        raise ValueError(f"negative_slope must be a number, got {kind}")
    _check_inplace(input, inplace)
    if inplace and negative_slope < 0 and _wants_gradient(input):
        rule = "negative_slope must be at least 0 for a gradient in place"
        raise ValueError(f"{rule}, got {negative_slope}")
    return _LeakyReLU.apply(input, negative_slope, inplace)


def prelu_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    output_mask: tuple[bool, bool] = (True, True),
) -> tuple[Tensor | None, Tensor | None]:
    r"""Gradients of :func:`prelu`, those of the negative part at the kink.

    .. math::

        \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y}
            \begin{cases} 1 & x > 0 \\ a_c & x \le 0 \end{cases}, \qquad
        \frac{\partial L}{\partial a_c} =
            \sum_{x \text{ in } c} \frac{\partial L}{\partial y} \min(0, x)

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.
        weight: Slopes a, one or one for each channel c.
        output_mask: Which of the two gradients to compute.

    Returns:
        Gradients with respect to ``input`` and ``weight``; ``None`` if masked.
    """
    grad_input = grad_weight = None
    slope = _per_channel(weight, input)
    if output_mask[0]:
        positive = grad_output * (input > 0)
        # eq-prelu-backward-input
        grad_input = positive + slope * (grad_output - positive)
    if output_mask[1]:
        terms = grad_output * input.clamp(max=0)  # eq-prelu-backward-weight
        grad_weight = terms.sum_to_size(slope.shape).reshape(weight.shape)
    return grad_input, grad_weight


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, weight: Tensor) -> Tensor:
        slope = _per_channel(weight, input)
        return input.clamp(min=0) + slope * input.clamp(max=0)  # eq-prelu

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return prelu_backward(grad_output, *ctx.saved_tensors, ctx.needs_input_grad)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    r"""Leaky rectified linear unit whose slope is learned.

    .. math:: f(x) = \max(0, x) + a_c \min(0, x)

    Args:
        input: Tensor of a floating dtype.
        weight: Slopes a, one or one for each channel c, of the same dtype.

    Shape:
        - input: ``(N, C, *)``, or anything where ``weight`` has one element; the
          result has the same.
        - weight: ``()``, ``(1,)`` or ``(C,)``.

    Raises:
        ValueError: ``input`` is not a floating tensor, or ``weight`` has another
            dtype, device or shape than it must.

    References:
        He et al. (2015), arXiv:1502.01852; equations ``eq-prelu``,
        ``eq-prelu-backward-input`` and ``eq-prelu-backward-weight``.
    """
    _check_floating("input", input)
    _check_floating("weight", weight)
    for kind in ("dtype", "device"):
        want, got = getattr(input, kind), getattr(weight, kind)
        if got != want:
            raise ValueError(f"weight must have the {kind} of input, {want}, got {got}")
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        shape = tuple(weight.shape)
        raise ValueError(f"weight must have shape (1,) or ({channels},), got {shape}")
    return _PReLU.apply(input, weight)


# Quadrature: Gauss and Legendre's rule on panels, short where something varies.
_NODES, _WEIGHTS = map(torch.as_tensor, np.polynomial.legendre.leggauss(20))
_DEVIATIONS = torch.arange(-20, 21, 2, dtype=torch.float64)  # e^(-20²/2) is 1e-87
_OCTAVES = 2.0 ** torch.arange(40, dtype=torch.float64)


def activation_moments(
    function: Callable[[Tensor], Tensor],
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Moments of an activation function under a normal input.

    .. math::

        \mathbb{E} f(X), \qquad \mathbb{E} f(X)^2, \qquad \mathbb{E} f'(X)^2, \qquad
        X \sim \mathcal{N}(\mu, \sigma^2)

    A quadrature to about 14 digits, for functions that are smooth except perhaps at 0
    and vary there on a scale of 1, as all of this module do.

    Args:
        function: Acts on each element of a tensor; torch differentiates it.
        mean: Expectation μ of the input.
        std: Standard deviation σ of the input, positive.

    Shape:
        - mean, std: broadcastable; the results have their common shape.

    Returns:
        Mean, second moment and mean squared slope, in float64.

    Raises:
        ValueError: ``mean`` or ``std`` is not finite, ``std`` is not positive, or
            ``function`` changes the shape.

    References:
        Equation ``eq-activation-moments``.
    """
    mean = torch.as_tensor(mean, dtype=torch.float64, device="cpu").detach()
    std = torch.as_tensor(std, dtype=torch.float64, device="cpu").detach()
    if not mean.isfinite().all():
        raise ValueError(f"mean must be finite, got {mean}")
    if not (std.isfinite() & (std > 0)).all():
        raise ValueError(f"std must be positive and finite, got {std}")
    mean, std = (t[..., None] for t in torch.broadcast_tensors(mean, std))
    z, weights = _panels(mean, std)
    with torch.enable_grad():
        x = (mean + std * z).requires_grad_()
        y = function(x)
        if y.shape != x.shape:
            shapes = f"{tuple(y.shape)} from {tuple(x.shape)}"
            raise ValueError(f"function must keep the shape, got {shapes}")
        (slope,) = torch.autograd.grad(y.sum(), x)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    weights, y = weights * density, y.detach()
    # eq-activation-moments
    return tuple((weights * f).sum(-1) for f in (y, y**2, slope**2))


def _panels(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights for z = (x - μ) / σ, split at x = 0 and each power of 2."""
    x = torch.cat([-_OCTAVES.flip(0), torch.zeros(1), _OCTAVES])
    z = ((x - mean) / std).clamp(_DEVIATIONS[0], _DEVIATIONS[-1])
    edges = torch.cat([z, _DEVIATIONS.expand(*z.shape[:-1], -1)], -1).sort(-1).values
    half = (edges.diff(dim=-1) / 2)[..., None]
    centre = edges[..., :-1, None] + half
    return (centre + half * _NODES).flatten(-2), (half * _WEIGHTS).flatten(-2)


def _wide(input: Tensor) -> Tensor:
    """At least float32, in which torch computes for the shorter dtypes too."""
    return input.to(torch.promote_types(input.dtype, torch.float32))


def _per_channel(weight: Tensor, input: Tensor) -> Tensor:
    """View ``weight`` as one that broadcasts along axis 1 of ``input``."""
    if weight.numel() == 1 or input.ndim < 2:
        return weight.reshape(())
    return weight.reshape(-1, *[1] * (input.ndim - 2))


def _check_floating(name: str, value: object) -> None:
    if not (torch.is_tensor(value) and value.is_floating_point()):
        kind = value.dtype if torch.is_tensor(value) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of a floating dtype, got {kind}")


def _wants_gradient(input: Tensor) -> bool:
    return torch.is_grad_enabled() and input.requires_grad


def _check_inplace(input: Tensor, inplace: bool) -> None:
    base = input._base if input._is_view() else input
    if inplace and _wants_gradient(base) and base.is_leaf:
        rule = "input must not be (a view of) a leaf that requires grad"
        raise ValueError(f"{rule} where inplace is True, got {tuple(input.shape)}")
