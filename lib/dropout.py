"""Dropout: a random mask in training, nothing at test time.

As in torch, ``p`` is the probability to *drop*, and what remains is scaled up in
training (inverted dropout), so that the expectation stays. In the paper of Srivastava
and others p is the probability to *keep*, and weights are scaled down for testing.
"""

import torch
from torch import Tensor

from lib._function import check, check_floating, check_inplace, differentiable


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


@differentiable(dropout_backward, "input")
def _masked(input: Tensor, mask: Tensor, p: float) -> Tensor:
    return (input * mask).mul_(_scale(p))  # eq-dropout


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
    return _drop(input, p, training, inplace, generator)


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
    return _drop(input, p, training, inplace, generator, channels=True)


def _drop(
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    generator: torch.Generator | None,
    channels: bool = False,
) -> Tensor:
    _check_probability(p)
    if not training or p == 0:
        return input
    check_floating(input=input)
    if generator is not None:
        rule = f"be on the input's device, {input.device}"
        same = generator.device.type == input.device.type
        check(same, "generator", rule, generator.device)
    if inplace:
        check_inplace(input)
    size = tuple(input.shape)
    if channels:
        ok = input.ndim >= 2 or p == 1 or input.numel() == 0  # as torch has it
        check(ok, "input", "have at least 2 axes", size)
        size = (*size[:2], *(1 for _ in size[2:]))  # eq-dropout-channels
    # Half precision has too few bits to draw a probability from.
    dtype = torch.promote_types(input.dtype, torch.float32)
    noise = torch.rand(size, dtype=dtype, device=input.device, generator=generator)
    mask = noise.ge_(p).to(input.dtype)  # 1 where kept: P(noise >= p) = 1 - p
    output = _masked(input, mask, p)
    return input.copy_(output) if inplace else output


def _scale(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


def _check_probability(p: float) -> None:
    check(0 <= p <= 1, "p", "lie in [0, 1]", p)
