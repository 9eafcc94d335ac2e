"""Robust accuracy under attackers who know the detector, for the rows of a board that have such an entry."""

from __future__ import annotations

from collections.abc import Sequence

from ..adaptive.entry import Cell, Entry, budget


def largest(entry: Entry | None) -> Cell | None:
    """The cell of the largest budget, by which detectors are ranked."""
    return None if entry is None else entry.cells[-1]


def standing(entry: Entry | None) -> float:
    """The robust share that ranks: of the largest budget, and 0 unless the strength of the attack is proven."""
    cell = largest(entry)
    return cell.robust or 0.0 if cell is not None and cell.proven else 0.0


def largest_budget(entries: Sequence[Entry | None]) -> str | None:
    """The largest budget of a board's entries in words; None where no row has one."""
    cells = [cell for entry in entries if (cell := largest(entry)) is not None]
    return budget(max(cell.epsilon for cell in cells)) if cells else None
