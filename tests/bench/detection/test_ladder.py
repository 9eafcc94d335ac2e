"""A ladder of Table 2: each step changes the one thing that it names, and its tables are of its steps' entries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.climbed import (
    auroc_table,
    ladder_report,
    margin_table,
    moved_table,
    published_margin,
    steps_table,
)
from subnetbench.bench.detection.ladder import (
    Climb,
    Ladder,
    Step,
    builtin_ladders,
    climb,
    differing,
    load_ladder,
    parts_of,
)
from subnetbench.bench.detection.ladder_terminal import LEGEND, margins
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.harness.tables import render
from subnetbench.bench.tracks import load_suite
from subnetbench.subnets.gates import GateOptions

from .test_summary import ATTACKS, entry

LADDERS = {name: load_ladder(name) for name in builtin_ladders()}
STEPS = [(name, step) for name, ladder in LADDERS.items() for step in ladder.steps]


def suite_of(step: Step) -> Suite:
    return cast(Suite, load_suite(step.suite))


@pytest.mark.parametrize(
    ("name", "step"), [(n, s) for n, s in STEPS if s.differs], ids=lambda v: getattr(v, "suite", v)
)
def test_a_step_differs_from_the_one_before_in_the_one_thing_that_it_names(name: str, step: Step) -> None:
    before = LADDERS[name].before(step)
    assert before is not None
    assert differing(parts_of(suite_of(step), step), parts_of(suite_of(before), before)) == [step.differs]


@pytest.mark.parametrize(("name", "step"), STEPS, ids=lambda v: getattr(v, "suite", v))
def test_the_suite_of_a_step_compares_its_two_detectors(name: str, step: Step) -> None:
    assert (step.subnets, step.baseline) in suite_of(step).statistics.comparisons


def test_every_net_climbs_the_letters_in_order() -> None:
    for ladder in LADDERS.values():
        for net in {step.net for step in ladder.steps}:
            line = "".join(step.step for step in ladder.steps if step.net == net and step.beside is None)
            assert line in ("abcde", "abcdef", "abcd", "f")
    assert {step.step for step in LADDERS["cifar10"].steps} == {"a", "b", "c", "d", "e", "e-sum", "e-mean", "f"}


def test_pre_processing_offers_the_published_magnitudes_and_changes_nothing_else_of_the_detectors() -> None:
    from subnetbench.bench.core.registry import detectors
    from subnetbench.detectors.mahalanobis import MAGNITUDES

    for step in (step for _, step in STEPS if step.step == "d"):
        labels = {part.title: part for part in suite_of(step).detectors}
        for label, plain in ((step.baseline, "mahalanobis"), (step.subnets, "subnet-mahalanobis")):
            assert labels[plain].candidates == [{}]
            assert labels[label].candidates is None  # those that the detector offers
            assert [c["magnitude"] for c in detectors.get(labels[label].name).candidates] == list(MAGNITUDES)
            assert labels[label].parameters == labels[plain].parameters


def test_the_gates_of_step_e_are_as_the_paper_words_them() -> None:
    stated = {"learning_rate": 0.1, "batch_size": 64, "epochs": 5, "gamma": 0.05, "tau": 0.5}
    free = {"images_per_class": None, "binary": False, "calibrate": False}
    norms = set()
    for _, step in STEPS:
        if step.step[0] not in "ef":
            continue
        options = GateOptions(**(suite_of(step).subnets or {}))
        assert {name: getattr(options, name) for name in stated | free} == stated | free
        assert options.position == GateOptions(**(suite_of(LADDERS["cifar10"].steps[0]).subnets or {})).position
        norms.add(options.l1)
    assert norms == {"layersum", "sum", "mean"}


def test_the_steps_of_a_net_attack_the_same_images() -> None:
    for name, ladder in LADDERS.items():
        for net in {step.net for step in ladder.steps}:
            suites = [suite_of(step) for step in ladder.steps if step.net == net]
            assert len({(s.dataset.model_dump_json(), s.limit, s.seed) for s in suites}) == 1
            assert suites[0].limit is not None
            assert suites[0].limit >= (5000 if name != "svhn10k" else 2000)


# -- made-up results --------------------------------------------------------------------------------------------------

MADE = """
title = "Made up"
dataset = "CIFAR-10"

[[steps]]
net = "narrow"
step = "a"
change = "ours"
suite = "first"

[[steps]]
net = "narrow"
step = "b"
change = "other attacks"
differs = "attacks"
suite = "second"

