"""AutoAttack as far as the libraries have it: Auto-PGD with two losses, then Square, each on what the others left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .apgd import APGDCE, APGDDLR, Square
from .base import Problem, number, whole


@register_attack("autoattack-without-fab")
@dataclass(frozen=True, kw_only=True)
class AutoAttackWithoutFAB(Problem):
    """APGD-CE, APGD-DLR and Square of ART in the L-infinity ball, image by image the first that succeeds.

    Not the whole of Croce and Hein's: FAB-T is in neither library, and APGD-DLR is not targeted. An image that this
    leaves may fall to theirs. ART's own class of this name has DeepFool in FAB's place.
    """

    title = "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks"
    year = 2020
    url = "https://arxiv.org/abs/2003.01690"
    threat = "budget"
    norm = "Linf"
    library = "art"
    distribution = "adversarial-robustness-toolbox"
    draws: ClassVar[bool] = True
    batch_coupled = True

    epsilon: float = 8 / 255
    steps: int = 100
    restarts: int = 1
    queries: int = 5000

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=1)
        whole(self, "steps", least=1)
        whole(self, "restarts", least=1)
        whole(self, "queries", least=1)

    @property
    def _reach(self) -> float:
        return self.epsilon

    @property
    def members(self) -> tuple[APGDCE | APGDDLR | Square, ...]:
        """The attacks in the order in which they are tried."""
        return (
            APGDCE(epsilon=self.epsilon, steps=self.steps, restarts=self.restarts),
            APGDDLR(epsilon=self.epsilon, steps=self.steps, restarts=self.restarts),
            Square(epsilon=self.epsilon, queries=self.queries),
        )

    def passes(self, classes: int) -> float:
        """Those of the first two, and a tenth of Square's: few images are left for it."""
        first, second, square = (member.passes(classes) for member in self.members)
        return first + second + square / 10

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        adversarial = images.clone()
        for member in self.members:
            if isinstance(member, APGDDLR) and classifier.classes < 3:
                continue
            with torch.no_grad():
                left = torch.nonzero(classifier(adversarial).argmax(1) == labels).flatten()
            if not len(left):
                break
            adversarial[left] = member._run(classifier, images[left], labels[left]).to(adversarial).clamp(0, 1)
        return adversarial
