"""A small detector in torch, a plain arm that follows its gradient, and digits that net and detector accept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from subnetbench.attacks.arms.best import margin_of
from subnetbench.attacks.arms.contract import Arm, Problem, Score
from subnetbench.bench.models.classifier import PENULTIMATE, Classifier

EPSILON = 8 / 255


class Case(NamedTuple):
    """A net, a detector's score and threshold, and images with their labels, correctly classified and accepted."""

    classifier: Classifier
    score: Score
    tau: float
    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Ascent(Arm):
    """Projected steps on the margin while it is below a little, else down the score; blind where the score is flat."""

    title, year, url = "A plain ascent", 2018, "https://arxiv.org/abs/1706.06083"

    steps: int = 60
    share: float = 0.1

    def _run(self, problem: Problem) -> None:
        clean, sds = problem.images, (problem.score.margin_spread, problem.score.spread)
        x = clean.clone()
        for step in range(self.steps + 1):
            x = x.detach().requires_grad_(True)
            logits, value = problem.net(x), problem.smooth(x)
            problem.best.offer(x, logits, value)
            if step == self.steps:
                break
            (down,) = torch.autograd.grad(-value.sum() / sds[1], x, retain_graph=True)
            problem.best.moved_by(down)
            margin, below = margin_of(logits, problem.labels) / sds[0], (problem.tau - value) / sds[1]
            (up,) = torch.autograd.grad(torch.minimum(margin, below).sum(), x)
            x = self._step(x.detach(), up, clean, 2 * self.share * self.epsilon * (1 - step / self.steps))

    def _step(self, x: torch.Tensor, up: torch.Tensor, clean: torch.Tensor, size: float) -> torch.Tensor:
        if self.norm == "Linf":
            x = x + size * up.sign()
            return torch.minimum(torch.maximum(x, clean - self.epsilon), clean + self.epsilon).clamp(0, 1)
        x = x + 2 * size * up / up.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        shift = x - clean
        length = shift.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        return (clean + shift * (self.epsilon / length).clamp(max=1)).clamp(0, 1)


def case_of(classifier: Classifier, train: torch.Tensor, test: torch.Tensor, labels: torch.Tensor, count: int) -> Case:
    """Mahalanobis in miniature: the smallest distance of penultimate features to a class mean, one covariance."""

    def features(x: torch.Tensor) -> torch.Tensor:
        return classifier.observe(x, (PENULTIMATE,))[1][PENULTIMATE]

    with torch.no_grad():
        known = features(train)
        named = classifier(train).argmax(1)
        means = torch.stack([known[named == k].mean(0) for k in range(classifier.classes)])
        rest = known - means[named]
        whitening = torch.linalg.inv(torch.linalg.cholesky(rest.T @ rest / len(rest) + 0.01 * torch.eye(len(means[0]))))

    def smooth(x: torch.Tensor) -> torch.Tensor:
        apart = (features(x).unsqueeze(1) - means) @ whitening.T
        return apart.square().sum(2).amin(1)

    def exact(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return smooth(x)

    with torch.no_grad():
        clean, logits = exact(train), classifier(train)
        spread = float(margin_of(logits, logits.argmax(1)).neg().std()), float(clean.std())
        tau = float(clean.quantile(0.95))
        good = (classifier(test).argmax(1) == labels) & (exact(test) <= tau)
    score = Score(exact, smooth, spread[1], spread[0], (train, named))
    return Case(classifier, score, tau, test[good][:count], labels[good][:count])


def quantised(case: Case) -> Case:
    """The same detector with a planted fault: its score is rounded, finely, and so has a gradient of 0."""
    exact, smooth, step = case.score.exact, case.score.smooth, 1e-3 * case.score.spread
    assert smooth is not None

    def flat(x: torch.Tensor) -> torch.Tensor:
        value = smooth(x)
        return (value / step).round() * step + 0 * value

    score = replace(case.score, exact=lambda x: (exact(x) / step).round() * step, smooth=flat)
    return case._replace(score=score)
