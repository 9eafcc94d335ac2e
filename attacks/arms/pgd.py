"""Projected gradient steps on net and detector in turn (Bryniarski et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...bench.core.registry import register_arm
from ..base import number
from .aims import Aim
from .contract import Problem
from .geometry import orthogonal, per_image, unit
from .gradients import Seen
from .stepped import Direction, Stepped


@dataclass(frozen=True, kw_only=True)
class InTurn(Stepped):
    """The detector's gradient while an image is misclassified, the classifier's while it is not.

    ``margin``: an image counts as misclassified, for the choice between both, once its margin is above this share of
    the margins' spread over clean images; `Best` keeps misclassified iterates whatever their margin.
    """

    title = "Evading Adversarial Example Detection Defenses with Orthogonal Projected Gradient Descent"
    year = 2021
    url = "https://arxiv.org/abs/2106.15023"

    margin: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "margin", least=0)

    def _met(self, problem: Problem, aim: Aim, seen: Seen) -> torch.Tensor:
        return aim.margin(seen.logits) > self.margin * problem.score.margin_spread


def selective(seen: Seen, met: torch.Tensor) -> torch.Tensor:
    """``g_d`` where the image is misclassified, else ``g_c``."""
    return torch.where(per_image(met, seen.classifier), unit(seen.detector), unit(seen.classifier))


def projected(seen: Seen, met: torch.Tensor) -> torch.Tensor:
    """The one of the two that `selective` takes, less its projection on the other."""
    on_detector = orthogonal(seen.detector, seen.classifier)
    on_classifier = orthogonal(seen.classifier, seen.detector)
    return torch.where(per_image(met, seen.classifier), on_detector, on_classifier)


@register_arm("selective-pgd")
@dataclass(frozen=True, kw_only=True)
class SelectivePGD(InTurn):
    """Steps along `selective`."""

    def _directions(self) -> Sequence[Direction]:
        return (selective,)


@register_arm("orthogonal-pgd")
@dataclass(frozen=True, kw_only=True)
class OrthogonalPGD(InTurn):
    """Steps along `projected`. A sign after the projection undoes part of it: ``step="L2"`` keeps it."""

    def _directions(self) -> Sequence[Direction]:
        return (projected,)
