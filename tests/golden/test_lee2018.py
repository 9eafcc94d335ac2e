"""The protocol `lee2018` gives the figures of the code released with Lee et al. 2018."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import sklearn
from scipy import special
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from subnetbench.bench.detection.lee2018 import Lee2018, log_odds
from subnetbench.bench.detection.protocol import Material, Outcome, Table
from subnetbench.bench.stats.metrics import lee_metrics

HERE = Path(__file__).parent
#: The order of the kinds in the released `block_split_adv`.
RELEASED = ("clean", "noisy", "adversarial")

Kinds = Mapping[str, np.ndarray]


@pytest.mark.parametrize(
    "scores", json.loads((HERE / "lee_metrics.json").read_text(encoding="utf-8"))["sets"], ids=lambda s: s["name"]
)
def test_the_five_metrics_are_those_of_lees_code(scores: dict[str, Any]) -> None:
    found = lee_metrics(np.array(scores["adversarial"]), np.array(scores["known"]))
    assert found == pytest.approx(scores["expected"], abs=1e-12)


def outcome_of(candidates: list[Kinds]) -> Outcome:
    """The protocol on triples that are all kept, of one attack, in the file's own order."""
    count = len(candidates[0]["clean"])
    everything = np.ones(count, bool)
    facts = Material(
        np.zeros(count, np.int64), everything, ("a",), success={"a": everything}, noisy_correct={"a": everything}
    )
    table = Table(len(candidates), {(kind, "a"): [c[kind] for c in candidates] for kind in RELEASED})
    outcome = Lee2018(batch_size=count).evaluate(facts, table, seed=0)
    return Outcome(outcome.scores[outcome.scores["split"] == 0], outcome.fits)


def log_odds_of(outcome: Outcome) -> Kinds:
    rows = outcome.scores.sort_values("image", kind="stable")
    return {kind: rows.loc[rows["kind"] == kind, "score"].to_numpy() for kind in RELEASED}


def probabilities(outcome: Outcome) -> Kinds:
    return {kind: special.expit(odds) for kind, odds in log_odds_of(outcome).items()}


@pytest.mark.parametrize("number", range(12))
def test_the_regression_on_golden_sets_is_that_of_lees_code(number: int) -> None:
    golden = np.load(HERE / "lee_regression.npz")
    prefix = f"set{number:02}_"
    same = (sklearn.__version__, scipy.__version__) == ("1.9.1", "1.17.1")
    tolerance = 1e-10 if same else 2e-3
    candidates = [
        {kind: golden[f"{prefix}candidate{c}_{kind}"].astype(np.float64) for kind in RELEASED} for c in (0, 1)
    ]
    for c, candidate in enumerate(candidates):
        found = probabilities(outcome_of([candidate]))
        expected = golden[f"{prefix}expected_p_candidate{c}"]
        found = np.concatenate([found[kind] for kind in RELEASED])
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    outcome = outcome_of(candidates)
    assert outcome.fits[0]["candidate"] == golden[f"{prefix}expected_chosen"]
    found = log_odds_of(outcome)
    metrics = Lee2018().further_metrics(found["adversarial"], np.concatenate([found["clean"], found["noisy"]]))
    names = ("lee_tnr95", "lee_auroc", "lee_dtacc", "lee_auin", "lee_auout")
    assert [metrics[name] for name in names] == pytest.approx(golden[f"{prefix}expected_metrics"], abs=tolerance)


def released_probabilities(kinds: Kinds) -> Kinds:
    """The released split and fit, with the defaults of its scikit-learn written out."""
    tenth = int(0.1 * len(kinds["clean"]))
    train = np.concatenate([kinds[kind][: tenth // 2] for kind in RELEASED])
    target = np.repeat([0, 0, 1], tenth // 2)
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 4, 10), cv=StratifiedKFold(3), scoring="accuracy", solver="lbfgs", tol=1e-4, max_iter=100
    ).fit(train, target)
    return {kind: model.predict_proba(kinds[kind][tenth:])[:, 1] for kind in RELEASED}


@pytest.mark.filterwarnings("ignore")
def test_rows_are_fitted_in_the_released_order_which_decides_the_folds() -> None:
    for seed in range(16):
        rng = np.random.default_rng(seed)
        count, columns = int(rng.integers(3, 9)) * 100, int(rng.integers(1, 5))
        clean = rng.normal(size=(count, columns))
        noisy = clean + rng.normal(0, 0.5, clean.shape)
        kinds = {"clean": clean, "noisy": noisy, "adversarial": clean + rng.normal(0.7, 1, clean.shape)}
        found, expected = probabilities(outcome_of([kinds])), released_probabilities(kinds)
        for kind in RELEASED:
            np.testing.assert_allclose(found[kind], expected[kind], rtol=1e-5, err_msg=f"{seed} {kind}")


def test_log_odds_keep_the_order_of_probabilities_and_their_ties() -> None:
    rng = np.random.default_rng(0)
    for logits in (rng.normal(0, 20, 2000), 0.7 + 1e-9 * rng.normal(size=2000)):  # the second: hardly a regression
        probability = np.sort(np.r_[0.0, special.expit(logits), 1.0])
        odds = log_odds(probability)
        assert ((np.diff(odds) == 0) == (np.diff(probability) == 0)).all()
        assert (np.diff(odds) >= 0).all()
        assert np.isfinite(odds).all()
    assert (log_odds(special.expit(np.array([37.0, 50.0]))) == 40).all()  # float64 holds no more than the released code
