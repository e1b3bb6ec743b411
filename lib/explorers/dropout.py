"""An explorer of dropout: every mask of a small network."""

from typing import Any

import torch
from torch import Tensor

from lib._function import check
from lib.explore import Explorer, fixed
from lib.explorers._drawing import path, write
from lib.plot import BLUE, GREY, RED

INPUTS, STEP, TOP, LEFT, RIGHT, ROOF = 4, 40, 44, 300, 666, 52


class DropoutExplorer(Explorer):
    """One mask of a small network, and the outputs of all masks.

    The output is the weighted sum of hidden units, each of which is dropped with
    probability p, or else divided by 1 - p. The reader chooses p and the mask, and
    whether the output is rectified.

    Args:
        hidden: Activations of the hidden units, in [-9, 9].
        weight: Their weights in the output, in [-9, 9].
        p: Probability to drop a unit at first: a multiple of 0.1 in [0, 0.9].

    Shape:
        - hidden, weight: ``(n,)`` with 2 ≤ n ≤ 6.

    Raises:
        ValueError: An argument does not have that shape or lie in that range.
    """

    element = "dropout-explorer"

    def __init__(self, hidden: Tensor, weight: Tensor, p: float = 0.5) -> None:
        self.hidden = _vector("hidden", hidden)
        self.weight = _vector("weight", weight)
        ok = self.weight.shape == self.hidden.shape
        rule = f"have the shape of hidden, {tuple(self.hidden.shape)}"
        check(ok, "weight", rule, tuple(self.weight.shape))
        ok = isinstance(p, float | int) and p in [k / 10 for k in range(10)]
        check(ok, "p", "be a multiple of 0.1 in [0, 0.9]", repr(p))
        self.p = float(p)
        self.mask = 2 ** len(self.hidden) - 2  # all but unit 0

    @property
    def masks(self) -> Tensor:
        """All masks, one a row, with 1 where a unit is kept; unit 0 changes fastest."""
        n = len(self.hidden)
        return torch.arange(2**n).unsqueeze(1).bitwise_right_shift(torch.arange(n)) & 1

    @property
    def outputs(self) -> Tensor:
        """The output with each mask."""
        return self.masks.double() @ (self.weight * self.hidden) / (1 - self.p)

    @property
    def probabilities(self) -> Tensor:
        """The probability of each mask."""
        kept = self.masks.double()
        return (kept * (1 - self.p) + (1 - kept) * self.p).prod(1)

    def __repr__(self) -> str:
        mean = self.probabilities @ self.outputs
        std = (self.probabilities @ (self.outputs - mean).square()).sqrt()
        test = self.weight @ self.hidden
        return (
            f"Units dropped with probability {fixed(self.p, 1)}: with unit 0 dropped"
            f" the output is {fixed(self.outputs[self.mask].item(), 3)}; over all"
            f" {len(self.outputs)} masks its mean is {fixed(mean.item(), 3)}, its"
            f" standard deviation {fixed(std.item(), 3)}; without dropout it is"
            f" {fixed(test.item(), 3)}."
        )

    def values(self) -> dict[str, Any]:
        """The network, and what the controls start from."""
        return {
            "hidden": self.hidden.tolist(),
            "weight": self.weight.tolist(),
            "p": self.p,
            "mask": self.mask,
            "rectify": False,
        }

    def picture(self) -> tuple[int, int, str]:
        """The first mask and the outputs of all, where the script draws them."""
        base = TOP + (len(self.hidden) - 1) * STEP
        return (
            680,
            base + 28,
            (f'<g font-size="12">{self._network(base)}{self._stems(base)}</g>'),
        )

    def _network(self, base: float) -> str:
        middle, out = (TOP + base) / 2, 216
        kept = self.masks[self.mask].tolist()
        drawing = [f'<g fill="{GREY}">{write(0, 10, "network with this mask")}</g>']
        inputs = [(8, middle + (j - 1.5) * 34) for j in range(INPUTS)]
        for i, (h, w) in enumerate(
            zip(self.hidden.tolist(), self.weight.tolist(), strict=True)
        ):
            y = TOP + i * STEP
            beside = y + (16 if y > middle else -6)  # the edge to the output
            style = (
                f'stroke="{BLUE}"' if kept[i] else 'stroke="#aaa" stroke-dasharray="3"'
            )
            drawing += [path([at, (92, y)], style) for at in inputs]
            word = fixed(h / (1 - self.p), 1) if kept[i] else "0"
            drawing += [
                path([(124, y), (out - 20, middle)], style),
                _circle(108, y, 16, f'fill="none" stroke-width="2" {style}'),
                write(108, y + 4, word, "middle"),
                f'<g fill="{GREY}">{write(128, beside, f"× {fixed(w, 1)}")}</g>',
            ]
        y = fixed(self.outputs[self.mask].item(), 2)
        drawing += [_circle(*at, 5, f'fill="{GREY}"') for at in inputs]
        drawing += [
            _circle(out, middle, 20, f'fill="none" stroke-width="2" stroke="{RED}"'),
            write(out, middle + 4, y, "middle"),
        ]
        return "".join(drawing)

    def _stems(self, base: float) -> str:
        values, heights = self.outputs.tolist(), self.probabilities.tolist()
        test = (self.weight @ self.hidden).item()
        mean = (self.probabilities @ self.outputs).item()
        low, high = min(*values, test), max(*values, test)
        room = (high - low or 1) * 0.04

        def x(value: float) -> float:
            return LEFT + (value - low + room) / (high - low + 2 * room) * (
                RIGHT - LEFT
            )

        def stem(k: int) -> str:
            top = base - heights[k] / max(heights) * (base - ROOF)
            return path([(x(values[k]), base), (x(values[k]), top)])

        def line(v: float, name: str, colour: str, row: int, other: float) -> str:
            at = x(v)
            less = v - other < (1e-9 if row else -1e-9)
            before = at > RIGHT - 40 or (less and at > LEFT + 40)
            dashes = ' stroke-dasharray="6 3"' if row else ""
            style = f'stroke="{colour}" stroke-width="1.5"{dashes}'
            anchor, shift = ("end", -4) if before else ("start", 4)
            words = write(at + shift, ROOF - row - 5, name, anchor)
            ends = [(at, ROOF - row), (at, base + 5)]
            return f'{path(ends, style)}<g fill="{colour}">{words}</g>'

        title = "outputs of all masks, as high as they are probable"
        ticks = [
            write(x(v), base + 20, fixed(v, 1), "middle") for v in {low: 0, high: 0}
        ]
        stems = "".join(stem(k) for k in range(len(values)))
        return "".join(
            [
                f'<g fill="{GREY}">{write(LEFT, 10, title)}{"".join(ticks)}</g>',
                f'<path stroke="{GREY}" stroke-width="3" d="{stems}"/>',
                f'<path stroke="{RED}" stroke-width="4" d="{stem(self.mask)}"/>',
                _circle(x(values[self.mask]), base, 5, f'fill="{RED}"'),
                line(mean, "mean", BLUE, 16, test),
                line(test, "test", GREY, 0, mean),
                path([(LEFT, base), (RIGHT, base)], f'stroke="{GREY}"'),
            ]
        )


def _vector(name: str, value: Tensor) -> Tensor:
    x = torch.as_tensor(value, dtype=torch.float64)
    ok = x.ndim == 1 and 2 <= len(x) <= 6
    check(ok, name, "have a shape between (2,) and (6,)", tuple(x.shape))
    check(bool((x.abs() <= 9).all()), name, "lie in [-9, 9]", value)
    return x


def _circle(x: float, y: float, r: int, style: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {style}/>'
