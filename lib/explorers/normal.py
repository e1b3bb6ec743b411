"""An explorer of the normal distribution."""

from typing import Any

import torch
from torch import Tensor

from lib._function import check
from lib.explore import Explorer, fixed
from lib.explorers._drawing import path, write
from lib.normal import normal_cdf, normal_pdf
from lib.plot import BLUE, GREY


class NormalExplorer(Explorer):
    """The density of a normal law, the probability of an interval, and a sample.

    Args:
        sample: Standard normal observations z, shown as μ + σ z. Three decimals of
            each are stored.
        mean: Expectation μ at first, in [-3, 3].
        std: Standard deviation σ at first, in [0.3, 3].
        lower: Left end a of the interval at first, in [-7, 7].
        upper: Right end b of the interval at first, in [-7, 7].

    Shape:
        - sample: ``(n,)``, n at least 2.

    Raises:
        ValueError: ``sample`` is not one-dimensional, shorter than 2 or not finite, or
            another argument lies outside its range.
    """

    element = "normal-explorer"

    def __init__(
        self,
        sample: Tensor,
        mean: float = 0.0,
        std: float = 1.0,
        lower: float = -1.0,
        upper: float = 1.0,
    ) -> None:
        ok = sample.ndim == 1 and len(sample) >= 2
        check(ok, "sample", "have shape (n,) with n > 1", tuple(sample.shape))
        check(bool(sample.isfinite().all()), "sample", "be finite", sample)
        check(std > 0, "std", "be positive", std)
        _check_range("mean", mean, -3, 3)
        _check_range("std", std, 0.3, 3)
        _check_range("lower", lower, -7, 7)
        _check_range("upper", upper, -7, 7)
        check(lower < upper, "lower", "be less than upper", f"{lower} and {upper}")
        self.sample = sample.to(torch.float64)
        self.mean, self.std = float(mean), float(std)
        self.lower, self.upper = float(lower), float(upper)

    def __repr__(self) -> str:
        ends = torch.tensor([self.lower, self.upper], dtype=torch.float64)
        below_lower, below_upper = normal_cdf(ends, self.mean, self.std).tolist()
        return (
            f"Normal density with mean {self.mean:.4g} and standard deviation"
            f" {self.std:.4g}; between {self.lower:.4g} and {self.upper:.4g} lies"
            f" probability {below_upper - below_lower:.4f}."
        )

    def values(self) -> dict[str, Any]:
        """What the sliders start from, the sample, and which layers are shown."""
        return {
            "mean": self.mean,
            "std": self.std,
            "lower": self.lower,
            "upper": self.upper,
            "n": len(self.sample),
            "bars": True,
            "smooth": False,
            "sample": [round(z, 3) + 0.0 for z in self.sample.tolist()],
        }

    def picture(self) -> tuple[int, int, str]:
        """The density, the interval and the axes, where the script draws them."""
        width, height, left, right, base = 680, 339, 30, 666, 295

        def at(x: Tensor | float, y: Tensor | float) -> tuple:
            return left + (x + 7) / 14 * (right - left), base - y / 1.4 * (base - 18)

        def curve(start: float, end: float, n: int) -> list[tuple[float, float]]:
            x = torch.linspace(start, end, n, dtype=torch.float64)
            pixels = at(x, normal_pdf(x, self.mean, self.std))
            return list(zip(*(p.tolist() for p in pixels), strict=True))

        below = curve(self.lower, self.upper, 41)
        area = [at(self.lower, 0), *below, at(self.upper, 0)]
        grid = "".join(path([at(-7, y), at(7, y)]) for y in (0.5, 1.0))
        words = [
            write(0, 13, "density"),
            *(
                write(at(x, 0)[0], base + 22, fixed(x, 0), "middle")
                for x in range(-6, 7, 2)
            ),
            *(write(left - 5, at(-7, y)[1] + 5, y, "end") for y in (0.5, 1.0)),
        ]
        return (
            width,
            height,
            f'<g fill="{GREY}">{"".join(words)}</g>'
            f'<path stroke="#ddd" d="{grid}"/>'
            f'<path fill="{BLUE}" opacity=".25" d="{path(area)}Z"/>'
            f'<path stroke="{GREY}" d="{path([at(-7, 0), at(7, 0)])}"/>'
            f'<path stroke="{BLUE}" stroke-width="2.5" fill="none"'
            f' d="{path(curve(-7, 7, 141))}"/>',
        )


def _check_range(name: str, value: float, low: float, high: float) -> None:
    check(low <= value <= high, name, f"lie in [{low}, {high}]", value)
