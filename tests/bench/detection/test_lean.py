"""Tables hold an entry without the figures of every split, and print the same."""

from __future__ import annotations

from pathlib import Path

from subnetbench.bench.detection import tables
from subnetbench.bench.detection.entry import read_entries, read_lean, tidy
from subnetbench.bench.harness.tables import render

from ..conftest import Tiny


def test_lean_entries_give_the_same_tables(tiny: Tiny, monkeypatch) -> None:
    lean = render(tables.report(tiny.folder))
    monkeypatch.setattr(tables, "read_lean", read_entries)
    assert render(tables.report(tiny.folder)) == lean
    assert tidy(read_lean(tiny.folder)).equals(tidy(read_entries(tiny.folder)))


def test_lean_entries_lack_the_lists_that_no_table_shows(tiny: Tiny) -> None:
    lists = [cell.auroc_by_split for entry in read_entries(tiny.folder) for cell in entry.cells]
    assert all(lists)
    for entry in read_lean(tiny.folder):
        for cell in entry.cells:
            assert bool(cell.auroc_by_split) == (entry.protocol_name == "lee2018")
            assert (cell.fpr95_by_split, cell.candidates, bool(cell.n)) == ([], [], True)


def test_what_is_written_is_whole(tiny: Tiny, tmp_path: Path) -> None:
    for entry in read_entries(tiny.folder):
        entry.write(tmp_path, None)
    assert read_entries(tmp_path) == read_entries(tiny.folder)
