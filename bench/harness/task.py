"""A piece of a run that a process of its own can do: a stage and a cell, as text. What it makes is in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

#: Tasks of a wave need what those of earlier waves made: the net; attacks and gates; scores, protocol by protocol.
NET, ATTACKED, SCORED = 0, 1, 2

#: What rests on scores: a sweep over gates, attackers who know the detector, benign shift.
LAST = 9


@dataclass(frozen=True)
class Task:
    """``stage`` says what kind of work it is, ``cell`` which piece of it, as in ``scores`` and ``strict/energy/0``."""

    stage: str
    cell: str
    wave: int

    @property
    def title(self) -> str:
        return f"{self.stage} {self.cell}"


@runtime_checkable
class Divisible(Protocol):
    """A track's ``Run`` whose work consists of tasks; one without these methods runs in one process."""

    def tasks(self) -> list[Task]:
        """Every task, wave by wave; nothing is downloaded, trained or attacked for the list."""

    def prices(self) -> dict[str, float]:
        """About how many seconds tasks take, by title, from batches timed here; of others, nobody knows."""

    def stored(self, task: Task) -> bool:
        """Whether the store has what the task makes. Asked when all earlier waves are done."""

    def compute(self, task: Task) -> str:
        """Do the task into the store; why there is no result, in one line, or an empty text."""
