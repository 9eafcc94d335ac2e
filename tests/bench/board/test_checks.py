"""What an earlier call found out is used for files of the same bytes only, and gives the same pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench.board import boards as board_module
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.build import write_single
from subnetbench.bench.board.built import recalled_single, state_of

from ..made_board import edit, made_results


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of two detectors, and a cache of the test's own."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "cache"))
    return made_results(tmp_path / "results", {"good": (3.0, 2.0), "poor": (2.0, 0.2)})


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of the entries that are examined from now on."""
    labels: list[str] = []

    def examine(root: Path, entry: Any) -> Any:
        labels.append(entry.label)
        return before(root, entry)

    before = board_module.examine
    monkeypatch.setattr(board_module, "examine", examine)
    return labels


def test_an_entry_is_examined_once_and_again_when_it_changed(results: Path, examined: list[str]) -> None:
    first = read_results(results)
    assert sorted(examined) == ["good", "poor"]
    examined.clear()
    second = read_results(results)
    assert examined == []
    for one, other in zip(first.entries, second.entries, strict=True):
        assert one.entry == other.entry
        for attack, curve in one.measured.curves.items():
            assert np.array_equal(curve, other.measured.curves[attack])
            bars, again = one.measured.histograms[attack], other.measured.histograms[attack]
            assert (bars.low, bars.high) == (again.low, again.high)
            assert np.array_equal(bars.positive, again.positive)
            assert np.array_equal(bars.negative, again.negative)
    edit(next(results.rglob("good.json")), lambda e: e["cells"][0].update(auroc=0.5, low=0.4, high=0.6))
    (left,) = read_results(results).left_out
    assert examined == ["good"]
    assert "states AUROC 0.500000" in left.reason


def test_scores_that_changed_are_refused_though_their_entry_is_remembered(results: Path, examined: list[str]) -> None:
    read_results(results)
    scores = next(results.rglob("good.parquet"))
    scores.write_bytes(scores.read_bytes() + b" ")
    (left,) = read_results(results).left_out
    assert "sha256 differs" in left.reason
    scores.unlink()
    (left,) = read_results(results).left_out
    assert "cannot be read" in left.reason


def test_a_single_page_of_the_same_files_is_written_again_and_of_others_made(results: Path, tmp_path: Path) -> None:
    assert recalled_single(results, tmp_path / "none.html") is None
    edit(next(results.rglob("poor.json")), lambda e: e["cells"][0].update(auroc=1.5))
    built = write_single(results, tmp_path / "made.html")
    again = recalled_single(results, tmp_path / "again.html")
    assert again is not None
    assert (again.boards, again.entries, again.left_out) == (built.boards, built.entries, built.left_out)
    assert (tmp_path / "made.html").read_bytes() == (tmp_path / "again.html").read_bytes()
    (results / "FINDINGS.md").write_text("# Another finding\n")
    assert recalled_single(results, tmp_path / "again.html") is None


def test_a_part_of_a_suites_results_has_pages_that_are_not_remembered(results: Path, tmp_path: Path) -> None:
    """They are made of scores that lie outside it."""
    part = results / "made" / "entries"
    assert write_single(part, tmp_path / "part.html").entries == 2
    assert recalled_single(part, tmp_path / "part.html") is None
    assert state_of(tmp_path / "nowhere") is None


def test_a_page_that_is_remembered_is_written_without_pandas() -> None:
    """Its import takes longer than everything else that is then done."""
    code = "import sys, subnetbench.bench.board.built; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
