"""Steganalysis features of the pixels alone: the subtractive pixel adjacency matrix (Pevny, Bas and Fridrich 2010)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from ..bench.core.arrays import Floats, Ints
from ..bench.core.errors import UserError
from ..bench.core.parameters import whole
from ..bench.core.registry import register_detector
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo

#: Steps (down, right) to the next pixel: the first four along rows and columns, the others along diagonals.
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))

#: Images counted at once: bounds memory, changes no result.
BLOCK = 500


def shifted(images: Ints, step: tuple[int, int], times: int, reach: int) -> Ints:
    """The pixels that lie ``times`` steps from those from which ``reach`` steps stay inside, ``(N, C, H', W')``."""
    slices = []
    for size, stride in zip(images.shape[2:], step, strict=True):
        first = max(0, -stride * reach)
        count = size - abs(stride) * reach
        slices.append(slice(first + stride * times, first + stride * times + count))
    return images[:, :, slices[0], slices[1]]


def transitions(images: Ints, step: tuple[int, int], order: int, most: int) -> Floats:
    """P(d_{order} = u | d_0, ..., d_{order-1}) along one direction, ``(N, (2T + 1)^(order + 1))``, T = ``most``.

    d_i is the difference of the i-th pixel and the next one; all colours count together. A row of which no image has
    an instance is 0. Differences beyond T count for no feature, but do count as followers of those within.
    """
    pixels = [shifted(images, step, times, order + 1) for times in range(order + 2)]
    differences = [here - there for here, there in pairwise(pixels)]
    side = 2 * most + 1
    count = len(images)
    image = np.broadcast_to(np.arange(count)[:, None, None, None], differences[0].shape)
    before, within = image.astype(np.int64), np.ones(differences[0].shape, bool)
    for d in differences[:-1]:
        before, within = before * side + d + most, within & (np.abs(d) <= most)
    after = within & (np.abs(differences[-1]) <= most)
    given = np.bincount(before[within], minlength=count * side**order)
    pairs = np.bincount((before * side + differences[-1] + most)[after], minlength=count * side ** (order + 1))
    shares = pairs.reshape(-1, side) / np.maximum(given, 1)[:, None]
    return np.asarray(shares.reshape(count, -1))


def adjacency(images: Ints, order: int, most: int) -> Floats:
    """The mean over rows and columns, both ways, and that over diagonals, ``(N, 2 (2T + 1)^(order + 1))``."""
    along = [transitions(images, step, order, most) for step in DIRECTIONS]
    return np.concatenate([sum(along[:4]) / 4, sum(along[4:]) / 4], axis=1)


@register_detector("spam")
class Spam:
    """Transition probabilities of neighbouring pixels' differences: no net at all. 2 (2T + 1)^(order + 1) columns.

    P(d_{i+order} = u | d_i, ..., d_{i+order-1}), |d| <= T, of ``levels`` grey levels, averaged over the four directions
    along rows and columns and over the four diagonals (Pevny et al. 2010, equations 3 to 7). The paper's own are
    ``order`` 1 with ``truncation`` T = 4, 162 columns, and order 2 with T = 3, 686. So many columns overfit a combiner
    of few images: the candidates begin with 18, and the 686, over which a combiner takes minutes, are none of them.
    All colours are counted together.

    As a control it shows how much of a detection needs no net (Bryniarski et al. 2021, section 5.4): on images of the
    same origin, it finds any perturbation that is no natural noise, adversarial or not. Counts have no gradient.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Steganalysis by Subtractive Pixel Adjacency Matrix",
        formula="P(d_(i+order) = u given d_i, ..), d: differences of neighbouring pixels up to T",
        year=2010,
        venue="IEEE TIFS",
        url="https://doi.org/10.1109/TIFS.2010.2045842",
        control=True,
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"order": 1, "truncation": 1},
        {"order": 1, "truncation": 2},
        {"order": 1, "truncation": 4},
        {"order": 2, "truncation": 1},
    )

    def __init__(self, *, order: int = 1, truncation: int = 4, levels: int = 256) -> None:
        whole("spam", "order", order, 1, most=2)
        whole("spam", "truncation", truncation, 1, most=8 if order == 1 else 4)
        whole("spam", "levels", levels, 2, most=65536)
        self.order, self.truncation, self.levels = order, truncation, levels
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        side = min(train.images.shape[2:])
        if side < self.order + 2:
            raise UserError(f"spam: images of {side} pixels are too small; order {self.order} takes {self.order + 2}.")
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 2 (2T + 1)^(order + 1))``, each from 0 to 1."""
        fitted("spam", self._fitted)
        return np.concatenate([adjacency(part, self.order, self.truncation) for part in self._parts(x)])

    def _parts(self, x: View) -> Iterator[Ints]:
        for begin in range(0, len(x), BLOCK):
            part = x.images[begin : begin + BLOCK].numpy().astype(np.float64)
            yield np.rint(part * (self.levels - 1)).astype(np.int64)
