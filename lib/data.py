"""The data of the experiments: made here, or shipped inside scikit-learn.

Nothing is downloaded. Every set is drawn with an explicit generator, so that a page
can say exactly which numbers it used.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from lib.normal import normal_sample

Pairs = tuple[Tensor, Tensor]

SHAPESET_CLASSES = (
    "triangle",
    "parallelogram",
    "ellipse",
    "triangle and parallelogram",
    "triangle and ellipse",
    "parallelogram and ellipse",
    "two triangles",
    "two parallelograms",
    "two ellipses",
)
_CLASS_OF_PAIR = torch.tensor([[6, 3, 4], [3, 7, 5], [4, 5, 8]])
_CHUNK = 512  # images drawn at a time: bounds the memory, keeps the loops few


def digits(
    scaling: Literal["unit", "symmetric", "standard", "binary"] = "unit",
    *,
    test_share: float = 0.2,
    generator: torch.Generator | None = None,
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
            [0, 1), or ``dtype`` is not floating.

    References:
        Alpaydin and Kaynak (1998), Optical recognition of handwritten digits, UCI.
    """
    _check_digits(scaling, test_share, dtype)
    from sklearn.datasets import load_digits  # a second to import: only where used

    pixels, labels = map(torch.from_numpy, load_digits(return_X_y=True))
    n = len(labels)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    order = torch.randperm(n, generator=generator, device=generator.device).cpu()
    n_train = n - math.ceil(test_share * n)
    x = _scaled(pixels[order], n_train, scaling).to(dtype)
    x, y = x if flat else x.reshape(n, 1, 8, 8), labels[order]
    return (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])


def _scaled(pixels: Tensor, n_train: int, scaling: str) -> Tensor:
    if scaling == "unit":
        return pixels / 16
    if scaling == "symmetric":
        return pixels / 8 - 1
    if scaling == "binary":
        return pixels > 8
    train = pixels[:n_train]
    mean = train.mean(0)
    std = ((train - mean) ** 2).mean(0).sqrt()
    return (pixels - mean) / torch.where(std > 0, std, 1)  # eq-standardise


