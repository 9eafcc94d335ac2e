"""A table before it has a form: its figures, which are never cut, and its names, which may be wrapped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Stands in a cell that has no figure.
NONE = "–"

#: What is printed of a quantity, such as 1,024, 99.2%, 0.5 MB, < 1 s, -1.66 [-2.79, -0.53].
_FIGURE = re.compile(r"[-+<> ]*\d[\d,.]*%?( [A-Za-z]{1,3})?( \[[-+\d., ]*\])?|–|", re.ASCII)


@dataclass(frozen=True)
class Figure:
    """One cell: a value, the sign of a remark behind it, half the width of its interval, and a mark behind all that."""

    value: str = NONE
    sign: str = ""
    spread: str = ""
    mark: str = ""
    best: bool = False

    def text(self, spread: bool = True) -> str:
        """The cell as printed, with or without its interval."""
        return f"{self.value}{self.sign}{f'±{self.spread}' if spread and self.spread else ''}{self.mark}"


@dataclass(frozen=True)
class Column:
    """A column of figures; tables are folded between ``part`` and ``part`` first, such as seen and unknown attacks."""

    title: str
    part: str = ""
    dim: bool = False
    #: The line above the title; by default the part.
    above: str | None = None

    @property
    def lines(self) -> list[str]:
        """The heading, a line each."""
        above = self.part if self.above is None else self.above
        return [above, self.title] if above else [self.title]

    @property
    def name(self) -> str:
        """The heading on one line."""
        return " ".join(self.lines)


@dataclass(frozen=True)
class Row:
    """A row: its name, a word beside it such as "(control)", and a figure for each column."""

    name: str
    figures: Sequence[Figure]
    aside: str = ""

    @property
    def whole_name(self) -> str:
        return f"{self.name} {self.aside}" if self.aside else self.name


@dataclass(frozen=True)
class Grid:
    """A table of figures; ``corner`` is the heading of its rows' names."""

    title: str
    corner: str
    columns: Sequence[Column]
    rows: Sequence[Row]

    @property
    def has_spreads(self) -> bool:
        return any(figure.spread for row in self.rows for figure in row.figures)

    def records(self) -> list[dict[str, str]]:
        """One record a figure, in the order of reading."""
        return [
            {
                "row": row.name,
                "aside": row.aside.strip("()"),
                "column": column.name,
                "value": "" if figure.value == NONE else figure.value,
                "plus_minus": figure.spread,
                "marks": f"{'best' if figure.best else ''}{figure.sign}{figure.mark}",
            }
            for row in self.rows
            for column, figure in zip(self.columns, row.figures, strict=True)
        ]


@dataclass(frozen=True)
class Listing:
    """A table of texts and figures, a record a row; all records have the columns of the first."""

    title: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def columns(self) -> list[str]:
        return list(self.rows[0]) if self.rows else ["nothing"]

    def texts(self) -> list[list[str]]:
        """The cells of every row, as printed."""
        return [[str(row.get(name, "")) for name in self.columns] for row in self.rows]

    def figures(self) -> list[bool]:
        """Of each column, whether it holds figures alone, so that none of its cells may be broken."""
        columns = zip(*self.texts(), strict=True)
        return [all(_FIGURE.fullmatch(cell) for cell in cells) for cells in columns] or [False]
