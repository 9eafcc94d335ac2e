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
        """Calibrated logits of ``(N,)`` raw ones, each of the class in ``labels`` ``(N,)``."""
        return self.scale * logits + self.bias.to(logits)[labels]

    @classmethod
    def none(cls, classes: int) -> Calibration:
        return cls(1.0, torch.zeros(classes, dtype=torch.float64))


def fit_calibration(logits: torch.Tensor, labels: torch.Tensor) -> Calibration:
    """Least one-vs-rest BCE of logits ``(N, classes)`` against labels ``(N,)``, own and other images weighing the same.

    Softmax training leaves logits free up to a shift of all classes, and label smoothing makes them small: the paper's
    sigmoid(f_c) then says little. The targets are Platt's (1999), ``(n+ + 1) / (n+ + 2)`` and ``1 / (n- + 2)``, so that
    an optimum exists for separable training logits too.
    """
    logits = logits.detach().double()
    own = F.one_hot(labels, logits.shape[1]).bool()
    positives, negatives = own.sum(0).double(), (~own).sum(0).double()
    target = torch.where(own, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = torch.where(own, 0.5 / positives.clamp(min=1), 0.5 / negatives.clamp(min=1))
    # Start at the scale where logits spread by about 1, else the first step of L-BFGS may leap.
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
