"""Several suites on one page: every cell that has a published figure, and the claim against each rival."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.summary import claim_rows, published_rows, render_summary, write_summary

ATTACKS = ("fgsm", "bim", "deepfool", "cw")
DETECTORS = ("kd-pu", "lid", "mahalanobis", "subnet-mahalanobis")


def entry(detector: str, dataset: str = "cifar10", auroc: float | None = 0.9) -> dict:
    cells = [
        {"fit_on": a, "test_on": b, "auroc": auroc, "low": 0.8, "high": 0.95, "remark": ""}
        for a in ATTACKS
        for b in ATTACKS
    ]
    return {
        "schema": 1,
        "suite": {"name": "s"},
        "dataset": {"name": dataset},
        "seed": 0,
        "versions": {},
        "scores": {},
        "model": {"name": "net", "parameters": {"width": 3}},
        "protocol": {"name": "strict"},
        "detector": {"label": detector, "name": detector, "control": False},
        "attacks": {name: {"name": name} for name in ATTACKS},
        "cells": cells,
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in DETECTORS:
        path = tmp_path / "s" / "entries" / "strict" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entry(name)))
    rows = [
        {
            "first": "subnet-mahalanobis",
            "second": second,
            "fit_on": a,
            "test_on": a,
            "difference": 0.1,
            "low": 0.05,
            "high": 0.2,
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
    assert len(rows) == 4 * 2 * 4
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
    rows = claim_rows(results / "s")
    assert len(rows) == 7
    assert rows[0]["minus mahalanobis"] == "+10.0 [+5.0, +20.0] better"
    assert rows[-1]["minus random"] == "–"  # not compared there


def test_the_page_counts_verdicts_and_hits(results):
    text = render_summary([results / "s"])["summary.md"]
    assert "- s, `strict`: 10 of 32 published figures lie inside our interval" in text
    assert "- against mahalanobis: better in 4, worse in 0, not separable in 0 of 7 cells" in text
    assert "- against random: better in 0, worse in 0, not separable in 4 of 7 cells" in text


def test_a_page_that_is_not_what_entries_give_is_named(results):
    write_summary(results, [results / "s"])
    write_summary(results, [results / "s"], check=True)
    path = results / "tables" / "claims.csv"
    assert len(pd.read_csv(path)) == 7
    path.write_text("changed")
    with pytest.raises(UserError, match=r"claims.csv is not what its entries give"):
        write_summary(results, [results / "s"], check=True)
    shutil.rmtree(results / "tables")
    with pytest.raises(UserError, match="is not what its entries give"):
        write_summary(results, [results / "s"], check=True)
