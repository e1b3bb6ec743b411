"""Weight initialisation: scales that keep the variance of signals through layers.

Names, parameters and random numbers are those of ``torch.nn.init``: equal generators
give equal bits. Every function fills a tensor in place, outside of autograd.
"""

import math
import numbers
import warnings
from typing import Literal

import torch
from torch import Tensor

from lib._function import check, check_floating

Generator = torch.Generator | None
_LINEAR = (
    "linear",
    *(f"conv{n}d" for n in (1, 2, 3)),
    *(f"conv_transpose{n}d" for n in (1, 2, 3)),
)
_NONLINEARITIES = (*_LINEAR, "sigmoid", "tanh", "relu", "leaky_relu", "selu")


def calculate_fan(tensor: Tensor) -> tuple[int, int]:
    r"""Count the terms in the sum that makes an output, and those an input enters.

    .. math::

        n_\text{in} = C_\text{in} \prod_i K_i, \qquad
        n_\text{out} = C_\text{out} \prod_i K_i

    Args:
        tensor: Weight of a linear or convolutional layer.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.

    Returns:
        The fans ``(n_in, n_out)``, what ``_calculate_fan_in_and_fan_out`` of
        ``torch.nn.init`` gives.

    Raises:
        ValueError: ``tensor`` has fewer than two axes.

    References:
        Equation ``eq-fan``.
    """
    shape = f"shape {tuple(tensor.shape)}"
    check(tensor.ndim >= 2, "tensor", "have at least 2 axes", shape)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel  # eq-fan


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    r"""Factor on the standard deviation for the activation that follows a layer.

    For rectifiers, where :math:`\mathbb{E} f(X)^2 = \tfrac{1 + a^2}{2} \mathbb{E} X^2`:

    .. math:: g = \sqrt{\frac{2}{1 + a^2}}

    The other values are conventions: 1 for layers that are linear and for the
    sigmoid, 5/3 for tanh, 3/4 for SELU.

    Args:
        nonlinearity: Name of a function in ``torch.nn.functional``.
        param: Negative slope a of ``"leaky_relu"``; ``None`` is 0.01.

    Returns:
        The gain g.

    Raises:
        ValueError: ``nonlinearity`` is none of the names, or ``param`` is needed and
            not a number.

    References:
        He et al. (2015), arXiv:1502.01852; equation ``eq-rectifier-gain``.
    """
    rule = f"be one of {', '.join(_NONLINEARITIES)}"
    known = nonlinearity in _NONLINEARITIES
    check(known, "nonlinearity", rule, repr(nonlinearity))
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        number = isinstance(slope, int | float) and not isinstance(slope, bool)
        check(number, "param", "be a number", repr(param))
        return math.sqrt(2 / (1 + slope**2))  # eq-rectifier-gain
    return {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}.get(nonlinearity, 1)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator = None
) -> Tensor:
    r"""Fill ``tensor`` with Glorot and Bengio's compromise, uniformly.

    .. math::

        w \sim \mathcal{U}(-\sqrt3\,s, \sqrt3\,s), \qquad
        s = g \sqrt{\frac{2}{n_\text{in} + n_\text{out}}}

    Args:
        tensor: Weight to overwrite.
        gain: Factor g, see :func:`calculate_gain`.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.

    Returns:
        ``tensor``.

    Raises:
        ValueError: ``tensor`` is not floating, has fewer than two axes or no fan, or
            ``gain`` is not a finite number of at least 0.

    References:
        Glorot and Bengio (2010), equation (16); here ``eq-xavier-std`` and
        ``eq-uniform-bound``.
    """
    return _uniform_(tensor, _xavier_std(tensor, gain), generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Generator = None
) -> Tensor:
    r"""Fill ``tensor`` with Glorot and Bengio's compromise, normally.

    .. math::

        w \sim \mathcal{N}(0, s^2), \qquad
        s = g \sqrt{\frac{2}{n_\text{in} + n_\text{out}}}

    Args:
        tensor: Weight to overwrite.
        gain: Factor g, see :func:`calculate_gain`.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.

    Returns:
        ``tensor``.

    Raises:
        ValueError: ``tensor`` is not floating, has fewer than two axes or no fan, or
            ``gain`` is not a finite number of at least 0.

    References:
        Glorot and Bengio (2010), equation (12); here ``eq-xavier-std``.
    """
    return _normal_(tensor, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    r"""Fill ``tensor`` with He's initialisation for rectifiers, uniformly.

    .. math::

        w \sim \mathcal{U}(-\sqrt3\,s, \sqrt3\,s), \qquad s = \frac{g}{\sqrt{n}}, \qquad
        g = \sqrt{\frac{2}{1 + a^2}}

    Args:
        tensor: Weight to overwrite; left as it is, with a warning, if empty.
        a: Negative slope of the rectifier that follows, for ``"leaky_relu"``.
        mode: The fan n: ``"fan_in"`` keeps the variance of the activations,
            ``"fan_out"`` that of the gradients.
        nonlinearity: What follows the layer, see :func:`calculate_gain`.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.

    Returns:
        ``tensor``.

    Raises:
        ValueError: ``tensor`` is not floating or has fewer than two axes, ``a`` is
            not a number, or ``mode`` or ``nonlinearity`` is none of the names.

    References:
        He et al. (2015), arXiv:1502.01852, equations (10), (14) and (15); here
        ``eq-kaiming-std`` and ``eq-uniform-bound``.
    """
    if _is_empty(tensor):
        return tensor
    gain, fan = _gain_and_fan(tensor, a, mode, nonlinearity)
    return _uniform_(tensor, gain / math.sqrt(fan), generator)  # eq-kaiming-std


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> Tensor:
    r"""Fill ``tensor`` with He's initialisation for rectifiers, normally.

    .. math::

        w \sim \mathcal{N}(0, s^2), \qquad s = \frac{g}{\sqrt{n}}, \qquad
        g = \sqrt{\frac{2}{1 + a^2}}

    Args:
        tensor: Weight to overwrite; left as it is, with a warning, if empty.
        a: Negative slope of the rectifier that follows, for ``"leaky_relu"``.
        mode: The fan n: ``"fan_in"`` keeps the variance of the activations,
            ``"fan_out"`` that of the gradients.
        nonlinearity: What follows the layer, see :func:`calculate_gain`.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.

    Returns:
        ``tensor``.

    Raises:
        ValueError: ``tensor`` is not floating or has fewer than two axes, ``a`` is
            not a number, or ``mode`` or ``nonlinearity`` is none of the names.

    References:
        He et al. (2015), arXiv:1502.01852, equations (10), (14) and (15); here
        ``eq-kaiming-std``.
    """
    if _is_empty(tensor):
        return tensor
    gain, fan = _gain_and_fan(tensor, a, mode, nonlinearity)
    return _normal_(tensor, gain / math.sqrt(fan), generator)  # eq-kaiming-std


def fan_in_uniform_(
    weight: Tensor, bias: Tensor | None = None, generator: Generator = None
) -> Tensor:
    r"""Fill the parameters of a layer as ``nn.Linear`` and ``nn.Conv2d`` do.

    .. math::

        w, b \sim \mathcal{U}\Bigl(-\frac{1}{\sqrt{n_\text{in}}},
        \frac{1}{\sqrt{n_\text{in}}}\Bigr), \qquad
        n_\text{in} \operatorname{Var} w = \frac13

    Args:
        weight: Weight to overwrite; left as it is, with a warning, if empty.
        bias: Bias to overwrite, after the weight; zero if there are no inputs.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - weight: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``.
        - bias: any, usually ``(n_out,)``.

    Returns:
        ``weight``.

    Raises:
        ValueError: ``weight`` or ``bias`` is not floating, or ``weight`` has fewer
            than two axes.

    References:
        Glorot and Bengio (2010), equations (1) and (15); here ``eq-fan-in-uniform``.
    """
    fan_in, _ = calculate_fan(weight)
    check_floating(bias=bias, weight=weight)
    # eq-fan-in-uniform. torch reaches the bound by g = √(1/3); the last bit matters.
    kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(fan_in) if fan_in else 0
        with torch.no_grad():
            bias.uniform_(-bound, bound, generator=generator)
    return weight


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator = None) -> Tensor:
    r"""Fill ``tensor`` with a random matrix of orthonormal rows or columns.

    From the decomposition of a matrix of independent normal numbers, made unique by a
    positive diagonal of R, so that no direction is preferred:

    .. math:: W = g\, Q \operatorname{sign}(\operatorname{diag} R), \qquad A = QR

    Args:
        tensor: Weight to overwrite; left as it is if empty.
        gain: Factor g.
        generator: Source of randomness; ``None`` is torch's own.

    Shape:
        - tensor: ``(n_out, n_in)`` or ``(C_out, C_in, *kernel)``, taken as a matrix
          of ``C_out`` rows.

    Returns:
        ``tensor``.

    Raises:
        ValueError: ``tensor`` has fewer than two axes or is neither float32 nor
            float64.

    References:
        Saxe et al. (2013), arXiv:1312.6120; Mezzadri (2007), arXiv:math-ph/0609050;
        equation ``eq-orthogonal``.
    """
    calculate_fan(tensor)
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    ok = tensor.dtype in (torch.float32, torch.float64)
    check(ok, "tensor", "be float32 or float64", tensor.dtype)
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    normal = tensor.new_empty(rows, columns).normal_(0, 1, generator=generator)
    q, r = torch.linalg.qr(normal if rows >= columns else normal.T)
    q = q * r.diagonal().sign()  # eq-orthogonal
    with torch.no_grad():
        q = q if rows >= columns else q.T
        return tensor.copy_(q.reshape(tensor.shape)).mul_(gain)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = calculate_fan(tensor)
    check_floating(tensor=tensor)
    shape = f"shape {tuple(tensor.shape)}"
    check(fan_in + fan_out > 0, "tensor", "have inputs or outputs", shape)
    ok = isinstance(gain, numbers.Real) and 0 <= gain < math.inf
    check(ok, "gain", "be a finite number of at least 0", gain)
    return gain * math.sqrt(2 / (fan_in + fan_out))  # eq-xavier-std


def _gain_and_fan(
    tensor: Tensor, a: float, mode: str, nonlinearity: str
) -> tuple[float, int]:
    modes = ("fan_in", "fan_out")
    ok = isinstance(mode, str) and mode.lower() in modes
    check(ok, "mode", "be 'fan_in' or 'fan_out'", repr(mode))
    fan = calculate_fan(tensor)[modes.index(mode.lower())]
    check_floating(tensor=tensor)
    gain = calculate_gain(nonlinearity, a)
    check(not math.isnan(gain), "a", "be a number", a)
    return gain, fan


def _uniform_(tensor: Tensor, std: float, generator: Generator) -> Tensor:
    bound = math.sqrt(3) * std  # eq-uniform-bound: the variance is bound² / 3
    with torch.no_grad():
        return tensor.uniform_(-bound, bound, generator=generator)


def _normal_(tensor: Tensor, std: float, generator: Generator) -> Tensor:
    with torch.no_grad():
        return tensor.normal_(0, std, generator=generator)


def _is_empty(tensor: Tensor) -> bool:
    if tensor.numel() == 0:
        warnings.warn("tensor is empty: nothing to initialise", stacklevel=3)
    return tensor.numel() == 0
