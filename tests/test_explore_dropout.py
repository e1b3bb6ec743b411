"""The explorer of dropout: its script against all masks, counted in another way."""

import itertools
import math
import re

import pytest
import torch

from lib.dropout import dropout
from lib.explore import fixed
from lib.explorers import DropoutExplorer
from tests.explorers import compare_texts, functions_of, given

HIDDEN = torch.tensor([0.5, 1.0, 2.0, 0.3, 1.5], dtype=torch.float64)
WEIGHT = torch.tensor([1.0, -0.8, 0.6, 1.2, -0.5], dtype=torch.float64)
CHANCES = [0.0, 0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def js():
    return functions_of(DropoutExplorer)


def enumerated(p, rectify, n=5):
    """Outputs and probabilities of all masks; unit 0 changes fastest."""
    for mask in itertools.product([0, 1], repeat=n):
        kept = torch.tensor(mask[::-1], dtype=torch.float64)
        y = (kept * HIDDEN[:n] * WEIGHT[:n]).sum().item() / (1 - p)
        q = math.prod(1 - p if k else p for k in mask)
        yield (max(y, 0) if rectify else y), q


# The numbers


@pytest.mark.parametrize("p", CHANCES)
@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("n", [2, 5])
def test_every_mask(js, p, rectify, n):
    state = given(DropoutExplorer(HIDDEN[:n], WEIGHT[:n], p)) | {"rectify": rectify}
    theirs = js("moments", state)
    for found, expected in zip(theirs["masks"], enumerated(p, rectify, n), strict=True):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)
    if not rectify:
        explorer = DropoutExplorer(HIDDEN[:n], WEIGHT[:n], p)
        ours = [explorer.outputs.tolist(), explorer.probabilities.tolist()]
        assert list(map(list, zip(*theirs["masks"], strict=True))) == [
            pytest.approx(values, rel=1e-12, abs=1e-14) for values in ours
        ]


@pytest.mark.parametrize("p", CHANCES)
def test_moments_are_those_of_the_derivation(js, p):
    found = js("moments", given(DropoutExplorer(HIDDEN, WEIGHT, p)))
    terms = HIDDEN * WEIGHT
    assert found["mean"] == pytest.approx(terms.sum().item(), rel=1e-12)
    std = (p / (1 - p) * terms.square().sum()).sqrt().item()
    assert found["std"] == pytest.approx(std, rel=1e-12, abs=1e-7)
    assert found["test"] == pytest.approx(terms.sum().item(), rel=1e-12)


@pytest.mark.parametrize("p", [0.2, 0.5])
@pytest.mark.parametrize("rectify", [False, True])
def test_the_library_draws_from_these_masks(js, p, rectify):
    state = given(DropoutExplorer(HIDDEN, WEIGHT, p)) | {"rectify": rectify}
    found, n = js("moments", state), 100_000
    g = torch.Generator().manual_seed(0)
    y = dropout(HIDDEN.expand(n, 5), p, generator=g) @ WEIGHT
    y = y.clamp(min=0) if rectify else y
    assert abs(y.mean() - found["mean"]) < 4 * found["std"] / n**0.5
    assert y.std().item() == pytest.approx(found["std"], rel=0.02)


def test_rectified_output_changes_its_expectation(js):
    state = given(DropoutExplorer(HIDDEN, WEIGHT, 0.5)) | {"rectify": True}
    found = js("moments", state)
    assert found["mean"] > found["test"] + 0.2


# What is shown


@pytest.mark.parametrize("p", CHANCES)
@pytest.mark.parametrize("n", [2, 5])
def test_static_picture_is_the_first_that_is_drawn(js, p, n):
    explorer = DropoutExplorer(HIDDEN[:n], WEIGHT[:n], p)
    drawn = js("draw", given(explorer), 680)
    width, height, picture = explorer.picture()
    assert (width, height) == (680, drawn["height"])
    compare_texts(picture, drawn["picture"])
    assert repr(explorer) == drawn["sentence"]


@pytest.mark.parametrize("width", [270, 330, 680])
@pytest.mark.parametrize("p", CHANCES)
@pytest.mark.parametrize("rectify", [False, True])
def test_drawing_of_every_mask(js, width, p, rectify):
    start = given(DropoutExplorer(HIDDEN, WEIGHT, p)) | {"rectify": rectify}
    heights = set()
    for mask, (y, _) in enumerate(enumerated(p, rectify)):
        drawn = js("draw", start | {"mask": mask}, width)
        assert not re.search("NaN|Infinity|undefined|null", str(drawn))
        assert drawn["facts"][0][1] == fixed(y + 1e-12, 3)
        dropped = [str(i) for i in range(5) if not mask >> i & 1]
        words = "none" if not dropped else ", ".join(dropped)
        assert f"{words} dropped the " in drawn["sentence"]
        x = [float(v) for v in re.findall(r'd="M([\d.-]+) ', drawn["picture"])]
        assert 0 <= min(x) <= max(x) <= width
        heights.add(drawn["height"])
    assert len(heights) == 1


# Arguments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": HIDDEN[:1]}, r"hidden must have a shape between .*, got \(1,\)"),
        ({"hidden": torch.ones(7)}, r"hidden must have a shape .*, got \(7,\)"),
        ({"hidden": HIDDEN * 9}, r"hidden must lie in \[-9, 9\], got"),
        ({"weight": WEIGHT / 0}, r"weight must lie in \[-9, 9\], got"),
        ({"weight": WEIGHT[:4]}, r"weight must .* of hidden, \(5,\), got \(4,\)"),
        ({"p": 1.0}, r"p must be a multiple of 0.1 in \[0, 0.9\], got 1.0"),
        ({"p": 0.25}, r"p must be a multiple of 0.1 in \[0, 0.9\], got 0.25"),
        ({"p": "0.5"}, r"p must be a multiple of 0.1 in \[0, 0.9\], got '0.5'"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        DropoutExplorer(**{"hidden": HIDDEN, "weight": WEIGHT} | changes)
