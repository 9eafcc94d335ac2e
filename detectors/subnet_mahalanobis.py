"""Mahalanobis distance through class-specific subnetworks (Wang, Hu and Su, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import ClassGates, Floats, Ints
from ..bench.core.errors import UserError
from ..bench.core.parameters import at_least, seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from ..subnets.compact import CutSubnets, GatedSubnets, class_subnets
from ..subnets.gates import fingerprint, identity_gates, random_gates
from .checks import chosen_taps, fitted, labels_of, one_of
from .contract import DetectorInfo
from .gradient import Differentiable
from .mahalanobis import BLOCK, MAGNITUDES, Doubles, Gaussians, descend, distances_after, gaussians_at
from .subnet_gradient import SubnetColumns

#: Images and their places in the view, batch by batch.
Batches = Iterator[tuple[Ints, torch.Tensor]]

#: Size at which a block of images ends even if it has fewer than `BLOCK` of them.
BLOCK_BYTES = 2**27

#: So many times as much on a GPU, which a pass of few images leaves idle.
ON_GPU = 16

CLASSES = ("predicted", "top-k", "all")
GATES = ("learned", "identity", "random")


def gated_taps(net: Classifier, gates: ClassGates) -> tuple[str, ...]:
    """The taps that a gate can change: those from the first gated stage on; none where every gate is 1.

    All other taps are those of the full net in every subnet and are computed as in `mahalanobis`, to the last bit.
    """
    if all(bool((gate == 1).all()) for gate in gates.values()):
        return ()
    start = min(net.stage_of(path) for path in gates)
    return tuple(tap for tap in net.taps if net.stage_of(tap) >= start)


@dataclass(frozen=True)
class Group:
    """Features of some images through one class's subnet, tap -> ``(n, channels)``: they answer the requests
    ``classes[index, column]`` of the caller, all of which are ``label``."""

    index: Ints
    column: Ints
    label: int
    features: dict[str, Floats]

    def distances(self, tap: str, gaussians: Gaussians) -> Doubles:
        """To the class's own mean, ``(n,)``."""
        return gaussians.distances(self.features[tap], np.full(len(self.index), self.label))


def by_class(view: View, gates: ClassGates, taps: Sequence[str], classes: Ints, batches: Batches) -> Iterator[Group]:
    """Features at ``taps`` of every image through the subnets of ``classes`` ``(N, k)``, in groups of one class.

    ``batches`` are the images, with their places in ``classes``. The un-gated stages are computed once per image and
    kept for a block of images; the caller keeps distances or means of a group, so that memory does not grow with k.
    """
    subnets = class_subnets(view.classifier, gates, taps)
    for index, hidden in blocks(view, subnets, batches):
        wanted = classes[index]
        labels = np.unique(wanted)
        # Every image asks for the same classes, once each: they share what their gates leave equal.
        if 1 < len(labels) == wanted.shape[1] and bool((np.sort(wanted, 1) == labels).all()):
            for begin in range(0, len(index), view.batch_size):
                some = slice(begin, begin + view.batch_size)
                yield from _of_all(subnets, index[some], hidden[some], wanted[some])
            continue
        for label in labels:
            rows, column = np.nonzero(wanted == label)
            whole_block = len(rows) == len(index) and bool((rows == np.arange(len(index))).all())
            outputs: dict[str, list[torch.Tensor]] = {tap: [] for tap in taps}
            with torch.no_grad():
                subnet, selected = subnets.of(int(label)), hidden if whole_block else hidden[torch.from_numpy(rows)]
                for part in torch.split(selected, view.batch_size):
                    for tap, features in subnet(part).items():
                        outputs[tap].append(features.cpu())
            yield Group(index[rows], column, int(label), {t: torch.cat(f).float().numpy() for t, f in outputs.items()})


@torch.no_grad()
def _of_all(subnets: CutSubnets | GatedSubnets, index: Ints, hidden: torch.Tensor, wanted: Ints) -> Iterator[Group]:
    """Groups of images all of which ask for the same classes ``wanted`` ``(N, k)``."""
    column = dict(zip(np.unique(wanted).tolist(), wanted.argsort(1).T, strict=True))
    for label, features in subnets.each(hidden, list(column)):
        arrays = {tap: values.cpu().float().numpy() for tap, values in features.items()}
        yield Group(index, column[label], label, arrays)


def blocks(view: View, subnets: CutSubnets | GatedSubnets, batches: Batches) -> Iterator[tuple[Ints, torch.Tensor]]:
    """Batches joined to blocks of about `BLOCK` images, as outputs of the un-gated stages: cutting a subnet takes as
    long as two or three images, and each class's subnet is cut once per block."""
    places: list[Ints] = []
    parts: list[torch.Tensor] = []
    times = ON_GPU if view.device.type == "cuda" else 1
    for index, images in batches:
        with torch.no_grad():
            parts.append(subnets.prefix(images.to(view.device)))
        places.append(index)
        size = sum(part.numel() * part.element_size() for part in parts)
        if sum(map(len, places)) >= times * BLOCK or size >= times * BLOCK_BYTES:
            yield np.concatenate(places), torch.cat(parts)
            places, parts = [], []
    if places:
        yield np.concatenate(places), torch.cat(parts)


def sorted_batches(view: View, classes: Ints) -> Batches:
    """The view's images sorted by their first class, so that a block holds few classes with many images each."""
    order = np.argsort(classes[:, 0], kind="stable")
    for begin in range(0, len(view), view.batch_size):
        index = order[begin : begin + view.batch_size]
        yield index, view.images[torch.from_numpy(index)]


