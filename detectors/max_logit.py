"""The largest logit (Hendrycks et al. 2022), with a gradient for attackers who know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..bench.core.arrays import Floats
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by


@register_detector("max-logit")
class MaxLogit:
    """-max_c z_c of the logits z (Hendrycks et al. 2022, section 3). One column."""

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Scaling Out-of-Distribution Detection for Real-World Settings",
        formula="-max_c z_c",
        year=2022,
        venue="ICML",
        url="https://arxiv.org/abs/1911.11132",
        group="OOD baseline",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self) -> None:
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        fitted("max-logit", self._fitted)
        return np.asarray(-x.logits.astype(np.float64).max(1, keepdims=True))

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact."""
        fitted("max-logit", self._fitted)
        return lambda images: -seen_by(classifier, images)[0].max(1, keepdim=True).values
