"""The cells of a suite with their keys and about how long they take, from batches timed on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.text import counted
from ..detection.estimate import roughly
from ..harness.context import Context
from ..harness.suite import AnySuite
from .alone import planned_of
from .plan import Planned, Shard, waves

MEASURED = "Times rest on batches that were timed just now: a busy machine shows more than they take alone."


@dataclass(frozen=True)
class Priced:
    """Planned cells, and the seconds of those whose time is known."""

    suite: str
    planned: Sequence[Planned]
    seconds: dict[str, float]

    @property
    def title(self) -> str:
        return f"{self.suite}: {counted(len(self.planned), 'cell')}"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each cell, in the order in which they are done."""
        return [
            {
                "key": planned.key,
                "stage": planned.task.stage,
                "cell": planned.task.cell,
                "about": roughly(self.seconds[planned.title]) if planned.title in self.seconds else "not known",
            }
            for planned in self.planned
        ]

    def remarks(self, workers: int | None) -> list[str]:
        """The total time, alone and with so many workers, and what it leaves out."""
        total = sum(self.seconds.get(planned.title, 0.0) for planned in self.planned)
        with_workers = ""
        if workers is not None and workers > 1:
            with_workers = f", {roughly(self._spread(workers))} with {workers} workers"
        lines = [f"About {roughly(total)} in one process{with_workers}.", MEASURED]
        unknown = [planned for planned in self.planned if planned.title not in self.seconds]
        if unknown:
            lines.append(f"Not in it: {counted(len(unknown), 'cell')} whose time is not known.")
        if any(planned.task.stage == "adaptive" for planned in self.planned):
            lines.append("Cells of the stage adaptive are given as if no image were beaten before the last step.")
        return lines

    def _spread(self, workers: int) -> float:
        """Seconds with workers that each take the next cell when they are free, wave by wave."""
        whole = 0.0
        for wave in waves(self.planned):
            busy = [0.0] * workers
            for planned in wave:
                first = min(range(workers), key=busy.__getitem__)
                busy[first] += self.seconds.get(planned.title, 0.0)
            whole += max(busy)
        return whole


def priced_of(suite: AnySuite, context: Context, *, only: str | None, shard: Shard | None) -> Priced:
    """The cells asked for, or all; nothing is computed or downloaded for it."""
    done = planned_of(suite, context, only=only, shard=shard)
    seconds: dict[str, float] = {}
    for running in {id(planned.running): planned.running for planned in done.planned}.values():
        seconds |= running.prices()
    return Priced(suite.name, done.planned, seconds)
