"""What the options for many processes mean together: who does which of a suite's cells, and what is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import UserError
from ..core.text import counted
from ..harness.context import Context
from ..harness.suite import AnySuite
from ..parallel.alone import Done, do, planned_of
from ..parallel.config import Config, config_of
from ..parallel.filling import Filling, filling
from ..parallel.plan import Shard
from ..parallel.priced import priced_of
from ..parallel.shards import Shards
from . import console
from .options import When

if TYPE_CHECKING:
    from ..parallel.request import Changes


@dataclass(frozen=True)
class Ways:
    """Workers of one configuration, or some cells alone, or what is there already: at most one of them."""

    config: Config | None
    shard: Shard | None
    only: str | None
    collect: bool
    when: When

    @classmethod
    def of(
        cls,
        n_jobs: int | None,
        file: Path | None,
        shard: str | None,
        only: str | None,
        collect: bool,
        when: When,
        *,
        debug: bool = False,
    ) -> Ways:
        """UserError for options that contradict each other."""
        workers = n_jobs is not None or file is not None
        stated = {"-j": workers, "--shard": shard is not None, "--only": only is not None, "--collect": collect}
        names = [name for name, given in stated.items() if given]
        if len(names) > 1:
            raise UserError(f"{names[0]} and {names[1]} exclude each other; give one of them.")
        if names and when is not When.missing:
            raise UserError(f"{names[0]} goes with --when missing alone, not with {when.value}; leave --when out.")
        if workers and debug:
            raise UserError("--debug shows the traceback of this process and workers are others; leave -j out.")
        config = config_of(n_jobs, file)
        return cls(config, None if shard is None else Shard.read(shard), only, collect, When.never if collect else when)

    @property
    def some(self) -> bool:
        """Whether only cells are computed, and no entries made."""
        return self.shard is not None or self.only is not None

    def filling(
        self, source: str, ready: AnySuite, context: Context, device: str, changes: Changes
    ) -> AbstractContextManager[Filling | None]:
        return filling(self.config, source, ready, context, device, changes=changes)


def some(ways: Ways, suite: AnySuite, context: Context, output: Path) -> None:
    """Compute one cell or those of a shard into the store, and say what became of them."""
    done = planned_of(suite, context, only=ways.only, shard=ways.shard)
    if ways.shard is None:
        do(done, context)
    else:
        notes = Shards(suite, output)
        notes.write(ways.shard, ended=False)
        do(done, context)
        notes.write(ways.shard, ended=True, failed=done.failures)
    _say(done, context)


def _say(done: Done, context: Context) -> None:
    store, count = context.store, len(done.planned)
    console.plain(
        f"{count - len(done.failures)} of {counted(count, 'cell')} {'is' if count == 1 else 'are'} in {store.root}: "
        f"{counted(store.computed, 'artifact')} computed, "
        f"{store.reused} read"
    )
    for title, reason in done.failures.items():
        console.plain(f"  {title}: {reason}", console.err)
    if done.failures:
        raise typer.Exit(1)


@contextmanager
def settled(ways: Ways, suite: AnySuite, context: Context, output: Path) -> Iterator[None]:
    """A run, with what shards have noted: read before it if it collects, and removed once nothing is missing."""
    notes = Shards(suite, output)
    whole = notes.collect(context) if ways.collect else ways.when in (When.missing, When.always)
    yield
    if whole:
        notes.clear()


def trained_apart(
    ways: Ways, source: str, suite: AnySuite, context: Context, device: str, *, seed: int | None, net: str | None
) -> list[str] | None:
    """Have a suite's nets trained by workers; the labels of those that are this process's, None for all."""
    from ..parallel.driver import Driver
    from ..parallel.plan import plan
    from ..parallel.request import Changes, Source
    from ..parallel.training import Training

    training = Training(suite, context, net)
    if ways.shard is not None:
        return [p.task.cell for p in plan(suite, [training]) if ways.shard.has(p)]
    if ways.config is not None and not ways.config.alone:
        asked = Source.of(source, suite, Changes(seed=seed))
        Driver(ways.config, asked, context, device, "train").fill(suite, [training])
    return None


def dry(ways: Ways, suite: AnySuite, context: Context) -> None:
    """Print the grid with its cost, then the cells with their keys and times; nothing is computed or downloaded."""
    from ..tracks import tracks_of

    for track in tracks_of(suite):
        running = track.run(suite, context)
        running.check()
        console.print_table(*running.estimate())
    priced = priced_of(suite, context, only=ways.only, shard=ways.shard)
    if not priced.rows:
        return
    console.print_table(priced.title, priced.rows)
    for line in priced.remarks(1 if ways.config is None else ways.config.n_jobs):
        console.aside(line)
