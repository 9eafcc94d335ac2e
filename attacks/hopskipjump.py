"""HopSkipJump, which sees nothing but the predicted class, through Foolbox."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import Problem, whole
from .foolbox import FoolboxAttack

#: Images at once: the library holds all probes of a step in memory, hundreds of each image.
BLOCK = 10

#: Images of mere noise among which each image's starting point is looked for.
STARTS = 100

#: Passes of a step besides its probes: the size of the step, and the way back to the boundary.
_SEARCH = 25


@register_attack("foolbox/hopskipjump")
@dataclass(frozen=True, kw_only=True)
class HopSkipJump(FoolboxAttack, Problem):
    """From an image of noise of another class along the boundary towards the clean image, ``steps`` times by a gradient
    that ``evaluations`` probes estimate, and the square root of the step times as many later.

    An image for which no noise is of another class comes back unchanged. Foolbox divides the estimates of a whole batch
    by one norm, so that more images take smaller steps; here each image's has norm 1, as in Chen et al. (2020).
    """

    title = "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack"
    year = 2020
    url = "https://arxiv.org/abs/1904.02144"
    threat = "minimum-norm"
    norm = "L2"
    draws: ClassVar[bool] = True
    #: Each block's probes are drawn for all of its images at once.
    batch_coupled = True

    steps: int = 40
    evaluations: int = 100

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        whole(self, "evaluations", least=1)

    def passes(self, classes: int) -> float:
        probes = sum(int(self.evaluations * math.sqrt(step + 1)) for step in range(self.steps))
        return float(probes + self.steps * _SEARCH)

    def _attack(self, library: Any, classifier: Classifier) -> Any:
        return _per_image(library.HopSkipJumpAttack)(
            steps=self.steps, initial_gradient_eval_steps=self.evaluations, constraint="l2"
        )

    def _run(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, **further: torch.Tensor
    ) -> torch.Tensor:
        with torch.no_grad():
            starts, able = starting_points(classifier, images, labels)
            adversarial = images.clone()
            for block in torch.split(able, BLOCK) if len(able) else ():
                adversarial[block] = self._block(classifier, images[block], labels[block], starts[block])
        return adversarial

    def _block(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, starts: torch.Tensor
    ) -> torch.Tensor:
        """One block; where the library stops, its images one by one, and those where it stops again unchanged."""
        try:
            return super()._run(classifier, images, labels, starting_points=starts)
        except (AssertionError, ValueError):  # rounding took an image back across the boundary
            if len(images) == 1:
                return images
        parts = zip(*(torch.split(of, 1) for of in (images, labels, starts)), strict=True)
        return torch.cat([self._block(classifier, *part) for part in parts])


def starting_points(
    classifier: Classifier, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A misclassified image of noise for each image, and the places ``(M,)`` of those that have one.

    Noise is between 0 and 1 or around one grey level, so that it is of several classes; images already misclassified
    are left out.
    """
    shape = images.shape[1:]
    noise = torch.rand(STARTS, *shape)
    level, spread = torch.rand(STARTS, shape[0], 1, 1), torch.rand(STARTS, 1, 1, 1)
    noise = torch.where(torch.rand(STARTS, 1, 1, 1) < 0.5, noise, (level + spread * (noise - 0.5)).clamp(0, 1))
    noise = noise.to(images.device)
    classes = classifier(noise).argmax(1)
    other = classes.unsqueeze(0) != labels.unsqueeze(1)
    distance = torch.cdist(images.flatten(1), noise.flatten(1)).masked_fill(~other, torch.inf)
    wrong = classifier(images).argmax(1) != labels
    able = torch.nonzero(other.any(1) & ~wrong).flatten()
    return noise[distance.argmin(1)], able


def _per_image(attack: Any) -> Any:
    """The library's class with a gradient of norm 1 for each image."""

    class PerImage(attack):  # type: ignore[misc]
        def approximate_gradients(self, is_adversarial: Any, x_advs: Any, steps: int, delta: Any) -> Any:
            estimate = super().approximate_gradients(is_adversarial, x_advs, steps, delta)
            norms = estimate.raw.flatten(1).norm(dim=1).clamp_min(1e-12)
            return estimate / norms.view(-1, *(1,) * (estimate.ndim - 1))

    return PerImage
