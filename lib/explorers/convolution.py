"""An explorer of the convolution: a kernel that steps over an image."""

from typing import Any

import torch
from torch import Tensor

from lib._function import check
from lib.conv import conv2d, im2col
from lib.explore import Explorer, fixed
from lib.explorers._drawing import write
from lib.plot import BLUE, RED

CELL, SMALL, GAP, WIDTH = 32, 28, 32, 680


class ConvolutionExplorer(Explorer):
    """A kernel steps over an image: the window, the products, their sum, the output.

    The reader moves the window, edits the kernel, and chooses stride and padding.

    Args:
        image: The image, integers in [-9, 9].
        kernel: The kernel at first, numbers in [-9, 9]; as in :func:`lib.conv.conv2d`
            it is not turned, unless the reader wants it so.
        stride: Step from one window to the next at first, 1, 2 or 3.
        padding: Zeros around the image at first, 0, 1 or 2.

    Shape:
        - image: ``(H, W)``, each at most 8.
        - kernel: ``(K_h, K_w)``, each at most 3, and no larger than the image.

    Raises:
        ValueError: An argument does not have that shape or lie in that range.
    """

    element = "convolution-explorer"
    parts = ("base",)

    def __init__(
        self, image: Tensor, kernel: Tensor, stride: int = 1, padding: int = 0
    ) -> None:
        self.image = _matrix("image", image, (8, 8))
        size = (min(3, self.image.shape[0]), min(3, self.image.shape[1]))
        self.kernel = _matrix("kernel", kernel, size)
        whole = bool((self.image == self.image.round()).all())
        check(whole, "image", "hold integers", image)
        for name, value, least in (("stride", stride, 1), ("padding", padding, 0)):
            ok = type(value) is int and least <= value <= least + 2
            rule = f"be {least}, {least + 1} or {least + 2}"
            check(ok, name, rule, repr(value))
        self.stride, self.padding = stride, padding

    @property
    def output(self) -> Tensor:
        """The convolution."""
        image, weight = self.image[None], self.kernel[None, None]
        return conv2d(image, weight, stride=self.stride, padding=self.padding)[0]

    @property
    def products(self) -> Tensor:
        """Kernel times image, in the first window."""
        patches = im2col(self.image[None], self.kernel.shape, padding=self.padding)
        return patches[0, :, :, 0, 0] * self.kernel

    def __repr__(self) -> str:
        kernel, image, output = (
            "×".join(map(str, x.shape)) for x in (self.kernel, self.image, self.output)
        )
        return (
            f"A {kernel} kernel at the first position on a {image} image, with stride"
            f" {self.stride} and padding {self.padding}: the products sum to"
            f" {_sum(self.products)}, the first of the {output} output."
        )

    def values(self) -> dict[str, Any]:
        """The image, the kernel, and what the controls start from."""
        return {
            "image": self.image.int().tolist(),
            "kernel": [
                [int(v) if v == int(v) else v for v in row]
                for row in self.kernel.tolist()
            ],
            "stride": self.stride,
            "padding": self.padding,
            "position": 0,
            "turned": False,
        }

    def picture(self) -> tuple[int, int, str]:
        """The first position, where the script draws it."""
        (rows, columns), (kh, kw) = self.image.shape, self.kernel.shape
        p, y = self.padding, self.output.tolist()
        across, down = columns + 4, rows + 4  # room for the largest padding
        middle = max(96, kw * SMALL)
        free = WIDTH - middle - 2 * GAP
        cell = min(CELL, free // (2 * across + 1 - kw))
        height = down * cell
        right = WIDTH - (across + 1 - kw) * cell
        center = (across * cell + right) / 2
        x0 = (across - columns - 2 * p) * cell / 2
        y0 = 20 + (down - rows - 2 * p) * cell / 2
        first = 20 + (height - 2 * kh * SMALL - 36) / 2
        second = first + kh * SMALL + 36
        left = center - kw * SMALL / 2
        out = 20 + (height - len(y) * cell) / 2
        x = torch.nn.functional.pad(self.image, [p] * 4).tolist()
        drawing = [
            write(x0, y0 - 7, "padded image" if p else "image"),
            _grid(x, x0, y0, cell),
            _frame(x0, y0, kw * cell, kh * cell, BLUE),
            write(center, first - 7, "kernel", "middle"),
            _grid(self.kernel.tolist(), left, first, SMALL),
            write(center, second - 7, "products", "middle"),
            _grid(self.products.tolist(), left, second, SMALL),
            write(right, out - 7, "output"),
            _grid(y, right, out, cell),
            _frame(right, out, cell, cell, RED),
            write(0, height + 44, f"sum: {_sum(self.products)}"),
        ]
        return WIDTH, height + 56, f'<g font-size="13">{"".join(drawing)}</g>'


def _matrix(name: str, value: Tensor, most: tuple[int, int]) -> Tensor:
    x = torch.as_tensor(value, dtype=torch.float64)
    ok = x.ndim == 2 and all(0 < n <= m for n, m in zip(x.shape, most, strict=True))
    check(ok, name, f"have a shape between (1, 1) and {most}", tuple(x.shape))
    check(bool((x.abs() <= 9).all()), name, "lie in [-9, 9]", value)
    return x


def _short(value: float) -> str:
    """At most two decimals."""
    return fixed(value, 2).rstrip("0").rstrip(".")


def _sum(products: Tensor) -> str:
    """The products as a written sum, and its value."""
    terms = products.flatten().tolist()
    total = sum(terms)
    words = "".join(f" + {_short(t)}" for t in terms).replace("+ −", "− ")[1:]
    exact = all(abs(v * 100 - round(v * 100)) < 1e-9 for v in (*terms, total))
    words = words[2:] if words[0] == "+" else "−" + words[2:]
    return f"{words} {'=' if exact else '≈'} {_short(total)}"


def _grid(values: list[list[float]], x: float, y: float, cell: int) -> str:
    pieces = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            a, b, word = x + j * cell, y + i * cell, _short(value)
            size = min(14, 1.5 * cell / len(word))
            pieces.append(
                f'<path fill="none" stroke="#aaa" d="M{a:.1f} {b:.1f}h{cell}v{cell}'
                f'h-{cell}z"/><g font-size="{size:.1f}">'
                f"{write(a + cell / 2, b + cell / 2 + 5, word, 'middle')}</g>"
            )
    return "".join(pieces)


def _frame(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<path fill="{colour}" fill-opacity=".15" stroke="{colour}" stroke-width="3"'
        f' d="M{x:.1f} {y:.1f}h{width}v{height}h-{width}z"/>'
    )
