"""Which tasks have begun and not ended: one file a task in a folder that all workers see, one line a beginning.

A process that is killed says nothing. What it was doing is known from here, whatever started it, and is begun twice at
most.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.store import Store

#: How often a task is begun.
MOST = 2

DIED = "its worker died twice, as a process does that is killed or that takes more memory than there is"


@dataclass(frozen=True)
class Marks:
    """The folder of one run's marks."""

    folder: Path

    @classmethod
    def new(cls, store: Store) -> Marks:
        """A new folder in the store. UserError where that cannot be written."""
        folder = store.root / "running" / secrets.token_hex(8)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise store.refused(error) from None
        return cls(folder)

    def begin(self, key: str) -> bool:
        """Note that a task begins; False where it has begun often enough. UserError where the folder is not seen."""
        if self.count(key) >= MOST:
            return False
        try:
            handle = os.open(self.folder / key, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(handle, f"{socket.gethostname()} {os.getpid()}\n".encode())
            os.close(handle)
        except OSError as error:
            raise UserError(
                f"A worker cannot write into {self.folder} ({error.strerror or error}); the store has to be the same "
                "folder on every machine."
            ) from None
        return True

    def end(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)

    def count(self, key: str) -> int:
        """How often a task has begun, if it has not ended."""
        try:
            return len((self.folder / key).read_bytes().splitlines())
        except OSError:
            return 0

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            return  # another run's
