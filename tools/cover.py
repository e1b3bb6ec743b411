"""Draw the book's cover and its icon into _static.

The cover: what becomes of a signal in thirty layers of rectifiers, whose mean square
each layer halves, keeps or doubles, depending on the variance of the weights.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw
from torch import Tensor

from lib.activation import relu
from lib.conv import linear
from lib.init import kaiming_normal_
from lib.normal import normal_pdf
from lib.plot import BLUE, GREY, RED, use_style

STATIC = Path(__file__).parents[1] / "_static"
LAYERS, WIDTH, NETWORKS = 30, 32, 400
VARIANCES = {0.5: BLUE, 1.0: GREY, 2.0: RED}  # in units of 2/n
SIZE = 64


def signals(factor: float, generator: torch.Generator) -> Tensor:
    """Mean square of a signal at each layer, in networks with weights of their own."""
    layers = []
    for _ in range(NETWORKS):
        x = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
        squares = [x.square().mean()]
        for _ in range(LAYERS):
            weight = torch.empty(WIDTH, WIDTH, dtype=torch.float64)
            kaiming_normal_(weight, nonlinearity="relu", generator=generator)
            x = linear(relu(x), weight * factor**0.5)
            squares.append(x.square().mean())
        layers.append(torch.stack(squares))
    return torch.stack(layers, 1)


def cover() -> plt.Figure:
    use_style()
    generator = torch.Generator().manual_seed(1)
    figure, ax = plt.subplots(figsize=(12, 6.3), dpi=100)
    layers = range(LAYERS + 1)
    for factor, colour in VARIANCES.items():
        found = signals(factor, generator)
        for tail in (0.02, 0.1, 0.2, 0.3, 0.4):
            low, high = found.quantile(torch.tensor([tail, 1 - tail]).double(), 1)
            ax.fill_between(layers, low, high, color=colour, alpha=0.16, lw=0)
        ax.plot(layers, factor ** torch.arange(LAYERS + 1), color=colour, lw=2.5)
        text = f"variance {int(2 * factor)}/n"
        place = LAYERS + 0.4, factor**LAYERS
        ax.annotate(text, place, color=colour, fontsize=20, va="center")
    ax.set(yscale="log", xlim=(0, LAYERS + 6.5), ylim=(1e-12, 1e12))
    ax.set_xlabel("layer", fontsize=20, loc="left")
    ax.set_ylabel("mean square of the signal", fontsize=20)
    ax.set_xticks(range(0, LAYERS + 1, 10))
    ax.set_yticks([1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9])
    ax.tick_params(labelsize=16)
    return figure


def bell() -> list[tuple[float, float]]:
    """The normal density, as the outline of an icon of ``SIZE`` by ``SIZE``."""
    x = torch.linspace(-3, 3, 49, dtype=torch.float64)
    heights = normal_pdf(x) / normal_pdf(torch.zeros(1).double())
    left = (8 + 8 * (x + 3)).tolist()
    top = (52 - 40 * heights).tolist()
    return [(left[0], 52.0), *zip(left, top, strict=True), (left[-1], 52.0)]


def svg(outline: Iterable[tuple[float, float]]) -> str:
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in outline)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}">'
        f'<rect width="{SIZE}" height="{SIZE}" rx="12" fill="{BLUE}"/>'
        f'<polygon points="{points}" fill="#fff"/></svg>\n'
    )


def icon(pixels: int) -> Image.Image:
    scale = 4 * pixels / SIZE
    image = Image.new("RGBA", (4 * pixels, 4 * pixels))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, *image.size), 12 * scale, BLUE)
    draw.polygon([(x * scale, y * scale) for x, y in bell()], "#fff")
    return image.resize((pixels, pixels), Image.Resampling.LANCZOS)


def main() -> None:
    cover().savefig(STATIC / "cover.png")
    image = Image.open(STATIC / "cover.png").convert("RGB")
    image.quantize(128).save(STATIC / "cover.png", optimize=True)
    (STATIC / "favicon.svg").write_text(svg(bell()), "utf-8")
    icon(48).save(STATIC / "favicon.ico", sizes=[(16, 16), (32, 32), (48, 48)])
    icon(180).save(STATIC / "apple-touch-icon.png", optimize=True)


if __name__ == "__main__":
    main()
