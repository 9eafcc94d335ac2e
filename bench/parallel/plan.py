"""The tasks of a suite with their keys, and parts of them: one by its key, or those of a shard."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..core.errors import UserError
from ..core.hashing import canonical
from ..core.near import did_you_mean
from ..harness.folder import without_folders
from ..harness.suite import AnySuite
from ..harness.task import Divisible, Task


@dataclass(frozen=True)
class Planned:
    """A task of one track's run; ``key`` is the same on every machine that has the same suite."""

    key: str
    task: Task
    running: Divisible

    @property
    def title(self) -> str:
        return self.task.title


@dataclass(frozen=True)
class Shard:
    """The tasks whose key modulo ``count`` is ``index``."""

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """From ``i/N``."""
        parts = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if parts is None:
            raise UserError(f"--shard {text} is not of the form i/N; give 0/3, 1/3 and 2/3 for three shards.")
        index, count = int(parts[1]), int(parts[2])
        if index >= count:
            raise UserError(f"--shard {text}: i counts from 0 and has to be below N; give 0/{count or 1} first.")
        return cls(index, count)

    def has(self, planned: Planned) -> bool:
        return int(planned.key, 16) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def fingerprint(suite: AnySuite) -> str:
    """A text that differs where the suite does; folders of a machine do not count."""
    stated = canonical(without_folders(suite.model_dump(mode="json")))
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def plan(suite: AnySuite, runs: Sequence[Any]) -> list[Planned]:
    """All tasks of a suite's runs, wave by wave; a run without tasks has none here."""
    whole = fingerprint(suite)
    tasks = [
        Planned(_key(whole, task), task, running)
        for running in runs
        if isinstance(running, Divisible)
        for task in running.tasks()
    ]
    return sorted(tasks, key=lambda planned: planned.task.wave)


def _key(whole: str, task: Task) -> str:
    return hashlib.sha256(canonical([whole, task.stage, task.cell]).encode()).hexdigest()[:12]


def by_key(tasks: Sequence[Planned], key: str, suite: str) -> Planned:
    """The task of this key. UserError where the plan of the suite has none."""
    for planned in tasks:
        if planned.key == key:
            return planned
    raise UserError(
        f"The plan of {suite!r} has no cell {key!r}.{did_you_mean(key, [planned.key for planned in tasks])} "
        "--dry-run lists them; another version of the suite, or another --limit or --seed, has other keys."
    )


def waves(tasks: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Tasks that can be done at the same time, one list after the other."""
    for _, group in groupby(tasks, lambda planned: planned.task.wave):
        yield list(group)
