"""Several suites on one page: every cell that has a published figure, and the claim against each rival."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.entry import Entry, read_entries
from subnetbench.bench.detection.published import published_detector
from subnetbench.bench.detection.sensitivity import own_rank
from subnetbench.bench.detection.summary import _inside, claim_rows, gates, published_rows, summary
from subnetbench.bench.harness.tables import render, write_tables

ATTACKS = ("fgsm", "bim", "deepfool", "cw")
DETECTORS = ("kd-pu", "lid", "mahalanobis", "subnet-mahalanobis")


ATTACK = {
    "library": "foolbox",
    "version": "3",
    "preset": "standard",
    "parameters": {"overshoot": 0.02},
    "threat": "budget",
    "norm": "Linf",
    "clean_correct": 40,
    "successes": 39,
    "seconds_per_image": 0.001,
    "l2_median": 1.5,
    "linf_median": 0.2,
    "margin_median": 0.1,
    "survives_8bit": 0.9,
}


def entry(detector: str, dataset: str = "cifar10", auroc: float | None = 0.9) -> Entry:
    bounds = {"low": 0.8, "high": 0.95, "fpr95": 0.5} if auroc is not None else dict.fromkeys(("low", "high", "fpr95"))
    cells = [
        {
            "fit_on": a,
            "test_on": b,
            "seen": a == b,
            "auroc": auroc,
            **bounds,
            "n": [],
            "n_fit": [30, 40, 0],
            "remark": "",
        }
        for a in ATTACKS
        for b in ATTACKS
    ]
    content = {
        "schema": 1,
        "suite": {"name": "s"},
        "dataset": {"name": dataset, "sha256": "d" * 64, "train_images": 80, "attacked_images": 40},
        "seed": 0,
        "versions": {},
        "model": {"name": "net", "parameters": {"width": 3}, "sha256": "e" * 64, "accuracy": 0.9},
        "protocol": {"name": "strict", "ties": "half"},
        "detector": {
            "label": detector,
            "name": detector,
            "control": False,
            "title": "A paper",
            "year": 2026,
            "needs": ["clean"],
            "formula": "f(x)",
        },
        "attacks": {name: {"name": name, **ATTACK} for name in ATTACKS},
        "statistics": {"level": 0.95},
        "cells": cells,
        "cost": {},
    }
    return Entry.model_validate(content)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in DETECTORS:
        entry(name).write(tmp_path / "s", None)
        assert (tmp_path / "s" / "entries" / "strict" / f"{name}.json").is_file()
    rows = [
        {
            "first": "subnet-mahalanobis",
            "second": second,
            "fit_on": a,
            "test_on": a,
            "difference": 0.1,
            "low": 0.05,
            "high": 0.2,
            "p_holm": 0.04,
            "verdict": verdict,
        }
        for a in ATTACKS
        for second, verdict in (("mahalanobis", "better"), ("random", "not separable"))
    ]
    (tmp_path / "s" / "comparisons").mkdir()
    (tmp_path / "s" / "comparisons" / "strict.json").write_text(json.dumps({"protocol": "strict", "comparisons": rows}))
    return tmp_path


def test_every_published_cell_of_a_data_set_has_its_row():
    rows = published_rows([entry(name) for name in DETECTORS])
    assert len(rows) == 4 * (4 + 3)  # the first attack once: what it is fitted on it has seen
    row = next(r for r in rows if r["detector"] == "mahalanobis" and r["cell"] == "seen DeepFool")
    assert row["published"] == "91.53"
    assert row["strict minus published"] == "-1.53"
    assert row["inside strict"] == "yes"
    assert row["net"] == "net (width=3)"
    row = next(r for r in rows if r["detector"] == "kd-pu" and r["cell"] == "unknown BIM")
    assert (row["published"], row["inside strict"]) == ("16.16", "no")


def test_a_suite_without_all_of_the_papers_detectors_or_of_another_data_set_has_none():
    assert published_rows([entry(name) for name in DETECTORS[:3]]) == []
    assert published_rows([entry(name, "digits") for name in DETECTORS]) == []


def test_a_cell_that_could_not_be_run_is_neither_inside_nor_outside():
    rows = published_rows([entry(name, auroc=None) for name in DETECTORS])
    assert {row["inside strict"] for row in rows} == {"–"}
    assert {row["strict"] for row in rows} == {"–"}


def test_claims_stand_cell_by_cell_against_every_rival(results):
    rows = claim_rows(results / "s", read_entries(results / "s"))
    assert len(rows) == 7
    assert rows[0]["minus mahalanobis"] == "+10.0 [+5.0, +20.0] better"
    assert rows[-1]["minus random"] == "–"  # not compared there


def test_the_page_opens_with_the_counts_of_verdicts_and_hits(results):
    text = render(summary([results / "s"]))["summary.md"]
    assert "- s, `strict`: 9 of 28\n" in text
    assert "- mahalanobis, `strict`: better in 4, worse in 0, not separable in 0 of 4 cells" in text
    assert "- random, `strict`: better in 0, worse in 0, not separable in 4 of 4 cells" in text
    assert text.index("better in 4") < text.index("9 of 28") < text.index("## ")


def test_hits_of_wide_intervals_are_said():
    rows = [record | {"strict": "90.0 [40.0, 95.0]"} for record in published_rows([entry(n) for n in DETECTORS])]
    (line,) = [line for line in _inside(pd.DataFrame(rows)) if line.startswith("- s")]
    hits = sum(row["inside strict"] == "yes" for row in rows)
    assert line == f"- s, `strict`: {hits} of 28, {hits} of them in an interval wider than 20 points"


def test_the_page_has_a_row_a_detector_and_a_column_a_cell_bold_where_the_published_figure_is_inside(results):
    texts = render(summary([results / "s"]))
    frame = pd.read_csv(StringIO(texts["table2.csv"]), dtype=str).set_index("detector")
    assert list(frame.index) == list(DETECTORS)
    assert frame.loc["mahalanobis", ["seen DeepFool", "seen DeepFool published"]].tolist() == ["90.0", "91.5"]
    assert "| **90.0 / 91.5** " in texts["table2.md"]
    assert frame.loc["kd-pu", "unknown BIM published"] == "16.2"
    assert len(pd.read_csv(StringIO(texts["published.csv"]))) == 28
    claim = pd.read_csv(StringIO(texts["claim.csv"]), dtype=str).set_index("minus ...")
    assert claim.loc["mahalanobis", "seen fgsm"] == claim.loc["random", "seen fgsm"] == "+10.0"
    assert {row for row in texts["claim.md"].splitlines() if "**+10.0**" in row and "mahalanobis" in row}


def test_what_differs_from_the_published_setting_stands_beside_the_table(results):
    texts = render(summary([results / "s"]))
    frame = pd.read_csv(StringIO(texts["setting.csv"]), dtype=str)
    assert frame.to_dict("records") == [
        {
            "suite": "s",
            "net": "net (width=3)",
            "images": "40",
            "overshoot": "2% (80%)",
            "pre-processing": "no",
            "fitted on, strict": "30 to 40",
            "undone by 8 bits": "fgsm 10.0%, bim 10.0%, deepfool 10.0%, cw 10.0%",
        }
    ]
    assert texts["summary.md"].index("differ from the published") < texts["summary.md"].index(
        "Table 2: ours / published"
    )


def test_the_gates_behind_a_claim_say_how_many_meet_tau_and_how_they_were_chosen(results):
    options = {"position": "units", "l1": "sum", "gamma": 0.1, "tau": 0.5}
    subnet = {"active": {"conv": 0.6}, "active_total": 0.6, "epoch": 1, "images": 9}
    subnet |= {f"{net}_{figure}": 0.9 for net in ("full", "subnet") for figure in ("balanced_accuracy", "bce")}
    report = [subnet | {"tau_met": met} for met in (True, False, False)]
    content = {"suite": "s", "options": options, "sets": [{"report": report}, {"report": report}]}
    (results / "s" / "subnets.json").write_text(json.dumps(content))
    sweep = results / "sweep"
    sweep.mkdir()
    rest = {"active": 0.6, "tau_met": 1, "collapsed": 0, "subnets": 3, "balanced_accuracy": 0.9, "low": -1, "high": 1}
    points = [
        {"position": "units", "l1": "sum", "gamma": gamma, "attack": attack, "difference": difference, **rest}
        for gamma, difference in ((0.1, 0.2), (0.3, 0.1), (0.5, -0.1))
        for attack, difference in (("fgsm", -difference), ("cw", difference))
    ]
    (sweep / "sensitivity.json").write_text(json.dumps({"points": points}))
    (row,) = gates([results / "s", sweep]).to_dict("records")
    assert (row["active"], row["met"]) == ("60.0", "2 of 6")
    assert row["rank in sweep"] == "3 of 3 on fgsm, 1 of 3 on cw"
    (sweep / "subnets.json").write_text(json.dumps(content))
    assert own_rank(sweep)[0].startswith(
        "The suite's own detectors use `units`, `sum`, gamma 0.1, by difference 3 of 3"
    )
    (sweep / "subnets.json").write_text(json.dumps(content | {"options": options | {"gamma": 9}}))
    assert own_rank(sweep) == []


def test_a_page_that_is_not_what_entries_give_is_named(results):
    write_tables(results, summary([results / "s"]))
    write_tables(results, summary([results / "s"]), check=True)
    path = results / "tables" / "claims.csv"
    assert len(pd.read_csv(path)) == 7
    path.write_text("changed")
    with pytest.raises(UserError, match=r"claims.csv is not what its entries give"):
        write_tables(results, summary([results / "s"]), check=True)
    shutil.rmtree(results / "tables")
    with pytest.raises(UserError, match="is not what its entries give"):
        write_tables(results, summary([results / "s"]), check=True)


def test_a_variant_is_the_papers_only_where_it_chooses_no_more_than_the_magnitude_of_pre_processing() -> None:
    made = entry("mahalanobis")

    def labelled(*candidates: dict[str, object]) -> str | None:
        note = made.detector.model_copy(update={"label": "mine", "candidates": list(candidates)})
        return published_detector(made.model_copy(update={"detector": note}))

    assert published_detector(made) == "Mahalanobis"
    assert labelled({"magnitude": 0.0}, {"magnitude": 0.01}) == "Mahalanobis"
    assert labelled({"magnitude": 0.0, "classes": "predicted"}) == "Mahalanobis"
    assert labelled({"magnitude": 0.0, "classes": "all"}) is None
    assert labelled({"magnitude": 0.0, "distance": "both"}) is None


def test_a_claim_with_pre_processing_on_both_sides_is_counted_apart() -> None:
    folder = Path(__file__).resolve().parents[3] / "results" / "cifar10-resnet34-ladder-f"
    rows = claim_rows(folder, read_entries(folder))
    assert {row["protocol"] for row in rows} == {"lee2018, pre-processed"}
    assert all(set(row) == {"suite", "net", "protocol", "cell", "minus mahalanobis"} for row in rows)
    assert len(rows) == 7
