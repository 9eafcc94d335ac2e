"""FGSM, BIM and PGD as Foolbox takes them; an image that one start of PGD gets misclassified takes no further ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from . import pgd
from .active import ActiveSet, all_rows, logits_of
from .base import BIMProblem, FGSMProblem
from .contract import Norm

#: As in Foolbox: the least norm that is divided by.
_LEAST = 1e-12


@register_attack("subnetbench/fgsm")
class FGSM(ActiveSet, FGSMProblem):
    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return climbed(classifier, images, images, labels, all_rows(images), "Linf", self.epsilon, self.epsilon, 1)


@register_attack("subnetbench/bim")
class BIM(ActiveSet, BIMProblem):
    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rows = all_rows(images)
        return climbed(classifier, images, images, labels, rows, self.norm, self.epsilon, self.step_size, self.steps)


class _PGD(ActiveSet):
    """Starts are those that Foolbox draws; an image that none gets misclassified keeps what the first one made."""

    epsilon: float
    step_size: float
    steps: int
    restarts: int

    def _run(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, **further: torch.Tensor
    ) -> torch.Tensor:
        made, rows = images.clone(), all_rows(images)
        for restart in range(self.restarts):
            start = self._start(images)[rows].clamp(0, 1)  # drawn for all, so that no image depends on the others
            clean, truth = images[rows], labels[rows]
            found = climbed(classifier, clean, start, truth, rows, self.norm, self.epsilon, self.step_size, self.steps)
            if self.restarts == 1:
                return found
            with torch.no_grad():
                fooled = logits_of(classifier, found, rows).argmax(1) != truth
            better = fooled | (restart == 0)
            made[rows[better]] = found[better]
            rows = rows[~fooled]
            if not len(rows):
                break
        return made

    def _start(self, images: torch.Tensor) -> torch.Tensor:
        """A random point of each image's ball."""
        raise NotImplementedError


@register_attack("subnetbench/pgd-linf")
class PGDLinf(_PGD, pgd.PGDLinf):
    def _start(self, images: torch.Tensor) -> torch.Tensor:
        drawn = torch.rand(images.shape, dtype=images.dtype, device=images.device)
        return images + (drawn * (2 * self.epsilon) - self.epsilon)


@register_attack("subnetbench/pgd-l2")
class PGDL2(_PGD, pgd.PGDL2):
    def _start(self, images: torch.Tensor) -> torch.Tensor:
        """The first n of n + 2 coordinates of a point on a sphere are a point in a ball (Voelker et al. 2017)."""
        size = images[0].numel()
        drawn = torch.randn(len(images), size + 2, dtype=images.dtype, device=images.device)
        point = drawn / drawn.square().sum(1, keepdim=True).sqrt()
        return images + self.epsilon * point[:, :size].reshape(images.shape)


def climbed(
    classifier: Classifier,
    clean: torch.Tensor,
    start: torch.Tensor,
    labels: torch.Tensor,
    rows: torch.Tensor,
    norm: Norm,
    epsilon: float,
    step_size: float,
    steps: int,
) -> torch.Tensor:
    """``steps`` uphill in the cross-entropy from ``start``, each projected onto the ball of ``epsilon`` about ``clean``
    and the box; images ``(n, C, H, W)``, which are ``rows`` of their batch."""
    x = start
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(logits_of(classifier, x, rows), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + step_size * _unit(gradient, norm)
        x = (clean + _within(x - clean, norm, epsilon)).clamp(0, 1)
    return clean + _within(x - clean, norm, epsilon)  # once more: the sum may have been rounded over the budget


def _unit(gradient: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The steepest step of norm 1."""
    return gradient.sign() if norm == "Linf" else gradient * (1 / _length(gradient))


def _within(change: torch.Tensor, norm: Norm, epsilon: float) -> torch.Tensor:
    if norm == "Linf":
        return change.clamp(-epsilon, epsilon)
    return change * (epsilon / _length(change)).clamp(max=1)


def _length(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1).square().sum(1).sqrt().clamp(min=_LEAST).view(-1, 1, 1, 1)
