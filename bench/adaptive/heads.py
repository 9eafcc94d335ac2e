"""Heads of two classes, one for each image of a batch, in place of a classifier's last layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import UserError
from ..models.classifier import PENULTIMATE, Classifier
from ..stats.logistic import fit_logistic

#: Ridge of Fisher's discriminant, in mean variances of a feature. With less, directions in which inner points hardly
#: vary take all the weight, and no attack can follow; with none but the ridge, random points win as well.
RIDGE = 0.1
#: Size of features, in root mean squares, that a logistic regression gets: its penalty then hardly weighs.
SIZE = 300.0


@dataclass(frozen=True)
class Head:
    """``t(x) = <weights, features - centre> + offset``, above 0 for class 1; vectors are ``(features,)`` in float32."""

    centre: torch.Tensor
    weights: torch.Tensor
    offset: float

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return ((features - self.centre) * self.weights).sum(1) + self.offset


def head_between(
    start: torch.Tensor, inner: torch.Tensor, boundary: torch.Tensor, *, margin: float, closeness: float
) -> Head | None:
    """A head with the features ``start`` ``(d,)`` and ``inner`` ``(n, d)`` on one side, ``boundary`` ``(d,)`` alone on
    the other; None where none was found.

    Its boundary lies at the share ``closeness`` of the way from the innermost points' highest value to that of the
    boundary point. Its scale gives the start ``t = -margin``: the distance from a wrong decision is then as large as on
    the net whose head it replaces, and so are the gradients. Separation is looked up for every point, in float32.
    """
    points = torch.cat([start.unsqueeze(0), inner])
    weights = _direction((points - start).double(), (boundary - start).double())
    if weights is None:
        return None
    highest = float(((points - start).double() @ weights).max())  # at least 0, which the start has
    offset = -(highest + closeness * (float((boundary - start).double() @ weights) - highest))
    scale = margin / -offset
    head = Head(start, (weights * scale).to(start), offset * scale)
    if bool((head(points) < 0).all()) and bool((head(boundary.unsqueeze(0)) > 0).all()):
        return head
    return None


def _direction(points: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
    """Weights ``(d,)`` under which ``target`` is higher than all ``points`` ``(n, d)``.

    Fisher's discriminant, which a logistic regression between normal classes of one covariance has in closed form;
    where it does not separate, the logistic regression itself.
    """
    mean = points.mean(0)
    spread = (points - mean).T @ (points - mean) / len(points)
    ridge = RIDGE * spread.diagonal().mean().clamp_min(1e-30)
    fisher: torch.Tensor = torch.linalg.solve(spread + ridge * torch.eye(len(mean)).to(spread), target - mean)
    if _separates(fisher, points, target):
        return fisher
    size = SIZE / points.square().mean().sqrt().clamp_min(1e-15)
    values = (torch.cat([points, target.unsqueeze(0)]) * size).cpu().numpy()
    slope, _ = fit_logistic(values, (torch.arange(len(values)) == len(points)).long().numpy())
    logistic = torch.from_numpy(slope).to(points)
    return logistic if _separates(logistic, points, target) else None


def _separates(weights: torch.Tensor, points: torch.Tensor, target: torch.Tensor) -> bool:
    """Whether the target is higher than all points, by far more than the rounding of float32 features."""
    values, highest = points @ weights, target @ weights
    return bool(highest - values.max() > 1e-2 * values.abs().max().clamp_min(1e-300)) and bool(highest > 0)


class BinarisedNet(nn.Module):
    """A classifier with a `Head` for each of ``N`` images: row i of a batch of exactly ``N`` images gets head i.

    Logits ``(N, 2)`` are ``(-t/2, t/2)``. Class 0 is that of the inner points. Everything below the last linear layer
    is the classifier's own, which detectors read as before.
    """

    centre: torch.Tensor
    weights: torch.Tensor
    offset: torch.Tensor

    def __init__(self, classifier: Classifier, heads: Sequence[Head]) -> None:
        super().__init__()
        self.classifier = classifier
        self.training = classifier.training  # a context that restores the mode restores that of all parts
        self.classes, self.shape, self.taps = 2, classifier.shape, classifier.taps
        place = classifier.mean
        none = place.new_zeros(0, 0)
        self.register_buffer("centre", torch.stack([h.centre for h in heads]).to(place) if heads else none)
        self.register_buffer("weights", torch.stack([h.weights for h in heads]).to(place) if heads else none)
        self.register_buffer("offset", place.new_tensor([h.offset for h in heads]))

    @property
    def net(self) -> nn.Sequential:
        return self.classifier.net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, 2)``; UserError for a batch of another size."""
        return self.observe(images)[0]

    def observe(self, x: torch.Tensor, paths: Sequence[str] = ()) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Logits ``(N, 2)``, and the classifier's outputs at taps; UserError for a batch of another size."""
        if len(x) != len(self.offset):
            raise UserError(
                f"A binarised net has a head for each of {len(self.offset)} images and got {len(x)}; "
                "an arm gives it all images of its batch, in their order."
            )
        _, seen = self.classifier.observe(x, (*paths, PENULTIMATE))
        value = ((seen[PENULTIMATE] - self.centre) * self.weights).sum(1) + self.offset
        if PENULTIMATE not in paths:
            seen = {path: output for path, output in seen.items() if path != PENULTIMATE}
        return torch.stack([-value / 2, value / 2], 1), seen
