"""Carlini and Wagner's attack in which an image leaves the search for a constant once that constant is decided."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .active import ActiveSet, all_rows, logits_of
from .base import CWProblem

#: Adam's, in Foolbox as in Kingma and Ba 2015.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8

#: A share of the steps: an image that is misclassified sooner leaves, since to come back later costs no more than that.
_EARLY = 0.25

#: Where a smaller share of the steps than this is misclassified, the next larger constant may come nearer.
_SETTLED = 0.4

#: In place of that share: the image was misclassified early, and left.
_LEFT = -1.0

#: Searches of this length try their best constant once more, and images without one the largest (Foolbox).
_LONG, _LARGEST = 10, 1e10


@register_attack("subnetbench/cw")
class CW(ActiveSet, CWProblem):
    """Foolbox's search for the constant and its Adam, with all steps at those constants alone whose result counts.

    The search asks of a constant whether it is large enough, so an image leaves once it is misclassified early on. It
    goes all steps at the last constant, at the smallest that was large enough, and at larger ones as long as few of
    the steps at the one before were misclassified. Foolbox goes all steps at every constant, so it may come nearer.
    """

    def passes(self, classes: int) -> float:
        """All steps at one constant, and a part of them at each of the others."""
        return super().passes(classes) * (1 + _EARLY * (self.binary_search_steps - 1)) / self.binary_search_steps

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        search, rows = _Search(classifier, images, labels, self), all_rows(images)
        constants = torch.full((len(images),), self.initial_const, dtype=torch.float64, device=images.device)
        low, high = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
        tried, shares = [], []
        for number in range(1, self.binary_search_steps + 1):
            last = number == self.binary_search_steps
            if last and number >= _LONG:
                constants = high.clamp(max=_LARGEST)
            shares.append(search.descend(rows, constants, to_the_end=last))
            tried.append(constants)
            found = shares[-1] != 0
            high, low = torch.where(found, constants, high), torch.where(found, low, constants)
            constants = torch.where(high.isinf(), constants * 10, (low + high) / 2)
        self._finish(search, torch.stack(tried, 1), torch.stack(shares, 1))
        return search.nearest

    @staticmethod
    def _finish(search: _Search, constants: torch.Tensor, shares: torch.Tensor) -> None:
        """All steps at constants ``(N, tried)`` that images left early, the smallest that was large enough first."""
        order = constants.masked_fill(shares == 0, torch.inf).argsort(1)
        unsettled = torch.ones(len(shares), dtype=torch.bool, device=shares.device)
        for nth in order.T:
            share = shares.gather(1, nth.unsqueeze(1)).squeeze(1)
            rows = (unsettled & (share == _LEFT)).nonzero().squeeze(1)
            if len(rows):
                share[rows] = search.descend(rows, constants[rows, nth[rows]], to_the_end=True)
            unsettled &= share < _SETTLED


@dataclass
class _Moments:
    """Adam's state: moments of the gradients ``(n, C, H, W)`` and the number of steps."""

    first: torch.Tensor
    second: torch.Tensor
    steps: int = 0

    def step(self, gradient: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.first = _BETA1 * self.first + (1 - _BETA1) * gradient
        self.second = _BETA2 * self.second + (1 - _BETA2) * gradient**2
        mean = self.first / (1 - _BETA1**self.steps)
        return mean / ((self.second / (1 - _BETA2**self.steps)).sqrt() + _EPSILON)

    def only(self, which: torch.Tensor) -> None:
        self.first, self.second = self.first[which], self.second[which]


class _Search:
    """A batch under attack: its points in tanh space, and the nearest misclassified image of each, at first itself."""

    def __init__(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, problem: CWProblem) -> None:
        self._classifier, self._images, self._labels, self._problem = classifier, images, labels, problem
        inside = (images - 0.5) / 0.5 * 0.999999  # not quite 1, whose inverse is infinite
        self._points = 0.5 * (inside.log1p() - (-inside).log1p())
        self._origin = _image(self._points)
        self.nearest = images.clone()
        self._norms = torch.full((len(images),), torch.inf, device=images.device)

    def descend(self, rows: torch.Tensor, constants: torch.Tensor, *, to_the_end: bool) -> torch.Tensor:
        """Adam from the clean images ``rows`` ``(n,)`` with a constant each; the share of steps that are misclassified.

        The share is `_LEFT` where an image was misclassified early and has left, unless all go ``to_the_end``; one that
        is wrong where it starts leaves either way, since nothing is nearer.
        """
        steps = self._problem.steps
        shares = torch.zeros(len(rows), device=rows.device)
        early = 1 if to_the_end else math.ceil(_EARLY * steps)
        places, weights = all_rows(rows), constants.float()
        delta = torch.zeros_like(self._points[rows])
        moments = _Moments(torch.zeros_like(delta), torch.zeros_like(delta))
        for step in range(steps):
            here = rows[places]
            images, logits, gradient = self._gradient(here, delta, weights)
            delta = delta - self._problem.step_size * moments.step(gradient)
            fooled = self._misclassified(logits, self._labels[here])
            shares[places] += fooled / steps
            self._keep(here[fooled], images[fooled])
            if step < early and fooled.any():
                shares[places[fooled]] = _LEFT if step else 1.0
                places, delta, weights = places[~fooled], delta[~fooled], weights[~fooled]
                moments.only(~fooled)
            if not len(places):
                break
        return shares

    def _gradient(
        self, rows: torch.Tensor, delta: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images, logits, and the gradient in ``delta`` of ``|d|^2 + c max(Z_true - max Z_other + confidence, 0)``."""
        delta = delta.detach().requires_grad_()
        images = _image(self._points[rows] + delta)
        logits = logits_of(self._classifier, images, rows)
        truth = self._labels[rows].unsqueeze(1)
        other = logits.detach().scatter(1, truth, -torch.inf).argmax(1, keepdim=True)
        gap = (logits.gather(1, truth) - logits.gather(1, other)).squeeze(1) + self._problem.confidence
        length = (images - self._origin[rows]).flatten(1).square().sum(1)
        (gradient,) = torch.autograd.grad((gap.clamp(min=0) * weights).sum() + length.sum(), delta)
        return images.detach(), logits.detach(), gradient

    def _misclassified(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        handicap = torch.full_like(logits[:, :1], self._problem.confidence)
        return logits.scatter_add(1, labels.unsqueeze(1), handicap).argmax(1) != labels

    def _keep(self, rows: torch.Tensor, images: torch.Tensor) -> None:
        """Keep misclassified images that are nearer than what was found before."""
        norms = (images - self._images[rows]).flatten(1).norm(dim=1)
        nearer = norms < self._norms[rows]
        self._norms[rows[nearer]], self.nearest[rows[nearer]] = norms[nearer], images[nearer]


def _image(points: torch.Tensor) -> torch.Tensor:
    return points.tanh() * 0.5 + 0.5
