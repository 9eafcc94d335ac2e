"""Calibrated one-vs-rest probabilities: a scale for all logits and a bias for each class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(scale * f_c + bias_c)`` is the probability of class c; ``bias`` is ``(classes,)``."""

    scale: float
    bias: torch.Tensor

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Calibrated logits from raw ones ``(N,)``, each for its class in ``labels`` ``(N,)``."""
        return self.scale * logits + self.bias.to(logits)[labels]

    @classmethod
    def none(cls, classes: int) -> Calibration:
        return cls(1.0, torch.zeros(classes, dtype=torch.float64))


def fit_calibration(logits: torch.Tensor, labels: torch.Tensor) -> Calibration:
    """Least one-vs-rest BCE of logits ``(N, classes)`` against labels ``(N,)``; a class weighs as much as the rest.

    Softmax training leaves logits free up to a shift of all classes, and label smoothing makes them small: the paper's
    sigmoid(f_c) is then hardly informative. The targets are Platt's (1999), ``(n+ + 1) / (n+ + 2)`` and
    ``1 / (n- + 2)``, so that an optimum exists for separable training logits too.
    """
    logits = logits.detach().double()
    own_class = F.one_hot(labels, logits.shape[1]).bool()
    positives, negatives = own_class.sum(0).double(), (~own_class).sum(0).double()
    target = torch.where(own_class, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = torch.where(own_class, 0.5 / positives.clamp(min=1), 0.5 / negatives.clamp(min=1))
    # Start at the scale where logits spread by about 1; otherwise the first step of L-BFGS may overshoot.
    log_scale = (-logits.std().clamp(min=1e-6).log()).clone().requires_grad_()
    bias = (-logits.mean(0) * log_scale.exp()).detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-8)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(logits * log_scale.exp() + bias, target, weight, reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Calibration(float(log_scale.detach().exp()), bias.detach())
