"""An ensemble of LID, Mahalanobis distance and one-class support vector machines (Craighero et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Float64, Floats, Ints
from ..bench.core.parameters import at_least, seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import chosen_taps, fitted, labels_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .lid import Lid
from .mahalanobis import BLOCK, Mahalanobis

#: Standard deviations of features, relative to the largest, below which a principal component is left out.
FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class Support:
    """The one-class machine of one class: support vectors ``(s, r)``, their weights ``(s,)``, and the offset."""

    vectors: Float64
    weights: Float64
    offset: float


@dataclass(frozen=True, eq=False)
class Machines:
    """One-class machines of all classes at one tap, after one whitening by principal components of all of them.

    ``centre`` ``(D,)``, ``basis`` ``(D, r)``; the kernel is exp(-gamma |a - b|^2) with gamma = 1 / r, scikit-learn's
    ``scale`` where every component has variance 1.
    """

    centre: Float64
    basis: Float64
    classes: tuple[Support, ...]

    @classmethod
    def fit(
        cls, features: Floats, labels: Ints, classes: int, *, nu: float, components: int, per_class: int, seed: int
    ) -> Machines:
        """From training features ``(N, D)``, with at most ``per_class`` of a class by a seeded draw."""
        from sklearn.svm import OneClassSVM  # takes seconds to import; a stored run does not need it

        data = features.astype(np.float64)
        centre = data.mean(0)
        values, vectors = np.linalg.eigh(np.cov(data - centre, rowvar=False, bias=True).reshape(data.shape[1], -1))
        largest = np.argsort(-values, kind="stable")[:components]
        largest = largest[values[largest] > FLAT**2 * max(values.max(), np.finfo(np.float64).tiny)]
        basis = vectors[:, largest] / np.sqrt(values[largest])
        generator = np.random.default_rng(seed)
        machines = []
        for c in range(classes):
            members = np.sort(generator.permutation(np.flatnonzero(labels == c))[:per_class])
            machine = OneClassSVM(kernel="rbf", nu=nu, gamma=1 / max(1, len(largest)))
            machine.fit((data[members] - centre) @ basis)
            machines.append(Support(machine.support_vectors_, machine.dual_coef_[0], float(machine.intercept_[0])))
        return cls(centre, basis, tuple(machines))

    def scores(self, features: Floats, classes: Ints) -> Float64:
        """Minus the decision function ``(N,)`` of each row's class: above 0 outside of it."""
        with torch.no_grad():
            blocks = [slice(begin, begin + BLOCK) for begin in range(0, len(features), BLOCK)]
            pieces = [self.score_tensor(torch.from_numpy(features[b]), torch.from_numpy(classes[b])) for b in blocks]
        return torch.cat(pieces).numpy() if pieces else np.empty(0)

    def score_tensor(self, features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """`scores`, differentiable in ``features`` ``(N, D)``; float64."""
        centre, basis = (torch.from_numpy(array).to(features.device) for array in (self.centre, self.basis))
        places = (features.double() - centre) @ basis
        scores = places.new_zeros(len(places))
        for c in sorted(set(classes.tolist())):
            machine, rows = self.classes[c], torch.nonzero(classes == c).flatten()
            vectors = torch.from_numpy(machine.vectors).to(places.device)
            squares = (places[rows, None] - vectors).square().sum(2)
            kernels = (-squares / max(1, basis.shape[1])).exp()
            decision = kernels @ torch.from_numpy(machine.weights).to(places.device) + machine.offset
            scores = scores.index_put((rows,), -decision)
        return scores


def _outside(machines: Machines, x: View, tap: str) -> Floats:
    """The one-class scores ``(N,)`` of a tap."""
    return machines.scores(x.features(tap), x.predicted)


@register_detector("enad")
class Enad:
    """LID of every tap, then the Mahalanobis distance, then minus the decision function of a one-class SVM.

    The first two are the detectors `lid` and `mahalanobis` themselves. The third, at every tap, whitens pooled features
    by their principal components (at most ``components``) and asks the one-class SVM of the predicted class (kernel
    exp(-gamma |a - b|^2), gamma 1 / components, ``nu``), fitted on at most ``per_class`` training images of that class,
    drawn with ``seed``, which also draws LID's reference batch. The protocol's logistic regression joins all columns,
    as the paper's does. The paper chooses k, m, nu and gamma for each detector and tap by itself; here one choice holds
    for all taps.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Unity is strength: Improving the detection of adversarial examples with ensemble approaches",
        formula="LID, Mahalanobis, -OCSVM_t(W (f - mean)) per tap, t the predicted class",
        year=2023,
        needs=("clean", "gradient"),
        venue="Neurocomputing",
        url="https://arxiv.org/abs/2111.12631",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = tuple(
        {"k": k, "nu": nu} for k in (10, 20) for nu in (0.01, 0.1)
    )

    def __init__(
        self,
        *,
        k: int = 20,
        magnitude: float = 0.0,
        nu: float = 0.1,
        components: int = 32,
        per_class: int = 500,
        seed: int = 0,
        taps: Sequence[str] | None = None,
    ) -> None:
        at_least("enad", "nu", nu, 0, most=1, strict=True)
        whole("enad", "components", components, 1)
        whole("enad", "per_class", per_class, 2)
        seed_of("enad", "seed", seed)
        self.nu, self.components, self.per_class, self.seed, self.taps = float(nu), components, per_class, seed, taps
        self._lid = Lid(k=k, seed=seed, taps=taps)
        self._mahalanobis = Mahalanobis(magnitude=magnitude, taps=taps)
        self._machines: dict[str, Machines] | None = None

    def fit(self, train: View) -> Self:
        labels, taps = labels_of("enad", train), chosen_taps("enad", train, self.taps)
        options: dict[str, Any] = {
            "nu": self.nu,
            "components": self.components,
            "per_class": self.per_class,
            "seed": self.seed,
        }

        def machines(tap: str) -> Machines:
            features, classes = train.features(tap), train.classifier.classes
            key = ("one-class machines", tap, *options.values())
            return train.memo(key, lambda: Machines.fit(features, labels, classes, **options))

        self._lid.fit(train)
        self._mahalanobis.fit(train)
        self._machines = {tap: machines(tap) for tap in taps}
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 3 * taps)``."""
        machines = fitted("enad", self._machines)
        outside = [x.memo(("one-class scores", at), partial(_outside, at, x, tap)) for tap, at in machines.items()]
        return np.concatenate(
            [self._lid.characteristics(x), self._mahalanobis.characteristics(x), np.stack(outside, 1)], 1
        )

    def differentiable(self, classifier: Classifier) -> Differentiable | None:
        """`characteristics` in torch, exact, by those of `lid` and `mahalanobis`; the class has no gradient."""
        machines = fitted("enad", self._machines)
        lid, distances = self._lid.differentiable(classifier), self._mahalanobis.differentiable(classifier)
        if lid is None:
            return None

        def columns(images: torch.Tensor) -> torch.Tensor:
            logits, seen = seen_by(classifier, images, tuple(machines))
            predicted = logits.argmax(1)
            outside = torch.stack([at.score_tensor(seen[tap], predicted) for tap, at in machines.items()], 1)
            return torch.cat([lid(images), distances(images), outside], 1)

        return columns
