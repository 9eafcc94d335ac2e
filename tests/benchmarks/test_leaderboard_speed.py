"""What checking an entry's scores and writing a board of a thousand rows cost, against the plain ways to do it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.pages import Pages
from subnetbench.bench.board.reproduce import reruns
from subnetbench.bench.core.arrays import EVERY
from subnetbench.bench.detection.cells import with_shared
from subnetbench.bench.detection.entry import read_scores, write_entry
from subnetbench.bench.detection.scores import examine
from subnetbench.bench.figures import roc as curves

from ..bench.made_board import ATTACKS, entry, many, scores


def plain(folder: Path, one: dict[str, Any]) -> dict[tuple[str, str], float]:
    """AUROC of every cell by pandas and scikit-learn, and the ROC curve of each seen one."""
    table = read_scores(folder, one)
    found = {}
    for fit_on in ATTACKS:
        for test_on in ATTACKS:
            values = []
            for split in sorted(table["split"].unique()):
                own = table[(table["fit_on"] == fit_on) & (table["split"] == split)]
                rows = with_shared(own[own["test_on"] == test_on], own[own["test_on"] == EVERY])
                assert rows is not None
                rows = rows[rows["kind"].isin(["adversarial", "clean"])]
                values.append(roc_auc_score(rows["kind"] == "adversarial", rows["score"]))
            found[fit_on, test_on] = float(np.mean(values))
        curves.mean_roc(curves.seen_sides(table, fit_on))
    return found


@pytest.mark.benchmark(group="leaderboard")
def test_checking_scores_against_pandas_and_scikit_learn(benchmark: Any, tmp_path: Path) -> None:
    table = scores({"fgsm": 2.0, "cw": 1.0}, splits=5, images=1000)
    one = entry("made", table)
    write_entry(tmp_path, one, table)
    began = time.perf_counter()
    reference = plain(tmp_path, one)
    seconds_plain = time.perf_counter() - began

    timed: list[float] = []

    def ours() -> None:
        began = time.perf_counter()
        examine(tmp_path, one)
        timed.append(time.perf_counter() - began)

    benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    benchmark.extra_info["pandas_and_scikit_learn_seconds"] = seconds_plain
    for cell in one["cells"]:
        assert cell["auroc"] == pytest.approx(reference[cell["fit_on"], cell["test_on"]], abs=1e-12)
    benchmark.extra_info["plain_over_ours"] = seconds_plain / min(timed)


@pytest.mark.benchmark(group="leaderboard")
def test_a_page_of_a_thousand_rows_against_pandas_own_html_of_its_numbers(benchmark: Any, tmp_path: Path) -> None:
    """pandas' Styler writes the cells of these entries with one class each; ours has intervals, marks and links."""
    results = read_results(many(tmp_path, 1000))
    (board,) = results.boards
    pages = Pages(results, reruns(results.boards))
    pages.index()

    rows = [
        [row.label, *(cell[k] for cell in row.cells.values() for k in ("auroc", "low", "high")), *row.needs]
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
