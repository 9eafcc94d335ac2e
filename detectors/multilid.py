"""LID's logarithms one by one in place of their mean (Lorenz, Keuper and Keuper 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .lid import RESOLUTION
from .reference import batch_of, distances_to, squares_to


def growth(distances: Floats) -> Floats:
    """log(d_i / d_k), i < k, ``(N, k - 1)``, of ascending distances ``(N, k)``; at least log `RESOLUTION`.

    The bound is what float32 features can tell from a distance of 0; where even d_k is 0, all are 0.
    """
    last = distances[:, -1:]
    ratios = distances[:, :-1] / np.where(last > 0, last, 1.0)
    return np.where(last > 0, np.log(np.maximum(ratios, RESOLUTION)), 0.0)


def growth_tensor(squares: torch.Tensor) -> torch.Tensor:
    """`growth` of squared distances, differentiable; the gradient is 0 at the bound."""
    last = squares[:, -1:]
    ratios = squares[:, :-1] / torch.where(last > 0, last, 1.0)
    return torch.where(last > 0, 0.5 * ratios.clamp(min=RESOLUTION**2).log(), 0.0)


@register_detector("multilid")
class MultiLid:
    """log(d_i / d_k), i = 1 ... k - 1, for every tap: taps x (k - 1) characteristics, tap by tap.

    d_i is the Euclidean distance of a tap's spatially mean-pooled features to the i-th nearest of a reference batch: as
    for `Lid`, ``batch_size`` clean training images that are drawn once, with ``seed``, so that no image depends on its
    neighbours, where the paper takes the image's own minibatch of 100. A batch that is denser than the paper's loses
    what the method sees: among all training images the nearest are alike for clean and adversarial images. LID is k
    over minus the sum of these logarithms; the combiner weighs each.

    The paper fits a random forest as well as a logistic regression; every detector here has the protocol's logistic
    regression, which is the weaker of its two rows.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Unfolding Local Growth Rate Estimates for (Almost) Perfect Adversarial Detection",
        formula="log(d_i / d_k), i < k, per tap",
        year=2022,
        needs=("clean",),
        venue="VISAPP 2023",
        url="https://arxiv.org/abs/2212.06776",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ({"k": 10}, {"k": 20}, {"k": 50})

    def __init__(self, *, k: int = 20, batch_size: int = 100, seed: int = 0, taps: Sequence[str] | None = None) -> None:
        whole("multilid", "k", k, 2)
        whole("multilid", "batch_size", batch_size, 2)
        seed_of("multilid", "seed", seed)
        if k > batch_size:
            raise UserError(f"multilid: k is {k} and batch_size is {batch_size}; k must not be above batch_size.")
        self.k, self.batch_size, self.seed, self.taps = k, batch_size, seed, taps
        self.notes = "logistic regression, where the paper also has a random forest"
        self._references: dict[str, Floats] | None = None

    def fit(self, train: View) -> Self:
        self._references = batch_of("multilid", train, self.batch_size, self.seed, self.taps)
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, taps * (k - 1))``."""
        references = fitted("multilid", self._references)
        columns = [growth(distances_to(batch, x, tap)[:, : self.k]) for tap, batch in references.items()]
        return np.concatenate(columns, 1)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact: distances have a gradient, which neighbours are nearest has none."""
        references = fitted("multilid", self._references)
        batches = {tap: torch.from_numpy(batch).double() for tap, batch in references.items()}

        def columns(images: torch.Tensor) -> torch.Tensor:
            _, seen = seen_by(classifier, images, tuple(batches))
            squares = [squares_to(batch.to(images.device), seen[tap], self.k) for tap, batch in batches.items()]
            return torch.cat([growth_tensor(rows) for rows in squares], 1)

        return columns
