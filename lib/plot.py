"""The look of the book's figures, and the figures that it draws more than once."""

import matplotlib as mpl
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib_inline.config import InlineBackend
from torch import Tensor

# Okabe and Ito's palette, in which the colour-blind can tell any two apart; the orange
# darker, for 3 : 1 on white.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#0072B2", "#C48600", "#009E73", "#D55E00", "#CC79A7", "#666666",
)  # fmt: skip


def use_style() -> None:
    """Set matplotlib to the book's style; figures are stored at twice their size."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.2),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=[BLUE, RED, GREEN, PURPLE, ORANGE, GREY]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e5e5e5",
            "grid.linewidth": 0.6,
            "axes.titlesize": "medium",
            "font.size": 10,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
        }
    )
    inline = InlineBackend.instance()
    inline.figure_formats = {"retina"}
    inline.print_figure_kwargs = {"bbox_inches": None}


def histogram(ax: Axes, sample: Tensor, bins: int = 50, **style) -> None:
    """Draw a histogram of density: the areas of its bars add up to 1.

    Args:
        ax: Where to draw.
        sample: The observations, of any shape.
        bins: Number of bars between the smallest and the largest observation.
        **style: Passed to ``Axes.hist``.
    """
    style = {"color": BLUE, "alpha": 0.35, "edgecolor": "none"} | style
    ax.hist(torch.as_tensor(sample).flatten().numpy(), bins, density=True, **style)


def numbers(ax: Axes, array: Tensor, form: str = "g", **style) -> None:
    """Write each number of a matrix into its cell, as ``imshow`` places them.

    Args:
        ax: Where to draw.
        array: The numbers.
        form: How to write them, as in ``format``.
        **style: Passed to ``Axes.text``.

    Shape:
        - array: ``(rows, columns)``.
    """
    style = {"ha": "center", "va": "center"} | style
    for row, values in enumerate(array.tolist()):
        for column, value in enumerate(values):
            ax.text(column, row, f"{value:{form}}".replace("-", "\u2212"), **style)


def number_grid(ax: Axes, array: Tensor, title: str = "", **style) -> None:
    """Draw a matrix as a grid of whole numbers.

    Args:
        ax: Where to draw.
        array: The numbers.
        title: Stands above the grid.
        **style: Passed to ``Axes.text``.

    Shape:
        - array: ``(rows, columns)``.
    """
    rows, columns = array.shape
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    ax.set_xticks([k - 0.5 for k in range(columns + 1)], [])
    ax.set_yticks([k - 0.5 for k in range(rows + 1)], [])
    ax.tick_params(length=0)
    ax.grid(True, color="#bbbbbb")
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=9)
    numbers(ax, array, ".0f", **{"fontsize": 8} | style)
