"""The batch of training images to whose distances LID and its terms are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.views import View
from .checks import chosen_taps


def batch_of(name: str, train: View, size: int, seed: int, taps: Sequence[str] | None) -> dict[str, Floats]:
    """Features ``(size, D)`` by tap of training images that are drawn once for all detectors with the same ``seed``."""
    if len(train) < size:
        raise UserError(
            f"{name} needs {size} training images for its reference batch, but there are {len(train)}; "
            "lower batch_size."
        )

    def draw() -> dict[str, Floats]:
        index = np.sort(np.random.default_rng(seed).permutation(len(train))[:size])
        return {tap: train.features(tap)[index] for tap in train.classifier.taps}

    batches = train.memo(("lid references", seed, size), draw)
    return {tap: batches[tap] for tap in chosen_taps(name, train, taps)}


def distances_to(batch: Floats, x: View, tap: str) -> Floats:
    """Ascending Euclidean distances ``(N, size)`` of a view's features to a batch, computed once for all k."""
    from scipy.spatial.distance import cdist  # whoever asks for another detector does without

    return x.memo(("lid", tap, batch.tobytes()), lambda: np.sort(cdist(x.features(tap), batch), axis=1))


def squares_to(batch: torch.Tensor, features: torch.Tensor, k: int) -> torch.Tensor:
    """Ascending squared distances ``(N, k)`` of features ``(N, D)`` to the k nearest of ``batch`` ``(M, D)``.

    Differentiable; which of ``batch`` are the nearest, and their order, have no gradient.
    """
    with torch.no_grad():
        distances = torch.cdist(features, batch, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distances.topk(k, largest=False).indices
    return (features[:, None] - batch[nearest]).square().sum(2)
