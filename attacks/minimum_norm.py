"""Attacks for the nearest adversarial image in L0, L1, L2 and L-infinity, through Foolbox: DDN, FMN and EAD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import FORWARD_AND_BACKWARD, Problem, number, whole
from .contract import Norm
from .foolbox import FoolboxAttack, without_black


@register_attack("foolbox/ddn")
@dataclass(frozen=True, kw_only=True)
class DDN(FoolboxAttack, Problem):
    """Steps uphill in the cross-entropy on a sphere, of radius ``initial`` at first, that shrinks by ``gamma`` where
    the image is misclassified and grows where it is not."""

    title = "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses"
    year = 2019
    url = "https://arxiv.org/abs/1811.09600"
    threat = "minimum-norm"
    norm = "L2"

    steps: int = 100
    initial: float = 1.0
    gamma: float = 0.05

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "initial", above=0)
        number(self, "gamma", above=0, most=0.999)

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return library.DDNAttack(init_epsilon=self.initial, steps=self.steps, gamma=self.gamma)


@dataclass(frozen=True, kw_only=True)
class _FMN(FoolboxAttack, Problem):
    """Steps uphill in the logits' difference, ``step_size`` long at first and a hundredth at last, in a ball whose
    radius follows the distance to the boundary and changes by ``gamma`` once there."""

    title = "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints"
    year = 2021
    url = "https://arxiv.org/abs/2102.12827"
    threat = "minimum-norm"
    #: The library's class.
    of_library: ClassVar[str]

    steps: int = 100
    step_size: float = 1.0
    gamma: float = 0.05

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "step_size", above=0)
        number(self, "gamma", above=0, most=0.999)

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return getattr(library, self.of_library)(steps=self.steps, max_stepsize=self.step_size, gamma=self.gamma)


@register_attack("foolbox/fmn-l0")
@dataclass(frozen=True, kw_only=True)
class FMNL0(_FMN):
    norm: ClassVar[Norm] = "L0"
    of_library: ClassVar[str] = "L0FMNAttack"


@register_attack("foolbox/fmn-l1")
@dataclass(frozen=True, kw_only=True)
class FMNL1(_FMN):
    norm: ClassVar[Norm] = "L1"
    of_library: ClassVar[str] = "L1FMNAttack"


@register_attack("foolbox/fmn-l2")
@dataclass(frozen=True, kw_only=True)
class FMNL2(_FMN):
    norm: ClassVar[Norm] = "L2"
    of_library: ClassVar[str] = "L2FMNAttack"


@register_attack("foolbox/fmn-linf")
@dataclass(frozen=True, kw_only=True)
class FMNLinf(_FMN):
    norm: ClassVar[Norm] = "Linf"
    of_library: ClassVar[str] = "LInfFMNAttack"


@register_attack("foolbox/ead")
@dataclass(frozen=True, kw_only=True)
class EAD(FoolboxAttack, Problem):
    """Least ``c max(Z_true - max Z_other, 0) + |d|_2^2 + regularization |d|_1`` by shrinkage and thresholding, with a
    search for c per image; of the misclassified iterates the one of the least L1 norm."""

    title = "EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples"
    year = 2018
    url = "https://arxiv.org/abs/1709.04114"
    threat = "minimum-norm"
    norm = "L1"

    steps: int = 100
    step_size: float = 0.01
    binary_search_steps: int = 9
    initial_const: float = 0.001
    regularization: float = 0.01

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "step_size", above=0)
        whole(self, "binary_search_steps", least=1)
        number(self, "initial_const", above=0)
        number(self, "regularization", least=0)

    def passes(self, classes: int) -> float:
        return float(self.steps * self.binary_search_steps * (FORWARD_AND_BACKWARD + 1))

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        # abort_early ends the search by the loss of the whole batch, which would couple the images.
        return library.EADAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            initial_stepsize=self.step_size,
            initial_const=self.initial_const,
            regularization=self.regularization,
            decision_rule="L1",
            abort_early=False,
        )

    def _run(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, **further: torch.Tensor
    ) -> torch.Tensor:
        return without_black(images, super()._run(classifier, images, labels, **further))
