"""The figures' style: sizes as shown, areas that add up."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib_inline.config import InlineBackend

from lib import plot

pytestmark = pytest.mark.filterwarnings("ignore:InlineBackend:DeprecationWarning")


@pytest.fixture
def ax():
    with plt.rc_context():
        plot.use_style()
        fig, ax = plt.subplots()
        yield ax
        plt.close(fig)


def test_figures_are_stored_at_twice_their_size(ax):
    assert InlineBackend.instance().figure_formats == {"retina"}
    assert InlineBackend.instance().print_figure_kwargs == {"bbox_inches": None}
    assert (ax.figure.get_size_inches() * ax.figure.dpi).tolist() == [700, 320]


def test_histogram_areas_add_up_to_one(ax):
    sample = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)) * 3
    plot.histogram(ax, sample, bins=7, color=plot.RED)
    bars = ax.patches
    assert len(bars) == 7
    areas = [bar.get_width() * bar.get_height() for bar in bars]
    assert sum(areas) == pytest.approx(1)


def test_numbers_stand_where_imshow_puts_them(ax):
    plot.numbers(ax, torch.tensor([[1.5, -2.0, 0.0], [3.0, 4.0, 5.0]]), color="red")
    texts = {t.get_position(): t.get_text() for t in ax.texts}
    assert texts == {
        **{(0, 0): "1.5", (1, 0): "−2", (2, 0): "0"},
        **{(0, 1): "3", (1, 1): "4", (2, 1): "5"},
    }
    assert {t.get_color() for t in ax.texts} == {"red"}


def test_number_grid_has_a_cell_for_each_number(ax):
    plot.number_grid(ax, torch.tensor([[1.0, -2.0, 3.0]]), "title", fontsize=10)
    assert [t.get_text() for t in ax.texts] == ["1", "−2", "3"]
    assert ax.texts[0].get_fontsize() == 10
    assert ax.get_xlim() == (-0.5, 2.5)
    assert ax.get_ylim() == (0.5, -0.5)  # the first row above
    assert ax.get_xticks().tolist() == [-0.5, 0.5, 1.5, 2.5]
    assert ax.get_title() == "title"
