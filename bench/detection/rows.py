"""Rows of tables: a cell as text, the head of a row, the order of rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..harness.tables import percent
from .cell import Cell
from .entry import Entry

#: What the mark of `bracket` says.
REMARK = {"*": "*: see the remarks below."}

#: The same on a page without the remarks.
ELSEWHERE = {"*": "*: fitted on too few adversarial images, see the suite's own report."}


def bracket(cell: Cell | None) -> str:
    """AUROC in percent with its interval; ``*`` marks a remark."""
    if cell is None or cell.auroc is None:
        return "–"
    mark = "*" if cell.remark else ""
    return f"{percent(cell.auroc)}{mark} [{percent(cell.low)}, {percent(cell.high)}]"


def head_of(entry: Entry) -> dict[str, Any]:
    return {
        "dataset": entry.dataset.name,
        "net": entry.model.name,
        "protocol": entry.protocol_name,
        "detector": entry.label + (" (control)" if entry.detector.control else ""),
    }


def as_in_files(entry: Entry) -> tuple[bool, str]:
    """Sorts a protocol's entries as `sorted_frame` has them when they are read: proposals before controls, by files."""
    return entry.detector.control, entry.file


def sorted_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """By data set, net and protocol, proposals first, then controls; protocols and all else in the entries' order."""
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["dataset"], row["net"], protocols.index(row["protocol"]), row["detector"].endswith("(control)")

    rows.sort(key=place)
    return pd.DataFrame(rows)


def difference(record: dict[str, Any]) -> str:
    """A paired difference in points, with its interval."""
    return f"{100 * record['difference']:+.1f} [{100 * record['low']:+.1f}, {100 * record['high']:+.1f}]"
