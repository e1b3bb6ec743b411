"""What a page shows besides text and figures: the source of a function, explorers."""

import ast
import base64
import html
import inspect
import json
import textwrap
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from lib.normal import normal_cdf, normal_pdf
from lib.plot import BLUE, GREY


class Source:
    """The code of one or more functions, without docstrings, as a cell's output.

    Args:
        *functions: Functions or classes of this library.
    """

    def __init__(self, *functions: Callable) -> None:
        self.code = "\n\n\n".join(_without_docstring(f) for f in functions)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```"

    def __repr__(self) -> str:
        return self.code


def _without_docstring(function: Callable) -> str:
    code = textwrap.dedent(inspect.getsource(function))
    lines = code.splitlines()
    node = ast.parse(code).body[0]
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines)


class Explorer:
    """A figure with controls that needs neither kernel nor network.

    As a cell's output it is a custom element, followed by the script that brings it to
    life; where scripts are off, the picture inside the element is seen. The same
    arguments give the same bytes, so the stored output can be compared.

    A subclass sets ``element`` and defines ``values``, ``picture`` and ``__repr__``,
    one sentence that says what is seen.
    """

    element: str
    """Name of the custom element; its script is ``explorers/<element>.js``."""

    def values(self) -> dict[str, Any]:
        """What the script is given: numbers, rounded where they are measurements."""
        raise NotImplementedError

    def picture(self) -> tuple[int, int, str]:
        """Width, height and content of an SVG drawing, from rounded numbers."""
        raise NotImplementedError

    @classmethod
    def script(cls) -> str:
        """The element's script as a page holds it, without comments and indents.

        It is no module: those wait for the whole page, and the text below would jump.
        """
        folder = resources.files("lib") / "explorers"
        code = [(folder / f"{n}.js").read_text("utf-8") for n in ("base", cls.element)]
        lines = (line.strip() for line in "\n".join(code).splitlines())
        code = "\n".join(x for x in lines if x and not x.startswith("//"))
        return f'(() => {{\n"use strict";\n{code}\n}})();'

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        width, height, drawing = self.picture()
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="16">'
            f'<path fill="#fff" d="M0 0H{width}V{height}H0Z"/>{drawing}</svg>'
        )
        image = base64.b64encode(svg.encode()).decode()
        values = html.escape(json.dumps(self.values(), separators=(",", ":")))
        page = (
            f'<{self.element} class="book-explorer" data-values="{values}">'
            f'<img src="data:image/svg+xml;base64,{image}" width="{width}"'
            f' height="{height}" alt="{html.escape(repr(self))}">'
            "<p>Where scripts run, this figure has controls.</p>"
            f"</{self.element}>\n<script>\n{self.script()}\n</script>"
        )
        return {"text/html": page, "text/plain": repr(self)}


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
        if sample.ndim != 1 or len(sample) < 2:
            shape = tuple(sample.shape)
            raise ValueError(f"sample must have shape (n,) with n > 1, got {shape}")
        if not sample.isfinite().all():
            raise ValueError(f"sample must be finite, got {sample}")
        if not std > 0:
            raise ValueError(f"std must be positive, got {std}")
        _check_range("mean", mean, -3, 3)
        _check_range("std", std, 0.3, 3)
        _check_range("lower", lower, -7, 7)
        _check_range("upper", upper, -7, 7)
        if not lower < upper:
            raise ValueError(f"lower must be less than upper, got {lower} and {upper}")
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
        grid = "".join(_path([at(-7, y), at(7, y)]) for y in (0.5, 1.0))
        labels = [(*at(x, 0), 0, 22, "middle", x) for x in (-6, -4, -2, 0, 2, 4, 6)]
        labels += [(*at(-7, y), -5, 5, "end", y) for y in (0.5, 1.0)]
        words = "".join(
            f'<text x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{anchor}">{label}'
            "</text>"
            for x, y, dx, dy, anchor, label in labels
        ).replace(">-", ">−")
        return (
            width,
            height,
            f'<g fill="{GREY}"><text y="13">density</text>{words}</g>'
            f'<path stroke="#ddd" d="{grid}"/>'
            f'<path fill="{BLUE}" opacity=".25" d="{_path(area)}Z"/>'
            f'<path stroke="{GREY}" d="{_path([at(-7, 0), at(7, 0)])}"/>'
            f'<path stroke="{BLUE}" stroke-width="2.5" fill="none"'
            f' d="{_path(curve(-7, 7, 141))}"/>',
        )


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
