"""DeepFool in which an image leaves the batch once it is misclassified, and all candidates share a forward pass."""

from __future__ import annotations

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .active import ActiveSet, all_rows, logits_of
from .base import DeepFoolProblem

#: As in Foolbox: added to the distance, so that no step stops at the boundary, and to norms that are divided by.
_BEYOND, _LEAST = 1e-4, 1e-8

#: Steps that an image takes, in the mean over images of CIFAR-10 on nets that are not hardened.
_USUAL_STEPS = 3


@register_attack("subnetbench/deepfool")
class DeepFool(ActiveSet, DeepFoolProblem):
    """Foolbox's DeepFool (Moosavi-Dezfooli et al. 2016, algorithm 2), step for step; images that are wrong already
    come back unchanged."""

    def passes(self, classes: int) -> float:
        """A step is a look, for some images a second one, and a backward pass for each candidate but the first."""
        steps = min(self.steps, _USUAL_STEPS)
        return float(steps * (1.5 + 2 * (min(self.candidates, classes) - 1)) + 1)

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        made, moved, rows = images.clone(), torch.zeros_like(images), all_rows(images)
        classes = torch.empty(0)
        for step in range(self.steps):
            x = made[rows].requires_grad_()
            logits = logits_of(classifier, x, rows)
            if step == 0:
                classes = logits.detach().argsort(1).flip(1)[:, : self.candidates]
            wanting = logits.detach().argmax(1) == labels[rows]
            if not wanting.any():
                break
            left = int(wanting.sum())
            # A backward pass of those that are done costs about as much as another look at those that are left.
            if (len(rows) - left) * (classes.shape[1] - 1) > left:
                x = x.detach()[wanting].requires_grad_()
                logits = logits_of(classifier, x, rows[wanting])
                steps = nearest_boundary(x, logits, classes[rows[wanting]])
            else:
                steps = nearest_boundary(x, logits, classes[rows])[wanting]
            rows = rows[wanting]
            moved[rows] += steps
            made[rows] = (images[rows] + (1 + self.overshoot) * moved[rows]).clamp(0, 1)
        return made


def nearest_boundary(x: torch.Tensor, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Shortest steps from ``x`` ``(N, C, H, W)`` to where a candidate's linearised logit reaches that of the first.

    ``logits`` ``(N, K)`` are those of ``x``, with their graph; ``classes`` ``(N, candidates)``, the likeliest first.
    """
    gaps = logits.gather(1, classes[:, 1:]) - logits.gather(1, classes[:, :1])
    count = gaps.shape[1]
    distance = x.new_full((len(x),), torch.inf)
    direction, length = torch.zeros_like(x), torch.zeros_like(distance)
    for k in range(count):
        (gradient,) = torch.autograd.grad(gaps[:, k].sum(), x, retain_graph=k < count - 1)
        norm = gradient.flatten(1).norm(dim=1)
        away = gaps[:, k].detach().abs() / (norm + _LEAST)
        nearer = away < distance
        distance, length = torch.where(nearer, away, distance), torch.where(nearer, norm, length)
        direction = torch.where(nearer.view(-1, 1, 1, 1), gradient, direction)
    return ((distance + _BEYOND) / (length + _LEAST)).view(-1, 1, 1, 1) * direction
