"""Feature squeezing (Xu, Evans and Qi 2018): how far a squeezed image moves the net's prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier, evaluating
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .squeezers import parsed, rounds, squeezed


@register_detector("feature-squeezing")
class FeatureSqueezing:
    """max_s ||softmax(z(x)) - softmax(z(s(x)))||_1 over squeezers s (Xu et al. 2018, section 5.1). One column.

    ``squeezers``: see `squeezers.parsed`. The candidates are the paper's best joint detectors of CIFAR-10, MNIST and
    ImageNet, and the first two without the rounding. Non-local means compares colours in RGB; the authors' code has
    OpenCV do that in CIELAB.

    With rounding among the squeezers there is no gradient to offer: the true one is that of the unsqueezed pass alone,
    which would keep an attacker from seeing what the squeezed one does.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks",
        formula="max_s norm1(softmax(z(x)) - softmax(z(s(x)))), s: bit depth, median, non-local means",
        year=2018,
        venue="NDSS",
        url="https://arxiv.org/abs/1704.01155",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"squeezers": ["bit-depth 5", "median 2", "non-local-means 13-3-2"]},
        {"squeezers": ["bit-depth 1", "median 2"]},
        {"squeezers": ["bit-depth 5", "median 2", "non-local-means 11-3-4"]},
        {"squeezers": ["median 2", "non-local-means 13-3-2"]},
        {"squeezers": ["median 2"]},
    )

    def __init__(self, *, squeezers: Sequence[str] = ("bit-depth 5", "median 2", "non-local-means 13-3-2")) -> None:
        if isinstance(squeezers, str) or not squeezers:
            raise UserError(f"feature-squeezing: squeezers is {squeezers!r}; give a list such as ['median 2'].")
        for name in squeezers:
            parsed(name)
        self.squeezers = tuple(squeezers)
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 1)``, from 0 to 2."""
        fitted("feature-squeezing", self._fitted)
        plain = torch.from_numpy(x.logits).double().softmax(1).numpy()
        distances = [np.abs(plain - self._probabilities(x, name)).sum(1) for name in self.squeezers]
        return np.asarray(np.stack(distances).max(0)[:, None])

    def differentiable(self, classifier: Classifier) -> Differentiable | None:
        """`characteristics` in torch, exact; None where a squeezer rounds."""
        fitted("feature-squeezing", self._fitted)
        if any(map(rounds, self.squeezers)):
            return None
        names = self.squeezers

        def column(images: torch.Tensor) -> torch.Tensor:
            plain = seen_by(classifier, images)[0].softmax(1)
            passed = [seen_by(classifier, squeezed(name, images))[0].softmax(1) for name in names]
            distances = torch.stack([(plain - probabilities).abs().sum(1) for probabilities in passed])
            return distances.max(0).values[:, None]

        return column

    @staticmethod
    def _probabilities(x: View, name: str) -> Floats:
        """Softmax ``(N, classes)`` float64 of squeezed images; candidates share it."""

        def compute() -> Floats:
            rows = []
            with torch.no_grad(), evaluating(x.classifier):
                for part in x.batches():
                    images = squeezed(name, x.images[part].to(x.device))
                    rows.append(x.classifier(images).double().softmax(1).cpu().numpy())
            return np.concatenate(rows)

        return x.memo(("squeezed", name), compute)
