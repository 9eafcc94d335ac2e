"""Whether a detector that was added to a suite beats the suite's controls, and where that is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.board.reproduce import command
from subnetbench.bench.detection.override import with_detectors
from subnetbench.bench.detection.verdicts import controls_sentences
from subnetbench.bench.tracks import load_suite

from ..cli.test_commands import Said, call, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture(scope="module")
def said(folder: Path) -> Said:
    places = ("--store", folder / "store", "--output", folder / "out")
    return call("run", written(folder), *places, "--detector", "lid", "--detector", "energy")


def records(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "out/small/comparisons/strict.json").read_text("utf-8"))["comparisons"])


def test_an_added_detector_is_compared_with_each_control_and_a_control_with_none(folder: Path, said: Said) -> None:
    assert said.code == 0, said.err
    assert [(r["first"], r["second"]) for r in records(folder)] == [("lid", "max-softmax"), ("lid", "energy")]
    table = (folder / "out" / "small" / "tables" / "comparisons.md").read_text("utf-8")
    assert re.search(r"\| lid +\| max-softmax +\| seen fgsm", table)


def test_the_verdicts_stand_under_the_table(folder: Path, said: Said) -> None:
    verdicts = [record["verdict"] for record in records(folder)]
    best, beaten = int(verdicts.count("better") == 2), int("worse" in verdicts)
    sentence = (
        f"lid is better than each of the 2 controls in {best} of 1 column (protocol strict), and worse than one or "
        f"more of them in {beaten}. Columns in which it is better, not separable, worse: max-softmax "
    )
    assert sentence in " ".join(said.out.split())
    assert "mahalanobis is better" not in said.out  # the suite compares it with no control


def test_a_later_run_keeps_the_row_of_an_added_detector(folder: Path, said: Said) -> None:
    places = ("--store", folder / "store", "--output", folder / "out")
    later = call("run", folder / "small.toml", *places, "--detector", "max-logit")
    assert later.code == 0, later.err
    assert (folder / "out" / "small" / "entries" / "strict" / "lid.json").is_file()


def test_columns_are_counted_over_all_controls() -> None:
    class Of:
        def __init__(self, label: str, control: bool, auroc: float | None = 0.5) -> None:
            self.label, self.protocol_name = label, "strict"
            self.detector = type("D", (), {"control": control})
            self.cells = [type("C", (), {"auroc": auroc})]

    verdicts = {"one": ("better", "worse"), "two": ("better", "not separable")}
    stated = [
        {"first": "mine", "second": second, "fit_on": "a", "test_on": test_on, "verdict": verdict}
        for second, of in verdicts.items()
        for test_on, verdict in zip("ab", of, strict=True)
    ]
    entries: Any = [Of("mine", False), Of("one", True), Of("two", True), Of("not run", True, None)]
    assert list(controls_sentences(entries, stated)) == [
        "mine is better than each of the 2 controls in 1 of 2 columns (protocol strict), and worse than one or more of "
        "them in 1. Columns in which it is better, not separable, worse: one 1, 0, 1; two 1, 1, 0."
    ]
    entries.append(Of("three", True))  # it was not compared with this one
    assert list(controls_sentences(entries, stated)) == []


def test_the_command_that_makes_the_rows_again_is_still_known() -> None:
    suite = with_detectors(load_suite("digits"), ["max-logit"])
    assert command(suite) == "subnetbench run digits --detector max-logit"
