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


#: What signs say where a program reads them.
_WORDS = {
    "*": "remark",
    "†": "not separable from the highest",
    "‡": "not tested hard enough",
    "§": "attacked without a gradient",
}


@dataclass(frozen=True)
class Figure:
    """One cell: a value, the sign of a remark behind it, its interval in short, and a mark behind all that.

    ``low`` and ``high`` are the ends of the interval, for programs. ``best``: set off from the others, by bold type;
    ``best_means`` says as what.
    """

    value: str = NONE
    sign: str = ""
    spread: str = ""
    mark: str = ""
    best: bool = False
    low: str = ""
    high: str = ""
    best_means: str = "highest"

    @classmethod
    def share(
        cls, value: float, low: float, high: float, *, sign: str = "", mark: str = "", best: bool = False
    ) -> Figure:
        """A share in percent with its interval as `spread` writes it."""
        ends = f"{100 * low:.1f}", f"{100 * high:.1f}"
        return cls(f"{100 * value:.1f}", sign, spread(value, low, high), mark, best, *ends)

    def text(self, spread: bool = True) -> str:
        """The cell as printed, with or without its interval."""
        return f"{self.value}{self.sign}{self.spread if spread else ''}{self.mark}"


def spread(value: float, low: float, high: float) -> str:
    """The interval of a share in short, in percent: ± half its width.

    Near 0 and 100 intervals are lopsided, and this would pass the limit: there it is how far the interval reaches away
    from that, as −0.4 or +0.4 alone.
    """
    point, half = round(100 * value, 1), round(50 * (high - low), 1)
    if point + half > 100:
        return f"−{100 * (value - low):.1f}"
    return f"+{100 * (high - value):.1f}" if point - half < 0 else f"±{half:.1f}"


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
    """A row: its name, a figure for each column, and a word beside the name such as "(control)"."""

    name: str
    figures: Sequence[Figure]
    aside: str = ""
    #: The sign of a remark on the whole row.
    sign: str = ""

    @property
    def whole_name(self) -> str:
        return f"{self.name}{self.sign} {self.aside}" if self.aside else f"{self.name}{self.sign}"


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
                "low": figure.low,
                "high": figure.high,
                "marks": ", ".join(_in_words(row, figure)),
            }
            for row in self.rows
            for column, figure in zip(self.columns, row.figures, strict=True)
        ]


def _in_words(row: Row, figure: Figure) -> list[str]:
    signs = (_WORDS.get(sign, sign) for sign in (figure.sign, figure.mark, row.sign) if sign)
    return [*([figure.best_means] if figure.best else []), *signs]


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
