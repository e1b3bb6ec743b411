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
