"""Relative Mahalanobis distance of penultimate features (Ren et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.registry import register_detector
from ..bench.models.classifier import PENULTIMATE, Classifier
from ..bench.views import View
from .checks import fitted, labels_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .mahalanobis import Gaussians


@register_detector("rmd")
class RelativeMahalanobis:
    """min_c 1/2 d_c(f) - 1/2 d_0(f): the distance to the nearest class, less that to all classes as one.

    d_c is the squared Mahalanobis distance of the penultimate features f to the mean of class c under one covariance of
    all residuals, d_0 that to the mean of all training images under their own covariance (Ren et al. 2021, eq. 4 and
    section 3; half of theirs, as in `mahalanobis`). Covariances are divided by N and pseudo-inverted.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection",
        formula="min_c 1/2 (f - mu_c)^T S^-1 (f - mu_c) - 1/2 (f - mu_0)^T S_0^-1 (f - mu_0), penultimate f",
        year=2021,
        venue="arXiv",
        url="https://arxiv.org/abs/2106.09022",
        group="OOD baseline",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self) -> None:
        self._gaussians: tuple[Gaussians, Gaussians] | None = None

    def fit(self, train: View) -> Self:
        labels, features = labels_of("rmd", train), train.features(PENULTIMATE)
        classes = Gaussians.fit(features, labels, train.classifier.classes)
        self._gaussians = classes, Gaussians.fit(features, np.zeros_like(labels), 1)
        return self

    def characteristics(self, x: View) -> Floats:
        classes, whole = fitted("rmd", self._gaussians)
        features = x.features(PENULTIMATE)
        return np.asarray(classes.distances(features).min(1) - whole.distances(features)[:, 0])[:, None]

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact; the choice of the nearest class has no gradient."""
        classes, whole = fitted("rmd", self._gaussians)

        def column(images: torch.Tensor) -> torch.Tensor:
            features = seen_by(classifier, images, (PENULTIMATE,))[1][PENULTIMATE]
            nearest = classes.nearest(features)
            near, all_of_them = (
                classes.distance_tensor(features, nearest),
                whole.distance_tensor(features, torch.zeros_like(nearest)),
            )
            return (near - all_of_them)[:, None]

        return column
