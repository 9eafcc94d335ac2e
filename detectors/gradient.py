"""What the differentiable twins of detectors share: one pass of the net that keeps its graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..bench.models.classifier import Classifier, evaluating, pool

#: Images ``(N, C, H, W)`` in [0, 1] -> characteristics ``(N, K)``, differentiable; row i is image i.
Differentiable = Callable[[torch.Tensor], torch.Tensor]


def seen_by(
    net: Classifier, images: torch.Tensor, paths: Sequence[str] = ()
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits ``(N, classes)`` and pooled outputs ``(N, channels)`` of ``paths`` in float64, by one pass in evaluation
    mode, as `View` has them; differentiable in ``images``."""
    with evaluating(net):
        logits, seen = net.observe(images, paths)
    return logits.double(), {path: pool(output).double() for path, output in seen.items()}
