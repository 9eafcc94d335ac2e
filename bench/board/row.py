"""One detector on one board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..adaptive.entry import Cell as AdaptiveCell
from ..adaptive.entry import Entry as AdaptiveEntry
from ..detection.cell import Cell
from ..detection.entry import Entry
from ..detection.suite import Pair
from ..harness.entry import Checked
from ..shift.entry import Entry as ShiftEntry
from ..shift.entry import Mean
from .adaptive import at_budget, largest
from .beside import mean_at
from .ranking import Key


@dataclass(frozen=True)
class Row:
    """One detector on one board."""

    checked: Checked[Entry]
    cells: Mapping[Pair, Cell]
    key: Key | None
    why_unranked: str
    highest_fpr: Pair | None
    adaptive: AdaptiveEntry | None = None
    shift: ShiftEntry | None = None
    rank: int | None = None

    @property
    def robust(self) -> AdaptiveCell | None:
        """Under attackers who know the detector, at the largest budget; None without such an entry."""
        return largest(self.adaptive)

    def robust_at(self, epsilon: float) -> AdaptiveCell | None:
        """Under attackers who know the detector, at one budget; None where it was not attacked so."""
        return at_budget(self.adaptive, epsilon)

    @property
    def without_gradient(self) -> bool:
        """Whether those attackers had to do without the detector's gradient."""
        return self.adaptive is not None and not (self.adaptive.gradient and self.adaptive.gradient.offered)

    def shifted(self, severity: int | None) -> Mean | None:
        """False alarms on images that nobody attacked, at one severity of their corruptions."""
        return mean_at(self.shift, severity)

    @property
    def entry(self) -> Entry:
        return self.checked.entry

    @property
    def worst(self) -> Pair | None:
        """The cell of the ranking key."""
        return None if self.key is None else self.key.pair

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def control(self) -> bool:
        return self.entry.detector.control

    @property
    def milliseconds(self) -> float | None:
        seconds = self.entry.cost.seconds_per_image
        return None if seconds is None else 1000 * seconds

    @cached_property
    def needs(self) -> list[str]:
        return needs_of(self.entry)

    def fpr_range(self, pair: Pair) -> tuple[float, float] | None:
        """The lowest and the highest replicate, if there are several."""
        rates = [rate for rate in self.cells[pair].fpr95_by_split if rate is not None]
        return (min(rates), max(rates)) if len(rates) > 1 else None


def needs_of(entry: Entry) -> list[str]:
    """The needs that an entry states, and ``adversarial`` if fitting on another attack gives another AUROC.

    (A detector with several characteristics only states its own needs; its combiner needs adversarial images.)
    """
    by_test: dict[str, set[float]] = {}
    for cell in entry.cells:
        if cell.auroc is not None:
            by_test.setdefault(cell.test_on, set()).add(cell.auroc)
    learned = any(len(values) > 1 for values in by_test.values())
    return list(dict.fromkeys([*entry.detector.needs, *(["adversarial"] if learned else [])]))
