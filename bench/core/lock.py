"""The lock of an artifact: the run that holds it makes the artifact, others wait for it and are told for whom."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .lease import Lease

#: Seconds after which a run that waits says so.
PATIENCE = 2.0

#: Seconds between two tries, at first and at most.
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5

#: Shows, while its body runs, that the run waits for something.
Waiting = Callable[[str], AbstractContextManager[Any]]


class LockRefused(Exception):  # noqa: N818 (its OSError is the error)
    """The file system does not let the lock be taken."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


@contextlib.contextmanager
def locked(path: Path, what: str, waiting: Waiting, made: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock in this file, or learn that the artifact was ``made`` meanwhile; ``what`` is it, in words.

    Raises LockRefused where no lock can be taken.
    """
    lease = Lease(path)
    try:
        try:
            _wait(lease, what, waiting, made)
        except OSError as error:
            raise LockRefused(error) from None
        yield
    finally:
        lease.release()


def _wait(lease: Lease, what: str, waiting: Waiting, made: Callable[[], bool]) -> None:
    began, pause, said = time.monotonic(), FIRST_PAUSE, False
    with contextlib.ExitStack() as shown:
        while not lease.take() and not made():
            if not said and time.monotonic() - began > PATIENCE:
                shown.enter_context(waiting(f"wait for {what}, {_by(lease)}"))
                said = True
            time.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)


def _by(lease: Lease) -> str:
    holder = lease.holder()
    return f"which {holder} has been making since {holder.since}" if holder else "which another run is making"
