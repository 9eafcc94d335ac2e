"""What ``-j`` means for a run: workers that fill the store, or this process alone, with its threads fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.text import counted
from ..harness.context import Context
from ..harness.suite import AnySuite
from .config import Config
from .driver import Driver
from .request import Changes, Source
from .threads import fixed_threads

Filling = Callable[[AnySuite, Sequence[Any]], None]


@contextmanager
def filling(
    config: Config | None,
    source: str | Path | AnySuite,
    ready: AnySuite,
    context: Context,
    device: str,
    *,
    changes: Changes | None = None,
    of_session: bool = False,
) -> Iterator[Filling | None]:
    """What fills the store before entries are made, while the threads of this process are fixed as the workers' are.

    None where this process does everything: without a configuration, with one worker, where nothing may be computed,
    and for objects ``of_session``, of which a warning says so. ``source`` with ``changes`` is ``ready``.
    """
    if config is None:
        yield None
        return
    report, store = context.report, context.store
    if store.when == "always":
        raise UserError(
            "Workers compute what the store lacks; to compute all again, give another --store, or leave --when always "
            "to one process without -j."
        )
    alone = config.alone or store.when != "missing" or of_session
    if of_session and not config.alone:
        report.warn(
            "Objects of this session are in no other process, so everything runs in this one; register them, or name "
            "them in a suite's file, to use several."
        )
    elif config.alone:
        report.note(f"1 worker, this process, {counted(config.threads, 'thread')}")
    with fixed_threads(config.threads):
        yield None if alone else Driver(config, Source.of(source, ready, changes or Changes()), context, device).fill