def subnet_gaussians(train: View, gates: ClassGates, labels: Ints) -> dict[str, Gaussians]:
    """The mean of each class c from its images through its own subnet, and the tied covariance of all residuals."""
    net = train.classifier

    def compute() -> dict[str, Gaussians]:
        taps, features = gated_taps(net, gates), dict[str, Floats]()
        own_class = labels[:, None]
        for group in by_class(train, gates, taps, own_class, sorted_batches(train, own_class)) if taps else ():
            for tap, part in group.features.items():
                features.setdefault(tap, np.empty((len(train), part.shape[1]), part.dtype))[group.index] = part
        gated = {tap: Gaussians.fit(whole, labels, net.classes) for tap, whole in features.items()}
        return {tap: gated[tap] if tap in gated else gaussians_at(train, tap, labels) for tap in net.taps}

    return train.memo(("subnet gaussians", fingerprint(gates)), compute)


def subnet_distances(
    x: View, gaussians: Mapping[str, Gaussians], gates: ClassGates, classes: Ints
) -> dict[str, Doubles]:
    """Distances to the means of ``classes`` ``(N, k)``, each through its own subnet: tap -> ``(N, k)``."""

    def compute() -> dict[str, Doubles]:
        gated = [tap for tap in gated_taps(x.classifier, gates) if tap in gaussians]
        distances = {
            tap: np.take_along_axis(distances_after(x, tap, at, x.predicted, 0), classes, axis=1)
            for tap, at in gaussians.items()
            if tap not in gated
        }
        distances.update({tap: np.empty(classes.shape) for tap in gated})
        for group in by_class(x, gates, gated, classes, sorted_batches(x, classes)) if gated else ():
            for tap in gated:
                distances[tap][group.index, group.column] = group.distances(tap, gaussians[tap])
        return distances

    return x.memo(("subnet distances", tuple(gaussians.items()), fingerprint(gates), classes.tobytes()), compute)


def subnet_distances_after(
    x: View, tap: str, gaussians: Gaussians, gates: ClassGates, classes: Ints, towards: Ints, magnitude: float
) -> Doubles:
    """`subnet_distances` of one tap, ``(N, k)``, after pre-processing towards ``towards`` ``(N,)``."""
    if tap not in gated_taps(x.classifier, gates):
        return np.take_along_axis(distances_after(x, tap, gaussians, towards, magnitude), classes, axis=1)

    def compute() -> Doubles:
        distances, places = np.empty(classes.shape), np.arange(len(x))
        moved = ((places[part], images) for part, images in descend(x, tap, gaussians, towards, magnitude, gates))
        for group in by_class(x, gates, (tap,), classes, moved):
            distances[group.index, group.column] = group.distances(tap, gaussians)
        return distances

    key = ("subnet distances", tap, gaussians, fingerprint(gates), classes.tobytes(), towards.tobytes(), magnitude)
    return x.memo(key, compute)


@register_detector("subnet-mahalanobis")
class SubnetMahalanobis:
    """Half the squared distance to class c's mean through class c's subnet, one characteristic per tap.

    M = min_c 1/2 (f_c - mu_c)^T S^-1 (f_c - mu_c), eq. 5 with eq. 4: f_c are a tap's pooled features in the subnet of
    class c, mu_c is their mean over the training images of c, and S is one covariance of the residuals of all classes.

    ``classes``: the classes over which the minimum runs: ``predicted`` (that class alone: one pass per image),
    ``top-k`` (the ``k`` largest logits) or ``all`` (eq. 5 to the letter: as many passes as classes). ``gates``:
    ``learned`` are the run's; ``identity`` is the full net, which makes this `mahalanobis` (a check); ``random`` are
    the learned gates in random places, drawn with ``gate_seed`` (the control that learned gates must beat).
    ``magnitude`` and ``taps`` are as in `mahalanobis`, with the gradient through the subnet of the nearest class.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Interpretable Disentanglement of Neural Networks by Extracting Class-Specific Subnetwork",
        formula="min_c 1/2 (f_c - mu_c)^T S^-1 (f_c - mu_c) per tap, f_c through the subnet of class c",
        year=2019,
        needs=("clean", "gradient", "subnets"),
        venue="arXiv",
        url="https://arxiv.org/abs/1910.02673",
        draws_gates=True,
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
        whole("subnet-mahalanobis", "k", k, 1)
        seed_of("subnet-mahalanobis", "gate_seed", gate_seed)
        at_least("subnet-mahalanobis", "magnitude", magnitude, 0, most=1)
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
                f"subnet-mahalanobis with gates={self.gates!r} needs learned class gates, but this run has none; "
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

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact, through gated passes: `SubnetColumns`.

        The choice of classes has no gradient. With ``magnitude``, the sign is a constant as in `Mahalanobis`.
        """
        gates, gaussians = fitted("subnet-mahalanobis", self._state)
        taps = [tap for tap in gated_taps(classifier, gates) if tap in gaussians]
        k = {"predicted": 1, "top-k": self.k, "all": classifier.classes}[self.classes]
        return SubnetColumns(classifier, gates, gaussians, taps, k, self.magnitude)

    def _classes(self, x: View) -> Ints:
        """The classes over which the minimum runs, ``(N, k)``."""
        if self.classes == "predicted":
            return x.predicted[:, None]
        if self.classes == "all":
            return np.tile(np.arange(x.classifier.classes), (len(x), 1))
        order = np.argsort(-x.logits, axis=1, kind="stable")
        return np.ascontiguousarray(order[:, : min(self.k, x.classifier.classes)]).astype(np.int64)
