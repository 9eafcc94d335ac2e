"""Test images that a suite does not attack, and that its net classifies correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..core.arrays import Bools
from ..data.dataset import Split, stratified
from ..models.classifier import Classifier, evaluating

if TYPE_CHECKING:
    from .setup import Setup


def unattacked(setup: Setup, count: int) -> Split:
    """At most ``count`` of them, stratified and drawn by the suite's seed; fewer where there are fewer."""
    test = setup.dataset.test
    free = np.flatnonzero(~np.isin(test.ids, setup.test.ids)) if count else np.zeros(0, np.int64)
    rest = test.select(free)
    if not len(rest):
        return rest
    net, inputs = setup.trained.net, {"model": setup.trained.sha256, "images": setup.split_key(rest)}
    arrays, _ = setup.context.store.get("correct", inputs, lambda: ({"correct": correct(net, rest)}, {}))
    return stratified(rest.select(arrays["correct"].astype(bool)), count, setup.suite.seed)


def correct(classifier: Classifier, split: Split, batch_size: int = 500) -> Bools:
    """Which images the net classifies correctly, ``(N,)``."""
    device = next(classifier.parameters()).device
    parts = [np.zeros(0, bool)]
    with torch.no_grad(), evaluating(classifier):
        for begin in range(0, len(split), batch_size):
            index = slice(begin, min(begin + batch_size, len(split)))
            predicted = classifier(split.tensor(index).to(device)).argmax(1).cpu().numpy()
            parts.append(predicted == split.labels[index])
    return np.concatenate(parts)
