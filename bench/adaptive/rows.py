"""The outcome of every image, as the rows that an entry's figures are made of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..core.arrays import Bools, Floats, Ints
from .entry import CALIBRATION, CLEAN
from .target import Target


class Rows:
    """Collects rows ``arm, epsilon, image, wrong, score``; an image is named by its place among the test images."""

    def __init__(self, index: Ints, target: Target) -> None:
        self.index = index
        self._parts: list[pd.DataFrame] = []
        self.add(CLEAN, 0.0, index, np.zeros(len(index), bool), target.clean)
        count = len(target.calibration)
        self.add(CALIBRATION, 0.0, np.arange(count), np.zeros(count, bool), target.calibration)

    def add(self, arm: str, epsilon: float, images: Ints, wrong: Bools, scores: Floats) -> None:
        columns = {"arm": arm, "epsilon": epsilon, "image": images, "wrong": wrong, "score": scores}
        self._parts.append(pd.DataFrame(columns))

    def lowest(self, arm: str, epsilon: float, images: Ints, scores: Floats) -> None:
        """Rows of wrong images that keep the lowest score of each image."""
        earlier = [part for part in self._parts if part["arm"].eq(arm).all() and part["epsilon"].eq(epsilon).all()]
        made = pd.DataFrame({"arm": arm, "epsilon": epsilon, "image": images, "wrong": True, "score": scores})
        self._parts = [part for part in self._parts if not any(part is old for old in earlier)]
        self._parts.append(pd.concat([*earlier, made]).groupby("image", as_index=False).min()[list(made.columns)])

    def frame(self) -> pd.DataFrame:
        return pd.concat(self._parts, ignore_index=True)
