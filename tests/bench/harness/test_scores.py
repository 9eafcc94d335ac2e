"""Scores from any source: only known columns are read, and what they are is settled before they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from subnetbench.bench.detection.entry import Entry

from ..cli.test_commands import call
from ..made_board import edit, entry, made_results, scores, write_entry


def with_scores(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Results of two detectors, one of which has these scores, named by their right sha256."""
    made_results(folder, {"good": (2.0, 1.0)})
    table = scores({"fgsm": 2.0, "cw": 1.0})
    path = write_entry(folder / "made", entry("strange", table), table)
    parquet = folder / "made" / "scores" / "strict" / "strange.parquet"
    pq.write_table(change(pa.table(Entry.unpacked(pq.read_table(parquet).to_pandas()))), parquet, compression="zstd")
    edit(path, lambda e: e["scores"].update(sha256=hashlib.sha256(parquet.read_bytes()).hexdigest()))
    return path


def twice(table: pa.Table) -> pa.Table:
    return table.append_column("split", table["split"])


def column(name: str, make: Callable[[int], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(make(len(table))))


STRANGE = {
    "a column twice": (twice, "have the column 'split' twice"),
    "a list of names": (column("fit_on", lambda n: [["fgsm"]] * n), "the column 'fit_on' is of type list"),
    "numbers as text": (column("score", lambda n: ["1.0"] * n), "the column 'score' is of type string"),
    "a split of halves": (column("split", lambda n: [0.5] * n), "the column 'split' is of type double"),
    "a column too few": (lambda table: table.drop_columns(["image"]), "lack the column 'image'"),
    "a name too few": (column("kind", lambda n: [None] + ["clean"] * (n - 1)), "kind has missing values"),
    "splits without number": (column("split", lambda n: list(range(n))), None),
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_scores_are_named_and_left_out_by_every_command(tmp_path: Path, what: str) -> None:
    change, words = STRANGE[what]
    path = with_scores(tmp_path, change)
    built = call("leaderboard", tmp_path, "--out", tmp_path / "site")
    assert built.code == 0
    assert "strange.json is left out" in built.err
    assert words is None or words in built.err
    assert "index.html: 1 entry on 1 board" in built.out
    checked = call("verify", path)
    assert checked.code == 1
    assert "mismatch" in checked.out
    assert call("tables", tmp_path).code == 0
    if words is not None:
        assert words in call("compare", "good", "strange", "--all", "--results", tmp_path / "made").mistake
        assert words in call("plot", tmp_path, "--only", "roc").mistake


def test_columns_that_nobody_knows_are_not_read(tmp_path: Path) -> None:
    def padded(table: pa.Table) -> pa.Table:
        for number in range(50):
            table = table.append_column(f"more{number}", pa.array(np.zeros(len(table))))
        return table

    path = with_scores(tmp_path, padded)
    assert "mismatch    images" not in call("verify", path).out
    assert call("leaderboard", tmp_path, "--out", tmp_path / "site").err == ""


def test_scores_that_are_a_pipe_are_refused(tmp_path: Path) -> None:
    path = with_scores(tmp_path, lambda table: table)
    parquet = tmp_path / "made" / "scores" / "strict" / "strange.parquet"
    parquet.unlink()
    os.mkfifo(parquet)
    assert "are no regular file" in call("leaderboard", tmp_path, "--out", tmp_path / "site").err
    assert "are no regular file" in call("verify", path).out


def test_many_rows_of_few_bytes_are_refused_unread(tmp_path: Path) -> None:
    def many(table: pa.Table) -> pa.Table:
        rows = 4_900_000
        fill = {"fit_on": "fgsm", "test_on": "fgsm", "kind": "clean"}
        return pa.table(
            {
                name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), [fill[name]])
                if name in fill
                else np.zeros(rows, np.int8 if name != "score" else np.float32)
                for name in table.column_names
            }
        )

    path = with_scores(tmp_path, many)
    assert "are larger, unpacked," in call("verify", path).out
