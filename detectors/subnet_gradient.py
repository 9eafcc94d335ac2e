"""Subnet-Mahalanobis in torch: gated passes whose graph is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier, evaluating, pool
from ..subnets.compact import class_subnets
from ..subnets.gated import Gated
from .gradient import seen_by
from .mahalanobis import Gaussians, input_gradient, tap_features, uphill


@dataclass(frozen=True)
class SubnetColumns:
    """Images ``(N, C, H, W)`` -> the least distance of each tap, ``(N, taps)`` float64, differentiable in the images.

    The minimum runs over the ``k`` largest logits; which classes those are, and which of them is nearest, has no
    gradient. ``gated`` are the taps that a gate can change; the others are the full net's. All passes of
    the net are of whole batches in their order, with a row of gates for each image.
    """

    net: Classifier
    gates: ClassGates
    gaussians: Mapping[str, Gaussians]
    gated: Sequence[str]
    k: int
    magnitude: float

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        with evaluating(self.net):
            classes = self._classes(images)
            if self.magnitude == 0:
                distances = self._distances(images, tuple(self.gaussians), classes)[1]
            else:
                distances = self._moved(images, classes)
        return torch.stack([distances[tap] for tap in self.gaussians], 1)

    def _classes(self, images: torch.Tensor) -> torch.Tensor:
        """The classes over which the minimum runs, ``(N, k)``."""
        if self.k >= self.net.classes:
            return torch.arange(self.net.classes, device=images.device).expand(len(images), -1)
        with torch.no_grad():
            logits: torch.Tensor = self.net(images)
        return logits.argsort(dim=1, descending=True, stable=True)[:, : self.k]

    def _distances(
        self, images: torch.Tensor, taps: Sequence[str], classes: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The nearest of ``classes`` ``(N, k)`` at every tap, and the distance to it, ``(N,)`` each.

        The classes compete without a graph; the winner of each tap then runs with one, behind un-gated stages that run
        once for all.
        """
        gated = [tap for tap in taps if tap in self.gated]
        plain = [tap for tap in taps if tap not in self.gated]
        if not gated:
            _, seen = seen_by(self.net, images, plain)
            return self._of_full_net(seen, classes)
        cut = Gated(self.net, self.gates, taps)
        hidden, before = cut.prefix(images)
        nearest, distances = self._of_full_net({tap: pool(before[tap]) for tap in plain}, classes)
        winners = (
            dict.fromkeys(gated, classes[:, 0]) if classes.shape[1] == 1 else self._winners(images, gated, classes)
        )
        return {**nearest, **winners}, {**distances, **self._to_winners(cut, hidden, winners)}

    @torch.no_grad()
    def _winners(self, images: torch.Tensor, taps: Sequence[str], classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """The nearest of ``classes`` ``(N, k)`` at every gated tap, ``(N,)``: a choice, by subnets without a graph."""
        subnets = class_subnets(self.net, self.gates, taps)
        hidden = subnets.prefix(images.detach())
        labels = classes.unique()  # type: ignore[no-untyped-call]
        columns = {tap: torch.empty_like(classes, dtype=torch.float64) for tap in taps}
        if classes.shape[1] == len(labels):  # every image competes in all of them
            groups = subnets.each(hidden, labels.tolist())
        else:
            asking = {label: (classes == label).any(1) for label in labels.tolist()}
            groups = ((label, subnets.of(label)(hidden[rows])) for label, rows in asking.items())
        for label, features in groups:
            rows, column = (classes == label).nonzero(as_tuple=True)
            for tap, values in features.items():
                to_mean = self.gaussians[tap].distance_tensor(values, torch.full_like(rows, label))
                columns[tap][rows, column] = to_mean
        return {tap: classes.gather(1, d.argmin(1, keepdim=True)).squeeze(1) for tap, d in columns.items()}

    def _to_winners(
        self, cut: Gated, hidden: torch.Tensor, winners: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Distances to ``winners``, tap -> ``(N,)``, each through its winner's subnet, with a graph.

        A pass ends at its tap. The last tap comes first: where winners are the same, its pass serves earlier ones too.
        """
        passes: list[tuple[torch.Tensor, Mapping[str, torch.Tensor]]] = []
        distances = {}
        for tap in sorted(winners, key=self.net.stage_of, reverse=True):
            winner = winners[tap]
            seen = next((seen for classes, seen in passes if torch.equal(classes, winner)), None)
            if seen is None:
                upto = [other for other in winners if self.net.stage_of(other) <= self.net.stage_of(tap)]
                seen = cut.rest(hidden, self._rows(winner), upto)[1]
                passes.append((winner, seen))
            distances[tap] = self.gaussians[tap].distance_tensor(pool(seen[tap]), winner)
        return distances

    def _of_full_net(
        self, seen: Mapping[str, torch.Tensor], classes: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        nearest = {tap: self._nearest(tap, features, classes) for tap, features in seen.items()}
        return nearest, {tap: self.gaussians[tap].distance_tensor(seen[tap], c) for tap, c in nearest.items()}

    def _nearest(self, tap: str, features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """The nearest of ``classes`` ``(N, k)`` to full features, ``(N,)``."""
        with torch.no_grad():
            columns = [self.gaussians[tap].distance_tensor(features, column) for column in classes.unbind(1)]
            return classes.gather(1, torch.stack(columns, 1).argmin(1, keepdim=True)).squeeze(1)

    def _rows(self, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        return {path: gate.to(self.net.mean)[classes] for path, gate in self.gates.items()}

    def _moved(self, images: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """Distances after pre-processing, for which every tap has a pass of its own."""
        with torch.no_grad():
            towards, _ = self._distances(images, tuple(self.gaussians), classes)
        distances = {}
        for tap, at in self.gaussians.items():
            rows = self._rows(towards[tap]) if tap in self.gated else None
            with torch.inference_mode(False):
                sign = uphill(input_gradient(self.net, images, tap, at, towards[tap], rows))
            moved = images - self.magnitude * (2 * sign.to(images.dtype) - 1)
            if tap in self.gated:
                distances[tap] = self._distances(moved, (tap,), classes)[1][tap]
            else:
                features = tap_features(self.net, moved, tap)
                distances[tap] = at.distance_tensor(features, self._nearest(tap, features, classes))
        return distances
