"""The call that every labelled equation of the book ends in."""

import re

import numpy as np
import torch
from torch import Tensor

Numbers = Tensor | np.ndarray | float | list | tuple


def verify(
    label: str,
    measured: Numbers,
    predicted: Numbers,
    *,
    rtol: float | None = None,
    scale: float | None = None,
    se: Numbers | None = None,
    z: float = 4.0,
) -> None:
    r"""Compare what was measured with what an equation predicts; print one line.

    An exact statement is compared relatively, a statistical one in standard errors:

    .. math::

        |\text{measured} - \text{predicted}| \le \begin{cases}
            \text{rtol} \cdot \max(|\text{predicted}|, \text{scale}) \\
            z \cdot \text{se}
        \end{cases}

    Args:
        label: Label of the equation on this page, ``"eq-..."``.
        measured: Values computed another way than the equation.
        predicted: Values that the equation gives.
        rtol: Relative tolerance, in (0, 1); 1e-10 unless ``se`` is given.
        scale: Size of the quantities that cancel; needed where ``predicted`` is 0.
        se: Standard error of ``measured``, one or one for each element; derived
            rather than chosen.
        z: How many standard errors are allowed.

    Shape:
        - measured, predicted: equal.

    Raises:
        AssertionError: The two differ by more than the tolerance.
        ValueError: The comparison could not fail or makes no sense: unequal shapes,
            nothing to compare, values that are not finite, the same object twice,
            a tolerance as large as what it is compared with.
    """
    if not re.fullmatch(r"eq-[a-z0-9]+(-[a-z0-9]+)*", label):
        raise ValueError(f"label must look like 'eq-normal-pdf', got {label!r}")
    got, want = _float64("measured", measured), _float64("predicted", predicted)
    if _same(measured, predicted):
        raise ValueError(f"{label}: predicted must be computed apart from measured")
    if got.shape != want.shape:
        shapes = f"{tuple(got.shape)} and {tuple(want.shape)}"
        raise ValueError(
            f"{label}: measured and predicted must have equal shapes, got {shapes}"
        )
    if scale is not None and not 0 < scale < float("inf"):
        raise ValueError(f"{label}: scale must be positive and finite, got {scale}")
    size = want.abs().clamp(min=scale or 0.0)
    if (size == 0).any():
        raise ValueError(f"{label}: scale must be given where predicted is 0")
    shown = int(_rounded(want.abs().flatten()).argmax())
    if se is None:
        rtol = 1e-10 if rtol is None else rtol
        if not 0 < rtol < 1:
            raise ValueError(f"{label}: rtol must lie in (0, 1), got {rtol}")
        allowed, note = rtol * size, f"rtol {rtol:.3g}"
    else:
        if rtol is not None:
            raise ValueError(f"{label}: rtol must not be given with se, got {rtol}")
        allowed = (z * _float64("se", se)).expand_as(size)
        if not ((allowed > 0) & (allowed < size)).all():
            raise ValueError(
                f"{label}: z * se must be positive and below the size of what is"
                f" compared, {size.min():.4g}, got {z} * {se}"
            )
        note = f"{z:g} se of {allowed.flatten()[shown] / z:.2g}"
    error = (got - want).abs()
    if (error > allowed).any():
        worst = int((error / allowed).argmax())
        a, b = got.flatten()[worst].item(), want.flatten()[worst].item()
        where = f" (element {worst} of {want.numel()})" if want.numel() > 1 else ""
        raise AssertionError(
            f"{label}: measured {a:.10g}, predicted {b:.10g}{where};"
            f" they differ by {abs(a - b):.3g}, allowed {allowed.flatten()[worst]:.3g}"
        )
    floor = allowed.flatten()[shown].item()
    values = [_show(t.flatten()[shown].item(), floor) for t in (got, want)]
    count = f", {want.numel()} values" if want.numel() > 1 else ""
    print(f"{label}  ✓  {values[0]} ≈ {values[1]} ({note}{count})")


def _float64(name: str, values: Numbers) -> Tensor:
    if isinstance(values, list | tuple) and any(map(torch.is_tensor, values)):
        values = [v.cpu() if torch.is_tensor(v) else v for v in values]
        values = torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in values])
    array = (
        values.detach().cpu()
        if torch.is_tensor(values)
        else np.array(values, order="C")
    )
    if torch.as_tensor(array).is_complex():
        raise ValueError(f"{name} must be real, got {values}")
    tensor = torch.as_tensor(array, dtype=torch.float64)
    if tensor.numel() == 0:
        raise ValueError(f"{name} must have elements, got shape {tuple(tensor.shape)}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite, got {values}")
    return tensor


def _same(a: Numbers, b: Numbers) -> bool:
    """Is one the other, or a view of it? Python makes equal small integers one."""
    if isinstance(a, Tensor | np.ndarray) and isinstance(b, Tensor | np.ndarray):
        arrays = [v.detach().cpu().numpy() if torch.is_tensor(v) else v for v in (a, b)]
        return np.shares_memory(*arrays)
    return a is b and not isinstance(a, int)


# The printed element and its digits must not depend on the last bits, which differ
# between processors: round to 12 digits before choosing and before showing.
def _rounded(values: Tensor) -> Tensor:
    digits = [float(f"{v:.12g}") for v in values.tolist()]
    return torch.tensor(digits, dtype=torch.float64)


def _show(value: float, floor: float) -> str:
    if abs(value) <= floor:
        return "0"
    return f"{float(f'{value:.12g}'):#.4g}".rstrip(".")
