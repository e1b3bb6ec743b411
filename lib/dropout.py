"""Dropout: a random mask in training, nothing at test time.

As in torch, ``p`` is the probability to *drop*, and what remains is scaled up in
training (inverted dropout), so that the expectation stays. In the paper of Srivastava
and others p is the probability to *keep*, and weights are scaled down for testing.
"""

import torch
from torch import Tensor


def dropout_backward(grad_output: Tensor, mask: Tensor, p: float) -> Tensor:
    r"""Gradient of :func:`dropout` and :func:`dropout2d`: the same mask again.

    .. math:: \frac{\partial L}{\partial h_i} = \frac{\zeta_i}{1-p}
        \frac{\partial L}{\partial h_i'}

    Args:
        grad_output: Gradient of the loss with respect to the output.
        mask: Which elements were kept, ζ.
        p: Probability with which they were dropped.

    Shape:
        - grad_output: any.
        - mask: broadcastable to it.

    Returns:
        The gradient with respect to the input.

    Raises:
        ValueError: ``p`` is not within [0, 1].

    References:
        Equation ``eq-dropout-backward``.
    """
    _check_probability(p)
    return (grad_output * mask).mul_(_scale(p))  # eq-dropout-backward


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, mask: Tensor, p: float, inplace: bool) -> Tensor:
        output = input.mul_(mask) if inplace else input * mask
        return output.mul_(_scale(p))  # eq-dropout

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        input, mask, ctx.p, inplace = inputs
        if inplace:
            ctx.mark_dirty(input)
        ctx.save_for_backward(mask)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple:
        (mask,) = ctx.saved_tensors
        return dropout_backward(grad_output, mask, ctx.p), None, None, None


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Zero each element with probability p and scale up the others.

    .. math::

        h_i' = \frac{\zeta_i}{1-p} h_i, \qquad P(\zeta_i = 0) = p, \quad
        P(\zeta_i = 1) = 1 - p

    The expectation stays h, the variance given h becomes h² p / (1 - p).

    Args:
        input: Activations h.
        p: Probability to drop an element.
        training: Without it the input is returned as it is.
        inplace: Overwrite the input.
        generator: Source of the mask; ``None`` takes torch's global one.

    Shape:
        - input: any; the result has the same.

    Returns:
        The scaled remainder. With ``p=1`` that is the input times 0.

    Raises:
        ValueError: ``p`` is not within [0, 1], or, where a mask is drawn, ``input`` is
            not floating, ``generator`` is not on its device, or ``inplace`` would
            overwrite a leaf that requires grad.

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014); equation
        ``eq-dropout``.
    """
    _check_probability(p)
    if not training or p == 0:
        return input
    _check_input(input, inplace, generator)
    mask = _mask(input, input.shape, p, generator)
    output = _Dropout.apply(input, mask, p, inplace)
    return input if inplace else output


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Zero each channel of each example with probability p and scale up the others.

    .. math::

        h_{nc\cdot}' = \frac{\zeta_{nc}}{1-p} h_{nc\cdot}, \qquad P(\zeta_{nc} = 0) = p

    Neighbouring pixels tell much the same, so dropping single ones hides little.

    Args:
        input: Feature maps h. As in torch, the first two dimensions are examples and
            channels, however many follow: ``(C, H, W)`` is read as ``(N, C, L)``.
        p: Probability to drop a channel.
        training: Without it the input is returned as it is.
        inplace: Overwrite the input.
        generator: Source of the mask; ``None`` takes torch's global one.

    Shape:
        - input: ``(N, C, *)``; the result has the same.

    Returns:
        The scaled remainder. With ``p=1`` that is the input times 0.

    Raises:
        ValueError: ``p`` is not within [0, 1], or, where a mask is drawn, ``input`` is
            not floating or has fewer than two dimensions, ``generator`` is not on its
            device, or ``inplace`` would overwrite a leaf that requires grad.

    References:
        Tompson, Goroshin, Jain, LeCun and Bregler (2015), arXiv:1411.4280; equation
        ``eq-dropout-channels``.
    """
    _check_probability(p)
    if not training or p == 0:
        return input
    _check_input(input, inplace, generator)
    if input.ndim < 2 and p < 1 and input.numel():  # torch accepts the others
        shape = tuple(input.shape)
        raise ValueError(f"input must have at least 2 dimensions, got shape {shape}")
    size = input.shape[:2] + (1,) * (input.ndim - 2)
    mask = _mask(input, size, p, generator)  # eq-dropout-channels
    output = _Dropout.apply(input, mask, p, inplace)
    return input if inplace else output


def _mask(
    input: Tensor, size: torch.Size, p: float, generator: torch.Generator | None
) -> Tensor:
    """1 where kept. Half precision has too few bits to draw a probability from."""
    dtype = torch.promote_types(input.dtype, torch.float32)
    noise = torch.rand(size, dtype=dtype, device=input.device, generator=generator)
    return noise.ge_(p).to(input.dtype)  # P(noise >= p) = 1 - p


def _scale(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in [0, 1], got {p}")


def _check_input(
    input: Tensor, inplace: bool, generator: torch.Generator | None
) -> None:
    if not (torch.is_tensor(input) and input.is_floating_point()):
        kind = input.dtype if torch.is_tensor(input) else type(input).__name__
        raise ValueError(f"input must be a tensor of a floating dtype, got {kind}")
    if generator is not None and generator.device.type != input.device.type:
        rule = f"generator must be on the input's device {input.device}"
        raise ValueError(f"{rule}, got {generator.device}")
    if inplace and torch.is_grad_enabled() and input.requires_grad and input.is_leaf:
        rule = "input must not be a leaf that requires grad, to be overwritten"
        raise ValueError(f"{rule}, got shape {tuple(input.shape)}")
