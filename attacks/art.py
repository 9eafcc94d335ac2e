"""FGSM, BIM, DeepFool and Carlini-Wagner through the Adversarial Robustness Toolbox (Nicolae et al. 2018)."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import BIMProblem, CWProblem, DeepFoolProblem, FGSMProblem, Problem


class ArtAttack(Problem):
    """An attack of ART, verified and made by its own parameters."""

    library = "art"
    distribution = "adversarial-robustness-toolbox"

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        import art.attacks.evasion as evasion  # 8 s to import: only a run pays for it, not `subnetbench ls`
        from art.estimators.classification import PyTorchClassifier

        device = images.device
        onehot = np.eye(classifier.classes, dtype=np.float32)[labels.cpu().numpy()]
        # ART only knows "the current GPU", so the classifier's GPU must be the current one.
        try:
            with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                # The sum, not the mean: an image's gradient must not shrink as its batch grows.
                estimator = PyTorchClassifier(
                    model=classifier,
                    loss=nn.CrossEntropyLoss(reduction="sum"),
                    input_shape=classifier.shape,
                    nb_classes=classifier.classes,
                    clip_values=(0.0, 1.0),
                    device_type="gpu" if device.type == "cuda" else "cpu",
                )
                attack = self._attack(evasion, estimator, len(images))
                adversarial = attack.generate(x=images.cpu().numpy(), y=self._classes(estimator, images, onehot))
        finally:
            classifier.to(device)  # ART moves the net off any device but its own
        return torch.from_numpy(np.ascontiguousarray(adversarial)).to(device)

    def _classes(
        self, estimator: Any, images: torch.Tensor, labels: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The classes that the library's call takes, one-hot ``(N, classes)``: labels, or an attack's targets."""
        return labels

    @abstractmethod
    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        """ART's own attack object. ``batch_size`` must be given: ART's default is 1 for DeepFool and CW."""


@register_attack("art/fgsm")
class FGSM(ArtAttack, FGSMProblem):
    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.FastGradientMethod(estimator, norm=np.inf, eps=self.epsilon, batch_size=batch_size)


@register_attack("art/bim")
class BIM(ArtAttack, BIMProblem):
    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.BasicIterativeMethod(
            estimator,
            eps=self.epsilon,
            eps_step=self.step_size,
            max_iter=self.steps,
            batch_size=batch_size,
            verbose=False,
        )


@register_attack("art/deepfool")
class DeepFool(ArtAttack, DeepFoolProblem):
    """As in Foolbox, images that the classifier already gets wrong come back unchanged.

    ART overshoots once, at the end, where Foolbox does so in every step. With more than ``candidates`` classes it takes
    the union of the likeliest over the whole batch, so neighbours matter.
    """

    batch_coupled = True

    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.DeepFool(
            estimator,
            max_iter=self.steps,
            epsilon=self.overshoot,
            nb_grads=self.candidates,
            batch_size=batch_size,
            verbose=False,
        )

    def passes(self, classes: int) -> float:
        """A batch goes its full length, with gradients of the classes that any of its images has as a candidate."""
        forward = 2 if self.candidates >= classes else classes + 1
        return float((self.steps + 1) * (2 * classes + forward))

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        adversarial = super()._run(classifier, images, labels)
        with torch.no_grad():  # ART walks away from the predicted class, whatever the label is
            wrong = classifier(images).argmax(1) != labels
        return torch.where(wrong.view(-1, 1, 1, 1), images, adversarial)


@register_attack("art/cw")
class CW(ArtAttack, CWProblem):
    """ART's variant: line search (its defaults, 5 halvings and 5 doublings) in place of Adam, and c is doubled, not
    multiplied by ten, until an example is found: it needs a larger ``initial_const`` than Foolbox does."""

    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.CarliniL2Method(
            estimator,
            confidence=self.confidence,
            learning_rate=self.step_size,
            max_iter=self.steps,
            binary_search_steps=self.binary_search_steps,
            initial_const=self.initial_const,
            batch_size=batch_size,
            verbose=False,
        )

    def passes(self, classes: int) -> float:
        """In each step two gradients for each class that is in the batch, and about six passes of the line search."""
        return float(self.steps * self.binary_search_steps * (4 * classes + 6))
