"""Scores that were computed again are compared in units of their deviation, whatever that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench.exchange.rerun import _compared


def scores(values: np.ndarray) -> pd.DataFrame:
    kinds = np.repeat(["clean", "adversarial"], len(values) // 2)
    places = {"gate": 0, "split": 0, "fit_on": "a", "test_on": "a", "kind": kinds, "image": np.arange(len(values))}
    return pd.DataFrame({**places, "score": values})


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_other_scores_are_a_mismatch_in_any_unit(unit: float) -> None:
    stated, other = np.random.default_rng(0).normal(size=(2, 40))
    assert _compared(("a", "a"), scores(stated * unit), scores(other * unit)).verdict == "mismatch"
    nearly = stated * (1 + 1e-6)
    assert _compared(("a", "a"), scores(stated * unit), scores(nearly * unit)).verdict == "match"
