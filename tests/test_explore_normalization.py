"""The explorer of normalisation: its script against the library, and its index sets."""

import re

import pytest
import torch

from lib.explore import fixed
from lib.explorers import NormalizationExplorer
from lib.explorers.normalization import NORMS
from tests.explorers import compare_texts, functions_of, given

BATCH = torch.randint(-9, 9, (3, 4, 2, 2), generator=torch.Generator().manual_seed(0))
BATCH += BATCH >= 0  # no zeros: there, gradients of the RMS norm vanish
CASES = [(n, 2) for n in NORMS] + [("group", 1), ("group", 4)]


@pytest.fixture(scope="module")
def js():
    return functions_of(NormalizationExplorer)


def changed(sample, channel):
    x = BATCH.double()
    x[0] *= 3 if sample else 1
    x[:, 1] += 6 if channel else 0
    return x


# The numbers


@pytest.mark.parametrize(("norm", "groups"), CASES)
@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("channel", [False, True])
def test_script_agrees_with_the_library(js, norm, groups, sample, channel):
    state = given(NormalizationExplorer(BATCH, norm, groups))
    theirs = js("normalise", state | {"sample": sample, "channel": channel})
    output = NORMS[norm](changed(sample, channel), groups).flatten().tolist()
    assert [v["y"] for v in theirs["values"]] == pytest.approx(
        output, rel=1e-12, abs=1e-12
    )
    assert theirs["sets"] == len({v["set"] for v in theirs["values"]})


@pytest.mark.parametrize(("norm", "groups"), CASES)
def test_set_is_where_the_gradient_is(js, norm, groups):
    # An output depends on just those values that share its statistics.
    x = BATCH.double().requires_grad_()
    state = given(NormalizationExplorer(BATCH, norm, groups))
    values = js("normalise", state)["values"]
    sets = torch.tensor([v["set"] for v in values])
    output = NORMS[norm](x, groups).flatten()
    for k in range(len(values)):
        (grad,) = torch.autograd.grad(output[k], x, retain_graph=True)
        assert (grad.flatten() != 0).equal(sets == sets[k])
        assert values[k]["count"] == (sets == sets[k]).sum()
    shared = NormalizationExplorer(BATCH, norm, groups).shared
    assert shared.flatten().equal(sets == sets[0])


def test_group_norm_with_1_group_is_layer_norm_with_all_is_instance_norm(js):
    def outputs(*arguments):
        state = given(NormalizationExplorer(BATCH, *arguments))
        return [v["y"] for v in js("normalise", state)["values"]]

    assert outputs("group", 1) == pytest.approx(outputs("layer"), rel=1e-12)
    assert outputs("group", 4) == pytest.approx(outputs("instance"), rel=1e-12)


# What is shown


@pytest.mark.parametrize(("norm", "groups"), CASES)
@pytest.mark.parametrize("shape", [(3, 4, 2, 2), (2, 4, 1, 2), (4, 4, 2, 1)])
def test_static_picture_is_the_first_that_is_drawn(js, norm, groups, shape):
    n, c, h, w = shape
    batch = BATCH.repeat(2, 1, 1, 1)[:n, :c, :h, :w]
    explorer = NormalizationExplorer(batch, norm, groups)
    drawn = js("draw", given(explorer), 680)
    width, height, picture = explorer.picture()
    assert (width, height) == (680, drawn["height"])
    compare_texts(picture, drawn["picture"])
    assert repr(explorer) == drawn["sentence"]
    tinted = re.findall(r'fill-opacity=".24" [^>]* d="([^"]*)"', picture)
    assert "".join(tinted).count("M") == drawn["picture"].count('class="set"')


@pytest.mark.parametrize(("norm", "groups"), CASES)
@pytest.mark.parametrize("width", [270, 330, 680])
def test_drawing_at_every_value(js, norm, groups, width):
    explorer = NormalizationExplorer(BATCH, norm, groups)
    x, y = BATCH.flatten().tolist(), explorer.output.flatten().tolist()
    heights = set()
    for position in range(len(x)):
        drawn = js("draw", given(explorer) | {"position": position}, width)
        assert not re.search("NaN|Infinity|undefined|null|%", str(drawn))
        value = f"{fixed(x[position], 0)} → {fixed(y[position], 2)}"
        assert drawn["facts"][-1][1] == value
        at = torch.unravel_index(torch.tensor(position), BATCH.shape)
        place = "sample {}, channel {}, row {}, column {}".format(*map(int, at))
        assert place in drawn["sentence"]
        edges = re.findall(r'<rect x="([\d.]+)".*?width="(\d+)"', drawn["picture"])
        assert max(float(a) + int(b) for a, b in edges) < width
        heights.add(drawn["height"])
    assert len(heights) == 1


@pytest.mark.parametrize(
    ("norm", "kept"),
    [
        ("batch", {"channel"}),
        ("layer", {"sample"}),
        ("instance", {"sample", "channel"}),
        ("group", {"sample"}),
        ("rms", {"sample"}),
    ],
)
def test_which_change_a_norm_takes_back(js, norm, kept):
    state = given(NormalizationExplorer(BATCH, norm))
    plain = [v["y"] for v in js("normalise", state)["values"]]
    for change in ("sample", "channel"):
        there = [v["y"] for v in js("normalise", state | {change: True})["values"]]
        same = there == pytest.approx(plain, abs=1e-4)  # eps is not scaled along
        assert same == (change in kept)


# Arguments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": BATCH[0]}, r"input must have a shape between .*, got \(4, 2, 2\)"),
        ({"input": BATCH[:1]}, r"input must have a shape .*, got \(1, 4, 2, 2\)"),
        ({"input": BATCH.repeat(1, 2, 1, 1)}, r"input must have a shape .* 8, 2, 2\)"),
        ({"input": BATCH / 2}, "input must hold integers"),
        ({"input": BATCH + 9}, r"input must hold integers in \[-9, 9\], got"),
        ({"norm": "weight"}, "norm must be one of batch, .*, rms, got 'weight'"),
        ({"norm": None}, "norm must be one of .*, got None"),
        ({"groups": 3}, "groups must divide the 4 channels, got 3"),
        ({"groups": 0}, "groups must divide the 4 channels, got 0"),
        ({"groups": 2.0}, r"groups must divide the 4 channels, got 2.0"),
        ({"groups": True}, "groups must divide the 4 channels, got True"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        NormalizationExplorer(**{"input": BATCH} | changes)
