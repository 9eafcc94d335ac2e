"""The key that a board ranks detectors by: the first of several figures that an entry has.

It breaks ties of the robust accuracy under attackers who know the detector, which ranks first where it is proven
(`board.adaptive.standing`). A figure that says more goes before the others in `KEYS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..detection.cell import Cell
from ..detection.cells import column_title
from ..detection.fits import ALL_ATTACKS, WORST_CASE
from ..detection.suite import Pair

Cells = Mapping[Pair, Cell]


@dataclass(frozen=True)
class Key:
    """A figure that ranks, higher is better, with the cell that it stands in; ``title`` says what it is."""

    pair: Pair
    value: float
    title: str


def worst_of_each_image(cells: Cells, columns: Sequence[Pair]) -> Key | None:
    """The AUROC of the worst attack of each image, fitted on all attacks; with one attack, on that one."""
    attacks = {test_on for _, test_on in columns}
    for fit_on in (ALL_ATTACKS, *(attacks if len(attacks) == 1 else ())):
        cell = cells.get((fit_on, WORST_CASE))
        if cell is not None and cell.auroc is not None:
            return Key(cell.pair, cell.auroc, column_title(cell.pair))
    return None


def lowest_column(cells: Cells, columns: Sequence[Pair]) -> Key | None:
    """The lowest AUROC over the columns, all of which the cells have.

    Within one fit it is no lower than the worst case of each image; columns are of several fits.
    """
    pair = min(columns, key=lambda pair: cells[pair].auroc or 0.0)
    return Key(pair, cells[pair].auroc or 0.0, column_title(pair))


#: In order of preference.
KEYS: tuple[Callable[[Cells, Sequence[Pair]], Key | None], ...] = (worst_of_each_image, lowest_column)


def key_of(cells: Cells, columns: Sequence[Pair]) -> Key:
    """The preferred key that the cells give; they have a value in every column."""
    return next(key for make in KEYS if (key := make(cells, columns)) is not None)


def by_lowest_column(key: Key | None) -> bool:
    return key is not None and key.pair[1] != WORST_CASE
