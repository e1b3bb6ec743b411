"""lib.data: the digits as scikit-learn ships them, and the laws of what is drawn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from lib.data import SHAPESET_CLASSES, _draw_shapes, digits, shapeset, two_blobs

F64 = torch.float64


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
    images, targets = torch.cat([x, x_test]) * 16, torch.cat([y, y_test])
    actual = [[*p, t] for p, t in zip(images.tolist(), targets.tolist(), strict=True)]
    assert sorted(actual) == expected


def test_flat_digits_are_the_rows_of_the_images():
    (images, _), (tests, _) = digits()
    (rows, _), _ = digits(flat=True)
    assert images.shape == (1437, 1, 8, 8)
    assert tests.shape == (360, 1, 8, 8)
    assert torch.equal(images.flatten(1), rows)


def test_scalings_agree_with_each_other():
    unit = digits(flat=True)
    for (u, y), *others in zip(
        unit, *(digits(s, flat=True) for s in ("symmetric", "binary")), strict=True
    ):
        (symmetric, y1), (binary, y2) = others
        assert torch.equal(symmetric, 2 * u - 1)
        assert torch.equal(binary, (u > 0.5).to(F64))
        assert torch.equal(y, y1)
        assert torch.equal(y, y2)
    assert unit[0][0].min() == 0
    assert unit[0][0].max() == 1


def test_standard_scaling_takes_its_scale_from_the_training_share():
    (unit, _), (unit_test, _) = digits(flat=True)
    (x, _), (x_test, _) = digits("standard", flat=True)
    mean, std = unit.mean(0), unit.std(0, correction=0)
    varies = std > 0
    assert 0 < varies.sum() < 64  # the corners are always empty
    for actual, raw in ((x, unit), (x_test, unit_test)):
        expected = (raw - mean)[:, varies] / std[varies]
        torch.testing.assert_close(actual[:, varies], expected)
        assert torch.equal(actual[:, ~varies], 16 * (raw - mean)[:, ~varies])
    assert not x[:, ~varies].any()
    torch.testing.assert_close(x[:, varies].square().mean(0), torch.ones(61, dtype=F64))


def test_split_follows_the_generator():
    default, again = digits(), digits()
    assert torch.equal(default[1][0], again[1][0])
    one, same, other = (digits(generator=seeded(s)) for s in (5, 5, 6))
    assert torch.equal(one[1][0], same[1][0])
    assert not torch.equal(one[1][1], other[1][1])
    assert not torch.equal(one[1][1], default[1][1])


@given(share=st.floats(0, 0.999), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
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
        ({"test_share": math.nan}, "got nan"),
        ({"dtype": torch.int64}, "dtype must be floating, got torch.int64"),
    ],
)
def test_digits_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        digits(**options)


# Two blobs


def test_two_blobs_have_the_stated_moments():
    n = 20_000
    x, y = two_blobs(n, generator=seeded())
    assert x.shape == (2 * n, 2)
    assert torch.equal(y, torch.tensor([1] * n + [0] * n))
    for label, mean in ((1, 2.0), (0, 8.0)):
        cloud = x[y == label]
        # 4 standard errors: 2/√n of a mean, 4 √(2/n) of the variance 4, 1/√n of a
        # correlation that is 0.
        torch.testing.assert_close(
            cloud.mean(0), torch.full((2,), mean, dtype=F64), rtol=0, atol=8 / n**0.5
        )
        variance = torch.full((2,), 4.0, dtype=F64)
        tolerance = 4 * 4 * (2 / n) ** 0.5
        torch.testing.assert_close(cloud.var(0), variance, rtol=0, atol=tolerance)
        assert abs(torch.corrcoef(cloud.T)[0, 1]) < 4 / n**0.5
    # Of 2n points, given the labels, the correlation 9/13 has a standard error below
    # (1 - ρ²)/√(2n) of the normal law, since the means are fixed.
    correlation = torch.corrcoef(x.T)[0, 1].item()
    assert abs(correlation - 9 / 13) < 4 * (1 - (9 / 13) ** 2) / (2 * n) ** 0.5


def test_two_blobs_by_default_and_again():
    x, y = two_blobs(generator=seeded(3))
    again, _ = two_blobs(generator=seeded(3), dtype=torch.float32)
    assert (x.shape, y.shape, y.dtype) == ((400, 2), (400,), torch.int64)
    assert torch.equal(x.float(), again)
    assert two_blobs(0, generator=seeded())[0].shape == (0, 2)
    with pytest.raises(ValueError, match="n must not be negative, got -1"):
        two_blobs(-1, generator=seeded())


# Shapeset-3×2


N_SHAPES = 6000


@pytest.fixture(scope="module")
def shapes():
    return shapeset(N_SHAPES, seeded())


def test_class_frequencies(shapes):
    """Within 4 standard errors √(p (1 - p) / n) of 1/6, 1/9, 1/18."""
    counts = torch.bincount(shapes[1], minlength=9)
    assert len(counts) == len(SHAPESET_CLASSES) == 9
    p = torch.tensor([1 / 6] * 3 + [1 / 9] * 3 + [1 / 18] * 3, dtype=F64)
    z = (counts / N_SHAPES - p) / (p * (1 - p) / N_SHAPES).sqrt()
    assert z.abs().max() < 4, z


def test_range_and_greys(shapes):
    """Shapes and background lie on the two sides of the middle, 0.1 apart."""
    x, y = shapes
    assert x.shape == (N_SHAPES, 1, 32, 32)
    assert (x.dtype, y.dtype) == (F64, torch.int64)
    assert x.min() >= -1
    assert x.max() <= 1
    assert x.abs().min() >= 0.1 - 1e-12
    background = x[:, 0, 0, 0]
    dark = (background < 0).double().mean().item()
    assert abs(dark - 0.5) < 4 * 0.5 / N_SHAPES**0.5
    # 2g - 1 of a uniform g: mean ±0.55, standard deviation 0.9/√12.
    mean = background.abs().mean().item()
    assert abs(mean - 0.55) < 4 * 0.9 / (12 * N_SHAPES) ** 0.5


def test_one_pixel_of_border_is_background(shapes):
    x = shapes[0][:, 0]
    for edge in (x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]):
        assert torch.equal(edge, x[:, :1, 0].expand_as(edge))
    for line in (x[:, 1], x[:, -2], x[:, :, 1], x[:, :, -2]):
        assert (line != x[:, :1, 0]).any(), "shapes reach up to the margin"


def test_single_shapes_have_one_grey_and_pairs_two(shapes):
    x, y = shapes
    greys = torch.tensor([len(image.unique()) for image in x[:600]])
    assert torch.equal(greys, torch.where(y[:600] < 3, 2, 3))


def test_second_shape_hides_at_most_half_of_the_first(monkeypatch):
    """Redraw the masks from the same generator, and compare."""
    import lib.data

    masks = []

    def spy(kind, generator, size):
        masks.append(_draw_shapes(kind, generator, size))
        return masks[-1]

    monkeypatch.setattr(lib.data, "_draw_shapes", spy)
    generator, redrawn, accepted = seeded(1), 0, 0
    for _ in range(40):
        masks.clear()
        shapeset(1, generator)
        first, *tries = masks
        share = [((t & first).sum() / first.sum()).item() for t in tries]
        assert all(s > 0.5 for s in share[:-1])
        assert all(s <= 0.5 for s in share[-1:])
        redrawn += len(share[:-1])
        accepted += len(share[-1:])
    assert redrawn
    assert 0 < accepted < 40


def test_areas_of_the_shapes():
    """Mean areas: π/4 s₁s₂ of an ellipse; inscribed in it 3√3/(4π), 2/π of that."""
    n = 1500
    ellipse = math.pi / 4 * 16**2
    shares = torch.tensor([3 * 3**0.5 / (4 * math.pi), 2 / math.pi, 1])
    for kind, share in enumerate(shares):
        areas = _draw_shapes(torch.full((n,), kind), seeded(kind), 32).sum(1).double()
        error = areas.mean() - share * ellipse
        assert abs(error) < 4 * areas.std() / n**0.5


def test_shapes_turn_and_move_freely():
    """The mean mask is the same seen in a mirror or turned, within its own noise."""
    n = 4500
    masks = _draw_shapes(torch.arange(3).repeat(n // 3), seeded(2), 32)
    mean = masks.double().mean(0).reshape(32, 32)
    for seen in (mean.T, mean.flip(0), mean.flip(1)):
        # Of two means p of n zeros and ones; 5 standard errors, as 1024 are compared.
        tolerance = 5 * (2 * mean * (1 - mean) / n).sqrt() + 5 / n
        assert ((mean - seen).abs() <= tolerance).all()


def test_kinds_look_as_they_are_called():
    """Each kind is told by its second moments, whatever affine map it went through.

    √det of the second moments over the area is the same for every affine image of a
    shape: 1/(6√3), 1/12 and 1/(4π) for triangle, parallelogram and ellipse.
    """
    axis = torch.arange(64) + 0.5
    places = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
    for kind, expected in enumerate([1 / (6 * 3**0.5), 1 / 12, 1 / (4 * math.pi)]):
        masks = _draw_shapes(torch.full((300,), kind), seeded(kind), 64).float()
        area = masks.sum(1)
        centre = masks @ places.T / area[:, None]
        moved = places - centre[:, :, None]
        second = torch.einsum("np,nip,njp->nij", masks, moved, moved)
        ratio = torch.linalg.det(second / area[:, None, None]).sqrt() / area
        assert abs(ratio.median() / expected - 1) < 0.01  # next kind: 4 % away


def test_shapeset_is_determined_by_its_generator():
    one, y = shapeset(700, seeded(7))  # more than one chunk
    again, y_again = shapeset(700, seeded(7))
    other, _ = shapeset(700, seeded(8))
    assert torch.equal(one, again)
    assert torch.equal(y, y_again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:188], one[512:])
    single, _ = shapeset(700, seeded(7), dtype=torch.float32)
    assert torch.equal(single, one.float())


@given(n=st.integers(0, 5), size=st.integers(16, 40), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_any_size(n, size, seed):
    x, y = shapeset(n, seeded(seed), size)
    assert x.shape == (n, 1, size, size)
    assert y.shape == (n,)
    assert (x.abs() <= 1).all()
    assert (x.flatten(1).amax(1) > x.flatten(1).amin(1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n must not be negative, got -1"),
        ({"size": 15}, "size must be at least 16, got 15"),
        ({"dtype": torch.uint8}, "dtype must be floating, got torch.uint8"),
    ],
)
def test_shapeset_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        shapeset(**({"n": 1, "generator": seeded()} | arguments))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_shapeset_refuses_a_generator_of_a_gpu():
    with pytest.raises(ValueError, match="generator must be a CPU's, got cuda"):
        shapeset(1, torch.Generator("cuda"))
