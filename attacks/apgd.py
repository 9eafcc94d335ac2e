"""Auto-PGD with two losses, Square and the Jacobian saliency map, through ART."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from ..bench.core.errors import UserError
from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .art import ArtAttack
from .base import FORWARD_AND_BACKWARD, Problem, number, whole


@dataclass(frozen=True, kw_only=True)
class _APGD(ArtAttack, Problem):
    """Steps with momentum, halved where they stop helping, from ``restarts`` random points of the L-infinity ball.

    ART returns the last iterate of a restart, where Croce and Hein return the best, and only where it is misclassified.
    Its random points depend on how many images are left.
    """

    title = "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks"
    year = 2020
    url = "https://arxiv.org/abs/2003.01690"
    threat = "budget"
    norm = "Linf"
    draws: ClassVar[bool] = True
    batch_coupled = True
    #: The loss by the library's name.
    loss: ClassVar[str]

    epsilon: float = 8 / 255
    steps: int = 100
    restarts: int = 5

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=1)
        whole(self, "steps", least=1)
        whole(self, "restarts", least=1)

    @property
    def _reach(self) -> float:
        return self.epsilon

    def passes(self, classes: int) -> float:
        return float(self.restarts * self.steps * (FORWARD_AND_BACKWARD + 1))

    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.AutoProjectedGradientDescent(
            estimator,
            norm=np.inf,
            eps=self.epsilon,
            eps_step=2 * self.epsilon,
            max_iter=self.steps,
            nb_random_init=self.restarts,
            batch_size=batch_size,
            loss_type=self.loss,
            verbose=False,
        )


@register_attack("art/apgd-ce")
@dataclass(frozen=True, kw_only=True)
class APGDCE(_APGD):
    """Auto-PGD on the cross-entropy."""

    loss: ClassVar[str] = "cross_entropy"


@register_attack("art/apgd-dlr")
@dataclass(frozen=True, kw_only=True)
class APGDDLR(_APGD):
    """Auto-PGD on the difference of logits ratio, which stays where the net is sure; three classes or more."""

    loss: ClassVar[str] = "difference_logits_ratio"

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if classifier.classes < 3:
            raise UserError("art/apgd-dlr needs a net of three classes or more; leave it out, or take art/apgd-ce.")
        return super()._run(classifier, images, labels)


@register_attack("art/square")
@dataclass(frozen=True, kw_only=True)
class Square(ArtAttack, Problem):
    """Random search by squares of +-``epsilon`` whose side shrinks from a ``share`` of the image; no gradient is used.

    One square is drawn for all images of a batch that are not misclassified yet.
    """

    title = "Square Attack: A Query-Efficient Black-Box Adversarial Attack via Random Search"
    year = 2020
    url = "https://arxiv.org/abs/1912.00049"
    threat = "budget"
    norm = "Linf"
    draws: ClassVar[bool] = True
    batch_coupled = True

    epsilon: float = 8 / 255
    queries: int = 5000
    share: float = 0.8

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=1)
        whole(self, "queries", least=1)
        number(self, "share", above=0, most=0.99)

    @property
    def _reach(self) -> float:
        return self.epsilon

    def passes(self, classes: int) -> float:
        return 3.0 * self.queries  # the library looks three times at each square

    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.SquareAttack(
            estimator,
            norm=np.inf,
            max_iter=self.queries,
            eps=self.epsilon,
            p_init=self.share,
            batch_size=batch_size,
            verbose=False,
        )


@register_attack("art/jsma")
@dataclass(frozen=True, kw_only=True)
class JSMA(ArtAttack, Problem):
    """Raises two values at a time by ``theta``, those with the largest gradient of the second likeliest class, until it
    is predicted or a share ``gamma`` of all values has changed."""

    title = "The Limitations of Deep Learning in Adversarial Settings"
    year = 2016
    url = "https://arxiv.org/abs/1511.07528"
    threat = "minimum-norm"
    norm = "L0"

    theta: float = 1.0
    gamma: float = 0.1

    def __post_init__(self) -> None:
        number(self, "theta", above=0, most=1)
        number(self, "gamma", above=0, most=1)

    def passes(self, classes: int) -> float:
        return 25.0 * (FORWARD_AND_BACKWARD + 1)  # as many pairs as it needs: about 25 on small images

    def _attack(self, evasion: Any, estimator: Any, batch_size: int) -> Any:
        return evasion.SaliencyMapMethod(
            estimator, theta=self.theta, gamma=self.gamma, batch_size=batch_size, verbose=False
        )

    def _classes(
        self, estimator: Any, images: torch.Tensor, labels: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The likeliest class that is not the label; of an image that is misclassified the predicted one."""
        logits = estimator.predict(images.cpu().numpy(), batch_size=len(images))
        likeliest = np.where(labels > 0, -np.inf, logits).argmax(1)
        return np.asarray(np.eye(labels.shape[1], dtype=np.float32)[likeliest])
