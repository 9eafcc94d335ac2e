"""One order of protocols everywhere: that of the suite."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from subnetbench.bench.core.grid import Grid
from subnetbench.bench.detection import latex, tables, terminal
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.harness.tables import render

DIGITS = Path(__file__).resolve().parents[3] / "results" / "digits"


@pytest.fixture(params=[["strict", "lee2018"], ["lee2018", "strict"], []], ids=["strict first", "last", "not stated"])
def stated(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    """Results whose suite has the protocols in this order; without a suite, strict is first."""
    for name in ("entries", "comparisons"):
        shutil.copytree(DIGITS / name, tmp_path / name)
    if request.param:
        suite = json.loads((DIGITS / "suite.json").read_text(encoding="utf-8"))
        suite["protocols"].sort(key=lambda protocol: request.param.index(protocol["name"]))
        (tmp_path / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
    return tmp_path, request.param or ["strict", "lee2018"]


def test_rows_of_the_terminal_are_in_the_order_of_the_files(stated: tuple[Path, list[str]]) -> None:
    """A run shows entries as its suite has the detectors, reading them as their files are sorted."""
    folder, order = stated
    entries = read_entries(folder)
    frame = next(section for section in tables.report(folder).sections if section.name == "table2").make()
    for made in (entries, entries[::-1], sorted(entries, key=lambda entry: entry.label[::-1])):
        shown = {t.title.split()[-1]: t for t in terminal.shown(made, folder) if isinstance(t, Grid)}
        for protocol in order:
            rows = frame[frame["protocol"] == protocol]["detector"]
            assert [row.whole_name for row in shown[protocol].rows] == list(rows)


def test_terminal_tables_and_latex_have_the_protocols_in_the_order_of_their_suite(
    stated: tuple[Path, list[str]],
) -> None:
    folder, order = stated
    entries = read_entries(folder)
    report = tables.report(folder)
    frames = {section.name: section.make() for section in report.sections} | dict(report.frames)
    by_protocol = {name: frame for name, frame in frames.items() if "protocol" in frame}
    assert {"table2", "comparisons", "transfer", "cells", "cost"} <= by_protocol.keys()
    for name, frame in by_protocol.items():
        shown = list(dict.fromkeys(frame["protocol"]))
        assert shown == [protocol for protocol in order if protocol in shown], name
    titles = [table.title for table in terminal.shown(entries, folder) if isinstance(table, Grid)]
    assert [title.rpartition(" ")[2] for title in titles] == order
    assert [table.label for table in latex.table2(entries)] == [f"table2-{protocol}" for protocol in order]
    remarks = render(report)["report.md"].partition("## Remarks on marked cells")[2]
    assert remarks.count("\n- lee2018: ") >= 1
