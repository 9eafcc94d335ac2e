"""The figures of an adaptive entry follow from its rows alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench.adaptive.entry import CALIBRATION, CLEAN, STATIC, TRANSFER
from subnetbench.bench.adaptive.figures import all_figures, images_of
from subnetbench.bench.stats.operating import fixed_at

EPSILONS = [1 / 255, 2 / 255]


def made(clean: list[float], calibration: list[float], *more: tuple[str, float, int, bool, float]) -> pd.DataFrame:
    rows = [(CLEAN, 0.0, place, False, score) for place, score in enumerate(clean)]
    rows += [(CALIBRATION, 0.0, place, False, score) for place, score in enumerate(calibration)]
    return pd.DataFrame([*rows, *more], columns=["arm", "epsilon", "image", "wrong", "score"])


def figures(rows: pd.DataFrame, rate: float = 0.25) -> dict[str, object]:
    return all_figures(rows, EPSILONS, rate, accuracy=0.8, level=0.95, seed=0)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.25])
@pytest.mark.parametrize("ties", [False, True])
def test_the_threshold_is_the_smallest_that_at_most_the_rate_exceeds(rate: float, ties: bool) -> None:
    scores = np.random.default_rng(3).normal(size=137)
    scores = np.round(scores) if ties else scores
    tau = fixed_at(scores, rate)
    assert (scores > tau).mean() <= rate
    lower = scores[scores < tau]
    assert (scores > lower.max()).mean() > rate


def test_an_image_is_robust_only_if_every_arm_fails_on_it_and_stays_beaten_at_larger_budgets() -> None:
    rows = made(
        [0.0, 0.0, 0.0, 9.0],
        [0.0, 1.0, 2.0, 3.0],
        ("one", EPSILONS[0], 0, True, 1.0),  # beaten at the first budget
        ("one", EPSILONS[0], 1, True, 5.0),  # wrong, and flagged
        ("two", EPSILONS[0], 2, False, 0.0),  # accepted, and right
        ("two", EPSILONS[1], 1, True, 2.0),  # beaten by the other arm at the second
    )
    first, second = figures(rows)["cells"]  # type: ignore[misc]
    assert first["accepted"] == second["accepted"] == 3
    assert first["robust"] == pytest.approx(2 / 3)
    assert second["robust"] == pytest.approx(1 / 3)
    assert first["accuracy"] == pytest.approx(0.8 * 2 / 4)  # the flagged clean image counts as lost
    assert (first["fooled"], second["fooled"]) == (2, 2)
    assert second["auroc"] == 6 / 8


def test_the_auroc_takes_the_lowest_wrong_version_of_each_image() -> None:
    rows = made(
        [0.0, 1.0],
        [0.0, 0.5, 0.7, 1.0],
        ("one", EPSILONS[0], 0, True, 4.0),
        ("two", EPSILONS[0], 0, True, 0.5),
        ("one", EPSILONS[0], 1, False, -3.0),
    )
    assert figures(rows)["cells"][0]["auroc"] == 0.5  # type: ignore[index]


def test_a_detector_that_flags_everything_has_no_robust_share_and_no_accuracy() -> None:
    cell = figures(made([5.0, 6.0], [0.0, 1.0, 2.0, 3.0]))["cells"][0]  # type: ignore[index]
    assert cell["accepted"] == 0
    assert "robust" not in cell
    assert cell["accuracy"] == 0


def test_what_no_arm_made_counts_for_no_arm() -> None:
    rows = made([0.0, 0.0], [0.0, 1.0, 2.0, 3.0], (STATIC, 0.0, 0, True, 0.0))
    result = figures(rows)
    assert result["cells"][0]["robust"] == 1  # type: ignore[index]
    assert result["static"]["fooled"] == 1  # type: ignore[index]
    assert "difference" not in result["static"]  # type: ignore[operator]
    rows = made([0.0, 0.0], [0.0, 1.0, 2.0, 3.0], (TRANSFER, EPSILONS[0], 0, True, 0.0))
    cell = figures(rows)["cells"][0]  # type: ignore[index]
    assert (cell["robust"], cell["transferred"]) == (0.5, 1)


def test_intervals_cover_the_truth_with_the_calibration_redrawn() -> None:
    """Scores of clean images are normal, those of attacked ones too, one lower: RA at FPR 10% in closed form."""
    from scipy.stats import norm

    truth = 1 - norm.cdf(norm.ppf(0.9) - 1.0)  # independent of acceptance
    hits, runs = 0, 120
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        clean, calibration = generator.normal(size=100), generator.normal(size=200)
        moved = generator.normal(1.0, size=100)
        rows = made(list(clean), list(calibration), *(("one", EPSILONS[0], k, True, s) for k, s in enumerate(moved)))
        cell = all_figures(rows, EPSILONS[:1], 0.1, 1.0, 0.95, seed)["cells"][0]
        hits += cell["robust_low"] <= truth <= cell["robust_high"]
    assert 0.89 <= hits / runs <= 1.0


def test_rows_may_come_in_any_order() -> None:
    rows = made([0.0, 0.5, 2.0], [0.0, 1.0, 2.0, 3.0], ("one", EPSILONS[0], 1, True, 1.0), (STATIC, 0.0, 2, True, 3.0))
    shuffled = rows.sample(frac=1, random_state=1)
    assert np.array_equal(images_of(rows).clean, images_of(shuffled).clean)
    assert figures(rows)["cells"] == figures(shuffled)["cells"]
