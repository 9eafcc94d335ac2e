"""Each protocol's rules, on made-up characteristics whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from subnetbench.bench.core.arrays import Floats
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.lee2018 import CERTAIN
from subnetbench.bench.detection.protocol import Kind, Material, Outcome, Table, check_finite, combine
from subnetbench.bench.detection.suite import Lee2018, Strict

N = 400


def material(success: float = 0.9, seed: int = 0) -> Material:
    rng = np.random.default_rng(seed)
    return Material(
        labels=np.arange(N) % 10,
        clean_correct=rng.random(N) < 0.95,
        attacks=("a", "b"),
        success={"a": rng.random(N) < success, "b": rng.random(N) < 0.9},
        noisy_correct={"a": rng.random(N) < 0.9, "b": rng.random(N) < 0.9},
    )


class Made:
    """Characteristics by kind: adversarial images are shifted by ``shift``, those of one attack ``more``."""

    def __init__(self, shift: float = 2.0, columns: int = 2, more: dict[str, float] | None = None) -> None:
        self.shift, self.columns, self.more = shift, columns, more or {}

    def __call__(self, candidate: int, kind: Kind, attack: str) -> Floats:
        seed = [
            candidate,
            ["clean", "noisy", "adversarial", "noise", "calibration"].index(kind),
            ord(attack[0]) if attack else 0,
        ]
        values = np.random.default_rng(seed).normal(size=(N, self.columns))
        moved = self.shift * (candidate + 1) + self.more.get(attack, 0.0) * candidate
        return values + (moved if kind == "adversarial" else 0)


def evaluate(
    options: Strict | Lee2018, facts: Material, made: Callable[[int, Kind, str], Floats], candidates: int, seed: int
) -> Outcome:
    """The protocol on a table of all that it may look at."""
    attacks = options.able(facts)
    places: set[tuple[Kind, str]] = {(kind, "" if kind == "clean" else a) for kind in options.kinds for a in attacks}
    places |= {("calibration", "")} if facts.calibration else set()
    values = {place: [made(candidate, *place) for candidate in range(candidates)] for place in places}
    return options.evaluate(facts, Table(candidates, values), seed)


def test_strict_fits_and_evaluates_on_disjoint_images_of_every_class() -> None:
    options, facts = Strict(), material()
    for split in range(4):
        fit, held_out = options.split_indices(facts, 0, split)
        assert not set(fit) & set(held_out)
        assert set(fit) | set(held_out) == set(np.flatnonzero(facts.clean_correct))
        counts = np.bincount(facts.labels[fit], minlength=10) / np.bincount(
            facts.labels[facts.clean_correct], minlength=10
        )
        assert np.all(np.abs(counts - options.fit_share) < 0.03)
    halves = [options.split_indices(facts, 0, split) for split in range(4)]
    for even, odd in (halves[:2], halves[2:]):  # each half fits once and evaluates once
        np.testing.assert_array_equal(even[0], odd[1])
        np.testing.assert_array_equal(even[1], odd[0])
    assert not np.array_equal(halves[0][0], halves[2][0])


def test_halves_take_turns_so_their_number_is_even() -> None:
    with pytest.raises(ValueError, match="splits is 3; halves take turns, so give an even number"):
        Strict(splits=3)
    assert Strict(splits=3, fit_share=0.4).design.blocks == 1


def test_strict_evaluates_all_attacks_on_one_index_set() -> None:
    facts = material()
    found = evaluate(Strict(splits=2, minimum_fit=10), facts, Made(), 1, 0).scores
    on_each = found["fit_on"].isin(["a", "b", "all attacks"])
    for _, part in found[(found["split"] == 0) & on_each].groupby("fit_on", observed=True):
        rows = part[part["kind"] == "adversarial"]
        images = {test_on: set(r["image"]) for test_on, r in rows.groupby("test_on", observed=True)}
        assert images["a"] == images["b"] == set(part[part["kind"] == "clean"]["image"])
        assert all(facts.success["a"][i] and facts.success["b"][i] and facts.clean_correct[i] for i in images["a"])
        assert set(part[part["kind"] == "clean"]["test_on"]) == {"*"}


def test_an_attack_that_hardly_succeeds_does_not_empty_the_common_set() -> None:
    facts = material(success=0.02)
    held_out = Strict().split_indices(facts, 0, 0)[1]
    of_b = Strict().evaluated_images(facts, held_out, "b")
    assert set(of_b) == set(held_out[facts.success["b"][held_out]])
    assert set(Strict().evaluated_images(facts, held_out, "a")) == set(held_out[facts.success["a"][held_out]])


def test_images_that_were_wrong_when_clean_are_no_successes_of_an_attack() -> None:
    """Verification counts an image given another class as a success, misclassified clean ones included."""
    facts = material()
    facts.success["a"][:] = ~facts.clean_correct  # it fools nobody
    assert facts.success["a"].sum() >= 15
    options = Strict(minimum_success=10)
    held_out = options.split_indices(facts, 0, 0)[1]
    assert set(options.evaluated_images(facts, held_out, "b")) == set(held_out[facts.success["b"][held_out]])


def test_an_attack_without_successes_gives_a_cell_with_n_0_and_its_reason() -> None:
    outcome = evaluate(Strict(splits=2), material(success=0.0), Made(), 1, 0)
    assert outcome.scores.query("fit_on == 'a'").empty
    assert outcome.scores.query("fit_on == 'b' and test_on == 'a' and kind == 'adversarial'").empty
    remark = next(f["remark"] for f in outcome.fits if f["fit_on"] == "a")
    assert remark.startswith("0 successful adversarials to fit on")


def test_a_single_column_without_candidates_is_its_own_score_and_never_flipped() -> None:
    made = Made(shift=-3.0, columns=1)
    outcome = evaluate(Strict(splits=2), material(), made, 1, 0).scores
    rows = outcome.query("fit_on == 'a' and test_on == 'a' and kind == 'adversarial'")
    expected = made(0, "adversarial", "a")[rows["image"].to_numpy(), 0]
    np.testing.assert_array_equal(rows["score"], expected)


def test_candidates_are_chosen_on_the_fitting_part() -> None:
    outcome = evaluate(Strict(splits=2, minimum_fit=10), material(), Made(shift=0.5), 3, 0)
    assert {f["candidate"] for f in outcome.fits} == {2}  # the largest shift separates best


def test_cells_fitted_on_fewer_than_the_minimum_are_marked() -> None:
    fits = evaluate(Strict(splits=2, minimum_fit=500), material(), Made(), 1, 0).fits
    assert all("fewer than 500" in f["remark"] for f in fits)


def test_the_combiner_is_scikit_learns_logistic_regression_on_standardised_columns() -> None:
    values, target = np.random.default_rng(0).normal(size=(200, 3)), np.repeat([0, 1], 100)
    values[100:] += [1.0, 0.5, 0.0]
    scaler = StandardScaler().fit(values)
    expected = LogisticRegression(tol=1e-8, max_iter=1000).fit(scaler.transform(values), target)
    found = combine(values, target)(values)
    np.testing.assert_allclose(found, expected.decision_function(scaler.transform(values)), atol=1e-4)


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e200, 1e300])
def test_the_unit_of_a_column_changes_no_ranking(factor: float) -> None:
    rng, target = np.random.default_rng(0), np.repeat([0, 1], 100)
    values = rng.normal(size=(200, 3)) + target[:, None] * [1.0, 0.5, 0.0]
    np.testing.assert_allclose(combine(values * factor, target)(values * factor), combine(values, target)(values))
    one_column = values * [1.0, factor, 1.0]
    np.testing.assert_allclose(combine(one_column, target)(one_column), combine(values, target)(values))


def test_scaling_by_a_power_of_two_changes_no_bit_of_ordinary_columns() -> None:
    rng, target = np.random.default_rng(1), np.repeat([0, 1], 100)
    values = (rng.normal(size=(200, 3)) + target[:, None]) * [1e-3, 7.0, 1e6] + [5.0, 0.0, 1e5]
    scaler = StandardScaler().fit(values)
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=200).fit(scaler.transform(values), target)
    expected = model.decision_function(scaler.transform(values)).astype(np.float32)
    np.testing.assert_array_equal(combine(values, target)(values), expected)


def test_values_that_dwarf_all_that_were_fitted_keep_their_side() -> None:
    values, target = np.linspace(-1e-200, 1e-200, 20)[:, None], np.repeat([0, 1], 10)
    scores = combine(values, target)(np.array([[-1e300], [1e300]]))
    assert np.isfinite(scores).all()
    assert scores[0] < scores[1]


def test_noise_is_a_control_under_strict_and_a_negative_where_asked() -> None:
    assert "noise" in set(evaluate(Strict(splits=2, minimum_fit=2), material(), Made(), 1, 0).scores["kind"])
    kinds = set(
        evaluate(Strict(splits=2, minimum_fit=2, negatives="clean+noise"), material(), Made(), 1, 0).scores["kind"]
    )
    assert kinds == {"clean", "noisy", "adversarial"}


# -- lee2018: numbers are those of the list of traps ------------------------------------------------------------------


def test_trap_1_and_14_triples_are_kept_by_all_three_rules_in_whole_batches_and_file_order() -> None:
    facts, options = material(), Lee2018(batch_size=100)
    expected = [i for i in range(N) if facts.clean_correct[i] and facts.noisy_correct["a"][i] and facts.success["a"][i]]
    kept = options.kept(facts, "a")
    assert len(kept) == len(expected) // 100 * 100
    assert kept.tolist() == expected[: len(kept)]


def test_trap_2_noisy_images_are_negatives() -> None:
    found = evaluate(Lee2018(batch_size=50), material(), Made(), 1, 0).scores
    assert set(found["kind"]) == {"clean", "noisy", "adversarial"}


def test_trap_15_the_first_tenth_in_file_order_fits_and_the_rest_is_tested() -> None:
    facts, options = material(), Lee2018(batch_size=50)
    kept = options.kept(facts, "a")
    outcome = evaluate(options, facts, Made(), 1, 0)
    own = outcome.scores.query("split == 0 and fit_on == 'a' and test_on == 'a' and kind == 'clean'")
    assert own["image"].tolist() == kept[int(0.1 * len(kept)) :].tolist()
    assert next(f["n_fit"] for f in outcome.fits if f["fit_on"] == "a") == int(0.1 * len(kept)) // 2


def test_every_tenth_takes_its_turn_in_fitting() -> None:
    facts, options = material(), Lee2018(batch_size=50)
    kept = options.kept(facts, "a")
    scores = evaluate(options, facts, Made(), 1, 0).scores.query("fit_on == 'a' and test_on == 'a' and kind == 'clean'")
    left_out = [set(kept) - set(part["image"]) for _, part in scores.groupby("split")]
    assert len(left_out) == options.repeats == 10
    assert [len(part) for part in left_out] == [int(0.1 * len(kept))] * 10
    assert set.union(*left_out) == set(kept)


def test_trap_16_the_regression_sees_raw_columns_and_gives_the_log_odds_of_probabilities() -> None:
    scores = evaluate(Lee2018(batch_size=50), material(), Made(), 1, 0).scores["score"]
    assert scores.between(*CERTAIN).all()
    assert scores.min() < 0 < scores.max()


@pytest.mark.parametrize(("factor", "said"), [(1e200, True), (1e-200, True), (1.0, False)])
def test_a_column_that_the_unscaled_regression_cannot_use_is_remarked_on(factor: float, said: bool) -> None:
    made = Made(columns=2)
    outcome = evaluate(
        Lee2018(batch_size=50, minimum_fit=2),
        material(),
        lambda *place: made(*place) * [1.0, factor],
        1,
        0,
    )
    assert all(("characteristic 2 is at most" in fit["remark"]) == said for fit in outcome.fits)


def test_trap_17_the_candidate_is_chosen_on_the_fitted_attack_alone() -> None:
    """Whatever the other attack looks like, the choice for this one stays."""
    options, facts = Lee2018(batch_size=50), material()
    chosen = []
    for more in (0.0, -5.0):  # under which the last candidate is the worst for b
        outcome = evaluate(options, facts, Made(shift=0.5, more={"b": more}), 3, 0)
        chosen.append({fit["fit_on"]: fit["candidate"] for fit in outcome.fits if fit["split"] == 0})
    assert chosen[0]["a"] == chosen[1]["a"]
    assert chosen[0]["b"] != chosen[1]["b"]


def test_trap_25_columns_of_lee2018_have_their_own_images_and_an_unknown_attack_none_that_fitted() -> None:
    facts, options = material(), Lee2018(batch_size=50)
    scores = evaluate(options, facts, Made(), 1, 0).scores.query("split == 0")
    of = {t: set(scores.query(f"fit_on == 'a' and test_on == '{t}' and kind == 'clean'")["image"]) for t in "ab"}
    assert of["a"] != of["b"]
    kept = options.kept(facts, "a")
    assert not of["b"] & set(kept[: int(0.1 * len(kept))])


def test_too_few_triples_are_said_with_their_number() -> None:
    fits = evaluate(Lee2018(batch_size=100), material(success=0.1), Made(), 1, 0).fits
    assert "0 triples were kept, in whole batches of " in next(f["remark"] for f in fits if f["fit_on"] == "a")


def test_the_same_seed_gives_the_same_scores_and_another_seed_others() -> None:
    runs = [evaluate(Strict(splits=2, minimum_fit=2), material(), Made(), 1, seed).scores for seed in (0, 0, 1)]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_characteristics_that_are_nan_or_of_a_wrong_shape_name_the_detector() -> None:
    with pytest.raises(UserError, match="'x' gave NaN or infinite characteristics for 1 of 3"):
        check_finite(np.array([[1.0], [np.nan], [2.0]]), "x", "clean images")
    with pytest.raises(UserError, match="must be"):
        check_finite(np.zeros(3), "x", "clean images")
