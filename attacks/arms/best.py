"""The best iterate of each image, and the course of the search, from which its failures are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

#: Smallest deviation that a distance is divided by.
LEAST = 1e-12


@dataclass(frozen=True)
class Found:
    """An arm's result for ``N`` images.

    ``images`` ``(N, C, H, W)``: of the iterates that the net gets wrong the one with the lowest score, else the one
    nearest to being wrong. ``course`` ``(steps, N)``: the highest `objective` so far; above 0 is success. ``ever``
    ``(N,)``: some iterate was wrong and accepted, by the score that the arm saw. ``gradients`` ``(N,)``: the share of
    steps with a gradient that was finite and not 0. ``fit``: R^2 of the stand-in for the score on held-out images, of
    an arm that has one.
    """

    images: torch.Tensor
    course: torch.Tensor
    ever: torch.Tensor
    gradients: torch.Tensor
    fit: float | None = None


class Best:
    """Keeps the best iterate per image: every arm offers every iterate."""

    def __init__(
        self, images: torch.Tensor, labels: torch.Tensor, tau: float, spread: float, margin_spread: float
    ) -> None:
        self._labels, self._tau = labels, tau
        self._spread, self._margin_spread = spread, margin_spread
        count, at = len(images), images.device
        self._images = images.clone()
        self._wrong = torch.zeros(count, dtype=torch.bool, device=at)
        self._worth = torch.full((count,), -torch.inf, device=at)
        self._highest = torch.full((count,), -torch.inf, device=at)
        self._ever = torch.zeros(count, dtype=torch.bool, device=at)
        self._course: list[torch.Tensor] = []
        self._useful = torch.zeros(count, device=at)
        self._looked = 0
        #: R^2 of a stand-in for the score, which an arm that makes one sets.
        self.fit: float | None = None

    def offer(self, images: torch.Tensor, logits: torch.Tensor, score: torch.Tensor) -> None:
        """An iterate ``(N, C, H, W)``, its logits ``(N, classes)`` and its scores ``(N,)``."""
        images, logits, score = images.detach(), logits.detach(), score.detach().to(self._worth)
        margin = margin_of(logits, self._labels)
        wrong = margin > 0
        clear, below = distances(margin, score, self._tau, self._spread, self._margin_spread)
        worth = torch.where(wrong, below, clear)
        worth = torch.nan_to_num(worth, nan=-torch.inf, neginf=-torch.inf)
        better = (wrong & ~self._wrong) | ((wrong == self._wrong) & (worth > self._worth))
        self._images[better] = images[better]
        self._worth, self._wrong = torch.where(better, worth, self._worth), self._wrong | wrong
        self._ever |= wrong & (score <= self._tau)
        self._highest = torch.maximum(self._highest, objective(clear, below))
        self._course.append(self._highest.clone())

    def unjudged(self) -> None:
        """A step whose iterate no score was asked for: `Found.course` has a row for it all the same."""
        self._course.append(self._highest.clone())

    def moved_by(self, gradient: torch.Tensor) -> None:
        """A gradient ``(N, ...)`` that an arm is about to follow: counted where it is finite and not 0."""
        flat = gradient.detach().flatten(1)
        self._useful += (torch.isfinite(flat).all(1) & (flat != 0).any(1)).to(self._useful.dtype)
        self._looked += 1

    def found(self) -> Found:
        course = torch.stack(self._course) if self._course else self._highest.unsqueeze(0)
        share = self._useful / self._looked if self._looked else torch.ones_like(self._useful)
        return Found(self._images, course, self._ever, share, self.fit)


def margin_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Largest other logit minus the label's, ``(N,)``: above 0 exactly where the net is wrong (a tie is not)."""
    other = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(1)
    return other - logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def distances(
    margin: torch.Tensor, score: torch.Tensor, tau: float, spread: float, margin_spread: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far an image is beyond the net's boundary and below the threshold, ``(N,)`` each, in deviations of clean
    images: ``m / sd_m`` and ``(tau - s) / sd_s``."""
    return margin / max(margin_spread, LEAST), (tau - score) / max(spread, LEAST)


def objective(clear: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """The smaller of the two `distances`: above 0 is success; minus infinity where it is no number."""
    return torch.minimum(clear, below.to(clear)).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
