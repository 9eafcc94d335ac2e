"""Whether an attack does what it does not declare, found on a few images while a run makes all of them."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from ..bench.core.arrays import Ints
from ..bench.models.classifier import Classifier
from .contract import Attack
from .verify import AttackFailed, craft

#: Images that are attacked again, of an attack that takes batches of any size.
FEW = 8

#: A pixel that differs by more than this is another image, not another order of sums.
SAME = 1e-3

UNSTEADY = "it is not reproducible: the same images and generator gave other adversarial images"
COUPLED = "its images depend on their neighbours in the batch, and it does not declare batch_coupled"


def conduct(attack: Attack, classifier: Classifier, images: torch.Tensor, labels: Ints, *, seed: int) -> list[str]:
    """Remarks on an attack that is not reproducible, or whose images depend on their neighbours unannounced.

    Some images are attacked twice, then once more beside others. Whatever fails here is not judged.
    """
    count = attack.info.batch_size or FEW
    half = count // 2
    if len(images) < 2 * half or half < 1:
        return []

    def made(index: Ints) -> torch.Tensor:
        return craft(attack, classifier, images[torch.from_numpy(index)], labels[index], seed=seed)

    first = np.arange(count)[: len(images)]
    others = np.r_[first[:half], np.arange(len(images))[::-1][: len(first) - half]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on NaN, which the run itself counts
        try:
            one, again = made(first), made(first)
            if differ(one, again):
                return [UNSTEADY]
            if not attack.info.batch_coupled and differ(one[:half], made(others)[:half]):
                return [COUPLED]
        except AttackFailed:
            pass
    return []


def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two results are other images, by more than rounding."""
    return bool(((one - other).abs() > SAME).any())
