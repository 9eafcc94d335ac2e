"""Some of a suite's tasks in this process, one after the other: one by its key, or those of a shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core.errors import UserError
from ..core.text import counted
from ..harness.context import Context
from ..harness.suite import AnySuite
from ..tracks import tracks_of
from .plan import Planned, Shard, by_key, plan
from .threads import fixed_threads, inner_threads
from .worker import attempted


@dataclass
class Done:
    """The tasks that were asked for, and why those that failed did."""

    planned: Sequence[Planned]
    total: int
    failures: dict[str, str] = field(default_factory=dict)


def planned_of(suite: AnySuite, context: Context, *, only: str | None = None, shard: Shard | None = None) -> Done:
    """The tasks asked for, by key or shard, all without either; the suite is checked as a run checks it."""
    runs = [track.run(suite, context) for track in tracks_of(suite)]
    for running in runs:
        running.check()
    tasks = plan(suite, runs)
    if not tasks and (only or shard):
        raise UserError(f"{suite.name} is of a track whose work is not divided; run it without this option.")
    if only is not None:
        return Done([by_key(tasks, only, suite.name)], len(tasks))
    return Done([planned for planned in tasks if shard is None or shard.has(planned)], len(tasks))


def do(done: Done, context: Context) -> Done:
    """Do the tasks into the store, with the threads of this process fixed."""
    report, threads = context.report, inner_threads()
    report.note(f"{len(done.planned):,} of {counted(done.total, 'task')}, {counted(threads, 'thread')}")
    report.overall(lambda: [1.0] * len(done.planned))
    with fixed_threads(threads):
        for planned in done.planned:
            report.step(f"{planned.key} {planned.title}")
            reason = attempted(planned.running, planned.task, debug=context.debug)
            if reason:
                done.failures[planned.title] = context.failed[planned.title] = reason
                report.warn(f"{planned.title}: {reason}")
    return done
