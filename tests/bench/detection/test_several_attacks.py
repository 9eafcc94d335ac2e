"""Fits on several attacks, images that set thresholds, and the worst attack of each image, on made-up scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from subnetbench.bench.core.arrays import EVERY
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.cell import Cell
from subnetbench.bench.detection.cells import Measuring, column_title, derived, measure
from subnetbench.bench.detection.fits import ALL_ATTACKS, WORST_CASE, all_but, further_pairs, plans, stranger
from subnetbench.bench.detection.fitting import Fitter, Pool
from subnetbench.bench.detection.points import points_remark
from subnetbench.bench.detection.protocol import Material, Outcome, Table, combine
from subnetbench.bench.detection.suite import Strict
from subnetbench.bench.detection.worst import worst_sides
from subnetbench.bench.stats.metrics import auroc

N = 240
ATTACKS = ("a", "b", "c")
OPTIONS = Strict(splits=4, minimum_fit=10)
HOW = Measuring.of(OPTIONS, 0.95)


def material(calibration: int = 200, attacks: tuple[str, ...] = ATTACKS) -> Material:
    rng = np.random.default_rng(0)
    success = {attack: rng.random(N) < 0.85 for attack in attacks}
    return Material(np.arange(N) % 10, rng.random(N) < 0.95, attacks, success, calibration=calibration)


def table(facts: Material, candidates: int = 2, columns: int = 2) -> Table:
    """Each attack moves one column more than the other."""
    rng = np.random.default_rng(1)
    values = {}
    for kind in ("clean", "noise", "adversarial"):
        for number, attack in enumerate([""] if kind == "clean" else facts.attacks):
            moved = np.eye(3)[number, :columns] * 3 + 0.5 if kind == "adversarial" else 0.0
            values[kind, attack] = [rng.normal(size=(N, columns)) + moved * (c + 1) / 2 for c in range(candidates)]
    values["calibration", ""] = [rng.normal(size=(facts.calibration, columns)) for _ in range(candidates)]
    return Table(candidates, values)  # type: ignore[arg-type]


def evaluated(facts: Material, made: Table | None = None, options: Strict = OPTIONS) -> Outcome:
    return options.evaluate(facts, made or table(facts), 0)


def cells_of(outcome: Outcome, attacks: tuple[str, ...] = ATTACKS) -> dict[tuple[str, str], dict]:
    return {(c["fit_on"], c["test_on"]): c for c in measure(outcome.scores, outcome.fits, attacks, HOW)}


def test_every_fit_is_tested_on_what_it_is_for():
    frame = evaluated(material()).scores
    tested = frame[frame["kind"] == "adversarial"].groupby("fit_on", observed=True)["test_on"].unique()
    assert {fit_on: set(test_on) for fit_on, test_on in tested.items()} == {
        **{attack: set(ATTACKS) for attack in ATTACKS},
        ALL_ATTACKS: set(ATTACKS),
        **{all_but(attack): {attack} for attack in ATTACKS},
    }
    assert [plan.fit_on for plan in plans(("a",))] == ["a"]


def test_scores_of_fits_on_one_attack_do_not_depend_on_the_calibration():
    facts = material()
    with_it, without = evaluated(facts).scores, evaluated(dataclasses.replace(facts, calibration=0)).scores
    pd.testing.assert_frame_equal(
        with_it[with_it["kind"] != "calibration"].astype({"kind": str}).reset_index(drop=True),
        without.astype({"kind": str}),
    )


def test_a_fit_on_all_attacks_learns_from_every_pair_of_attack_and_image():
    facts = material()
    made = table(facts, candidates=1)
    outcome = evaluated(facts, made)
    fitting, _ = OPTIONS.split_indices(facts, 0, 0)
    pairs = [(attack, image) for attack in ATTACKS for image in fitting if facts.success[attack][image]]
    record = next(fit for fit in outcome.fits if fit["fit_on"] == ALL_ATTACKS and fit["split"] == 0)
    assert record["n_fit"] == len(pairs)
    clean = np.array([made.of(0, "clean", "")[image] for _, image in pairs])
    moved = np.array([made.of(0, "adversarial", attack)[image] for attack, image in pairs])
    score = combine(np.concatenate([clean, moved]), np.repeat([0, 1], len(pairs)))
    rows = outcome.scores.query(
        f"fit_on == '{ALL_ATTACKS}' and test_on == 'c' and kind == 'adversarial' and split == 0"
    )
    assert not set(rows["image"]) & set(fitting)
    np.testing.assert_array_equal(rows["score"], score(made.of(0, "adversarial", "c")[rows["image"].to_numpy()]))


def test_one_left_out_is_never_learned_from():
    facts = material()
    made = table(facts)
    before = evaluated(facts, made).fits
    for candidate in made.values["adversarial", "b"]:
        candidate *= -50
    after = evaluated(facts, made).scores
    again = evaluated(facts, table(facts)).scores
    rows = "fit_on == 'all but b' and kind == 'clean'"
    np.testing.assert_array_equal(after.query(rows)["score"], again.query(rows)["score"])
    assert all(fit["n_fit"] for fit in before)


@pytest.mark.parametrize("fit_on", ["b", ALL_ATTACKS, all_but("c")])
@pytest.mark.parametrize(("candidates", "columns"), [(2, 2), (1, 1)])
def test_one_fit_again_gives_the_scores_of_the_evaluation(fit_on, candidates, columns):
    facts = material()
    made = table(facts, candidates, columns)
    outcome = evaluated(facts, made)
    fit = OPTIONS.fitted(facts, made, 0, 2, fit_on)
    assert fit.record == next(f for f in outcome.fits if f["fit_on"] == fit_on and f["split"] == 2)
    rows = outcome.scores.query(f"fit_on == '{fit_on}' and split == 2 and kind == 'calibration'")
    assert fit.score is not None
    np.testing.assert_array_equal(rows["score"], fit.score(made.of(fit.candidate, "calibration", "")))
    assert list(rows["image"]) == list(range(N, N + facts.calibration))
    assert set(rows["test_on"]) == {EVERY}
    import torch

    values = torch.from_numpy(made.of(fit.candidate, "calibration", ""))
    np.testing.assert_allclose(fit.score.tensor(values).numpy(), rows["score"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("split", "fit_on"), [(0, "d"), (4, "a"), (-1, "a")])
def test_a_fit_that_there_is_not_is_one_sentence(split, fit_on):
    facts = material()
    with pytest.raises(UserError, match=f"no fit on '{fit_on}' in split {split}: the fits are on a, b, c, all attacks"):
        OPTIONS.fitted(facts, table(facts), 0, split, fit_on)


def test_candidates_are_chosen_with_each_image_once_and_its_versions_on_one_side():
    pool = Pool(("a", "b"), (np.array([1, 2, 5, 7]), np.array([2, 5, 6])))
    once = pool.once(np.random.default_rng(0))
    assert sorted(np.concatenate(once.images)) == [1, 2, 5, 6, 7]
    assert set(once.images[0]) <= {1, 2, 5, 7}
    assert set(once.images[1]) <= {2, 5, 6}
    part = pool.among(np.array([2, 6]))
    assert [list(of) for of in part.images] == [[2], [2, 6]]
    assert len(pool) == 7


def test_too_few_images_to_fit_on_leave_a_reason():
    facts = material()
    fit = Fitter(table(facts), 3, 10, ("clean",), "half").fit("a", Pool(("a",), (np.arange(3),)), (0, 0))
    assert fit.score is None
    assert fit.record["remark"] == "3 successful adversarials to fit on, fewer than 6"


def test_a_detector_without_a_fit_has_the_same_scores_under_every_fit():
    facts = material()
    cells = cells_of(evaluated(facts, table(facts, 1, 1)))
    for attack in ATTACKS:
        alike = [cells[fit_on, attack]["auroc"] for fit_on in (*ATTACKS, ALL_ATTACKS, all_but(attack))]
        assert len(set(alike)) == 1
    assert cells[ALL_ATTACKS, WORST_CASE]["auroc"] == cells["a", WORST_CASE]["auroc"]


@pytest.mark.parametrize("fit_on", [ALL_ATTACKS, "a"])
def test_the_worst_case_is_the_lowest_score_of_each_image(fit_on):
    outcome = evaluated(material())
    cell = cells_of(outcome)[fit_on, WORST_CASE]
    assert not cell["seen"]
    for split in range(4):
        rows = outcome.scores[(outcome.scores["fit_on"] == fit_on) & (outcome.scores["split"] == split)]
        lowest = rows[rows["kind"] == "adversarial"].groupby("image")["score"].min()
        clean = rows[rows["kind"] == "clean"]["score"].to_numpy()
        assert cell["n"][split] == len(lowest) == len(clean)
        assert cell["auroc_by_split"][split] == pytest.approx(auroc(lowest.to_numpy(), clean), abs=1e-5)
        single = [cells_of(outcome)[fit_on, attack]["auroc_by_split"][split] for attack in ATTACKS]
        assert cell["auroc_by_split"][split] <= min(single)


def test_attacks_that_share_no_images_have_their_worst_case_over_all_of_them():
    groups = {
        ("a", "a", 0, 0, "clean"): (np.array([1, 2]), np.array([0.1, 0.2])),
        ("a", "a", 0, 0, "adversarial"): (np.array([1, 2]), np.array([3.0, 4.0])),
        ("a", "b", 0, 0, "clean"): (np.array([2, 3]), np.array([0.2, 0.3])),
        ("a", "b", 0, 0, "adversarial"): (np.array([2, 3]), np.array([1.0, 5.0])),
    }
    sides = worst_sides(groups, "a", ["a", "b"], (0, 0))
    assert [list(side) for side in sides["adversarial"]] == [[1, 2, 3], [3.0, 1.0, 5.0]]
    assert [list(side) for side in sides["clean"]] == [[1, 2, 3], [0.1, 0.2, 0.3]]
    assert worst_sides(groups, "b", ["a", "b"], (0, 0)) == {}
    shared = {("a", EVERY, 0, 0, "clean"): (np.array([3]), np.array([0.3])), **groups}
    assert [list(side) for side in worst_sides(shared, "a", ["a", "b"], (0, 0))["adversarial"]] == [[3], [5.0]]


def test_one_attack_has_the_worst_case_of_its_own_fit():
    facts = material(attacks=("a",))
    cells = cells_of(evaluated(facts), ("a",))
    assert set(cells) == {("a", "a"), ("a", WORST_CASE)}
    assert cells["a", WORST_CASE]["auroc"] == cells["a", "a"]["auroc"]


def test_the_rates_of_a_cell_are_counts_beyond_the_thresholds_of_its_fit():
    outcome = evaluated(material())
    cells = cells_of(outcome)
    frame = outcome.scores.query("split == 1")
    for rate in (1, 5, 10):
        own = frame.query("fit_on == 'b' and kind == 'calibration'")["score"].to_numpy()
        tau = np.sort(own)[::-1][200 * rate // 100]
        clean = frame.query("fit_on == 'b' and kind == 'clean'")["score"]
        moved = frame.query("fit_on == 'b' and test_on == 'c' and kind == 'adversarial'")["score"]
        cell = cells["b", "c"]
        assert cell[f"fpr{rate}_by_split"][1] == pytest.approx(np.mean(clean > tau), abs=1e-4)
        assert cell[f"tpr{rate}_by_split"][1] == pytest.approx(np.mean(moved > tau), abs=1e-4)
        assert cell[f"tpr{rate}"] == pytest.approx(np.mean(cell[f"tpr{rate}_by_split"]))
    assert cell["fpr5_low"] <= cell["fpr5"] <= cell["fpr5_high"]
    assert cell["points_remark"] == ""


def test_figures_follow_from_what_a_cell_states():
    for cell in cells_of(evaluated(material())).values():
        places = [(0, split) for split in range(4)]
        assert derived(Cell(**cell).model_dump(), places, HOW).items() <= cell.items()


@pytest.mark.parametrize(
    ("count", "there", "remark"),
    [
        (0, set(), "no clean image is left to set thresholds with: no figures at a fixed false-positive rate"),
        (5, set(), "5 clean images set thresholds, too few for a false-positive rate of 1%, 5% or 10%"),
        (50, {"tpr5", "tpr10"}, "50 clean images set thresholds, too few for a false-positive rate of 1%"),
        (100, {"tpr1", "tpr5", "tpr10"}, ""),
    ],
)
def test_too_few_calibration_images_leave_a_rate_out_with_a_remark(count, there, remark):
    cells = cells_of(evaluated(material(count)))
    assert points_remark(count) == remark
    for cell in cells.values():
        assert {name for name in ("tpr1", "tpr5", "tpr10") if name in cell} == there
        assert cell["points_remark"] == remark
        assert cell["auroc"] is not None
        Cell(**cell)


def test_a_cell_without_images_has_no_remark_on_thresholds():
    facts = material()
    facts.success["b"][:] = False
    cells = cells_of(evaluated(facts))
    assert cells["a", "b"]["remark"] == "no successful adversarial to evaluate (n = 0)"
    assert "points_remark" not in cells["a", "b"]
    assert cells[ALL_ATTACKS, WORST_CASE]["auroc"] is not None


def test_a_detector_that_flags_everything_has_rates_of_1_with_an_interval():
    facts = material()
    made = table(facts, 1, 1)
    for (kind, _), candidates in made.values.items():
        candidates[0][:] = 0.0 if kind == "calibration" else 1.0
    cell = cells_of(evaluated(facts, made))["a", "b"]
    assert cell["fpr5"] == cell["tpr5"] == cell["fpr5_high"] == 1
    assert 0.7 < cell["fpr5_low"] < 1  # four splits say little
    assert cell["auroc"] == 0.5


def test_a_detector_that_says_nothing_flags_nothing():
    facts = material()
    made = table(facts, 1, 1)
    for candidates in made.values.values():
        candidates[0][:] = 1.0
    cell = cells_of(evaluated(facts, made))["a", "b"]
    assert cell["fpr5"] == cell["tpr5"] == cell["fpr5_low"] == 0
    assert 0 < cell["fpr5_high"] < 0.3


def test_the_number_of_calibration_images_is_not_negative():
    with pytest.raises(ValidationError, match="calibration"):
        Strict(calibration=-1)
    assert Strict(calibration=0).calibrating == 0


def test_cells_of_other_fits_are_strangers():
    assert not any(stranger(pair, ATTACKS) for pair in [*further_pairs(ATTACKS), ("a", WORST_CASE)])
    assert stranger(("all but d", "d"), ATTACKS)
    assert stranger((WORST_CASE, "a"), ATTACKS)
    assert stranger(("a", ALL_ATTACKS), ATTACKS)


def test_titles_say_what_was_fitted_on():
    assert column_title((ALL_ATTACKS, WORST_CASE)) == "worst case of each image, fitted on all attacks"
    assert column_title((all_but("a"), "a")) == "a, fitted on all but a"
    assert column_title(("a", "b")) == "unknown b"
