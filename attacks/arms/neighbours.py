"""Soft neighbours: kernels in the place of neighbours' counts, combined so that they follow the exact score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...bench.core.registry import register_arm
from ...bench.models.classifier import pool
from ..base import whole
from .contract import Problem
from .inner import over_blocks
from .standin import Described, Predicted, StandIn

#: Bandwidths, in distances to the k-th neighbour among the guides.
_WIDTHS = (0.5, 1.0, 2.0)


@register_arm("soft-neighbours")
@dataclass(frozen=True, kw_only=True)
class SoftNeighbours(StandIn):
    """Gradient steps on the net and smoothed neighbour counts, regressed linearly to the exact score.

    At every tap, and at the logits, an image has a soft density ``log sum_i k(|phi - phi_i|)`` over the guides and a
    soft vote, the log odds of the kernels' mass that lies on guides of the class the net predicts (the choice of the
    class has no gradient); ``k`` is Gaussian with a half, one and two times the median distance of a guide to its
    ``neighbours``-th neighbour. It is the relaxation by which Sitawarin and Wagner attacked nearest-neighbour votes.
    """

    title = "On the Robustness of Deep K-Nearest Neighbors"
    year = 2019
    url = "https://arxiv.org/abs/1903.08333"

    neighbours: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "neighbours", least=1)

    def _described(self, problem: Problem, guides: torch.Tensor, labels: torch.Tensor) -> Described:
        net, taps = problem.net, tuple(problem.net.taps)

        def places(x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            logits, seen = net.observe(x, taps)
            return logits, [*(pool(seen[tap]) for tap in taps), logits]

        clouds: Sequence[Cloud] = ()
        if len(guides):
            with torch.no_grad():
                sizes = [place.shape[1] for place in places(problem.images)[1]]
                joined = over_blocks(problem, guides, lambda block: torch.cat(places(block)[1], 1))
            clouds = [Cloud(features, labels, self.neighbours) for features in torch.split(joined, sizes, 1)]

        def described(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, at = places(x)
            predicted = logits.detach().argmax(1)
            columns = [cloud(place, predicted) for cloud, place in zip(clouds, at, strict=False)]
            return logits, torch.cat(columns, 1) if columns else logits

        return described

    def _fitted(
        self, features: torch.Tensor, targets: torch.Tensor, generator: torch.Generator, last: Predicted | None
    ) -> Predicted:
        return ridge(features, targets)


class Cloud:
    """Guides' features at one place of the net; a call gives soft densities and votes, ``(N, 6)``, of others' there."""

    def __init__(self, features: torch.Tensor, labels: torch.Tensor, neighbours: int) -> None:
        self.shift, self.scale = features.mean(0), features.std(0, correction=0).clamp_min(1e-6)
        self.features, self.labels = (features - self.shift) / self.scale, labels
        distances = _squared(self.features, self.features).sort(1).values  # the first is a guide's own, 0
        nearest = distances[:, min(neighbours, len(features) - 1)]
        self.squared_width = nearest.median().clamp_min(1e-6)

    def __call__(self, features: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        squared = _squared((features - self.shift) / self.scale, self.features) / self.squared_width
        votes = predicted.unsqueeze(1) == self.labels.unsqueeze(0)
        columns = []
        for width in _WIDTHS:
            kernel = -squared / (2 * width**2)
            # A class without guides has no mass: the least that any has stands for it, far below all that matters.
            least = kernel.amin(1, keepdim=True)
            agree = torch.logsumexp(torch.cat([kernel.masked_fill(~votes, -torch.inf), least], 1), 1)
            other = torch.logsumexp(torch.cat([kernel.masked_fill(votes, -torch.inf), least], 1), 1)
            columns += [torch.logaddexp(agree, other), torch.asinh(agree - other)]
        return torch.stack(columns, 1)


def _squared(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Squared distances ``(N, M)`` with a gradient that is finite where a distance is 0."""
    return (one.square().sum(1, keepdim=True) + other.square().sum(1) - 2 * one @ other.T).clamp_min(0)


def ridge(features: torch.Tensor, targets: torch.Tensor, penalty: float = 1e-3) -> Predicted:
    """Least squares on standardised columns ``(n, F)`` in float64, with a small penalty for columns that agree."""
    columns = features.double()
    shift, scale, level = columns.mean(0), columns.std(0, correction=0).clamp_min(1e-9), targets.double().mean()
    standard = (columns - shift) / scale
    gram = standard.T @ standard / len(standard) + penalty * torch.eye(standard.shape[1]).to(standard)
    weights = torch.linalg.solve(gram, standard.T @ (targets.double() - level) / len(standard))

    def predicted(new: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = ((new.double() - shift) / scale) @ weights + level
        return values.to(new.dtype)

    return predicted
