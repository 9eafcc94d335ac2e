"""LID's logarithms one by one in place of their mean (Lorenz, Keuper and Keuper 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Float64, Floats
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import chosen_taps, fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .lid import RESOLUTION
from .neighbours import Index


def growth(distances: Float64) -> Float64:
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

    d_i is the Euclidean distance of a tap's spatially mean-pooled features to the i-th nearest training image. LID is k
    over minus the sum of these logarithms, so that higher is more adversarial, as there; the combiner weighs each.

    The paper compares with the image's own minibatch of 100; here the neighbours come from the index of training images
    that all neighbour detectors share, so that no image depends on its neighbours. The paper fits a random forest as
    well as a logistic regression; every detector here has the protocol's logistic regression, which is the weaker of
    its two rows.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Unfolding Local Growth Rate Estimates for (Almost) Perfect Adversarial Detection",
        formula="log(d_i / d_k), i < k, per tap",
        year=2022,
        needs=("clean",),
        venue="VISAPP 2023",
        url="https://arxiv.org/abs/2212.06776",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ({"k": 10}, {"k": 20})

    def __init__(self, *, k: int = 20, seed: int = 0, taps: Sequence[str] | None = None) -> None:
        whole("multilid", "k", k, 2)
        seed_of("multilid", "seed", seed)
        self.k, self.seed, self.taps = k, seed, taps
        self.notes = ""
        self._indices: list[Index] | None = None

    def fit(self, train: View) -> Self:
        taps = chosen_taps("multilid", train, self.taps)
        self._indices = [Index.of(train, tap, "euclidean", self.seed) for tap in taps]
        self.notes = (
            f"neighbours among {len(self._indices[0]) if taps else 0} training images, not the minibatch; "
            "logistic regression, where the paper also has a random forest"
        )
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, taps * (k - 1))``."""
        indices = fitted("multilid", self._indices)
        return np.concatenate([growth(index.of_view(x, self.k)[0]) for index in indices], 1)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact: distances have a gradient, the choice and order of neighbours have none.

        Every call searches the whole index again.
        """
        indices = fitted("multilid", self._indices)

        def columns(images: torch.Tensor) -> torch.Tensor:
            _, seen = seen_by(classifier, images, tuple(index.tap for index in indices))
            return torch.cat([growth_tensor(index.square_tensor(seen[index.tap], self.k)) for index in indices], 1)

        return columns
