"""Robust accuracy under attackers who know the detector, for the rows of a board that have such an entry."""

from __future__ import annotations

from collections.abc import Sequence

from ..adaptive.entry import Cell, Entry


def largest(entry: Entry | None) -> Cell | None:
    """The cell of the largest budget, by which detectors are ranked."""
    return None if entry is None else entry.cells[-1]


def at_budget(entry: Entry | None, epsilon: float) -> Cell | None:
    """The cell of one budget."""
    return next((cell for cell in (entry.cells if entry is not None else []) if cell.epsilon == epsilon), None)


def standing(entry: Entry | None) -> float:
    """The robust share that ranks: of the largest budget, and 0 unless the strength of the attack is proven."""
    return proven_share(largest(entry))


def proven_share(cell: Cell | None) -> float:
    """The robust share of a cell, and 0 unless the strength of the attack is proven."""
    return cell.robust or 0.0 if cell is not None and cell.proven else 0.0


def budgets_of(entries: Sequence[Entry | None]) -> list[float]:
    """All budgets of a board's entries, ascending."""
    return sorted({cell.epsilon for entry in entries if entry is not None for cell in entry.cells})
