"""Subnet-Mahalanobis in torch: gated passes whose graph is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier, evaluating, pool
from ..subnets.gated import Gated
from .gradient import seen_by
from .mahalanobis import Gaussians, input_gradient, tap_features, uphill


@dataclass(frozen=True)
class SubnetColumns:
    """Images ``(N, C, H, W)`` -> the least distance of each tap, ``(N, taps)`` float64, differentiable in the images.

    The minimum runs over the ``k`` largest logits; which classes those are, and which of them is nearest, has no
    gradient. ``gated`` are the taps that a gate can change; the others are the full net's. All passes are of whole
    batches in their order, with a row of gates for each image.
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

        Un-gated stages run once. The classes compete without a graph; the winner of each tap then runs with one.
        """
        gated = [tap for tap in taps if tap in self.gated]
        plain = [tap for tap in taps if tap not in self.gated]
        if not gated:
            _, seen = seen_by(self.net, images, plain)
            return self._of_full_net(seen, classes)
        cut = Gated(self.net, self.gates, taps)
        hidden, before = cut.prefix(images)
        nearest, distances = self._of_full_net({tap: pool(before[tap]) for tap in plain}, classes)
        if classes.shape[1] == 1:
            mine = classes[:, 0]
            passed = self._through(cut, hidden, gated, mine)
            return {**nearest, **dict.fromkeys(gated, mine)}, {**distances, **passed}
        with torch.no_grad():
            tried = [self._through(cut, hidden, gated, column) for column in classes.unbind(1)]
        for tap in gated:
            place = torch.stack([distance[tap] for distance in tried], 1).argmin(1, keepdim=True)
            nearest[tap] = classes.gather(1, place).squeeze(1)
            distances |= self._through(cut, hidden, (tap,), nearest[tap])
        return nearest, distances

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

    def _through(
        self, cut: Gated, hidden: torch.Tensor, taps: Sequence[str], classes: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Distance of each image to its class in ``classes`` ``(N,)``, through that class's subnet: tap -> ``(N,)``."""
        _, seen = cut.rest(hidden, self._rows(classes))
        return {tap: self.gaussians[tap].distance_tensor(pool(seen[tap]), classes) for tap in taps}

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