[[steps]]
net = "narrow"
step = "b-quick"
change = "instead: quick"
differs = "attacks"
beside = "b"
suite = "third"
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Results of the first two of three steps."""
    (tmp_path / "made.toml").write_text(MADE)
    for suite, ours in (("first", 0.88), ("second", 0.93)):
        folder = tmp_path / "results" / suite
        for label, auroc in (("mahalanobis", 0.9), ("subnet-mahalanobis", ours)):
            content = entry(label, auroc=auroc).written()
            content["suite"]["name"] = suite
            content["protocol"]["name"] = "lee2018"
            path = folder / "entries" / "lee2018" / f"{label}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        records = [compared(a, b, ours - 0.9) for a, b in [*((a, a) for a in ATTACKS), ("fgsm", "bim")]]
        family = {"suite": suite, "protocol": "lee2018", "comparisons": records, "best": []}
        (folder / "comparisons").mkdir()
        (folder / "comparisons" / "lee2018.json").write_text(json.dumps(family))
        (folder / "suite.json").write_text(json.dumps({"name": suite}))
    return tmp_path


def compared(fit_on: str, test_on: str, difference: float) -> dict[str, Any]:
    return {
        "first": "subnet-mahalanobis",
        "second": "mahalanobis",
        "fit_on": fit_on,
        "test_on": test_on,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "p_holm": 0.01,
        "verdict": "better" if difference > 0 else "not separable",
    }


def climbed(made: Path) -> Climb:
    return climb(load_ladder(made / "made.toml"), [made / "results" / name for name in ("first", "second")])


def test_both_detectors_stand_at_each_step_beside_the_published_figures(made: Path) -> None:
    frame = auroc_table(climbed(made))
    ours = frame[frame["step"] == "b"].set_index("detector")
    assert ours.loc["mahalanobis", "seen FGSM"].strip("*") == "90.0 [80.0, 95.0]"
    assert ours.loc["subnet-mahalanobis", "unknown CW"].strip("*") == "93.0 [80.0, 95.0]"
    theirs = frame[frame["step"] == "published"].set_index("detector")
    assert list(theirs.index) == ["Mahalanobis", "Subnet-Mahalanobis"]
    inside = 80 <= float(theirs.loc["Mahalanobis", "seen DeepFool"]) <= 95
    assert ours.loc["mahalanobis", "seen DeepFool"].startswith("**") == inside


def test_a_step_without_results_is_shown_as_not_run(made: Path) -> None:
    result = climbed(made)
    rows = auroc_table(result)
    assert set(rows[rows["step"] == "b-quick"]["seen BIM"]) == {"not run"}
    assert margin_table(result).set_index("step").loc["b-quick", "seen BIM"] == "not run"
    assert moved_table(result).set_index("step").loc["b-quick", "seen BIM"] == "not run"
    assert steps_table(result).set_index("step").loc["b-quick", "differs in"] == "not run"
    text = render(ladder_report(result, "made"))["ladder-made.md"]
    assert "2 of 3 steps have been run; not run: b-quick on narrow (`subnetbench run third`)." in text.replace("\\", "")


def test_the_difference_has_its_verdict_and_the_published_one_beside_it(made: Path) -> None:
    result = climbed(made)
    frame = margin_table(result).set_index("step")
    assert frame.loc["b", "seen CW"] == "**+3.0 [+2.0, +4.0]**"
    assert frame.loc["a", "seen CW"] == "-2.0 [-3.0, -1.0]"
    assert frame.loc["a", "unknown CW"] == "–"  # was not compared
    theirs = {column: published_margin(result, column) for column in result.columns}
    assert frame.loc["published", "seen CW"] == f"{theirs['seen', 'cw']:+.2f}"
    held = [2 <= value <= 4 for (kind, a), value in theirs.items() if value and (kind == "seen" or a == "bim")]
    assert frame.loc["b", "published inside"] == f"{sum(held)} of {len(held)}"


def test_a_number_of_images_that_is_the_same_in_every_cell_is_written_once(made: Path) -> None:
    result = climbed(made)
    cells = [cell.model_copy(update={"n": [40, 41]}) for cell in result.steps[1].subnets.cells]  # type: ignore[union-attr]
    for counts, text in (([40, 40], "40"), ([50, 60], "40–55")):
        cells[0] = cells[0].model_copy(update={"n": counts})
        second = replace(result.steps[1], subnets=result.steps[1].subnets.model_copy(update={"cells": cells}))  # type: ignore[union-attr]
        assert steps_table(Climb(result.ladder, [second])).loc[0, "n"] == text


def test_a_terminal_gets_the_differences_as_figures_not_as_markdown(made: Path) -> None:
    grid = margins(climbed(made))
    assert [row.name for row in grid.rows] == ["narrow, a", "narrow, b", "ResNet-34, published"]
    decided = grid.rows[1].figures[0]
    assert (decided.text(), decided.low, decided.high, decided.best) == ("+3.0±1.0", "+2.0", "+4.0", True)
    assert not grid.rows[0].figures[0].best
    assert grid.rows[0].figures[-2].value == "–"  # was not compared
    assert grid.records()[8]["marks"] == "better"
    assert "Holm" in LEGEND.text([grid])


def test_a_step_moves_the_difference_by_that_of_the_step_before(made: Path) -> None:
    frame = moved_table(climbed(made)).set_index("step")
    assert list(frame.index) == ["b", "b-quick"]
    assert frame.loc["b", "seen FGSM"] == "+5.0"


def test_without_any_result_the_columns_are_the_published_ones() -> None:
    result = climb(LADDERS["cifar10"], [])
    assert result.columns == [("seen", a) for a in ATTACKS] + [("unknown", a) for a in ATTACKS[1:]]
    assert not any(step.ran for step in result.steps)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('differs = "attacks"\nsuite = "second"', 'suite = "second"', "step 'b' of narrow has a step before it"),
        ('change = "ours"', 'change = "ours"\ndiffers = "model"', "step 'a' of narrow has no step before it"),
        ('step = "b"\n', 'step = "a"\n', "narrow has the step 'a' twice"),
        ('beside = "b"', 'beside = "c"', "step 'b-quick' is beside 'c'"),
        ('differs = "attacks"', 'differs = "weather"', "line 15: steps.1.differs"),
    ],
)
def test_a_mistake_in_a_ladder_is_one_sentence(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(MADE.replace(old, new, 1))
    with pytest.raises(UserError, match=words):
        load_ladder(path)


def test_an_unknown_ladder_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="no ladder named 'cifar1' and no such file"):
        load_ladder("cifar1")


def test_a_ladder_needs_no_published_table(made: Path) -> None:
    plain = Ladder.model_validate(load_ladder(made / "made.toml").model_dump() | {"dataset": ""})
    result = climb(plain, [made / "results" / "first"])
    assert "published" not in set(auroc_table(result)["step"])
    assert "published inside" not in margin_table(result)
