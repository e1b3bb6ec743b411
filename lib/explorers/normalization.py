"""An explorer of normalisation: which values share their statistics."""

from itertools import compress, product
from typing import Any

import torch
from torch import Tensor

from lib._function import check
from lib.explore import Explorer, fixed
from lib.explorers._drawing import write
from lib.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from lib.plot import BLUE, GREY, RED

EPS = 1e-5
NORMS = {
    "batch": lambda x, _: batch_norm(x, None, None, training=True, eps=EPS),
    "layer": lambda x, _: layer_norm(x, x.shape[1:], eps=EPS),
    "instance": lambda x, _: instance_norm(x, eps=EPS),
    "group": lambda x, groups: group_norm(x, groups, eps=EPS),
    "rms": lambda x, _: rms_norm(x, x.shape[1:], eps=EPS),
}
WIDTH, LEFT, GAP, CELL = 680, 38, 6, 38


class NormalizationExplorer(Explorer):
    """A batch of images before and after a norm, and the index set of one value.

    The reader chooses the norm, the number of groups and the value; and may multiply
    sample 0 by 3 or add 6 to channel 1, to see which norm takes that back.

    Args:
        input: The batch, integers in [-9, 9].
        norm: Norm at first: ``"batch"``, ``"layer"``, ``"instance"``, ``"group"`` or
            ``"rms"``. Layer and RMS take the statistics of all of a sample.
        groups: Number of groups of channels at first, a divisor of C.

    Shape:
        - input: ``(N, C, H, W)``, with 2 ≤ N ≤ 4, 2 ≤ C ≤ 4, H ≤ 2 and W ≤ 2.

    Raises:
        ValueError: An argument is none of these, or not of that shape or range.
    """

    element = "normalization-explorer"
    parts = ("base",)

    def __init__(self, input: Tensor, norm: str = "batch", groups: int = 2) -> None:
        x = torch.as_tensor(input, dtype=torch.float64)
        shapes = zip(x.shape, (2, 2, 1, 1), (4, 4, 2, 2), strict=False)
        ok = x.ndim == 4 and all(a <= n <= b for n, a, b in shapes)
        rule = "have a shape between (2, 2, 1, 1) and (4, 4, 2, 2)"
        check(ok, "input", rule, tuple(x.shape))
        whole = bool((x.abs() <= 9).all() and (x == x.round()).all())
        check(whole, "input", "hold integers in [-9, 9]", input)
        rule = f"be one of {', '.join(NORMS)}"
        check(norm in tuple(NORMS), "norm", rule, repr(norm))
        ok = type(groups) is int and groups > 0 and x.shape[1] % groups == 0
        check(ok, "groups", f"divide the {x.shape[1]} channels", repr(groups))
        self.input, self.norm, self.groups = x, norm, groups

    @property
    def output(self) -> Tensor:
        """The normalised batch."""
        return NORMS[self.norm](self.input, self.groups)

    @property
    def shared(self) -> Tensor:
        """Whether a value shares its statistics with the first, of the input's shape.

        The first output depends on a value if and only if it does.
        """
        mask = torch.zeros_like(self.input, dtype=torch.bool)
        samples = slice(None) if self.norm == "batch" else slice(1)
        all_ = self.input.shape[1]
        channels = {"layer": all_, "rms": all_, "group": all_ // self.groups}
        mask[samples, : channels.get(self.norm, 1)] = True
        return mask

    def __repr__(self) -> str:
        values, rms = self.input[self.shared], self.norm == "rms"
        std = values.square().mean().sqrt() if rms else values.std(correction=0)
        by = f"mean {fixed(values.mean().item(), 2)} and the standard deviation"
        name = "RMS" if rms else self.norm.capitalize()
        where = {
            "batch": "channel 0, over all samples",
            "instance": "channel 0 of sample 0",
            "group": "group 0 of channels of sample 0",
        }.get(self.norm, "sample 0, over all channels")
        return (
            f"{name} normalisation: {fixed(self.input.flatten()[0].item(), 0)}, in"
            " sample 0, channel 0, row 0, column 0, becomes"
            f" {fixed(self.output.flatten()[0].item(), 2)}, by the"
            f" {'root mean square' if rms else by} {fixed(std.item(), 2)} of"
            f" {len(values)} values: {where}."
        )

    def values(self) -> dict[str, Any]:
        """The batch, and what the controls start from."""
        return {
            "input": self.input.int().tolist(),
            "norm": self.norm,
            "groups": self.groups,
            "position": 0,
            "sample": False,
            "channel": False,
        }

    def picture(self) -> tuple[int, int, str]:
        """The two panels with the first value chosen, where the script draws them."""
        samples, channels, rows, columns = self.input.shape
        free = (WIDTH - 20) / 2 - LEFT - 2 - (channels - 1) * GAP
        cell = min(CELL, int(free / (channels * columns)))
        across = LEFT + channels * columns * cell + (channels - 1) * GAP
        height = samples * rows * cell + (samples - 1) * GAP + 52

        def panel(values: Tensor, title: str, dx: float, digits: int) -> str:
            def place(n: int, c: int, i: float, j: float) -> tuple[float, float]:
                return (
                    dx + LEFT + c * (columns * cell + GAP) + j * cell,
                    44 + n * (rows * cell + GAP) + i * cell,
                )

            heads = [
                *(
                    write(place(0, c, 0, columns / 2)[0], 36, f"c = {c}", "middle")
                    for c in range(channels)
                ),
                *(
                    write(dx, place(n, 0, rows / 2, 0)[1] + 4, f"n = {n}")
                    for n in range(samples)
                ),
            ]
            places = [place(*at) for at in product(*map(range, values.shape))]
            boxes = [f"M{x:.0f} {y:.0f}h{cell}v{cell}h-{cell}z" for x, y in places]
            words = [
                write(x + cell / 2, y + cell / 2 + 4, fixed(v, digits))
                for (x, y), v in zip(places, values.flatten().tolist(), strict=True)
            ]
            return "".join(
                [
                    write(dx, 12, title),
                    f'<g fill="{GREY}">{"".join(heads)}</g>',
                    f'<path fill="none" stroke="#aaa" d="{"".join(boxes)}"/>',
                    f'<path fill="{BLUE}" fill-opacity=".24" stroke="{BLUE}"'
                    f' d="{"".join(compress(boxes, self.shared.flatten()))}"/>',
                    f'<path fill="none" stroke="{RED}" stroke-width="3"'
                    f' d="{boxes[0]}"/>',
                    '<g font-size="11" text-anchor="middle">',
                    *words,
                    "</g>",
                ]
            )

        first = panel(self.input, "x", 0, 0)
        second = panel(self.output, "normalised", WIDTH - across - 2, 1)
        return WIDTH, height, f'<g font-size="12">{first}{second}</g>'
