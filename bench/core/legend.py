"""What stands below tables: their subject, and of their signs and columns those that occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .grid import Grid

#: Keys of a legend besides the signs themselves: a highest figure, and an interval that reaches one way alone.
BEST, ONE_SIDED = "best", "one-sided"

#: What the second says.
ONE_WAY = "− or + alone, where ± would pass 100 or 0: how far the interval reaches the other way."


@dataclass(frozen=True)
class Legend:
    """Sentences by what they explain: `BEST`, `ONE_SIDED`, a sign, a column or its part. ``about`` always stands."""

    about: str
    signs: Mapping[str, str] = field(default_factory=dict)

    def text(self, shown: Iterable[Grid | str]) -> str:
        """The legend of the tables among what is shown, as Rich's markup."""
        found = {name for table in shown if isinstance(table, Grid) for name in _names(table)}
        return " ".join([self.about, *(sentence for name, sentence in self.signs.items() if name in found)])


def _names(table: Grid) -> set[str]:
    figures = [figure for row in table.rows for figure in row.figures]
    names = {name for column in table.columns for name in (column.title, column.part)}
    names |= {row.sign for row in table.rows}
    names |= {sign for figure in figures for sign in (figure.sign, figure.mark, figure.value)}
    names |= {BEST} if any(figure.best for figure in figures) else set()
    one_sided = any(figure.spread.startswith(("−", "+")) for figure in figures)
    return names | ({ONE_SIDED} if one_sided else set())
