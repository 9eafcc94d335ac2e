"""What checking an entry's scores and writing a board of a thousand rows cost, against the plain ways to do it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.pages import Pages
from subnetbench.bench.board.reproduce import reruns
from subnetbench.bench.core.arrays import EVERY
from subnetbench.bench.detection.entry import Entry, read_scores
from subnetbench.bench.detection.scores import GRID, examine
from subnetbench.bench.harness.entry import read_entry

from ..bench.made_board import ATTACKS, entry, many, scores, write_entry


def plain(folder: Path, one: Entry) -> tuple[dict[tuple[str, str], float], dict[str, Any]]:
    """AUROC of every cell by pandas and scikit-learn, and the ROC curve of each seen one."""
    table = read_scores(folder, one)
    values, curves = {}, {}
    for fit_on in ATTACKS:
        for test_on in ATTACKS:
            areas, lines = [], []
            for split in sorted(table["split"].unique()):
                own = table[(table["fit_on"] == fit_on) & (table["split"] == split)]
                rows, shared = own[own["test_on"] == test_on], own[own["test_on"] == EVERY]
                if not (rows["kind"] == "clean").any():
                    rows = pd.concat([rows, shared])
                rows = rows[rows["kind"].isin(["adversarial", "clean"])]
                areas.append(roc_auc_score(rows["kind"] == "adversarial", rows["score"]))
                if fit_on == test_on:
                    false, true, _ = roc_curve(rows["kind"] == "adversarial", rows["score"])
                    lines.append(np.interp(GRID, false, true))
            values[fit_on, test_on] = float(np.mean(areas))
            if fit_on == test_on:
                curves[fit_on] = np.mean(lines, axis=0)
    return values, curves


@pytest.mark.benchmark(group="leaderboard")
def test_checking_scores_against_pandas_and_scikit_learn(benchmark: Any, tmp_path: Path) -> None:
    table = scores({"fgsm": 2.0, "cw": 1.0}, splits=5, images=1000)
    one = read_entry(Entry, write_entry(tmp_path, entry("made", table), table))
    began = time.perf_counter()
    reference, curves = plain(tmp_path, one)
    seconds_plain = time.perf_counter() - began

    timed: list[float] = []

    def ours() -> None:
        began = time.perf_counter()
        examine(tmp_path, one)
        timed.append(time.perf_counter() - began)

    benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    benchmark.extra_info["pandas_and_scikit_learn_seconds"] = seconds_plain
    for cell in one.cells:
        assert cell.auroc == pytest.approx(reference[cell.pair], abs=1e-5)
    for attack, curve in examine(tmp_path, one).curves.items():
        np.testing.assert_allclose(curve, curves[attack], atol=1e-12)
    benchmark.extra_info["plain_over_ours"] = seconds_plain / min(timed)


@pytest.mark.benchmark(group="leaderboard")
def test_a_page_of_a_thousand_rows_against_pandas_own_html_of_its_numbers(benchmark: Any, tmp_path: Path) -> None:
    """pandas' Styler writes the cells of these entries with one class each; ours has intervals, marks and links."""
    results = read_results(many(tmp_path, 1000))
    (board,) = results.boards
    pages = Pages(results, reruns(results.boards))
    pages.index()

    rows = [
        [row.label, *(getattr(cell, k) for cell in row.cells.values() for k in ("auroc", "low", "high")), *row.needs]
        for row in board.rows
    ]
    began = time.perf_counter()
    pd.DataFrame(rows).style.format(precision=1, escape="html").to_html()
    seconds_pandas = time.perf_counter() - began

    timed: list[float] = []

    def ours() -> None:
        began = time.perf_counter()
        pages.index()
        timed.append(time.perf_counter() - began)

    benchmark.pedantic(ours, rounds=3)
    benchmark.extra_info["pandas_styler_seconds"] = seconds_pandas
    benchmark.extra_info["pandas_over_ours"] = seconds_pandas / min(timed)
