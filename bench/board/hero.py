"""The best proposal beside the best control, and whether controls win, computed from the rows of boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..harness.tables import percent
from .adaptive import proven_share
from .boards import Board
from .ranking import by_lowest_column
from .row import Row

Lead = Literal["control", "proposal", "level"]


@dataclass(frozen=True)
class Figure:
    """The best figure of one side, in [0, 1], with its interval; ``rows`` are all that have it, of ``among``."""

    rows: tuple[Row, ...]
    among: int
    value: float
    low: float
    high: float
    proven: bool = True


@dataclass(frozen=True)
class Duel:
    """The best proposal against the best control in one respect."""

    title: str
    proposal: Figure
    control: Figure

    @property
    def lead(self) -> Lead:
        """The side that is ahead; level where both figures are printed alike."""
        if percent(self.proposal.value) == percent(self.control.value):
            return "level"
        return "control" if self.control.value > self.proposal.value else "proposal"

    @property
    def apart(self) -> bool:
        """Whether the intervals of both sides have nothing in common."""
        return self.control.low > self.proposal.high or self.proposal.low > self.control.high


@dataclass(frozen=True)
class Tally:
    """Duels by the side that is ahead, and how many of them have intervals that lie apart."""

    control: int
    control_apart: int
    proposal: int
    proposal_apart: int
    level: int

    @property
    def boards(self) -> int:
        return self.control + self.proposal + self.level

    @property
    def word(self) -> str:
        """The answer to "do controls win?", of boards on which the intervals lie apart; the rest decide nothing."""
        return _answer(self.control_apart, self.proposal_apart, self.boards)


@dataclass(frozen=True)
class Flagship:
    """The board that a site opens on, its duels, and the tally of all boards."""

    board: Board
    duels: list[Duel]
    tally: Tally | None

    @property
    def runners_up(self) -> list[Row]:
        """The best row of the side that does not lead, if it is ranked."""
        rows = self.board.rows
        return [row for row in rows if row.rank is not None and row.control != rows[0].control][:1]

    @property
    def answer(self) -> str:
        """The answer to "do controls win?" on this board."""
        apart = [duel.lead for duel in self.duels if duel.apart]
        return f"Here: {_answer(apart.count('control'), apart.count('proposal'), len(self.duels)).lower()}."


def _answer(control: int, proposal: int, of: int) -> str:
    """In words, by how often either side is ahead with intervals apart."""
    if not control and not proposal:
        return "They cannot be told apart"
    if control and proposal:
        return "Now one side, now the other"
    word = "yes" if control else "no"
    return word.capitalize() if control + proposal == of else f"Where they can be told apart, {word}"


def flagship(boards: Sequence[Board]) -> Flagship | None:
    """The first board, if it has both a proposal and a control to compare."""
    own = duels(boards[0]) if boards else []
    return Flagship(boards[0], own, tally(boards)) if own else None


def duels(board: Board) -> list[Duel]:
    """The duels of a board, attackers who know the detector first, at their largest and their smallest budget."""
    budgets = list(board.budgets)
    chosen = dict.fromkeys([*budgets[-1:], *budgets[:1]])
    found = [_adaptive(board, epsilon) for epsilon in chosen]
    return [duel for duel in (*found, static_duel(board)) if duel is not None]


def static_duel(board: Board) -> Duel | None:
    """By the worst case, over rows that are ranked by the same kind of figure; None without a row on either side."""
    figures = []
    for row in board.rows:
        if row.key is not None and by_lowest_column(row.key) == board.by_column:
            cell = row.cells[row.key.pair]
            figures.append((row, row.key.value, cell.low or 0.0, cell.high or 0.0, True))
    kind = "the lowest column" if board.by_column else "the worst of all attacks on each image"
    return _duel(f"Attackers who do not know it: AUROC, {kind}", figures)


def tally(boards: Sequence[Board]) -> Tally | None:
    """The static duels of all boards; None where there is none."""
    all_duels = [duel for board in boards if (duel := static_duel(board)) is not None]
    if not all_duels:
        return None
    control = [duel for duel in all_duels if duel.lead == "control"]
    proposal = [duel for duel in all_duels if duel.lead == "proposal"]
    return Tally(
        len(control),
        sum(duel.apart for duel in control),
        len(proposal),
        sum(duel.apart for duel in proposal),
        len(all_duels) - len(control) - len(proposal),
    )


def _adaptive(board: Board, epsilon: float) -> Duel | None:
    figures = []
    for row in board.rows:
        cell = row.robust_at(epsilon)
        if cell is not None and cell.robust is not None:
            figures.append((row, proven_share(cell), cell.robust_low or 0.0, cell.robust_high or 0.0, cell.proven))
    return _duel(
        f"Attackers who know the detector, {board.budgets[epsilon]}: images on which all of them fail", figures
    )


def _duel(title: str, figures: Sequence[tuple[Row, float, float, float, bool]]) -> Duel | None:
    proposal = _best([figure for figure in figures if not figure[0].control])
    control = _best([figure for figure in figures if figure[0].control])
    return None if proposal is None or control is None else Duel(title, proposal, control)


def _best(figures: Sequence[tuple[Row, float, float, float, bool]]) -> Figure | None:
    if not figures:
        return None
    row, value, low, high, proven = max(figures, key=lambda figure: figure[1])
    rows = (row, *(other for other, theirs, *_ in figures if other is not row and theirs == value))
    return Figure(rows, len(figures), value, low, high, proven)
