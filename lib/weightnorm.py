"""Normalisation of weights: by their length, or by the cosine with the input."""

import torch
from torch import Tensor

from lib._function import check, check_alike, check_shape, differentiable, widen


def _length(v: Tensor, dim: int | None) -> Tensor:
    """Length of each slice along ``dim``, whose axis stays, or of the whole."""
    axes = [i for i in range(v.ndim) if i != dim]
    if not axes:  # one axis, each element a slice; no axes would mean all
        return v.abs()
    return torch.linalg.vector_norm(v, dim=axes, keepdim=dim is not None)


def weight_norm_backward(
    grad_output: Tensor, v: Tensor, g: Tensor, dim: int | None = 0
) -> tuple[Tensor, Tensor]:
    r"""Gradient of :func:`weight_norm`; arguments as there.

    .. math::

        \frac{\partial L}{\partial g} = \frac{1}{\lVert v \rVert}
        \Bigl(\frac{\partial L}{\partial w} \cdot v\Bigr), \qquad
        \frac{\partial L}{\partial v} = \frac{g}{\lVert v \rVert}
        \frac{\partial L}{\partial w} -
        \frac{g}{\lVert v \rVert^2} \frac{\partial L}{\partial g}\, v

    Returns:
        Gradients with respect to ``v`` and ``g``.

    References:
        Salimans and Kingma (2016), arXiv:1602.07868, eq. (3); equation
        ``eq-weight-norm-backward``.
    """
    dw, length = widen(grad_output), _length(widen(v), dim)
    unit = widen(v) / length
    dg = (dw * unit).sum_to_size(g.shape)
    dv = widen(g) / length * (dw - dg * unit)  # eq-weight-norm-backward
    return dv.to(v.dtype), dg.to(g.dtype)


@differentiable(weight_norm_backward, "v", "g")
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
    check_alike(v=v, g=g)
    check(v.ndim > 0, "v", "have at least one axis", "shape ()")
    ok = dim is None or 0 <= dim < v.ndim
    check(ok, "dim", f"be None or an axis from 0 to {v.ndim - 1}", dim)
    shape = [s if i == dim else 1 for i, s in enumerate(v.shape)]
    check_shape("g", g, () if dim is None else shape)
    scale = widen(g) / _length(widen(v), dim)
    return (widen(v) * scale).to(v.dtype)  # eq-weight-norm


def cosine_linear_backward(
    grad_output: Tensor, input: Tensor, weight: Tensor, eps: float = 1e-8
) -> tuple[Tensor, Tensor]:
    r"""Gradient of :func:`cosine_linear`; arguments as there.

    With x̂ = x / ‖x‖ and ŵ likewise, for each row of the input:

    .. math::

        \frac{\partial L}{\partial x} = \frac{1}{\lVert x \rVert}
        \bigl(u - (u \cdot \hat x)\, \hat x\bigr), \qquad
        u = \sum_j \frac{\partial L}{\partial y_j}\, \hat w_j

    and so for w. A length below ``eps`` counts as the constant ``eps``, and the second
    term is 0.

    Returns:
        Gradients with respect to ``input`` and ``weight``.

    References:
        Equation ``eq-cosine-linear-backward``.
    """
    dy = widen(grad_output).reshape(-1, len(weight))
    x, w = widen(input).reshape(-1, weight.shape[1]), widen(weight)
    dx, dw = _cosine_gradient(dy, x, w, eps), _cosine_gradient(dy.T, w, x, eps)
    return dx.reshape(input.shape).to(input.dtype), dw.to(weight.dtype)


def _cosine_gradient(dy: Tensor, a: Tensor, b: Tensor, eps: float) -> Tensor:
    length = _length(a, 0)
    unit, other = (t / _length(t, 0).clamp(min=eps) for t in (a, b))
    u = dy @ other
    along = (u * unit).sum(1, keepdim=True) * (length > eps)
    return (u - along * unit) / length.clamp(min=eps)  # eq-cosine-linear-backward


@differentiable(cosine_linear_backward, "input", "weight")
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
    check_alike(input=input, weight=weight)
    check(input.ndim > 0, "input", "have at least one axis", "shape ()")
    ok = weight.ndim == 2 and weight.shape[1] == input.shape[-1]
    check(ok, "weight", f"have shape (out, {input.shape[-1]})", tuple(weight.shape))
    check(eps > 0, "eps", "be positive", eps)
    x, w = widen(input), widen(weight)
    x_length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=eps)
    unit = w / _length(w, 0).clamp(min=eps)
    return (x / x_length @ unit.T).to(input.dtype)  # eq-cosine-linear
