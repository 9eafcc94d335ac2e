"""The lock of an artifact: the run that holds it makes the artifact, others wait for it and are told for whom."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .refusal import NO_LOCKS

#: Seconds after which a run that waits says so.
PATIENCE = 2.0

#: Shows, while its body runs, that the run waits for something.
Waiting = Callable[[str], AbstractContextManager[Any]]


class LockRefused(Exception):  # noqa: N818 (its OSError is the error)
    """The file system does not let the lock be taken."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(path, error)
        self.path, self.error = path, error


@contextlib.contextmanager
def locked(path: Path, what: str, waiting: Waiting) -> Iterator[None]:
    """Hold the lock in this file. Raises LockRefused where that is impossible; ``what`` is the artifact, in words."""
    try:
        _try_flock(path)
        lock = FileLock(path, mode=path.stat().st_mode & 0o777)  # older versions set a mode of their own
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            with waiting(f"wait for {what}, which {_holder(path)} is making"):
                lock.acquire()
    except OSError as error:
        raise LockRefused(path, error) from None
    note = _note(path)
    try:
        with contextlib.suppress(OSError):
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _try_flock(path: Path) -> None:
    """Create the lock's file by the umask, and raise OSError where its file system has no locks.

    Versions of filelock differ on that: some wait for ever, some raise NotImplementedError, some use a lock that
    remains when a run is killed.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        import fcntl
    except ImportError:  # Windows
        os.close(handle)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise
    finally:
        os.close(handle)


def _note(path: Path) -> Path:
    """The file that says who holds the lock: the lock's own is emptied by everyone who tries it."""
    return path.with_suffix(".holder")


def _holder(path: Path) -> str:
    try:
        return _note(path).read_text(encoding="utf-8")[:200] or "another run"
    except (OSError, ValueError):
        return "another run"
