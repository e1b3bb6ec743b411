"""The data of the experiments: made here, or shipped inside scikit-learn.

Nothing is downloaded. Every set is drawn with an explicit generator, so that a page
can say exactly which numbers it used.
"""

import itertools
import math
from typing import Literal

import torch
from torch import Generator, Tensor

from lib._function import check, check_integer
from lib.normal import normal_sample

Pairs = tuple[Tensor, Tensor]

_KINDS = ("triangle", "parallelogram", "ellipse")
SHAPESET_CLASSES = (
    *_KINDS,
    *(f"{a} and {b}" for a, b in itertools.combinations(_KINDS, 2)),
    *(f"two {kind}s" for kind in _KINDS),
)
_CLASS_OF_PAIR = torch.tensor([[6, 3, 4], [3, 7, 5], [4, 5, 8]])


def digits(
    scaling: Literal["unit", "symmetric", "standard", "binary"] = "unit",
    *,
    test_share: float = 0.2,
    generator: Generator | None = None,
    flat: bool = False,
    dtype: torch.dtype = torch.float64,
) -> tuple[Pairs, Pairs]:
    r"""Scikit-learn's 1797 hand-written digits of 8×8 pixels, split at random.

    The pixels :math:`p \in \{0, \dots, 16\}` become

    .. math::

        \frac{p}{16}, \qquad \frac{p}{8} - 1, \qquad \frac{p - \mu}{\sigma}, \qquad
        [p > 8]

    for "unit", "symmetric", "standard" and "binary". Mean μ and standard deviation
    σ belong to each pixel and are taken over the training share alone; a pixel that is
    constant there is only centred.

    Args:
        scaling: One of the four above.
        test_share: Part of the digits kept for testing, in [0, 1), rounded up.
        generator: Source of the split; ``None`` gives the same split every time.
        flat: Whether an image is one row of 64 numbers.
        dtype: Of the images.

    Shape:
        - images: ``(N, 1, 8, 8)``, or ``(N, 64)`` if ``flat``.
        - labels: ``(N,)``, whole numbers from 0 to 9.

    Returns:
        ``(x, y)`` to train with and ``(x, y)`` to test with: 1437 and 360 digits
        unless ``test_share`` says otherwise.

    Raises:
        ValueError: ``scaling`` is not one of the four, ``test_share`` is not in
            [0, 1) or leaves nothing to train with, or ``dtype`` is not floating.

    References:
        Alpaydin and Kaynak (1998), Optical recognition of handwritten digits, UCI.
    """
    known = ("unit", "symmetric", "standard", "binary")
    check(scaling in known, "scaling", f"be one of {known}", repr(scaling))
    check(0 <= test_share < 1, "test_share", "lie in [0, 1)", test_share)
    _check_dtype(dtype)
    from sklearn.datasets import load_digits  # a second to import: only where used

    pixels, labels = map(torch.from_numpy, load_digits(return_X_y=True))
    n = len(labels)
    n_train = n - math.ceil(test_share * n)
    check(n_train > 0, "test_share", f"leave one of {n} digits", test_share)
    generator = generator or Generator().manual_seed(0)
    order = torch.randperm(n, generator=generator, device=generator.device).cpu()
    x, y = _scaled(pixels[order], n_train, scaling).to(dtype), labels[order]
    x = x if flat else x.reshape(n, 1, 8, 8)
    return (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])


def _scaled(p: Tensor, n_train: int, scaling: str) -> Tensor:
    if scaling != "standard":
        return {"unit": p / 16, "symmetric": p / 8 - 1, "binary": p > 8}[scaling]
    mean = p[:n_train].mean(0)
    std = ((p[:n_train] - mean) ** 2).mean(0).sqrt()
    return (p - mean) / torch.where(std > 0, std, 1)  # eq-standardise


def two_blobs(
    n: int = 200, *, generator: Generator, dtype: torch.dtype = torch.float64
) -> Pairs:
    r"""Two round normal clouds in the plane, n points each.

    .. math:: x \mid y{=}1 \sim \mathcal N(2, 2^2), \qquad
              x \mid y{=}0 \sim \mathcal N(8, 2^2)

    for both coordinates, independent given the class. Pooled, a coordinate has mean 5
    and variance 13, and the two are correlated with 9/13.

    Args:
        n: Points of each class.
        generator: Source of the numbers; its device is the result's.
        dtype: Of the points.

    Shape:
        - points: ``(2 n, 2)``, first those of class 1.
        - labels: ``(2 n,)``.

    Returns:
        The points and their labels.

    Raises:
        ValueError: ``n`` is no integer or negative, or ``dtype`` is not floating.
    """
    check_integer("n", n, 0)
    _check_dtype(dtype)
    label = torch.tensor([1, 0], device=generator.device).repeat_interleave(n)
    mean = torch.where(label == 1, 2.0, 8.0)[:, None]
    x = normal_sample((2 * n, 2), mean, 2.0, generator=generator, dtype=dtype)
    return x, label


