"""FGSM, BIM, DeepFool and Carlini-Wagner through Foolbox (Rauber et al. 2020)."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import BIMProblem, CWProblem, DeepFoolProblem, FGSMProblem, Problem


@contextmanager
def _without_git() -> Iterator[None]:
    """Import without git: Foolbox imports GitPython, for its model zoo alone, which raises where git does not work."""
    name = "GIT_PYTHON_REFRESH"
    before = os.environ.get(name)
    os.environ[name] = "quiet"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class FoolboxAttack(Problem):
    """An attack of Foolbox; ``further`` are more arguments of its call."""

    library = "foolbox"
    distribution = "foolbox"

    def _run(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, **further: torch.Tensor
    ) -> torch.Tensor:
        with _without_git():
            import foolbox  # 2 s to import: only a run pays for it, not `subnetbench ls`

        model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device=images.device)
        attack = self._attack(foolbox.attacks, classifier)
        # None as the budget: a minimum-norm attack runs to its end and is not projected.
        criterion = foolbox.criteria.Misclassification(labels)
        _, clipped, _ = attack(model, images, criterion, epsilons=self._reach, **further)
        adversarial: torch.Tensor = clipped
        return adversarial

    @abstractmethod
    def _attack(self, library: Any, classifier: Classifier) -> Any:
        """Foolbox's own attack object."""


@register_attack("foolbox/fgsm")
class FGSM(FoolboxAttack, FGSMProblem):
    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return library.LinfFastGradientAttack(random_start=False)


@register_attack("foolbox/bim")
class BIM(FoolboxAttack, BIMProblem):
    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return library.LinfBasicIterativeAttack(abs_stepsize=self.step_size, steps=self.steps, random_start=False)


@register_attack("foolbox/deepfool")
class DeepFool(FoolboxAttack, DeepFoolProblem):
    """Images that the classifier already gets wrong come back unchanged."""

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        # None means all classes to Foolbox; a number that large makes it set up the root logger.
        candidates = None if self.candidates >= classifier.classes else self.candidates
        return library.L2DeepFoolAttack(steps=self.steps, candidates=candidates, overshoot=self.overshoot)


@register_attack("foolbox/cw")
class CW(FoolboxAttack, CWProblem):
    def _attack(self, library: Any, classifier: Classifier) -> Any:
        # abort_early ends the search by the loss of the whole batch, which would couple the images.
        return library.L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
            abort_early=False,
        )

    def _run(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, **further: torch.Tensor
    ) -> torch.Tensor:
        return without_black(images, super()._run(classifier, images, labels, **further))


def without_black(images: torch.Tensor, adversarial: torch.Tensor) -> torch.Tensor:
    """The clean image for a black one, which Foolbox returns if it finds nothing: black may be of another class."""
    black = (adversarial.flatten(1) == 0).all(1)
    return torch.where(black.view(-1, 1, 1, 1), images, adversarial)
