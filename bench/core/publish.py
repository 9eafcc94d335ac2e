"""Files that the first writer of a name makes and no later one replaces."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .files import linked_once, partial_file
from .lease import Lease


def publish(path: Path, parts: Sequence[bytes]) -> bool:
    """Write a file whole and for good; False, with nothing changed, where the name is taken. OSError as of writing.

    Two that made the same thing on different machines may differ in its last bits. Whoever comes later has to read
    what is there: results may rest on it already.
    """
    handle, partial = partial_file(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        return named_once(partial, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def named_once(partial: Path, path: Path) -> bool:
    """Give a complete file its name, unless that is taken."""
    linked = linked_once(partial, path)
    return _renamed_once(partial, path) if linked is None else linked


def _renamed_once(partial: Path, path: Path) -> bool:
    """The same without links: whoever holds a lease looks whether the name is free, and renames.

    On Windows a rename fails where the name exists. Elsewhere this is safe unless the process is stopped between look
    and rename for longer than a lease lasts: without links, file systems offer nothing better that all of them have.
    """
    lease = Lease(path.with_name(f".partial-claim_{path.stem}"))
    try:
        while not lease.take():
            if os.path.lexists(path):
                return False
            time.sleep(0.02)
        if os.path.lexists(path):
            return False
        os.rename(partial, path)
        return True
    except FileExistsError:
        return False
    finally:
        lease.release()


def discard(path: Path, whole: Callable[[Path], bool]) -> None:
    """Remove a damaged file, but not one that another run has published in its place meanwhile. OSError if refused."""
    aside = path.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if whole(aside):
        named_once(aside, path)
    aside.unlink(missing_ok=True)
