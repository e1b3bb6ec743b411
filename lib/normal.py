"""The normal distribution, and kernel density estimates built from it.

Functions of the mean and the standard deviation, as in ``torch.normal``; the book
writes the law with its variance, N(μ, σ²). Each is differentiable through its own
``<name>_backward``, the derivative that the chapter derives.
"""

import functools
import inspect
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lib._function import check, check_floating, differentiable

Number = Tensor | float


def _differentiable(backward: Callable) -> Callable:
    """Make a function of broadcastable arguments differentiable by ``backward``."""

    @functools.wraps(backward)
    def summed(grad_output: Tensor, **inputs: Tensor) -> tuple[Tensor, ...]:
        grads = zip(backward(grad_output, **inputs), inputs.values(), strict=True)
        return tuple(grad.sum_to_size(x.shape) for grad, x in grads)

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        derived = differentiable(summed, *signature.parameters)(function)

        @functools.wraps(function)
        def wrapper(*args: Number, **kwargs: Number) -> Tensor:
            arguments = signature.bind(*args, **kwargs)
            arguments.apply_defaults()
            return derived(*_tensors(arguments.arguments))

        return wrapper

    return decorate


def _tensors(arguments: dict[str, Number]) -> list[Tensor]:
    first, x = next(iter(arguments.items()))
    check_floating(**{first: x})
    like = {"dtype": x.dtype, "device": x.device}
    values = arguments.values()
    tensors = [
        v
        if torch.is_tensor(v) and v.is_floating_point()
        else torch.as_tensor(v, **like)
        for v in values
    ]
    std = tensors[list(arguments).index("std")]
    check(bool((std > 0).all()), "std", "be positive", arguments["std"])
    return tensors


