"""Two states of one suite compared: which figures stayed inside the earlier interval, and which verdicts changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from .cell import Cell
from .cells import column_title
from .entry import Entry, read_lean
from .rows import bracket
from .stated import read_comparisons
from .suite import Pair

#: A figure: protocol, detector's label, cell.
Place = tuple[str, str, Pair]


@dataclass(frozen=True)
class Moved:
    """A cell that both states have run: ``difference`` is the later AUROC minus the earlier one."""

    place: Place
    earlier: Cell
    later: Cell

    @property
    def difference(self) -> float:
        assert self.earlier.auroc is not None
        assert self.later.auroc is not None
        return self.later.auroc - self.earlier.auroc

    @property
    def inside(self) -> bool:
        """Whether the later figure lies inside the earlier interval."""
        low, high, now = self.earlier.low, self.earlier.high, self.later.auroc
        assert low is not None
        assert high is not None
        assert now is not None
        return low <= now <= high


@dataclass(frozen=True)
class States:
    """The figures of two results folders of one suite, and their verdicts by protocol, pair of detectors and cell."""

    suite: str
    moved: Sequence[Moved]
    only: tuple[int, int]  # cells that could be run in the earlier state alone, and in the later one alone
    verdicts: Sequence[tuple[tuple[str, str, str, Pair], dict[str, Any], dict[str, Any]]]

    def counts(self) -> list[dict[str, str]]:
        """A row for each protocol, and one for all."""
        protocols = list(dict.fromkeys(moved.place[0] for moved in self.moved))
        groups = {name: [moved for moved in self.moved if moved.place[0] == name] for name in protocols}
        return [self._count(name, some) for name, some in (groups | {"all": list(self.moved)}).items()]

    def _count(self, name: str, some: Sequence[Moved]) -> dict[str, str]:
        sizes = [abs(100 * moved.difference) for moved in some]
        verdicts = [of for of in self.verdicts if name in ("all", of[0][0])]
        changed = sum(earlier["verdict"] != later["verdict"] for _, earlier, later in verdicts)
        return {
            "protocol": name,
            "figures": str(len(some)),
            "inside the earlier interval": str(sum(moved.inside for moved in some)),
            "outside": str(sum(not moved.inside for moved in some)),
            "mean difference, points": f"{sum(sizes) / len(sizes):.2f}",
            "largest": f"{max(sizes):.2f}",
            "verdicts": str(len(verdicts)),
            "changed": str(changed),
        }

    def changed(self) -> list[dict[str, str]]:
        """A row for each verdict that is another one now."""
        return [
            {
                "protocol": protocol,
                "first": first,
                "second": second,
                "cell": column_title(pair),
                "earlier": f"{100 * earlier['difference']:+.1f} {earlier['verdict']}",
                "later": f"{100 * later['difference']:+.1f} {later['verdict']}",
            }
            for (protocol, first, second, pair), earlier, later in self.verdicts
            if earlier["verdict"] != later["verdict"]
        ]

    def most(self, count: int) -> list[dict[str, str]]:
        """A row for each of the figures that differ most."""
        ranked = sorted(self.moved, key=lambda moved: -abs(moved.difference))
        return [
            {
                "protocol": moved.place[0],
                "detector": moved.place[1],
                "cell": column_title(moved.place[2]),
                "earlier": bracket(moved.earlier),
                "later": bracket(moved.later),
                "difference": f"{100 * moved.difference:+.1f}",
                "inside the earlier interval": "yes" if moved.inside else "no",
            }
            for moved in ranked[:count]
        ]


def compare_states(earlier: Path, later: Path) -> States:
    """Compare two results folders of one suite, detector by detector, cell by cell.

    Raises UserError where a folder holds no entries or several suites, where the two are of different suites, or where
    they have no figure in common.
    """
    both = [_one_suite(folder) for folder in (earlier, later)]
    (suite, old), (other, new) = both
    if suite != other:
        raise UserError(f"{earlier} holds the suite {suite} and {later} holds {other}; give two states of one suite.")
    before, after = _figures(old), _figures(new)
    moved = [Moved(place, before[place], after[place]) for place in before if place in after]
    if not moved:
        raise UserError(
            f"{earlier} and {later} have no figure in common: no detector has the same label, protocol and attacks in "
            "both; give two states of one suite."
        )
    only = (len(before.keys() - after.keys()), len(after.keys() - before.keys()))
    verdicts = [_verdicts(folder, entries) for folder, (_, entries) in zip((earlier, later), both, strict=True)]
    shared = [(place, verdicts[0][place], verdicts[1][place]) for place in verdicts[0] if place in verdicts[1]]
    return States(suite, moved, only, shared)


def _one_suite(folder: Path) -> tuple[str, list[Entry]]:
    entries = read_lean(folder)
    suites = sorted({entry.suite.name for entry in entries})
    if len(suites) > 1:
        raise UserError(f"{folder} holds several suites ({', '.join(suites)}); give the folder of one of them.")
    return suites[0], entries


def _figures(entries: Sequence[Entry]) -> dict[Place, Cell]:
    """The cells that could be run and have an interval."""
    return {
        (entry.protocol_name, entry.label, cell.pair): cell
        for entry in entries
        for cell in entry.cells
        if cell.auroc is not None and cell.low is not None and cell.high is not None
    }


def _verdicts(folder: Path, entries: Sequence[Entry]) -> dict[tuple[str, str, str, Pair], dict[str, Any]]:
    return {
        (family["protocol"], c["first"], c["second"], (c["fit_on"], c["test_on"])): c
        for family in read_comparisons(folder, [entry.protocol_name for entry in entries])
        for c in family["comparisons"]
    }
