"""The softmax function and the cross-entropy loss, with their derivatives."""

import torch
from torch import Tensor

from lib._function import check, check_floating, differentiable, widen


def softmax_backward(grad_output: Tensor, output: Tensor, dim: int) -> Tensor:
    r"""Gradient of :func:`softmax`.

    .. math:: \frac{\partial L}{\partial z_k} =
        p_k \Bigl(\frac{\partial L}{\partial p_k} -
        \sum_j p_j \frac{\partial L}{\partial p_j}\Bigr)

    Args:
        grad_output: Gradient of the loss with respect to the probabilities.
        output: The probabilities p.
        dim: Axis along which they add up to 1.

    Returns:
        The gradient with respect to the logits z.

    References:
        Equation ``eq-softmax-backward``.
    """
    g, p = widen(grad_output), widen(output)
    inner = (g * p).sum(dim, keepdim=True)
    return (p * (g - inner)).to(output.dtype)  # eq-softmax-backward


@differentiable(softmax_backward, "input")
def softmax(input: Tensor, dim: int) -> Tensor:
    r"""Probabilities from logits z.

    .. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}

    The largest logit is subtracted first, which changes nothing but the range: no
    exponential overflows.

    Args:
        input: Logits z.
        dim: Axis along which the probabilities add up to 1.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not floating, or ``dim`` is not one of its axes.

    References:
        Bridle (1990); equation ``eq-softmax``.
    """
    _check_dim(input, dim)
    return torch.exp(_log_softmax(input, dim)).to(input.dtype)  # eq-softmax


def log_softmax_backward(grad_output: Tensor, output: Tensor, dim: int) -> Tensor:
    r"""Gradient of :func:`log_softmax`.

    .. math:: \frac{\partial L}{\partial z_k} =
        \frac{\partial L}{\partial \ln p_k} -
        p_k \sum_j \frac{\partial L}{\partial \ln p_j}

    Args:
        grad_output: Gradient of the loss with respect to the logarithms.
        output: The logarithms of the probabilities.
        dim: Axis along which the probabilities add up to 1.

    Returns:
        The gradient with respect to the logits z.

    References:
        Equation ``eq-log-softmax-backward``.
    """
    g, p = widen(grad_output), torch.exp(widen(output))
    total = g.sum(dim, keepdim=True)
    return (g - p * total).to(output.dtype)  # eq-log-softmax-backward


@differentiable(log_softmax_backward, "input")
def log_softmax(input: Tensor, dim: int) -> Tensor:
    r"""Logarithms of the probabilities of :func:`softmax`.

    .. math:: \ln p_k = z_k - m - \ln \sum_j e^{z_j - m}, \qquad m = \max_j z_j

    It is finite where the probability underflows to 0.

    Args:
        input: Logits z.
        dim: Axis along which the probabilities add up to 1.

    Shape:
        - input: any; the result has the same.

    Raises:
        ValueError: ``input`` is not floating, or ``dim`` is not one of its axes.

    References:
        Equation ``eq-log-softmax``.
    """
    _check_dim(input, dim)
    return _log_softmax(input, dim).to(input.dtype)


def _log_softmax(input: Tensor, dim: int) -> Tensor:
    z = widen(input)
    if z.numel() == 0:
        return z.clone()
    z = z - z.amax(dim, keepdim=True)
    return z - torch.exp(z).sum(dim, keepdim=True).log_()  # eq-log-softmax


def cross_entropy_backward(
    grad_output: Tensor, input: Tensor, target: Tensor, reduction: str = "mean"
) -> Tensor:
    r"""Gradient of :func:`cross_entropy`: the probabilities less the targets.

    .. math:: \frac{\partial L}{\partial z_k} = p_k - t_k

    for each example, divided by their number where ``reduction`` is "mean".

    Args:
        grad_output: Gradient with respect to the loss, a number or one an example.
        input: Logits z.
        target: Class indices, or the probabilities t of the classes.
        reduction: As in :func:`cross_entropy`.

    Returns:
        The gradient with respect to ``input``.

    References:
        Equation ``eq-cross-entropy-backward``.
    """
    t, p = _probabilities(target, input), softmax(widen(input), 1)
    # eq-cross-entropy-backward, where the targets of an example add up to 1
    share = grad_output if reduction != "mean" else grad_output / _examples(input)
    share = share.unsqueeze(1) if reduction == "none" else share
    return (share * (t.sum(1, keepdim=True) * p - t)).to(input.dtype)


@differentiable(cross_entropy_backward, "input")
def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    r"""Cross-entropy between targets t and the softmax p of logits.

    .. math:: L = -\sum_k t_k \ln p_k

    Args:
        input: Logits z.
        target: The right classes, as indices, or probabilities t of all classes.
        reduction: "mean" or "sum" over the examples, or "none".

    Shape:
        - input: ``(N, C, *)``, C classes.
        - target: ``(N, *)``, whole numbers from 0 to C - 1, or ``(N, C, *)``, floating.
        - result: a scalar, or ``(N, *)`` for "none".

    Raises:
        ValueError: ``input`` is not floating or has no class axis; ``target`` has
            another shape, or an index out of range; ``reduction`` is none of the three.

    Differs from PyTorch:
        No class weights, ignored index or smoothing, and no gradient with respect to
        ``target``. ``reduction`` is the third argument here.

    References:
        Equation ``eq-cross-entropy``.
    """
    check_floating(input=input)
    check(input.ndim >= 2, "input", "have shape (N, C, *)", tuple(input.shape))
    names = ("mean", "sum", "none")
    check(reduction in names, "reduction", f"be one of {names}", repr(reduction))
    log_p = _log_softmax(input, 1)
    loss = -(_probabilities(target, input) * log_p).sum(1)  # eq-cross-entropy
    if reduction == "mean":
        loss = loss.sum() / _examples(input)
    return (loss.sum() if reduction == "sum" else loss).to(input.dtype)


def _examples(input: Tensor) -> int:
    return input.numel() // max(1, input.shape[1])


def _probabilities(target: Tensor, like: Tensor) -> Tensor:
    """The targets as one probability for each class."""
    size, classes = tuple(like.shape), like.shape[1]
    if torch.is_tensor(target) and target.is_floating_point():
        rule = f"have the shape of input, {size}, where it is floating"
        check(target.shape == size, "target", rule, tuple(target.shape))
        return widen(target).to(widen(like).dtype)
    whole = torch.is_tensor(target) and target.dtype in (torch.int64, torch.uint8)
    check(whole, "target", "be a tensor of int64 or of a floating dtype", target)
    size = (size[0], *size[2:])
    check(target.shape == size, "target", f"have shape {size}", tuple(target.shape))
    inside = bool(((target >= 0) & (target < classes)).all())
    check(inside, "target", f"hold class indices from 0 to {classes - 1}", target)
    one_hot = torch.zeros(like.shape, dtype=widen(like).dtype, device=like.device)
    return one_hot.scatter_(1, target.unsqueeze(1).long(), 1)


def _check_dim(input: Tensor, dim: int) -> None:
    check_floating(input=input)
    ok = isinstance(dim, int) and -max(1, input.ndim) <= dim < max(1, input.ndim)
    check(ok, "dim", f"be an axis of input, of shape {tuple(input.shape)}", dim)
