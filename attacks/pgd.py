"""Projected gradient descent with restarts, and its variant with momentum, through Foolbox."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import FORWARD_AND_BACKWARD, BIMProblem, Problem, number, whole
from .contract import Norm
from .foolbox import FoolboxAttack


@dataclass(frozen=True, kw_only=True)
class _PGD(FoolboxAttack, Problem):
    """Steps uphill in the cross-entropy from a random point of the ball, each projected onto it; ``restarts`` points.

    An image that no restart gets misclassified keeps its first one.
    """

    title = "Towards Deep Learning Models Resistant to Adversarial Attacks"
    year = 2018
    url = "https://arxiv.org/abs/1706.06083"
    threat = "budget"
    draws: ClassVar[bool] = True
    #: The largest radius that makes sense.
    most: ClassVar[float | None] = None

    epsilon: float
    step_size: float
    steps: int = 40
    restarts: int = 5

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=self.most)
        number(self, "step_size", above=0)
        whole(self, "steps", least=1)
        whole(self, "restarts", least=1)

    @property
    def _reach(self) -> float:
        return self.epsilon

    def passes(self, classes: int) -> float:
        # Each restart is also checked once.
        return float(self.restarts * (self.steps * FORWARD_AND_BACKWARD + 1))

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        attack = self._single(library)(abs_stepsize=self.step_size, steps=self.steps, random_start=True)
        return attack.repeat(self.restarts) if self.restarts > 1 else attack

    @abstractmethod
    def _single(self, library: Any) -> Any:
        """The library's class."""


@register_attack("foolbox/pgd-linf")
@dataclass(frozen=True, kw_only=True)
class PGDLinf(_PGD):
    norm: ClassVar[Norm] = "Linf"
    most: ClassVar[float | None] = 1.0

    epsilon: float = 8 / 255
    step_size: float = 2 / 255

    def _single(self, library: Any) -> Any:
        return library.LinfProjectedGradientDescentAttack


@register_attack("foolbox/pgd-l2")
@dataclass(frozen=True, kw_only=True)
class PGDL2(_PGD):
    norm: ClassVar[Norm] = "L2"

    epsilon: float = 0.5
    step_size: float = 0.05

    def _single(self, library: Any) -> Any:
        return library.L2ProjectedGradientDescentAttack


@register_attack("foolbox/mi-fgsm")
@dataclass(frozen=True, kw_only=True)
class MIFGSM(FoolboxAttack, BIMProblem):
    """BIM along the sign of a sum over all steps so far, earlier ones ``momentum`` times as heavy with every step.

    Foolbox sums the signs of the gradients, where Dong et al. (2018, equation 6) sum gradients of L1 norm 1.
    """

    title = "Boosting Adversarial Attacks with Momentum"
    year = 2018
    url = "https://arxiv.org/abs/1710.06081"

    momentum: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "momentum", least=0)

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return library.LinfMomentumIterativeFastGradientMethod(
            momentum=self.momentum, abs_stepsize=self.step_size, steps=self.steps, random_start=False
        )
