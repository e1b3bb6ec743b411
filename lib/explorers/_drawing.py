"""Pieces of the explorers' static pictures, as ``base.js`` draws them."""

from collections.abc import Iterable


def path(points: Iterable[tuple[float, float]], style: str = "") -> str:
    """The ``d`` of a path through points, or with a style the whole element."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path {style} d="{d}"/>' if style else d


def write(x: float, y: float, words: object, anchor: str = "start") -> str:
    """Words at a place."""
    anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}>{words}</text>'
