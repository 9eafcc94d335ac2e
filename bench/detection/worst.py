"""The worst attack of each image: the lowest score among its adversarial versions (MEAD, Granese et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.arrays import EVERY
from ..stats.splits import Place

#: Images with their scores.
Side = tuple[npt.NDArray[Any], npt.NDArray[Any]]

#: fit_on, test_on, gate, split, kind.
Key = tuple[str, str, int, int, str]


def worst_sides(groups: Mapping[Key, Side], fit_on: str, attacks: Sequence[str], place: Place) -> dict[str, Side]:
    """One replicate by kind of image, where an adversarial score is the lowest of those that fool the net.

    The images are those that all columns share; where no column shares its images, those of every column. So each
    attack that fools an image has a score of it. Empty where there is none.
    """
    clean = groups.get((fit_on, EVERY, *place, "clean"))
    if clean is None:
        parts = [groups[key] for attack in attacks if (key := (fit_on, attack, *place, "clean")) in groups]
        if not parts:
            return {}
        images, first = np.unique(np.concatenate([images for images, _ in parts]), return_index=True)
        clean = images, np.concatenate([scores for _, scores in parts])[first]
    images = np.sort(clean[0])
    lowest, fooled = np.full(len(images), np.inf), np.zeros(len(images), bool)
    for attack in attacks:
        side = groups.get((fit_on, attack, *place, "adversarial"))
        if side is None:
            continue
        among = np.isin(side[0], images)
        where = np.searchsorted(images, side[0][among])
        lowest[where] = np.minimum(lowest[where], side[1][among])
        fooled[where] = True
    if not fooled.any():
        return {}
    sides = {"adversarial": (images[fooled], lowest[fooled]), "clean": clean}
    calibration = groups.get((fit_on, EVERY, *place, "calibration"))
    return sides if calibration is None else sides | {"calibration": calibration}
