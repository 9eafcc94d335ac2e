"""Cells of several figures as columns of one figure each, and empty cells for nothing, as a program reads a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .grid import NONE
from .text import unmarked

#: What stands in cells without a figure.
NOTHING = (NONE, "n = 0", "")

#: What stands behind the name of a column of further figures.
LOW, HIGH, VERDICT, MOST, REASON = "low", "high", "verdict", "most", "reason"

_NUMBER = r"[-+]?\d[\d.,]*"

#: A figure with its interval and, behind it, perhaps a verdict.
_INTERVAL = re.compile(rf"({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\](?: ([a-z ]+))?")
_RANGE = re.compile(rf"({_NUMBER}){NONE}({_NUMBER})")

#: Several figures, such as 1.2 / – (3.4).
_SEVERAL = re.compile(rf"({_NUMBER}|{NONE}) / ({_NUMBER}|{NONE})(?: \(({_NUMBER}|{NONE})\))?")
_ONE = re.compile(_NUMBER)

#: Nothing, and why.
_REASON = re.compile(rf"{NONE} \((.+)\)")


def separated(
    columns: Mapping[str, Sequence[Any]], further: Sequence[str] = (), nothing: Collection[str] = ()
) -> dict[str, Sequence[Any]]:
    """The columns of a table with one figure a cell, and empty cells where there is none.

    A column keeps its name for the first figure of its cells. The ends of their intervals become columns with ``low``
    and ``high`` behind this name, a verdict behind them one with ``verdict``; of a range such as 12–15 the lower end
    stays, and the upper becomes one with ``most``. ``further`` names the second and third figure of cells such as
    ``1.2 / 3.4 (5.6)``. ``nothing``: texts that become empty cells besides `NOTHING`. Where a cell says why
    it holds no figure, the words become one with ``reason``. A column that holds anything else, such as names, is not
    taken apart.
    """
    result: dict[str, Sequence[Any]] = {}
    for name, cells in columns.items():
        parts = [_parts(cell, further, (*NOTHING, *nothing)) for cell in cells]
        if any(part is None for part in parts) or not _figures_of(parts):
            result[name] = [_bare(cell) for cell in cells]
            continue
        for part in ("", LOW, HIGH, VERDICT, MOST, *further, REASON):
            if not part or any(part in figures for figures in parts if figures):
                result[f"{name} {part}" if part else name] = [figures.get(part, "") for figures in parts if figures]
    return result


def _figures_of(parts: Sequence[dict[str, Any] | None]) -> bool:
    """Whether a column holds any figure: one of reasons alone is one of words."""
    return not any(part and REASON in part for part in parts) or any(part and part[""] != "" for part in parts)


def _parts(cell: Any, further: Sequence[str], nothing: Collection[str]) -> dict[str, Any] | None:
    """The figures of a cell by what stands behind the name of their column; None: it holds something else."""
    if not isinstance(cell, str):
        return {"": cell}
    text = unmarked(cell)
    if text in nothing:
        return {"": ""}
    if reason := _REASON.fullmatch(text):
        return {"": "", REASON: reason[1]}
    if _ONE.fullmatch(text):
        return {"": text}
    if whole := _RANGE.fullmatch(text):
        return {"": whole[1], MOST: whole[2]}
    if several := _SEVERAL.fullmatch(text) if further else None:
        figures = ["" if figure in nothing else figure for figure in several.groups() if figure is not None]
        return dict(zip(("", *further), figures, strict=False))
    if interval := _INTERVAL.fullmatch(text):
        figures = [figure for figure in interval.groups() if figure is not None]
        return dict(zip(("", LOW, HIGH, VERDICT), figures, strict=False))
    return None


def _bare(cell: Any) -> Any:
    """A cell that is not taken apart, without marks and without the sign of nothing."""
    if not isinstance(cell, str):
        return cell
    text = unmarked(cell)
    reason = _REASON.fullmatch(text)
    return reason[1] if reason else "" if text == NONE else text
