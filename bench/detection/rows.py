"""Rows of tables: a cell as text, the head of a row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..harness.tables import percent
from .entry import Entry


def bracket(cell: dict[str, Any]) -> str:
    if cell["auroc"] is None:
        return "–"
    mark = "*" if cell["remark"] else ""
    return f"{percent(cell['auroc'])}{mark} [{percent(cell['low'])}, {percent(cell['high'])}]"


def _attack_names(entry: Entry) -> list[str]:
    return list(entry["attacks"])


def cell_of(entry: Entry, fit_on: str, test_on: str) -> dict[str, Any]:
    found = [c for c in entry["cells"] if c["fit_on"] == fit_on and c["test_on"] == test_on]
    return found[0] if found else {"auroc": None, "remark": "not run"}


def _head(entry: Entry) -> dict[str, Any]:
    return {
        "dataset": entry["dataset"]["name"],
        "net": entry["model"]["name"],
        "protocol": entry["protocol"]["name"],
        "detector": entry["detector"]["label"] + (" (control)" if entry["detector"]["control"] else ""),
    }


def _sorted(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Proposals first, controls after them, else the entries' own order."""
    rows.sort(key=lambda row: (row["dataset"], row["net"], row["protocol"], row["detector"].endswith("(control)")))
    return pd.DataFrame(rows)
