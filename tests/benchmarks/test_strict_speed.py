"""What `strict` costs for one detector, beside scikit-learn's regressions alone in the same run.

Run with ``pytest tests/benchmarks/test_strict_speed.py --benchmark-only``: 1,000 images, 40 characteristics, 25 splits.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from subnetbench.bench.detection.cells import Measuring, measure
from subnetbench.bench.detection.protocol import Material, Outcome, Table
from subnetbench.bench.detection.strict import Strict

IMAGES, COLUMNS, SPLITS, CALIBRATION = 1000, 40, 25, 500
ATTACKS = ("fgsm", "bim", "deepfool", "cw")


def drawn() -> tuple[Material, Table]:
    """Images that most attacks fool, and characteristics that an attack moves a little."""
    rng = np.random.default_rng(0)
    success = {attack: rng.random(IMAGES) < 0.9 for attack in ATTACKS}
    material = Material(rng.integers(0, 10, IMAGES), rng.random(IMAGES) < 0.97, ATTACKS, success, {}, CALIBRATION)
    clean = rng.normal(size=(IMAGES, COLUMNS))
    values: dict[Any, Any] = {("clean", ""): [clean], ("calibration", ""): [rng.normal(size=(CALIBRATION, COLUMNS))]}
    for attack in ATTACKS:
        noise = 0.3 * rng.normal(size=(2, IMAGES, COLUMNS))
        values["adversarial", attack], values["noise", attack] = [clean + noise[0] + 0.1], [clean + noise[1]]
    return material, Table(1, values)


@pytest.mark.benchmark(group="strict, one detector")
def test_all_of_strict_beside_the_regressions_of_scikit_learn(benchmark: Any) -> None:
    material, table = drawn()
    protocol = Strict(splits=SPLITS, fit_share=0.45)

    def ours() -> Outcome:
        outcome = protocol.evaluate(material, table, 0)
        measure(outcome.scores, outcome.fits, ATTACKS, Measuring.of(protocol, 0.95))
        return outcome

    outcome = benchmark.pedantic(ours, rounds=3, warmup_rounds=1)
    assert len(outcome.fits) == SPLITS * 9  # on each attack, on all, on all but each
    began = time.process_time()
    for record in outcome.fits:
        rows = np.arange(record["n_fit"]) % IMAGES
        stacked = np.concatenate([table.of(0, kind, "cw")[rows] for kind in ("clean", "adversarial")])
        LogisticRegression(tol=1e-8, max_iter=1000).fit(stacked, np.repeat([0, 1], len(rows)))
    benchmark.extra_info["scikit_learn_seconds"] = time.process_time() - began
