"""lib.data: the digits as scikit-learn ships them, and the laws of what is drawn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import lib.data
from lib.data import SHAPESET_CLASSES, _draw_shapes, digits, shapeset, two_blobs

F64 = torch.float64
N = 4000  # images of Shapeset


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# Digits


def test_digits_are_those_of_scikit_learn():
    """Together, the two shares are the whole set, each image with its own label."""
    (x, y), (x_test, y_test) = digits(flat=True)
    assert (len(x), len(x_test)) == (1437, 360)
    assert (x.dtype, y.dtype) == (F64, torch.int64)
    pixels, labels = load_digits(return_X_y=True)
    expected = sorted([*p, t] for p, t in zip(pixels.tolist(), labels, strict=True))
    both = torch.cat([torch.cat([x, x_test]) * 16, torch.cat([y, y_test])[:, None]], 1)
    assert sorted(both.tolist()) == expected
    (images, _), (tests, _) = digits()
    assert (images.shape, tests.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert torch.equal(images.flatten(1), x)


def test_scalings_agree_with_each_other():
    sets = [digits(s, flat=True) for s in ("unit", "symmetric", "binary")]
    for (unit, y), (symmetric, y1), (binary, y2) in zip(*sets, strict=True):
        assert torch.equal(symmetric, 2 * unit - 1)
        assert torch.equal(binary, (unit > 0.5).to(F64))
        assert torch.equal(y, y1)
        assert torch.equal(y, y2)


def test_standard_scaling_takes_its_scale_from_the_training_share():
    unit, scaled = digits(flat=True), digits("standard", flat=True)
    mean, std = unit[0][0].mean(0), unit[0][0].std(0, correction=0)
    varies = std > 0
    assert 0 < varies.sum() < 64  # the corners are always empty
    for (x, _), (raw, _) in zip(scaled, unit, strict=True):
        expected = (raw - mean)[:, varies] / std[varies]
        torch.testing.assert_close(x[:, varies], expected)
        assert torch.equal(x[:, ~varies], 16 * (raw - mean)[:, ~varies])


def test_split_follows_the_generator():
    assert torch.equal(digits()[1][0], digits()[1][0])
    one, same, other = (digits(generator=seeded(s))[1] for s in (5, 5, 6))
    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[1], other[1])


@given(share=st.floats(0, 0.999), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_share_is_rounded_up(share, seed):
    (x, y), (x_test, y_test) = digits(test_share=share, generator=seeded(seed))
    assert len(x_test) == len(y_test) == math.ceil(1797 * share)
    assert len(x) == len(y) == 1797 - len(x_test)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_small_dtypes(dtype):
    (x, _), _ = digits("symmetric", dtype=dtype)
    assert x.dtype == dtype
    assert torch.equal(x.double(), digits("symmetric")[0][0])  # sixteenths are exact


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "raw"}, r"scaling must be one of .*'unit'.*, got 'raw'"),
        ({"test_share": 1}, r"test_share must lie in \[0, 1\), got 1"),
        ({"test_share": -0.1}, r"test_share must lie in \[0, 1\), got -0.1"),
        ({"test_share": math.nan}, "test_share must lie .*, got nan"),
        (
            {"test_share": 0.9999},
            "test_share must leave one of 1797 digits, got 0.9999",
        ),
        ({"dtype": torch.int64}, "dtype must be floating, got torch.int64"),
    ],
)
def test_digits_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        digits(**options)


# Two blobs


def test_two_blobs_have_the_stated_moments():
    """Within 4 standard errors: 2/√n of a mean, 4 √(2/n) of the variance 4."""
    n = 20_000
    x, y = two_blobs(n, generator=seeded())
    assert torch.equal(y, torch.tensor([1] * n + [0] * n))
    for label, mean in ((1, 2.0), (0, 8.0)):
        cloud = x[y == label]
        assert (cloud.mean(0) - mean).abs().max() < 8 / n**0.5
        assert (cloud.var(0) - 4).abs().max() < 16 * (2 / n) ** 0.5
        assert abs(torch.corrcoef(cloud.T)[0, 1]) < 4 / n**0.5
    # The correlation 9/13 varies less than that of a normal law: the means are fixed.
    error = torch.corrcoef(x.T)[0, 1] - 9 / 13
    assert abs(error) < 4 * (1 - (9 / 13) ** 2) / (2 * n) ** 0.5


def test_two_blobs_by_default_and_again():
    x, y = two_blobs(generator=seeded(3))
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((400, 2), (400,), F64, torch.int64)
    again, _ = two_blobs(generator=seeded(3), dtype=torch.float32)
    assert torch.equal(x.float(), again)
    assert two_blobs(0, generator=seeded())[0].shape == (0, 2)


# Shapeset-3×2


@pytest.fixture(scope="module")
def shapes():
    return shapeset(N, seeded())


def test_class_frequencies(shapes):
    """Within 4 standard errors √(p (1 - p) / n) of 1/6, 1/9, 1/18."""
    assert SHAPESET_CLASSES[2:5] == (
        "ellipse",
        "triangle and parallelogram",
        "triangle and ellipse",
    )
    assert SHAPESET_CLASSES[5:7] == ("parallelogram and ellipse", "two triangles")
    p = torch.tensor([1 / 6] * 3 + [1 / 9] * 3 + [1 / 18] * 3, dtype=F64)
    z = (torch.bincount(shapes[1]) / N - p) / (p * (1 - p) / N).sqrt()
    assert z.abs().max() < 4, z


def test_range_and_greys(shapes):
    """Shapes and background lie on the two sides of the middle, 0.1 apart."""
    x, y = shapes
    assert (x.shape, x.dtype, y.dtype) == ((N, 1, 32, 32), F64, torch.int64)
    assert x.abs().max() <= 1
    assert x.abs().min() >= 0.1 - 1e-12
    background = x[:, 0, 0, 0]
    assert abs((background < 0).double().mean() - 0.5) < 4 * 0.5 / N**0.5
    # 2g - 1 of a uniform g: mean ±0.55, standard deviation 0.9/√12.
    assert abs(background.abs().mean() - 0.55) < 4 * 0.9 / (12 * N) ** 0.5


def test_one_pixel_of_border_is_background(shapes):
    x = shapes[0][:, 0]
    for edge in (x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]):
        assert torch.equal(edge, x[:, :1, 0].expand_as(edge))
    for line in (x[:, 1], x[:, -2], x[:, :, 1], x[:, :, -2]):
        assert (line != x[:, :1, 0]).any(), "shapes reach up to the margin"


def spied(monkeypatch, n):
    """Draw single images; for each its label and the kinds and masks drawn for it."""
    drawn = []

    def spy(kind, generator, size):
        drawn.append((kind.tolist(), _draw_shapes(kind, generator, size)))
        return drawn[-1][1]

    monkeypatch.setattr(lib.data, "_draw_shapes", spy)
    generator = seeded(1)
    for _ in range(n):
        drawn.clear()
        image, label = shapeset(1, generator)
        yield image.flatten(), label.item(), [d for d in drawn if d[0]]


def test_second_shape_hides_at_most_half_of_the_first(monkeypatch):
    redrawn, accepted, greys = 0, 0, []
    for image, label, (first, *tries) in spied(monkeypatch, 120):
        (kind,), below = first
        below = below[0]
        hidden = [(t[0] & below).sum() / below.sum() for _, t in tries]
        assert all(h > 0.5 for h in hidden[:-1])
        assert all(h <= 0.5 for h in hidden[-1:])
        names = ["triangle", "parallelogram", "ellipse"]
        expected = names[kind]
        above = tries[-1][1][0] if tries else torch.zeros_like(below)
        if tries:
            kinds = sorted([kind, tries[-1][0][0]])
            expected = " and ".join(names[k] for k in kinds)
            if kinds[0] == kinds[1]:
                expected = f"two {names[kind]}s"
        assert SHAPESET_CLASSES[label] == expected
        for mask in (above, below & ~above, ~above & ~below):
            assert len(image[mask].unique()) <= 1, "one grey a shape, the second above"
        greys += image[below & ~above].unique().abs().tolist()
        greys += image[above].unique().abs().tolist()
        redrawn, accepted = redrawn + len(hidden[:-1]), accepted + len(hidden[-1:])
    assert redrawn
    assert 0 < accepted < 120
    mean = sum(greys) / len(greys)
    assert abs(mean - 0.55) < 4 * 0.9 / (12 * len(greys)) ** 0.5


def test_areas_of_the_shapes():
    """Mean areas: π/4 s₁s₂ of an ellipse; inscribed in it 3√3/(4π), 2/π of that."""
    n = 1500
    shares = torch.tensor([3 * 3**0.5 / (4 * math.pi), 2 / math.pi, 1])
    for kind, share in enumerate(shares):
        areas = _draw_shapes(torch.full((n,), kind), seeded(kind), 32).sum(1).double()
        error = areas.mean() - share * math.pi / 4 * 16**2
        assert abs(error) < 4 * areas.std() / n**0.5
        spread = areas**2 - (share * math.pi / 4 * 1024 * 0.28) ** 2  # E s² = 0.28
        assert abs(spread.mean()) < 4 * spread.std() / n**0.5


def test_shapes_turn_and_move_freely():
    """The mean mask is the same seen in a mirror or turned, within its own noise."""
    n = 4500
    masks = _draw_shapes(torch.arange(3).repeat(n // 3), seeded(2), 32)
    mean = masks.double().mean(0).reshape(32, 32)
    for seen in (mean.T, mean.flip(0), mean.flip(1)):
        # Of two means p of n zeros and ones; 5 standard errors, as 1024 are compared.
        tolerance = 5 * (2 * mean * (1 - mean) / n).sqrt() + 5 / n
        assert ((mean - seen).abs() <= tolerance).all()


def test_angles_go_all_around(monkeypatch):
    seen, rotation = [], lib.data._rotation
    spy = lambda angles: seen.append(angles) or rotation(angles)  # noqa: E731
    monkeypatch.setattr(lib.data, "_rotation", spy)
    _draw_shapes(torch.zeros(1000).long(), seeded(), 32)
    for angles in seen:
        assert angles.min() < 0.1
        assert 2 * math.pi - 0.1 < angles.max() < 2 * math.pi
    assert len(seen) == 2


def test_reach_of_a_circle_is_that_of_its_points():
    maps = torch.randn(20, 2, 2, generator=seeded(), dtype=F64)
    reach = lib.data._reach(maps, lib.data._regular(2000))
    torch.testing.assert_close(lib.data._reach(maps, None), reach, rtol=1e-5, atol=0)


def test_kinds_look_as_they_are_called():
    """Each kind is told by its second moments, whatever affine map it went through.

    √det of the second moments over the area is the same for every affine image of a
    shape: 1/(6√3), 1/12 and 1/(4π) for triangle, parallelogram and ellipse.
    """
    axis = torch.arange(64) + 0.5
    places = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
    for kind, expected in enumerate([1 / (6 * 3**0.5), 1 / 12, 1 / (4 * math.pi)]):
        masks = _draw_shapes(torch.full((200,), kind), seeded(kind), 64).float()
        area = masks.sum(1)
        moved = places - (masks @ places.T / area[:, None])[:, :, None]
        second = (masks[:, None] * moved) @ moved.mT / area[:, None, None]
        ratio = torch.linalg.det(second).sqrt() / area
        assert abs(ratio.median() / expected - 1) < 0.01  # next kind: 4 % away


def test_shapeset_is_determined_by_its_generator():
    one, y = shapeset(700, seeded(7))  # more than one chunk
    again, y_again = shapeset(700, seeded(7), dtype=torch.float32)
    assert torch.equal(one.float(), again)
    assert torch.equal(y, y_again)
    assert not torch.equal(one, shapeset(700, seeded(8))[0])
    assert not torch.equal(one[:188], one[512:])


@given(n=st.integers(0, 5), size=st.integers(16, 40), seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_any_size(n, size, seed):
    x, y = shapeset(n, seeded(seed), size)
    assert (x.shape, y.shape) == ((n, 1, size, size), (n,))
    assert (x.abs() <= 1).all()
    assert (x.flatten(1).amax(1) > x.flatten(1).amin(1)).all()


@pytest.mark.parametrize("draw", [two_blobs, shapeset])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "n must be an integer, at least 0, got -1"),
        ({"n": 1.5}, "n must be an integer, at least 0, got 1.5"),
        ({"dtype": torch.uint8}, "dtype must be floating, got torch.uint8"),
    ],
)
def test_refuses(draw, options, message):
    with pytest.raises(ValueError, match=message):
        draw(**({"n": 1, "generator": seeded()} | options))


def test_shapeset_refuses_a_small_image():
    with pytest.raises(ValueError, match="size must be an integer, at least 16, got"):
        shapeset(1, seeded(), 15)


def test_shapeset_refuses_a_generator_of_another_device():
    generator = type("Generator", (), {"device": torch.device("cuda")})()
    with pytest.raises(ValueError, match="generator must be a CPU's, got cuda"):
        shapeset(1, generator)
