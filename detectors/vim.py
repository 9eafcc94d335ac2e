"""Virtual-logit matching (Wang, Li, Feng and Zhang 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import logsumexp

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.core.parameters import at_least
from ..bench.core.registry import register_detector
from ..bench.models.classifier import PENULTIMATE, Classifier
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by


@dataclass(frozen=True, eq=False)
class Residual:
    """``origin`` ``(D,)``, ``directions`` ``(D, D - d)`` outside the principal space, and the scale ``alpha``."""

    origin: Floats
    directions: Floats
    alpha: float

    def norms(self, features: Floats) -> Floats:
        return np.asarray(np.linalg.norm((features.astype(np.float64) - self.origin) @ self.directions, axis=1))


@register_detector("vim")
class ViM:
    """alpha |R^T (f - o)| - log sum_c exp(z_c): the virtual logit less the energy of the others. One column.

    o = -W^+ b of the last layer's weight W and bias b; R spans what the d principal directions of f - o leave out;
    alpha makes the virtual logit's mean on training images that of their largest logit (Wang et al. 2022, section 4).
    The paper's score is the virtual logit's softmax, which rises with ours.

    ``d``: the number of principal directions; None is half the penultimate width, rounded down. The paper takes 1,000
    of 2,048 and 512 of 768. A d that leaves no direction over is refused, never lowered.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="ViM: Out-Of-Distribution with Virtual-logit Matching",
        formula="alpha norm(R^T (f - o)) - log sum_c exp(z_c), R outside the d principal directions of f - o",
        year=2022,
        venue="CVPR",
        url="https://arxiv.org/abs/2203.10807",
        group="OOD baseline",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self, *, d: int | None = None) -> None:
        if d is not None:
            at_least("vim", "d", d, 1)
        self.d = d
        self._residual: Residual | None = None
        self.notes = ""

    def fit(self, train: View) -> Self:
        features = train.features(PENULTIMATE).astype(np.float64)
        width = features.shape[1]
        d = max(1, width // 2) if self.d is None else self.d
        if d >= width:
            raise UserError(
                f"vim: d is {d}, and the penultimate layer has {width} features; give a smaller d, or leave it out."
            )
        head = train.classifier.head
        weight = head.weight.detach().cpu().double().numpy()
        bias = np.zeros(len(weight)) if head.bias is None else head.bias.detach().cpu().double().numpy()
        origin = -np.linalg.pinv(weight) @ bias
        centred = features - origin
        _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))  # ascending
        directions = vectors[:, : width - d]
        mean = float(np.linalg.norm(centred @ directions, axis=1).mean())
        if mean == 0:
            raise UserError(f"vim: the training features lie in {d} directions, which leaves no residual; lower d.")
        self._residual = Residual(origin, directions, float(train.logits.astype(np.float64).max(1).mean()) / mean)
        self.notes = f"d = {d} of {width}"
        return self

    def characteristics(self, x: View) -> Floats:
        residual = fitted("vim", self._residual)
        virtual = residual.alpha * residual.norms(x.features(PENULTIMATE))
        return np.asarray(virtual - logsumexp(x.logits.astype(np.float64), axis=1))[:, None]

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact."""
        residual = fitted("vim", self._residual)

        def column(images: torch.Tensor) -> torch.Tensor:
            logits, seen = seen_by(classifier, images, (PENULTIMATE,))
            origin = torch.from_numpy(residual.origin).to(logits.device)
            directions = torch.from_numpy(residual.directions).to(logits.device)
            norms = torch.linalg.vector_norm((seen[PENULTIMATE] - origin) @ directions, dim=1)
            score: torch.Tensor = residual.alpha * norms - logits.logsumexp(1)
            return score[:, None]

        return column
