"""Whitening: linear maps after which data are uncorrelated with variance 1."""

import torch
from torch import Tensor

from lib._function import check, check_floating, widen


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


def _principal_axes(data: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, axes (as columns, the widest first) and 1 / √(variance + eps) of data."""
    check_floating(data=data)
    ok = data.ndim == 2 and len(data) >= 2 and data.shape[1] > 0
    check(ok, "data", "have shape (n, d), n >= 2, d >= 1", tuple(data.shape))
    check(eps >= 0, "eps", "be non-negative", eps)
    wide = widen(data.detach())
    mean = wide.mean(0)
    centred = wide - mean
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(data))
    variance, axes = variance.flip(0).clamp(min=0), axes.flip(1)
    rounding = len(variance) * torch.finfo(wide.dtype).eps * variance[0]
    ok = eps > 0 or bool(variance[-1] > rounding)
    check(ok, "data", "vary in every direction where eps is 0", f"variances {variance}")
    # eigh leaves the sign open: make the largest component of each axis positive
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return mean, axes * torch.sign(largest), torch.rsqrt(variance + eps)
