"""An explorer of initialisation: the spread of signals through a deep network."""

import math
import numbers
from typing import Any

from lib._function import check
from lib.activation import activation_moments, relu, sigmoid, softsign, tanh
from lib.explore import Explorer
from lib.explorers._drawing import path, write
from lib.plot import BLUE, GREY, RED

FUNCTIONS = {"sigmoid": sigmoid, "tanh": tanh, "softsign": softsign, "relu": relu}
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class InitializationExplorer(Explorer):
    """Activations and gradients by layer, as the scale of the weights has them.

    The layers are wide and of one width n; the weights are independent with
    expectation 0, and the inputs have second moment 1. The reader chooses the
    activation function, the scale and the depth.

    Args:
        activation: Function at first: ``"sigmoid"``, ``"tanh"``, ``"softsign"`` or
            ``"relu"``.
        scale: Scale n Var[w] of the weights at first, in [0.1, 4].
        depth: Number of layers at first, in [2, 50].

    Raises:
        ValueError: An argument is none of these, or lies outside its range.
    """

    element = "initialization-explorer"
    parts = ("base",)

    def __init__(
        self, activation: str = "tanh", scale: float = 1.0, depth: int = 10
    ) -> None:
        rule = f"be one of {', '.join(FUNCTIONS)}"
        check(activation in tuple(FUNCTIONS), "activation", rule, repr(activation))
        ok = isinstance(scale, numbers.Real) and 0.1 <= scale <= 4
        check(ok, "scale", "lie in [0.1, 4]", repr(scale))
        ok = type(depth) is int and 2 <= depth <= 50
        check(ok, "depth", "be an integer in [2, 50]", repr(depth))
        self.activation, self.scale, self.depth = activation, float(scale), depth

    def spread(self) -> tuple[list[float], list[float]]:
        """Root mean squares by layer, in the limit of wide layers.

        Returns:
            Those of the activations, and those of the gradients with respect to the
            pre-activations, relative to the last layer.
        """
        activations, factors, q = [], [], self.scale
        for _ in range(self.depth):
            moments = activation_moments(FUNCTIONS[self.activation], std=math.sqrt(q))
            _, second, steepness = (m.item() for m in moments)
            activations.append(math.sqrt(second))
            factors.append(math.sqrt(self.scale * steepness))
            q = self.scale * second
        gradients = [1.0]
        for factor in factors[-2::-1]:
            gradients.insert(0, gradients[0] * factor)
        return activations, gradients

    def __repr__(self) -> str:
        activations, gradients = self.spread()
        name = {"relu": "ReLU"}.get(self.activation, self.activation)
        return (
            f"In a network of {self.depth} {name} layers, all of one large width n,"
            f" with n Var[w] = {self.scale:.2f}, the root mean square of the"
            f" activations is {_short(activations[-1])} in layer {self.depth}, and that"
            f" of the gradients is {_short(gradients[0])} in layer 1, relative to layer"
            f" {self.depth}."
        )

    def values(self) -> dict[str, Any]:
        """What the controls start from."""
        return {
            "activation": self.activation,
            "scale": self.scale,
            "depth": self.depth,
        }

    def picture(self) -> tuple[int, int, str]:
        """The two curves and the axes, where the script draws them."""
        width, height, top, base, left, right = 680, 339, 24, 311, 38, 588
        depth, (activations, gradients) = self.depth, self.spread()

        def x(layer: int) -> float:
            return left + (layer - 1) / (depth - 1) * (right - left)

        def y(value: float) -> float:
            return top + (2 - math.log10(value)) / 10 * (base - top)

        def curve(values: list[float]) -> str:
            return path((x(i + 1), y(v)) for i, v in enumerate(values))

        last = activations[-1]
        a, b = min(max(y(last), top), base), y(1)
        if abs(a - b) < 15:  # two names that would touch give way, each by half
            middle, half = (a + b) / 2, -7.5 if a < b else 7.5
            a, b = middle + half, middle - half
        arrow = " ↓" if last < 1e-8 else " ↑" if last > 100 else ""
        exponents = (2, 0, -2, -4, -6, -8)
        rows = [y(10.0**e) for e in exponents]
        grid = "".join(path([(left, row), (right, row)]) for row in rows)
        step = 10 if depth > 20 else 5 if depth > 10 else 1
        layers = [k for k in range(1, depth + 1) if k == 1 or k % step == 0]
        ticks = "".join(path([(x(k), base), (x(k), base + 4)]) for k in layers)
        axis = path([(left, base), (right, base)])
        words = [
            write(0, 10, "root mean square"),
            *(
                write(left - 6, row + 4, _power(e) if e else "1", "end")
                for e, row in zip(exponents, rows, strict=True)
            ),
            *(write(x(k), base + 17, k, "middle") for k in layers),
            write(right + 14, base + 17, "layer"),
        ]
        w, h = right - left, base - top
        name_a = write(right + 6, a + 4, f"activations{arrow}")
        name_b = write(right + 6, b + 4, "gradients")
        return (
            width,
            height,
            f'<g font-size="12"><g fill="{GREY}">{"".join(words)}</g>'
            f'<path stroke="#ddd" d="{grid}"/>'
            f'<svg x="{left}" y="{top}" width="{w}" height="{h}"'
            f' viewBox="{left} {top} {w} {h}"><g fill="none" stroke-width="2.5">'
            f'<path stroke="{BLUE}" d="{curve(activations)}"/>'
            f'<path stroke="{RED}" stroke-dasharray="7 4" d="{curve(gradients)}"/>'
            f'</g></svg><path stroke="{GREY}" d="{axis}{ticks}"/>'
            f'<g fill="{BLUE}">{name_a}</g><g fill="{RED}">{name_b}</g></g>',
        )


def _short(value: float) -> str:
    """Three digits, with a power of ten far from 1; a tie goes up."""
    value *= 1 + 1e-9
    digits, e = f"{value:.2e}".split("e")
    e = int(e)
    return f"{value:.{2 - e}f}" if -3 <= e <= 2 else f"{digits}·{_power(e)}"


def _power(exponent: int) -> str:
    return "10" + str(exponent).translate(SUPERSCRIPT)
