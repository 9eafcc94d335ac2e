"""What other tracks have of a board's rows: attackers who know the detector, and benign shift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..adaptive.audit import examine as examine_adaptive
from ..adaptive.entry import Entry as AdaptiveEntry
from ..detection.entry import Entry
from ..harness.entry import LeftOut, entry_files, read_checked
from ..shift.audit import examine as examine_shift
from ..shift.entry import Entry as ShiftEntry
from ..shift.entry import Mean
from .checks import Checks

#: What tells which static entry another track's belongs to: suite, data, net, detector.
Place = tuple[str, str, str, str]


@dataclass(frozen=True)
class Beside:
    """Entries of other tracks by the row that they belong to."""

    adaptive: Mapping[Place, AdaptiveEntry] = field(default_factory=dict)
    shift: Mapping[Place, ShiftEntry] = field(default_factory=dict)


def read_beside(folder: Path, checks: Checks) -> tuple[Beside, list[LeftOut]]:
    """Entries below a results folder whose figures follow from their rows, and the files left out."""
    adaptive: dict[Place, AdaptiveEntry] = {}
    shift: dict[Place, ShiftEntry] = {}
    refused: list[LeftOut] = []
    if entry_files(AdaptiveEntry, folder):
        attacked, others = read_checked(AdaptiveEntry, folder, examine_adaptive, checks.measured)
        adaptive, refused = {place_of(one.entry): one.entry for one in attacked if one.entry.cells}, others
    if entry_files(ShiftEntry, folder):
        changed, others = read_checked(ShiftEntry, folder, examine_shift, checks.measured)
        shift, refused = {place_of(one.entry): one.entry for one in changed if one.entry.cells}, [*refused, *others]
    return Beside(adaptive, shift), refused


def place_of(entry: Entry | AdaptiveEntry | ShiftEntry) -> Place:
    return entry.suite.name, entry.dataset.sha256, entry.model.sha256, entry.label


def severity_of(entries: Sequence[ShiftEntry | None]) -> int | None:
    """The severity that a board shows: the middle one of those there are; None where no row has any."""
    severities = sorted({mean.severity for entry in entries if entry is not None for mean in entry.means})
    return severities[len(severities) // 2] if severities else None


def mean_at(entry: ShiftEntry | None, severity: int | None) -> Mean | None:
    """The mean false alarms of an entry at one severity."""
    means: Iterator[Mean] = (mean for mean in (entry.means if entry is not None else []) if mean.severity == severity)
    return next(means, None)
