"""Activation functions, their derivatives, and their moments under a normal input.

Names and parameters are those of ``torch.nn.functional``. Integer tensors, of which
torch accepts some, are refused.
"""

import math
import numbers
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lib._function import (
    check,
    check_alike,
    check_floating,
    check_inplace,
    differentiable,
    widen,
)


def sigmoid_backward(grad_output: Tensor, output: Tensor) -> Tensor:
    r"""Gradient of :func:`sigmoid`.

    .. math:: \sigma'(x) = \sigma(x)\,(1 - \sigma(x))

    Args:
        grad_output: Gradient of the loss with respect to the output.
        output: Value of the function.

    Returns:
        Gradient with respect to the input.
    """
    y = widen(output)
    slope = (1 - y).mul_(y)  # eq-sigmoid-derivative
    return slope.mul_(widen(grad_output)).to(output.dtype)


@differentiable(sigmoid_backward, "input")
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
        Equations ``eq-sigmoid`` and ``eq-sigmoid-derivative``.
    """
    check_floating(input=input)
    x = widen(input)
    return (-x).exp_().add_(1).reciprocal_().to(input.dtype)  # eq-sigmoid


def tanh_backward(grad_output: Tensor, output: Tensor) -> Tensor:
    r"""Gradient of :func:`tanh`.

    .. math:: \tanh'(x) = 1 - \tanh^2(x)

    Args:
        grad_output: Gradient of the loss with respect to the output.
        output: Value of the function.

    Returns:
        Gradient with respect to the input.
    """
    y = widen(output)
    slope = 1 - y * y  # eq-tanh-derivative
    return (widen(grad_output) * slope).to(output.dtype)


@differentiable(tanh_backward, "input")
def tanh(input: Tensor) -> Tensor:
    r"""Hyperbolic tangent, with values in (-1, 1).

    .. math:: \tanh(x) = \frac{e^{2x} - 1}{e^{2x} + 1}

    Args:
        input: Tensor of a floating dtype.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not a floating tensor.

    References:
        Equations ``eq-tanh`` and ``eq-tanh-derivative``.
    """
    check_floating(input=input)
    x = widen(input).clamp(max=20)  # where it is 1 to the last bit
    u = x.mul_(2).expm1_()  # keeps all digits where x is small
    return u.div_(u + 2).to(input.dtype)  # eq-tanh


def softsign_backward(grad_output: Tensor, input: Tensor) -> Tensor:
    r"""Gradient of :func:`softsign`.

    .. math:: f'(x) = \frac{1}{(1 + |x|)^2}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.

    Returns:
        Gradient with respect to ``input``.
    """
    d = widen(input).abs() + 1
    # eq-softsign-derivative; d² may overflow
    return (widen(grad_output) / d / d).to(input.dtype)


@differentiable(softsign_backward, "input")
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
        Glorot and Bengio (2010); equations ``eq-softsign`` and
        ``eq-softsign-derivative``.
    """
    check_floating(input=input)
    x = widen(input)
    return (x / x.abs().add_(1)).to(input.dtype)  # eq-softsign


def relu_backward(grad_output: Tensor, output: Tensor) -> Tensor:
    r"""Gradient of :func:`relu`, 0 at the kink.

    .. math:: f'(x) = \begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        output: Value of the function, whose sign is the slope.

    Returns:
        Gradient with respect to the input.
    """
    return output.sign().mul_(grad_output)  # eq-relu-derivative


@differentiable(relu_backward, "input")
def _relu(input: Tensor) -> Tensor:
    return input.clamp(min=0)  # def-activations


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
        Equations ``def-activations`` and ``eq-relu-derivative``.
    """
    return _apply(_relu, inplace, input)


def leaky_relu_backward(
    grad_output: Tensor, input: Tensor, negative_slope: float = 0.01
) -> Tensor:
    r"""Gradient of :func:`leaky_relu`, the negative slope at the kink.

    .. math:: f'(x) = \begin{cases} 1 & x > 0 \\ a & x \le 0 \end{cases}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        input: Where the function was taken.
        negative_slope: Slope a.

    Returns:
        Gradient with respect to ``input``.
    """
    positive = _positive(input)
    slope = positive.add(1 - positive, alpha=negative_slope)  # eq-leaky-relu-derivative
    return slope.mul_(grad_output)


@differentiable(leaky_relu_backward, "input")
def _leaky_relu(input: Tensor, negative_slope: float) -> Tensor:
    # eq-leaky-relu
    return input.clamp(min=0).add_(input.clamp(max=0), alpha=negative_slope)


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
            number, or ``input`` is to be overwritten and is (a view of) a leaf that
            requires a gradient.

    References:
        Maas et al. (2013); equations ``eq-leaky-relu`` and
        ``eq-leaky-relu-derivative``.
    """
    number = isinstance(negative_slope, numbers.Real)
    check(number, "negative_slope", "be a number", type(negative_slope).__name__)
    return _apply(_leaky_relu, inplace, input, float(negative_slope))


def prelu_backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    output_mask: Sequence[bool] = (True, True),
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
        positive = _positive(input)
        # eq-prelu-backward-input
        grad_input = (positive + slope * (1 - positive)).mul_(grad_output)
    if output_mask[1]:
        terms = widen(grad_output) * input.clamp(max=0)  # eq-prelu-backward-weight
        grad_weight = terms.sum_to_size(slope.shape).reshape(weight.shape)
        grad_weight = grad_weight.to(weight.dtype)
    return grad_input, grad_weight


@differentiable(prelu_backward, "input", "weight")
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
    check_alike(input=input, weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    ok = weight.ndim <= 1 and weight.numel() in (1, channels)
    check(ok, "weight", f"have shape (1,) or ({channels},)", tuple(weight.shape))
    slope = _per_channel(weight, input)
    return input.clamp(min=0).add_(slope * input.clamp(max=0))  # eq-prelu


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
    # On the CPU before float64, which MPS has not.
    mean, std = (t.detach().cpu() if torch.is_tensor(t) else t for t in (mean, std))
    mean, std = (
        torch.as_tensor(t, dtype=torch.float64, device="cpu") for t in (mean, std)
    )
    check(bool(mean.isfinite().all()), "mean", "be finite", mean)
    ok = bool((std.isfinite() & (std > 0)).all())
    check(ok, "std", "be positive and finite", std)
    mean, std = (t[..., None] for t in torch.broadcast_tensors(mean, std))
    z, weights = _panels(mean, std)
    with torch.enable_grad():
        x = (mean + std * z).requires_grad_()
        y = function(x)
        shapes = f"{tuple(y.shape)} from {tuple(x.shape)}"
        check(y.shape == x.shape, "function", "keep the shape", shapes)
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


def _apply(function: Callable, inplace: bool, input: Tensor, *options) -> Tensor:
    check_floating(input=input)
    if not inplace:
        return function(input, *options)
    check_inplace(input)
    return input.copy_(function(input.clone(), *options))


def _positive(input: Tensor) -> Tensor:
    """1 where positive, else 0; quicker than a comparison, which gives booleans."""
    return input.sign().clamp_(min=0)


def _per_channel(weight: Tensor, input: Tensor) -> Tensor:
    """View ``weight`` as one that broadcasts along axis 1 of ``input``."""
    if weight.numel() == 1 or input.ndim < 2:
        return weight.reshape(())
    return weight.reshape(-1, *[1] * (input.ndim - 2))
