"""Minus the margin between the two largest logits: a whole detector, in a package of its own."""

from __future__ import annotations

import numpy as np
from subnetbench.bench import DetectorInfo, UserError


class Margin:
    """-(z_(1) - z_(2)): an image between two classes scores high."""

    info = DetectorInfo(title="Margin of logits", formula="-(z_(1) - z_(2))", year=2026)
    candidates = ()

    def __init__(self):
        self.fitted = False

    def fit(self, train):
        self.fitted = True
        return self

    def characteristics(self, x):
        if not self.fitted:
            raise UserError("margin was asked for characteristics before it was fitted; call fit(train) first.")
        second, first = np.sort(x.logits, axis=1)[:, -2:].T
        return (second - first)[:, None]