def normal_pdf_backward(
    grad_output: Tensor, x: Tensor, mean: Number = 0.0, std: Number = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of :func:`normal_pdf`.

    Args:
        grad_output: Gradient of the loss with respect to the density.
        x: Where the density was taken.
        mean: Expectation μ.
        std: Standard deviation σ, positive.

    Returns:
        Gradients with respect to ``x``, ``mean`` and ``std``, in the broadcast shape.
    """
    z = (x - mean) / std
    slope = grad_output * normal_pdf(x, mean, std) / std
    return -z * slope, z * slope, (z**2 - 1) * slope  # eq-normal-pdf-gradient


@_differentiable(normal_pdf_backward)
def normal_pdf(x: Tensor, mean: Number = 0.0, std: Number = 1.0) -> Tensor:
    r"""Density of the normal distribution.

    .. math:: f(x) = \frac{1}{\sigma\sqrt{2\pi}} e^{-(x-\mu)^2 / (2\sigma^2)}

    Args:
        x: Where to take the density.
        mean: Expectation μ.
        std: Standard deviation σ, positive.

    Shape:
        - x, mean, std: broadcastable; the result has their common shape.

    Raises:
        ValueError: ``x`` is not a floating tensor, or ``std`` is not positive.

    References:
        Equation ``eq-normal-pdf``.
    """
    z = (x - mean) / std  # eq-standardise
    return torch.exp(-(z**2) / 2) / (std * math.sqrt(2 * math.pi))  # eq-normal-pdf


def normal_log_pdf_backward(
    grad_output: Tensor, x: Tensor, mean: Number = 0.0, std: Number = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of :func:`normal_log_pdf`; arguments as there.

    Returns:
        Gradients with respect to ``x``, ``mean`` and ``std``, in the broadcast shape.
    """
    z = (x - mean) / std
    slope = grad_output / std
    return -z * slope, z * slope, (z**2 - 1) * slope  # eq-normal-log-pdf-gradient


@_differentiable(normal_log_pdf_backward)
def normal_log_pdf(x: Tensor, mean: Number = 0.0, std: Number = 1.0) -> Tensor:
    r"""Logarithm of the normal density, finite where the density underflows.

    .. math:: \ln f(x) = -\frac{(x-\mu)^2}{2\sigma^2} - \ln\sigma - \frac12\ln(2\pi)

    Args:
        x: Where to take the log-density.
        mean: Expectation μ.
        std: Standard deviation σ, positive.

    Shape:
        - x, mean, std: broadcastable; the result has their common shape.

    Raises:
        ValueError: ``x`` is not a floating tensor, or ``std`` is not positive.

    References:
        Equation ``eq-normal-log-pdf``.
    """
    z = (x - mean) / std
    return -(z**2) / 2 - torch.log(std) - math.log(2 * math.pi) / 2  # eq-normal-log-pdf


def normal_cdf_backward(
    grad_output: Tensor, x: Tensor, mean: Number = 0.0, std: Number = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of :func:`normal_cdf`, whose slope is the density; arguments as there.

    Returns:
        Gradients with respect to ``x``, ``mean`` and ``std``, in the broadcast shape.
    """
    slope = grad_output * normal_pdf(x, mean, std)  # eq-normal-cdf-gradient
    return slope, -slope, -slope * (x - mean) / std


@_differentiable(normal_cdf_backward)
def normal_cdf(x: Tensor, mean: Number = 0.0, std: Number = 1.0) -> Tensor:
    r"""Distribution function of the normal distribution, P(X ≤ x).

    .. math::

        F(x) = \Phi\Bigl(\frac{x-\mu}{\sigma}\Bigr), \qquad
        \Phi(z) = \frac12 \operatorname{erfc}\Bigl(-\frac{z}{\sqrt2}\Bigr)

    The complementary error function keeps all digits in the lower tail.

    Args:
        x: Where to take the distribution function.
        mean: Expectation μ.
        std: Standard deviation σ, positive.

    Shape:
        - x, mean, std: broadcastable; the result has their common shape.

    Raises:
        ValueError: ``x`` is not a floating tensor, or ``std`` is not positive.

    References:
        Equation ``eq-normal-cdf``.
    """
    z = (x - mean) / std
    return torch.special.erfc(-z / math.sqrt(2)) / 2  # eq-normal-cdf


def normal_quantile_backward(
    grad_output: Tensor, p: Tensor, mean: Number = 0.0, std: Number = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of :func:`normal_quantile`, the inverse function; arguments as there.

    Returns:
        Gradients with respect to ``p``, ``mean`` and ``std``, in the broadcast shape.
    """
    z = normal_quantile(p)
    slope = std / normal_pdf(z)  # eq-normal-quantile-gradient
    return grad_output * slope, grad_output * torch.ones_like(z), grad_output * z


@_differentiable(normal_quantile_backward)
def normal_quantile(p: Tensor, mean: Number = 0.0, std: Number = 1.0) -> Tensor:
    r"""Quantile of the normal distribution: the x with P(X ≤ x) = p.

    Newton's iteration on the logarithm of Φ, started below the root, where the
    concave logarithm makes it climb to the root without overshooting:

    .. math::

        z \leftarrow z + \bigl(\ln p - \ln\Phi(z)\bigr) \frac{\Phi(z)}{\varphi(z)},
        \qquad z_0 = -\sqrt{-2 \ln(2p)}, \qquad p \le \tfrac12

    Args:
        p: Probabilities in [0, 1]; 0 and 1 give -inf and inf.
        mean: Expectation μ.
        std: Standard deviation σ, positive.

    Shape:
        - p, mean, std: broadcastable; the result has their common shape.

    Raises:
        ValueError: ``p`` is not a floating tensor or not within [0, 1], or ``std``
            is not positive.

    References:
        Equation ``eq-normal-quantile-newton``.
    """
    check(bool(((p >= 0) & (p <= 1)).all()), "p", "lie in [0, 1]", p)
    tail = torch.minimum(p, 1 - p).to(torch.promote_types(p.dtype, torch.float32))
    z = -torch.sqrt(-2 * torch.log(2 * tail))
    for _ in range(5):
        scaled = torch.special.erfcx(-z / math.sqrt(2))  # 2 Φ(z) exp(z²/2)
        log_cdf = torch.log(scaled / 2) - z**2 / 2
        mills = scaled * math.sqrt(math.pi / 2)  # Φ(z) / φ(z)
        z = z + (torch.log(tail) - log_cdf) * mills  # eq-normal-quantile-newton
    z = torch.where(tail == 0, -math.inf, z)
    return mean + std * torch.where(p < 0.5, z, -z).to(p.dtype)


def normal_entropy_backward(grad_output: Tensor, std: Tensor) -> tuple[Tensor]:
    """Gradient of :func:`normal_entropy`; arguments as there.

    Returns:
        The gradient with respect to ``std``.
    """
    return (grad_output / std,)


@_differentiable(normal_entropy_backward)
def normal_entropy(std: Tensor) -> Tensor:
    r"""Differential entropy of the normal distribution, in nats.

    .. math:: H = \frac12 \ln(2 \pi e \sigma^2)

    Args:
        std: Standard deviation σ, positive.

    Shape:
        - std: any; the result has the same.

    Raises:
        ValueError: ``std`` is not a floating tensor or not positive.

    References:
        Equation ``eq-normal-entropy``.
    """
    return torch.log(std) + math.log(2 * math.pi * math.e) / 2  # eq-normal-entropy


def normal_sample(
    size: Sequence[int],
    mean: Number = 0.0,
    std: Number = 1.0,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    r"""Draw independent normal numbers from uniform ones (Box and Muller).

    .. math::

        Z_1 = \sqrt{-2\ln U}\,\cos(2\pi V), \qquad Z_2 = \sqrt{-2\ln U}\,\sin(2\pi V)

    Args:
        size: Shape of the result.
        mean: Expectation μ.
        std: Standard deviation σ, positive.
        generator: Source of the uniform numbers; its device is the result's.
        dtype: Of the result. The draw itself is made in float64, whose bits do not
            depend on the processor where the generator is a CPU's.

    Shape:
        - mean, std: broadcastable to ``size``.

    Raises:
        ValueError: ``std`` is not positive, or ``mean`` or ``std`` has a shape that
            does not broadcast to ``size``.

    References:
        Box and Muller (1958); equation ``eq-box-muller``.
    """
    like = {"dtype": torch.float64, "device": generator.device}
    mean, std = torch.as_tensor(mean, **like), torch.as_tensor(std, **like)
    _check_broadcast(size, mean=mean, std=std)
    check(bool((std > 0).all()), "std", "be positive", std)
    n = math.prod(size)
    u, v = torch.rand(2, (n + 1) // 2, generator=generator, **like)
    radius, angle = torch.sqrt(-2 * torch.log(1 - u)), 2 * math.pi * v  # 1 - u > 0
    z1, z2 = radius * torch.cos(angle), radius * torch.sin(angle)  # eq-box-muller
    z = torch.cat([z1, z2])[:n].reshape(size)
    return (mean + std * z).to(dtype)


def _check_broadcast(size: Sequence[int], **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        try:
            tensor.expand(size)
        except RuntimeError:
            rule = f"{name} must broadcast to {tuple(size)}"
            raise ValueError(f"{rule}, got shape {tuple(tensor.shape)}") from None


def scott_bandwidth(sample: Tensor) -> Tensor:
    r"""Scott's bandwidth for a kernel density estimate.

    .. math:: h = s\, n^{-1/5}

    Args:
        sample: The observations; s is their standard deviation with n - 1.

    Shape:
        - sample: ``(n,)``, n at least 2; the result is a scalar.

    Raises:
        ValueError: ``sample`` is not floating, not one-dimensional, or shorter than 2.

    References:
        Scott (1992), *Multivariate Density Estimation*; equation
        ``eq-scott-bandwidth``.
    """
    _check_sample(sample, 2)
    return sample.std() * len(sample) ** (-1 / 5)  # eq-scott-bandwidth


def gaussian_kde(x: Tensor, sample: Tensor, bandwidth: Number | None = None) -> Tensor:
    r"""Kernel density estimate: a normal density around each observation, averaged.

    .. math::

        \hat f(x) = \frac1n \sum_{i=1}^n \frac1h\,\varphi\Bigl(\frac{x-x_i}{h}\Bigr)

    It holds a few numbers for each pair of ``x`` and observation in memory.

    Args:
        x: Where to take the estimate.
        sample: The observations.
        bandwidth: Standard deviation h of each kernel, in the unit of the sample;
            ``None`` takes :func:`scott_bandwidth`.

    Shape:
        - x: any; the result has the same.
        - sample: ``(n,)``.

    Raises:
        ValueError: ``x`` or ``sample`` is not a floating tensor, ``sample`` is not
            one-dimensional, or ``bandwidth`` is not one positive number.

    References:
        Equation ``eq-kde``.
    """
    check_floating(x=x)
    _check_sample(sample, 1)
    if bandwidth is None:
        bandwidth = scott_bandwidth(sample)
    bandwidth = torch.as_tensor(bandwidth, dtype=sample.dtype, device=sample.device)
    ok = bandwidth.ndim == 0 and bandwidth > 0
    check(ok, "bandwidth", "be one positive number", bandwidth)
    return normal_pdf(x[..., None], sample, bandwidth).mean(-1)  # eq-kde


def _check_sample(sample: Tensor, least: int) -> None:
    check_floating(sample=sample)
    if sample.ndim != 1 or len(sample) < least:
        shape = tuple(sample.shape)
        raise ValueError(f"sample must have shape (n,), n >= {least}, got {shape}")
