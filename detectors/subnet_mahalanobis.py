"""Mahalanobis distance through class-specific subnetworks (Wang, Hu and Su, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.models import Classifier, evaluating
from ..bench.registry import register_detector
from ..bench.types import ClassGates, DetectorInfo, Floats, Ints, UserError
from ..bench.views import View, fingerprint
from ..subnets.gates import identity_gates, random_gates
from .checks import at_least, chosen_taps, fitted, labels_of, one_of
from .mahalanobis import BLOCK, MAGNITUDES, Doubles, Gaussians, descend, distances_after, gaussians_at, tap_features

CLASSES = ("predicted", "top-k", "all")
GATES = ("learned", "identity", "random")


def gated_taps(net: Classifier, gates: ClassGates) -> tuple[str, ...]:
    """The taps that a gate can change: those from the first gated stage on; none where every gate is 1.

    All others are the full net's in every subnet and go the way of `mahalanobis`, to the same last bit.
    """
    if all(bool((gate == 1).all()) for gate in gates.values()):
        return ()
    start = first_stage(net, gates)
    return tuple(tap for tap in net.taps if net.stage_of(tap) >= start)


def first_stage(net: Classifier, gates: ClassGates) -> int:
    """Index of the first stage that holds a gate."""
    return min(net.stage_of(path) for path in gates)


def subnet_blocks(view: View, gates: ClassGates, classes: Ints) -> Iterator[tuple[Ints, dict[str, Floats]]]:
    """`View.subnet_features` of ``classes`` ``(N, k)``, a block of images at a time, kept no longer than it is used.

    Features of k subnets are k times the memory, and who asks keeps only distances or means of them.
    """
    for begin in range(0, len(view), BLOCK):
        part = np.arange(begin, min(begin + BLOCK, len(view)))
        yield part, view.subset(part).subnet_features(gates, classes[part])


def subnet_gaussians(train: View, gates: ClassGates, labels: Ints) -> dict[str, Gaussians]:
    """Class means of class c from c's images through c's subnet, and the tied covariance of all those residuals."""
    net = train.classifier

    def compute() -> dict[str, Gaussians]:
        blocks: dict[str, list[Floats]] = {tap: [] for tap in gated_taps(net, gates)}
        for _, features in subnet_blocks(train, gates, labels[:, None]) if blocks else ():
            for tap, parts in blocks.items():
                parts.append(features[tap][:, 0])
        gated = {tap: Gaussians.fit(np.concatenate(parts), labels, net.classes) for tap, parts in blocks.items()}
        return {tap: gated[tap] if tap in gated else gaussians_at(train, tap, labels) for tap in net.taps}

    return train.memo(("subnet gaussians", fingerprint(gates)), compute)


def subnet_distances(
    x: View, gaussians: Mapping[str, Gaussians], gates: ClassGates, classes: Ints
) -> dict[str, Doubles]:
    """Distances to the means of ``classes`` ``(N, k)``, each through its own subnet: tap -> ``(N, k)``."""

    def compute() -> dict[str, Doubles]:
        gated = [tap for tap in gated_taps(x.classifier, gates) if tap in gaussians]
        found = {
            tap: np.take_along_axis(distances_after(x, tap, at, x.predicted, 0), classes, axis=1)
            for tap, at in gaussians.items()
            if tap not in gated
        }
        found.update({tap: np.empty(classes.shape) for tap in gated})
        for part, features in subnet_blocks(x, gates, classes) if gated else ():
            for tap in gated:
                for j in range(classes.shape[1]):
                    found[tap][part, j] = gaussians[tap].distances(features[tap][:, j], classes[part, j])
        return found

    return x.memo(("subnet distances", tuple(gaussians.items()), fingerprint(gates), classes.tobytes()), compute)


def subnet_distances_after(
    x: View, tap: str, gaussians: Gaussians, gates: ClassGates, classes: Ints, towards: Ints, magnitude: float
) -> Doubles:
    """`subnet_distances` of one tap, ``(N, k)``, after pre-processing towards ``towards`` ``(N,)``."""
    net = x.classifier
    if tap not in gated_taps(net, gates):
        return np.take_along_axis(distances_after(x, tap, gaussians, towards, magnitude), classes, axis=1)

    def compute() -> Doubles:
        start = first_stage(net, gates)
        local = {path: gate.to(x.device) for path, gate in gates.items()}
        features: list[list[torch.Tensor]] = [[] for _ in range(classes.shape[1])]
        with torch.inference_mode(), evaluating(net):
            for part, images in descend(x, tap, gaussians, towards, magnitude, gates):
                hidden = net.advance(images, 0, start) if start else images
                for j, column in enumerate(features):
                    chosen = torch.from_numpy(classes[part, j]).to(x.device)
                    rows = {path: gate[chosen] for path, gate in local.items()}
                    column.append(tap_features(net, hidden, tap, rows, start).cpu())
                    x.meter.forward += len(images)
        return np.stack([gaussians.distances(torch.cat(f).numpy(), classes[:, j]) for j, f in enumerate(features)], 1)

    key = ("subnet distances", tap, gaussians, fingerprint(gates), classes.tobytes(), towards.tobytes(), magnitude)
    return x.memo(key, compute)


@register_detector("subnet-mahalanobis")
class SubnetMahalanobis:
    """Half the squared distance to class c's mean through class c's subnet, one characteristic a tap.

    M = min_c 1/2 (f_c - mu_c)^T S^-1 (f_c - mu_c), eq. 5 with eq. 4: f_c are a tap's pooled features in the subnet of
    class c, mu_c their mean over the training images of c, S one covariance of the residuals of all classes.

    ``classes``: over which classes the minimum runs: ``predicted`` (that one alone: one pass an image), ``top-k`` (the
    ``k`` largest logits) or ``all`` (eq. 5 to the letter: as many passes as classes). ``gates``: ``learned`` are the
    run's; ``identity`` is the full net, which makes this `mahalanobis` (a check); ``random`` are the learned gates in
    random places, drawn from ``gate_seed`` (the control that learned gates have to beat). ``magnitude`` and ``taps`` as
    in `mahalanobis`, the gradient taken through the subnet of the nearest class.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Interpretable Disentanglement of Neural Networks by Extracting Class-Specific Subnetwork",
        formula="min_c 1/2 (f_c - mu_c)^T S^-1 (f_c - mu_c) per tap, f_c through the subnet of class c",
        year=2019,
        needs=("clean", "gradient", "subnets"),
        venue="arXiv",
        url="https://arxiv.org/abs/1910.02673",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = tuple({"magnitude": m} for m in MAGNITUDES)

    def __init__(
        self,
        *,
        classes: str = "predicted",
        k: int = 3,
        gates: str = "learned",
        gate_seed: int = 0,
        magnitude: float = 0.0,
        taps: Sequence[str] | None = None,
    ) -> None:
        self.classes = one_of("subnet-mahalanobis", "classes", classes, CLASSES)
        self.gates = one_of("subnet-mahalanobis", "gates", gates, GATES)
        at_least("subnet-mahalanobis", "k", k, 1)
        at_least("subnet-mahalanobis", "gate_seed", gate_seed, 0)
        at_least("subnet-mahalanobis", "magnitude", magnitude, 0)
        self.k, self.gate_seed, self.magnitude, self.taps = k, gate_seed, float(magnitude), taps
        self._state: tuple[ClassGates, dict[str, Gaussians]] | None = None

    def fit(self, train: View) -> Self:
        labels = labels_of("subnet-mahalanobis", train)
        gates = self._gates(train)
        taps = chosen_taps("subnet-mahalanobis", train, self.taps)
        at = subnet_gaussians(train, gates, labels)
        self._state = gates, {tap: at[tap] for tap in taps}
        return self

    def _gates(self, train: View) -> ClassGates:
        learned = train.gates.get("learned")
        if self.gates == "identity":
            if learned is not None:
                return {path: torch.ones_like(gate) for path, gate in learned.items()}
            return identity_gates(train.classifier, next(iter(train.classifier.gate_positions), "units"))
        if learned is None:
            raise UserError(
                f"subnet-mahalanobis with gates={self.gates!r} needs learned class gates and this run has none; "
                "give the suite its subnets section."
            )
        return learned if self.gates == "learned" else random_gates(learned, self.gate_seed)

    def characteristics(self, x: View) -> Floats:
        """``(N, taps)``."""
        gates, gaussians = fitted("subnet-mahalanobis", self._state)
        classes = self._classes(x)
        plain = subnet_distances(x, gaussians, gates, classes)
        if self.magnitude == 0:
            return np.stack([plain[tap].min(1) for tap in gaussians], 1)
        columns = []
        for tap, at in gaussians.items():
            towards = classes[np.arange(len(x)), plain[tap].argmin(1)]
            columns.append(subnet_distances_after(x, tap, at, gates, classes, towards, self.magnitude).min(1))
        return np.stack(columns, 1)

    def _classes(self, x: View) -> Ints:
        """``(N, k)`` classes over which the minimum runs."""
        if self.classes == "predicted":
            return x.predicted[:, None]
        if self.classes == "all":
            return np.tile(np.arange(x.classifier.classes), (len(x), 1))
        order = np.argsort(-x.logits, axis=1, kind="stable")
        return np.ascontiguousarray(order[:, : min(self.k, x.classifier.classes)]).astype(np.int64)
