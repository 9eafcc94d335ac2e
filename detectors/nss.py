"""Natural scene statistics of the pixels alone (Mittal, Moorthy and Bovik 2012; Kherchouche et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import gammaln

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.core.parameters import whole
from ..bench.core.registry import register_detector
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo

#: Steps (down, right) to the neighbour whose product with a pixel is looked at.
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))

#: Shapes of a generalised Gaussian among which a fit chooses, as in Mittal et al.
SHAPES = np.arange(0.2, 10.0005, 0.001)

#: Deviation of the Gaussian window of 7 x 7 pixels, and where it is cut off, in deviations.
WINDOW, CUT = 7 / 6, 3 / (7 / 6)

#: Keeps a flat patch from dividing by 0, in images of [0, 1]: the paper's 1 of 255.
LEAST = 1 / 255


def normalised(grey: Floats) -> Floats:
    """MSCN coefficients (eq. 1 to 3): images ``(N, H, W)`` less their local mean, by their local deviation."""
    mean = _blurred(grey)
    deviation = np.sqrt(np.abs(_blurred(grey**2) - mean**2))
    return (grey - mean) / (deviation + LEAST)


def _blurred(images: Floats) -> Floats:
    from scipy import ndimage  # whoever asks for another detector does without

    blurred = ndimage.gaussian_filter(images, WINDOW, truncate=CUT, axes=(1, 2), mode="nearest")
    return np.asarray(blurred, np.float64)


@cache
def _ratios() -> Floats:
    """Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)) for each of `SHAPES`, which grows with the shape a."""
    return np.asarray(np.exp(2 * gammaln(2 / SHAPES) - gammaln(1 / SHAPES) - gammaln(3 / SHAPES)))


def shape_of(ratio: Floats) -> Floats:
    """The shape whose ratio of (E|x|)^2 to E[x^2] comes nearest, ``(N,)``."""
    above = np.clip(np.searchsorted(_ratios(), ratio), 1, len(SHAPES) - 1)
    lower_is_nearer = ratio - _ratios()[above - 1] < _ratios()[above] - ratio
    return np.asarray(SHAPES[above - lower_is_nearer])


def symmetric(values: Floats) -> Floats:
    """Shape and variance of a generalised Gaussian for each row of ``values`` ``(N, M)``: ``(N, 2)``."""
    variance = (values**2).mean(1)
    ratio = np.abs(values).mean(1) ** 2 / np.maximum(variance, 1e-30)
    return np.stack([shape_of(ratio), variance], 1)


def asymmetric(values: Floats) -> Floats:
    """Shape, mean, left and right variance of an asymmetric one for each row, ``(N, 4)`` (eq. 8 to 10)."""
    squares, left = values**2, values < 0
    sides = [np.where(side, squares, 0).sum(1) / np.maximum(side.sum(1), 1) for side in (left, ~left)]
    low, high = (np.sqrt(side) for side in sides)
    gamma = low / np.maximum(high, 1e-15)
    plain = np.abs(values).mean(1) ** 2 / np.maximum(squares.mean(1), 1e-30)
    shape = shape_of(plain * (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2)
    mean = (high - low) * np.exp(gammaln(2 / shape) - (gammaln(1 / shape) + gammaln(3 / shape)) / 2)
    return np.stack([shape, mean, *sides], 1)


def statistics(grey: Floats) -> Floats:
    """Of images ``(N, H, W)``: the fit to their MSCN coefficients and those to four products, ``(N, 18)``."""
    coefficients = normalised(grey)
    count, height, width = coefficients.shape
    parts = [symmetric(coefficients.reshape(count, -1))]
    for down, right in NEIGHBOURS:
        here = coefficients[:, : height - down, max(0, -right) : width - max(0, right)]
        there = coefficients[:, down:, max(0, right) : width - max(0, -right)]
        parts.append(asymmetric((here * there).reshape(count, -1)))
    return np.concatenate(parts, axis=1)


@register_detector("nss")
class NaturalSceneStatistics:
    """Fits to locally normalised pixels and to products of neighbours: no net at all. 18 columns a scale.

    MSCN coefficients of the grey image, ``(I - mu) / (sigma + 1/255)``, with mu and sigma of a Gaussian window of 7x7
    pixels: shape and variance of a generalised Gaussian, and shape, mean, left and right variance of an asymmetric one
    for the products along rows, columns and both diagonals (Mittal et al. 2012, equations 1 to 10). ``scales``: on the
    image, and on the image at half the size, by 2x2 means. Kherchouche et al. 2020 detect attacks by these columns.

    A shape is the nearest of a list, as in the paper, and so has no gradient.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="No-Reference Image Quality Assessment in the Spatial Domain",
        formula="shapes, means, variances of fits to (I - mu) / (sigma + 1/255) and to products of neighbours",
        year=2012,
        venue="IEEE TIP",
        url="https://doi.org/10.1109/TIP.2012.2214050",
        control=True,
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ({"scales": 1}, {"scales": 2})

    def __init__(self, *, scales: int = 1) -> None:
        whole("nss", "scales", scales, 1, most=2)
        self.scales = scales
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        side = min(train.images.shape[2:])
        if side < 4 * self.scales:
            raise UserError(f"nss: images of {side} pixels are too small; {self.scales} scales take {4 * self.scales}.")
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 18 scales)``."""
        fitted("nss", self._fitted)
        grey = x.images.numpy().astype(np.float64).mean(1)
        parts = [statistics(grey)]
        if self.scales == 2:
            height, width = (side // 2 * 2 for side in grey.shape[1:])
            even = grey[:, :height, :width].reshape(len(grey), height // 2, 2, width // 2, 2)
            parts.append(statistics(even.mean((2, 4))))
        return np.concatenate(parts, axis=1)
