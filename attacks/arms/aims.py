"""Where an attack wants an image to go: away from its label, or to one wrong class."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .best import margin_of
from .contract import Problem
from .gradients import against


@dataclass(frozen=True)
class Aim:
    """Away from ``classes`` ``(N,)``, the labels; or, ``targeted``, to them."""

    classes: torch.Tensor
    targeted: bool

    def raised(self, logits: torch.Tensor) -> torch.Tensor:
        """What a step of the classifier's raises: the log odds against the label, or those for the target."""
        odds = against(logits, self.classes)
        return -odds if self.targeted else odds

    def margin(self, logits: torch.Tensor) -> torch.Tensor:
        """Above 0 where the aim is met: the label's distance to the largest other logit, or the target's lead."""
        margin = margin_of(logits, self.classes)
        return -margin if self.targeted else margin


def aims(problem: Problem, restarts: int, *, targeted: bool) -> list[Aim]:
    """One for each restart. Targets are the wrong classes in the order of the clean image's logits, the likeliest
    first, and start again where a net has fewer of them than there are restarts."""
    if not targeted:
        return [Aim(problem.labels, False)] * restarts
    with torch.no_grad():
        logits = problem.net(problem.images)
    wrong = logits.scatter(1, problem.labels.unsqueeze(1), -torch.inf)
    order = wrong.argsort(dim=1, descending=True, stable=True)[:, :-1]  # the label comes last
    return [Aim(order[:, restart % order.shape[1]], True) for restart in range(restarts)]