def shapeset(
    n: int, generator: Generator, size: int = 32, *, dtype: torch.dtype = torch.float64
) -> Pairs:
    r"""Glorot and Bengio's Shapeset-3×2: one or two shapes on a plain background.

    A shape is a triangle, a parallelogram or an ellipse: a circle of diameter 1,
    or an equilateral triangle or a square inscribed in it, under the map

    .. math::

        q \mapsto R(\theta) \operatorname{diag}(s_1, s_2) R(\varphi)\, q + t, \qquad
        s_1, s_2 \sim \mathcal U(0.2, 0.8) \cdot \text{size}, \quad
        \theta, \varphi \sim \mathcal U(0, 2\pi)

    with t uniform where the shape stays a pixel away from the border. One or two
    shapes, and each of three kinds, are equally likely, so that the classes of
    ``SHAPESET_CLASSES`` have probability 1/6 (0 to 2, one shape), 1/9 (3 to 5, two
    kinds) and 1/18 (6 to 8, one kind twice). Shapes are grey 0.55 to 1 and the
    background 0 to 0.45, or, as often, the other way round; grey g is stored as 2g - 1.

    A second shape lies over the first and is drawn again if it hides more than half of
    the first's pixels. (The authors' program estimates that share from projections
    and draws the ellipse with 20 corners; here both are exact.)

    Args:
        n: Number of images.
        generator: Source of the numbers.
        size: Pixels in a row and in a column, at least 16.
        dtype: Of the images.

    Shape:
        - images: ``(n, 1, size, size)``.
        - labels: ``(n,)``, whole numbers from 0 to 8.

    Returns:
        The images, with pixels in [-1, 1], and their labels.

    Raises:
        ValueError: ``n`` is no integer or negative, ``size`` is no integer or below
            16, ``generator`` is not a CPU's, or ``dtype`` is not floating.

    References:
        Glorot and Bengio (2010), section 2.1; github.com/glorotxa/Shapeset.
    """
    check_integer("n", n, 0)
    check_integer("size", size, 16)
    check(generator.device.type == "cpu", "generator", "be a CPU's", generator.device)
    _check_dtype(dtype)
    images = torch.empty(n, 1, size, size, dtype=dtype)
    labels = torch.empty(n, dtype=torch.int64)
    for image, label in zip(images.split(512), labels.split(512), strict=True):
        image[:, 0], label[:] = _draw_images(len(label), generator, size)
    return images, labels


def _draw_images(n: int, generator: Generator, size: int) -> Pairs:
    first, second = torch.randint(3, (2, n), generator=generator)
    two = torch.rand(n, generator=generator) < 0.5
    below = _draw_shapes(first, generator, size)
    above = torch.zeros_like(below)
    redo = two.nonzero()[:, 0]
    while len(redo):
        above[redo] = _draw_shapes(second[redo], generator, size)
        hidden = (above[redo] & below[redo]).sum(1)
        redo = redo[2 * hidden > below[redo].sum(1)]
    one, other, dark = 0.45 * _rand(3, n, 1, generator=generator)
    greys = torch.where(above, 0.55 + other, torch.where(below, 0.55 + one, dark))
    swap = torch.rand(n, 1, generator=generator) < 0.5
    greys = torch.where(swap, 1 - greys, greys).reshape(n, size, size)
    return 2 * greys - 1, torch.where(two, _CLASS_OF_PAIR[first, second], first)


def _draw_shapes(kind: Tensor, generator: Generator, size: int) -> Tensor:
    """Masks ``(n, size²)`` of shapes of the given kinds, anywhere within the image."""
    n = len(kind)
    turns, angles = 2 * math.pi * _rand(2, n, generator=generator)
    scales = size * (0.2 + 0.6 * _rand(n, 1, 2, generator=generator))
    spot = _rand(n, 2, generator=generator)
    maps = _rotation(turns) * scales @ _rotation(angles)
    masks = torch.empty(n, size * size, dtype=torch.bool)
    for k, corners in enumerate([_regular(3), _regular(4), None]):
        i = kind == k
        before, after = _reach(-maps[i], corners), _reach(maps[i], corners)
        at = 1 + before + spot[i] * (size - 2 - before - after)
        masks[i] = _inside(maps[i], at, corners, size)
    return masks


def _reach(maps: Tensor, corners: Tensor | None) -> Tensor:
    """How far the mapped shape extends along each axis: ``(n, 2)``."""
    if corners is None:
        return maps.norm(dim=2) / 2  # of a circle of radius 1/2
    return (maps @ corners.T).amax(2)


def _inside(maps: Tensor, at: Tensor, corners: Tensor | None, size: int) -> Tensor:
    """Take the centres of the pixels back to the regular shape, and look there."""
    axis = torch.arange(size, dtype=maps.dtype) + 0.5
    centres = torch.stack(torch.meshgrid(axis, axis, indexing="xy")).reshape(2, -1)
    q = torch.linalg.inv(maps) @ (centres - at[:, :, None])
    if corners is None:
        return (q**2).sum(1) <= 1 / 4
    # A side lies where q · middle = |middle|², the middle of its two corners.
    middles = (corners + corners.roll(-1, 0)) / 2
    return (middles @ q <= (middles**2).sum(1, keepdim=True)).all(1)


def _regular(n: int) -> Tensor:
    """Corners ``(n, 2)`` of a regular polygon in a circle of diameter 1."""
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angles.cos(), angles.sin()], 1) / 2


def _rotation(angles: Tensor) -> Tensor:
    c, s = angles.cos(), angles.sin()
    return torch.stack([c, -s, s, c], -1).reshape(-1, 2, 2)


def _rand(*size: int, generator: Generator) -> Tensor:
    return torch.rand(*size, generator=generator, dtype=torch.float64)


def _check_dtype(dtype: torch.dtype) -> None:
    check(dtype.is_floating_point, "dtype", "be floating", dtype)
