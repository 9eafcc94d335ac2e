"""What an arm sees at an iterate: logits, score and the gradients of both, one pass forward and back through each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .contract import Problem

#: Logits ``(N, classes)`` -> one number for each image, ``(N,)``.
OfLogits = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Seen:
    """Logits ``(N, classes)``, scores ``(N,)``, the gradient that raises the net's loss, and the one that lowers s."""

    logits: torch.Tensor
    score: torch.Tensor
    classifier: torch.Tensor
    detector: torch.Tensor


def see(problem: Problem, x: torch.Tensor, raised: OfLogits, draws: int) -> Seen:
    """Offer ``x`` to `Best`, count the detector's gradient, and return all that a step is made of.

    ``raised`` of the logits is what the classifier's gradient raises. The detector's score and gradient are means over
    ``draws`` calls of a score with randomness (expectation over transformation, Athalye et al. 2018). Each gradient is
    taken by itself: a NaN in one does not reach the other.
    """
    logits, uphill = seen_of_net(problem, x, raised)
    x = x.detach().requires_grad_()
    scores, down = [], torch.zeros_like(x)
    number = calls(problem, draws)
    for _ in range(number):
        score = problem.smooth(x)
        down -= gradient_of(score, x) / number
        scores.append(score.detach())
    score = torch.stack(scores).mean(0)
    problem.best.offer(x, logits, score)
    problem.best.moved_by(down)
    return Seen(logits, score, uphill, down)


def seen_of_net(problem: Problem, x: torch.Tensor, raised: OfLogits) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and the gradient of ``raised``."""
    x = x.detach().requires_grad_()
    logits = problem.net(x)
    return logits.detach(), gradient_of(raised(logits), x)


def last_look(problem: Problem, x: torch.Tensor, draws: int) -> None:
    """Offer the last iterate, which no step starts from."""
    with torch.no_grad():
        scores = [problem.smooth(x) for _ in range(calls(problem, draws))]
        problem.best.offer(x, problem.net(x), torch.stack(scores).mean(0))


def calls(problem: Problem, draws: int) -> int:
    """How often the score is asked at an iterate: once where all calls give the same."""
    return draws if problem.score.draws else 1


def gradient_of(value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of each image's number; 0 where it does not depend on the image at all."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient


def against(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """``L = log sum_{k != c} exp z_k - z_c``: the log odds against class c.

    The cross-entropy of c is ``log(1 + exp L)``, whose gradient is that of L times a number between 0 and 1. So both
    have one direction, of which alone steps are made, and L's does not vanish where the net is sure of c.
    """
    place = classes.unsqueeze(1)
    rest = logits.scatter(1, place, -torch.inf)
    return rest.logsumexp(1) - logits.gather(1, place).squeeze(1)
