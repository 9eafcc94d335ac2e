"""Whether a third-party detector breaks its contract in ways that a run can see on a few images, in little time.

`validate-detector` checks all of the contract; this is for a run by somebody who has not called it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.arrays import Floats, Ints
from ..data.dataset import Split
from ..views import View

#: Images that are scored, and how many training images there are for the fits: of each class, and of all.
SCORED, EACH, FITTED = 32, 20, 1000


def conduct(build: Callable[[], Any], like: View, train: Split, test: Split) -> list[str]:
    """Remarks on a detector; ``like`` has the net and the gates. A detector that raises on so few is not judged."""

    def view(split: Split, index: Ints, labels: Ints | None) -> View:
        images = split.tensor(index)
        return View(like.classifier, images, key="conduct", labels=labels, gates=like.gates)

    first, scored = few(train.labels), np.arange(min(SCORED, len(test)))
    try:
        made = [build() for _ in range(2)]
        for detector in made:
            detector.fit(view(train, first, train.labels[first]))
        one, other = (_scores(detector, view(test, scored, None)) for detector in made)
        if _differ(one, other):
            return ["is not reproducible: two fits on the same images score differently; seed every random draw"]
        wrong = (test.labels[scored] + 1) % like.classifier.classes
        if _differ(one, _scores(made[0], view(test, scored, wrong))):
            return ["reads x.labels, which are not known when images are scored"]
    except Exception:  # it may need more images than these; what is wrong with it, the run itself meets
        return []
    return []


def few(labels: Ints) -> Ints:
    """Some images of every class, in their order."""
    classes = np.unique(labels)
    each = max(2, min(EACH, FITTED // len(classes)))
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in classes]))


def _scores(detector: Any, view: View) -> Floats:
    return np.asarray(detector.characteristics(view), np.float64)


def _differ(one: Floats, other: Floats) -> bool:
    if one.shape != other.shape:
        return True
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=0))
    return not np.allclose(one, other, rtol=0, atol=1e-5 * scale, equal_nan=True)
