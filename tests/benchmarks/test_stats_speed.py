"""What the vectorised bootstrap is worth, against scikit-learn in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from subnetbench.bench.stats import inference as stats

IMAGES, RESAMPLES, SKLEARN_CALLS = 2000, 2000, 200


@pytest.mark.benchmark(group="bootstrap")
def test_two_thousand_resamples_take_less_than_two_hundred_calls_of_scikit_learn(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    positive, negative, unit = rng.normal(1, 1, IMAGES), rng.normal(0, 1, IMAGES), np.arange(IMAGES)
    counts = stats.resample_counts(IMAGES, RESAMPLES, rng)
    truth = np.r_[np.ones(IMAGES), np.zeros(IMAGES)]
    scores = np.r_[positive, negative]

    began = time.perf_counter()
    reference = [
        roc_auc_score(truth, scores, sample_weight=np.r_[row, row]) for row in counts[:SKLEARN_CALLS].astype(np.float64)
    ]
    sklearn_seconds = time.perf_counter() - began

    timed: list[float] = []

    def ours() -> np.ndarray:
        began = time.perf_counter()
        found = stats.bootstrap_auroc(positive, unit, negative, unit, counts)
        timed.append(time.perf_counter() - began)
        return found

    found = benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    seconds = min(timed)
    benchmark.extra_info["scikit_learn_seconds_for_200"] = sklearn_seconds
    benchmark.extra_info["times_faster_per_resample"] = (sklearn_seconds / SKLEARN_CALLS) / (seconds / RESAMPLES)
    np.testing.assert_allclose(found[:SKLEARN_CALLS], reference, rtol=1e-10)
    assert seconds < sklearn_seconds, f"{RESAMPLES} resamples took {seconds:.2f} s"
