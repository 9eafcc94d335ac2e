"""Controls: baselines that a proposed detector must beat before its idea can be credited with the gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import logsumexp

from ..bench.core.arrays import Floats
from ..bench.core.parameters import at_least
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .mahalanobis import Mahalanobis
from .subnet_mahalanobis import SubnetMahalanobis


def split(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest logit ``(N, 1)`` and all of them with minus infinity in its place, ``(N, classes)``."""
    top = logits.argmax(1, keepdim=True)
    return logits.gather(1, top), logits.scatter(1, top, -torch.inf)


@register_detector("max-softmax")
class MaxSoftmax:
    """1 - max_c softmax_c(z): how unsure the net is (Hendrycks and Gimpel 2017). One column."""

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
        formula="1 - max_c softmax_c(z)",
        year=2017,
        venue="ICLR",
        url="https://arxiv.org/abs/1610.02136",
        control=True,
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self) -> None:
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        fitted("max-softmax", self._fitted)
        logits = x.logits.astype(np.float64)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        # The sum of the others, not 1 - max, which would round to 0, and tie, for every image the net is sure of.
        np.put_along_axis(odds, logits.argmax(1)[:, None], 0.0, axis=1)
        others = odds.sum(1)
        return np.asarray(others / (1 + others))[:, None]

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact."""
        fitted("max-softmax", self._fitted)

        def column(images: torch.Tensor) -> torch.Tensor:
            largest, rest = split(seen_by(classifier, images)[0])
            others = (rest - largest).exp().sum(1, keepdim=True)
            return others / (1 + others)

        return column


@register_detector("max-softmax-both")
class BothMaxSoftmax(MaxSoftmax):
    """`max-softmax` with both sides open: -log p and -log(1 - p) of the largest softmax p. Two columns.

    An attack that leaves the net surer than clean images do is separated by `max-softmax` with the sign turned, which
    one column cannot say. Here the combiner weighs doubt and certainty: either sign, or both tails at once.
    """

    info: ClassVar[DetectorInfo] = replace(
        MaxSoftmax.info, formula="-log p, -log(1 - p), p = max_c softmax_c(z)", control=True
    )

    def characteristics(self, x: View) -> Floats:
        fitted("max-softmax-both", self._fitted)
        logits = x.logits.astype(np.float64)
        largest = logits.max(1)
        np.put_along_axis(logits, logits.argmax(1)[:, None], -np.inf, axis=1)
        # p = sigmoid(margin): a sum of softplus, which neither rounds to 0 nor overflows where the net is sure.
        margin = largest - logsumexp(logits, axis=1)
        return np.stack([np.logaddexp(0, -margin), np.logaddexp(0, margin)], axis=1)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact."""
        fitted("max-softmax-both", self._fitted)

        def columns(images: torch.Tensor) -> torch.Tensor:
            largest, rest = split(seen_by(classifier, images)[0])
            margin = largest - rest.logsumexp(1, keepdim=True)
            return torch.logaddexp(torch.zeros_like(margin), torch.cat([-margin, margin], 1))

        return columns


@register_detector("energy")
class Energy:
    """Free energy -T log sum_c exp(z_c / T) of the logits z (Liu et al. 2020), ``temperature`` T. One column."""

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Energy-based Out-of-distribution Detection",
        formula="-T log sum_c exp(z_c / T)",
        year=2020,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2010.03759",
        control=True,
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self, *, temperature: float = 1.0) -> None:
        at_least("energy", "temperature", temperature, 0, strict=True)
        at_least("energy", "temperature", temperature, 1e-100, most=1e100)  # beyond, the energy is infinite
        self.temperature = float(temperature)
        self._fitted: bool | None = None

    def fit(self, train: View) -> Self:
        self._fitted = True
        return self

    def characteristics(self, x: View) -> Floats:
        fitted("energy", self._fitted)
        scaled = x.logits.astype(np.float64) / self.temperature
        return np.asarray(-self.temperature * logsumexp(scaled, axis=1))[:, None]

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact."""
        fitted("energy", self._fitted)

        def column(images: torch.Tensor) -> torch.Tensor:
            scaled = seen_by(classifier, images)[0] / self.temperature
            return -self.temperature * scaled.logsumexp(1, keepdim=True)

        return column


@register_detector("mahalanobis-predicted")
class PredictedMahalanobis(Mahalanobis):
    """`mahalanobis` to the predicted class: `subnet-mahalanobis` without the subnets."""

    info: ClassVar[DetectorInfo] = replace(
        Mahalanobis.info, formula="1/2 (f - mu_t)^T S^-1 (f - mu_t) per tap, t the predicted class", control=True
    )

    def __init__(self, *, magnitude: float = 0.0, taps: Sequence[str] | None = None) -> None:
        super().__init__(distance="predicted", magnitude=magnitude, taps=taps)


@register_detector("mahalanobis-both")
class BothMahalanobis(Mahalanobis):
    """`mahalanobis` to the nearest and to the predicted class: their gap finds small perturbations without a subnet."""

    info: ClassVar[DetectorInfo] = replace(
        Mahalanobis.info, formula="distance to the nearest and to the predicted class mean per tap", control=True
    )

    def __init__(self, *, magnitude: float = 0.0, taps: Sequence[str] | None = None) -> None:
        super().__init__(distance="both", magnitude=magnitude, taps=taps)


@register_detector("subnet-mahalanobis-identity")
class IdentitySubnetMahalanobis(SubnetMahalanobis):
    """`subnet-mahalanobis` with the full net as every subnet: `mahalanobis` (``all``) or its predicted control."""

    info: ClassVar[DetectorInfo] = replace(
        SubnetMahalanobis.info,
        formula="subnet-mahalanobis with every gate 1",
        needs=("clean", "gradient"),
        control=True,
        draws_gates=False,
    )

    def __init__(
        self, *, classes: str = "all", k: int = 3, magnitude: float = 0.0, taps: Sequence[str] | None = None
    ) -> None:
        super().__init__(classes=classes, k=k, gates="identity", magnitude=magnitude, taps=taps)


@register_detector("subnet-mahalanobis-random")
class RandomSubnetMahalanobis(SubnetMahalanobis):
    """`subnet-mahalanobis` with the learned gates in random places: the effect of sparsity alone."""

    info: ClassVar[DetectorInfo] = replace(
        SubnetMahalanobis.info, formula="subnet-mahalanobis, gates permuted within layer and class", control=True
    )

    def __init__(
        self,
        *,
        classes: str = "predicted",
        k: int = 3,
        gate_seed: int = 0,
        magnitude: float = 0.0,
        taps: Sequence[str] | None = None,
    ) -> None:
        super().__init__(classes=classes, k=k, gates="random", gate_seed=gate_seed, magnitude=magnitude, taps=taps)