def two_blobs(
    n: int = 200, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
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
        ValueError: ``n`` is negative.
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    label = torch.tensor([1, 0], device=generator.device).repeat_interleave(n)
    mean = torch.where(label == 1, 2.0, 8.0)[:, None]
    x = normal_sample((2 * n, 2), mean, 2.0, generator=generator, dtype=dtype)
    return x, label


def shapeset(
    n: int,
    generator: torch.Generator,
    size: int = 32,
    *,
    dtype: torch.dtype = torch.float64,
) -> Pairs:
    r"""Glorot and Bengio's Shapeset-3×2: one or two shapes on a plain background.

    A shape is a triangle, a parallelogram or an ellipse: an equilateral triangle, a
    square or a circle of diameter 1 under the map

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
        ValueError: ``n`` is negative, ``size`` is below 16, ``generator`` is not a
            CPU's, or ``dtype`` is not floating.

    References:
        Glorot and Bengio (2010), section 2.1; github.com/glorotxa/Shapeset.
    """
    _check_shapeset(n, generator, size, dtype)
    images = torch.empty(n, 1, size, size, dtype=dtype)
    labels = torch.empty(n, dtype=torch.int64)
    for image, label in zip(images.split(_CHUNK), labels.split(_CHUNK), strict=True):
        greys, classes = _draw_images(len(label), generator, size)
        image.copy_((2 * greys - 1).reshape(image.shape))
        label.copy_(classes)
    return images, labels


def _draw_images(n: int, generator: torch.Generator, size: int) -> Pairs:
    first, second = torch.randint(3, (2, n), generator=generator)
    two = torch.rand(n, generator=generator) < 0.5
    below = _draw_shapes(first, generator, size)
    above = torch.zeros_like(below)
    redo = two.nonzero()[:, 0]
    while len(redo):
        above[redo] = _draw_shapes(second[redo], generator, size)
        hidden = (above[redo] & below[redo]).sum(1)
        redo = redo[2 * hidden > below[redo].sum(1)]
    light, lighter = 0.55 + 0.45 * _rand(2, n, 1, generator=generator)
    dark = 0.45 * _rand(n, 1, generator=generator)
    greys = torch.where(above, lighter, torch.where(below, light, dark))
    swap = torch.rand(n, 1, generator=generator) < 0.5
    classes = torch.where(two, _CLASS_OF_PAIR[first, second], first)
    return torch.where(swap, 1 - greys, greys), classes


def _draw_shapes(kind: Tensor, generator: torch.Generator, size: int) -> Tensor:
    """Masks ``(n, size²)`` of shapes of the given kinds, anywhere within the image."""
    n = len(kind)
    turns, angles = 2 * math.pi * _rand(2, n, generator=generator)
    scales = size * (0.2 + 0.6 * _rand(n, 2, generator=generator))
    spot = _rand(n, 2, generator=generator)
    to_image = _rotation(turns) * scales[:, None, :] @ _rotation(angles)
    masks = torch.empty(n, size * size, dtype=torch.bool)
    for k, corners in enumerate([_regular(3), _regular(4), None]):
        mine = kind == k
        maps = to_image[mine]
        reach = _reach(maps, corners), _reach(-maps, corners)
        at = 1 + reach[1] + spot[mine] * (size - 2 - reach[0] - reach[1])
        masks[mine] = _inside(maps, at, corners, size)
    return masks


def _reach(maps: Tensor, corners: Tensor | None) -> Tensor:
    """How far the mapped shape extends along each axis: ``(n, 2)``."""
    if corners is None:
        return maps.norm(dim=2) / 2  # of a circle of radius 1/2
    return (maps @ corners.T).amax(2)


def _inside(maps: Tensor, at: Tensor, corners: Tensor | None, size: int) -> Tensor:
    """Take the centres of the pixels back to the regular shape, and look there."""
    axis = torch.arange(size, dtype=maps.dtype) + 0.5
    centres = torch.stack(torch.meshgrid(axis, axis, indexing="xy")).reshape(1, 2, -1)
    q = torch.linalg.inv(maps) @ (centres - at[:, :, None])
    if corners is None:
        return (q**2).sum(1) <= 1 / 4
    # The normal of a side points against a corner (triangle) or between two (square):
    # halfway from each corner to the next, at the distance of the inscribed circle.
    middles = (corners + corners.roll(-1, 0)) / 2
    inside = torch.ones(len(q), size * size, dtype=torch.bool)
    for middle in middles:
        inside &= torch.einsum("c,ncp->np", middle, q) <= middle @ middle
    return inside


def _regular(n: int) -> Tensor:
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angles.cos(), angles.sin()], 1) / 2


def _rotation(angles: Tensor) -> Tensor:
    c, s = angles.cos(), angles.sin()
    return torch.stack([c, -s, s, c], -1).reshape(-1, 2, 2)


def _rand(*size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*size, generator=generator, dtype=torch.float64)


def _check_digits(scaling: str, test_share: float, dtype: torch.dtype) -> None:
    known = ("unit", "symmetric", "standard", "binary")
    if scaling not in known:
        raise ValueError(f"scaling must be one of {known}, got {scaling!r}")
    if not 0 <= test_share < 1:
        raise ValueError(f"test_share must lie in [0, 1), got {test_share}")
    _check_dtype(dtype)


def _check_shapeset(
    n: int, generator: torch.Generator, size: int, dtype: torch.dtype
) -> None:
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if size < 16:
        raise ValueError(f"size must be at least 16, got {size}")
    if generator.device.type != "cpu":
        raise ValueError(f"generator must be a CPU's, got {generator.device}")
    _check_dtype(dtype)


def _check_dtype(dtype: torch.dtype) -> None:
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be floating, got {dtype}")
