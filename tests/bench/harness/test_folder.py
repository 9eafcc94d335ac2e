"""A results folder belongs to everyone: what no run has written there is neither read nor removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.files import walk
from subnetbench.bench.core.lease import Lease
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.detection.entry import BY_SPLIT, read_entries
from subnetbench.bench.harness.folder import LOCK
from subnetbench.bench.tracks import load_results

from ..cli.test_commands import call
from ..conftest import Tiny
from ..made_board import edit, entry, made_results, scores, write_entry
from ..made_suite import changed


def test_files_of_others_are_neither_read_nor_removed(again: Tiny) -> None:
    folder, count = again.folder, len(read_entries(again.folder))
    lid = folder / "entries" / "strict" / "lid.json"
    own = {
        lid.parent / ".ipynb_checkpoints" / "lid-checkpoint.json": lid.read_text(),
        lid.parent / "before" / "lid.json": lid.read_text(),
        lid.parent / ".lid.json": lid.read_text(),
        lid.parent / "notes.md": "mine",
        folder / "entries" / "list.json": "[]",
        folder / "scores" / "strict" / "plots" / "one.png": "mine",
        folder / "scores" / "strict" / "notes.parquet": "mine",
        folder / "comparisons" / ".ipynb_checkpoints" / "strict.json": "{",
        folder / "comparisons" / ".strict.json": "{",
        folder / ".git" / "tiny" / "entries" / "strict" / "lid.json": lid.read_text(),
    }
    for path, text in own.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    report = Silent()
    again.run(report=report)
    assert not report.warnings
    assert {path: path.read_text() for path in own} == own
    assert len(read_entries(folder)) == count
    assert call("tables", folder, "--check").code == 0
    assert f"{count} entries, 0 with a mismatch." in call("verify", folder).out
    assert f"{count} entries on" in call("leaderboard", folder, "--out", again.output / "site").out


def test_a_table_that_the_suite_no_longer_gives_is_removed(again: Tiny) -> None:
    stale, mine = again.folder / "tables" / "sensitivity.md", again.folder / "tables" / "notes.md"
    for path in (stale, mine):
        path.write_text("of an earlier state")
    again.run()
    assert not stale.exists()
    assert mine.exists()


def test_what_an_option_added_stays_and_is_said(again: Tiny) -> None:
    mine = changed(again.file.read_text(), ("[[protocols]]", '[[detectors]]\nname = "energy"\n\n[[protocols]]'))
    plain = again.file.read_text()
    again.file.write_text(mine)
    again.run()
    again.file.write_text(plain)
    report = Silent()
    again.run(report=report)
    (said,) = report.warnings
    assert "entries/lee2018/energy.json, entries/strict/energy.json stay in" in said
    assert {entry.label for entry in read_entries(again.folder)} == {"energy", "lid", "mahalanobis", "max-softmax"}
    assert "0 with a mismatch." in call("verify", again.folder).out
    # The same detector on fewer images belongs into no table beside the others.
    again.file.write_text(changed(plain, ("limit = 200", "limit = 100")))
    report = Silent()
    again.run(report=report)
    assert any("entries/strict/energy.json were removed from" in said for said in report.warnings)
    assert not list(again.folder.rglob("energy.*"))


def test_an_entry_of_another_version_is_removed_by_name(again: Tiny) -> None:
    old = again.folder / "entries" / "strict" / "old.json"
    shutil.copy(again.folder / "entries" / "strict" / "lid.json", old)
    edit(old, lambda content: content.update(schema=0))
    report = Silent()
    again.run(report=report)
    assert not old.exists()
    assert "entries/strict/old.json was removed" in report.warnings[0]


def test_a_second_run_into_the_same_folder_is_refused(again: Tiny) -> None:
    lease = Lease(again.folder / LOCK)
    assert lease.take()
    with pytest.raises(UserError, match=rf"Another run \(process {os.getpid()} on .*\) writes into .*--output\.$"):
        again.run()
    lease.release()
    again.run()
    assert not (again.folder / LOCK).exists()


def test_a_folder_that_may_not_be_listed_is_said(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(UserError, match=r"tiny cannot be listed \(Permission denied\)"):
        list(walk(tiny.folder))


def test_line_ends_of_another_system_are_no_edit(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny.folder, tmp_path / "tiny")
    for path in (folder / "entries").rglob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for now, base in ((folder, tiny.folder), (tiny.folder, folder)):
        said = call("verify", now, "--base", base)
        assert said.code == 0, said.out
        assert "6 as they were, 0 with a mismatch" in said.out


def test_an_entry_without_scores_is_a_row_of_dashes_and_verifies(tmp_path: Path) -> None:
    made_results(tmp_path, {"good": (2.0, 1.0)})
    table = scores({"fgsm": 2.0, "cw": 1.0})
    content = entry("broken", table)
    nothing = dict.fromkeys(("auroc", "aupr", "fpr95", "accuracy", "low", "high", "split_sd", "noise_auroc"))
    for cell in content["cells"]:
        for name in ("lee_auroc", "gate_sd", "noise_low", "noise_high"):
            cell.pop(name, None)
        cell.update({name: [] for name in ("n", "n_fit", "candidates", *BY_SPLIT)})
        cell.update(remark="raised ValueError: x", **nothing)
    write_entry(tmp_path / "made", content, table.iloc[:0])
    said = call("leaderboard", tmp_path, "--out", tmp_path / "site")
    assert (said.code, said.err) == (0, "")
    assert "raised ValueError: x" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert call("verify", tmp_path / "made" / "entries" / "strict" / "broken.json").code == 0
    assert len(load_results(tmp_path)) == 8


def test_an_entry_whose_fits_gave_no_scores_verifies(tiny: Tiny, tmp_path: Path) -> None:
    few = tiny.variant(tmp_path, ("batch_size = 20\nfit_share = 0.2", "batch_size = 60\nfit_share = 0.02"))
    few.run()
    lee = [entry for entry in read_entries(few.folder) if entry.protocol_name == "lee2018"]
    assert all(cell.auroc is None and cell.n_fit for entry in lee for cell in entry.cells)
    said = call("verify", few.folder / "entries" / "lee2018")
    assert said.code == 0, said.out
