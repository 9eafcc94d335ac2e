"""The folder of a store, on a disk that may be another machine's, full, read-only or gone; each is one sentence."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import contents
from .refusal import FULL, READ_ONLY, StoreError, refusal


class Mount:
    """A folder and the disk that it was opened on. All methods raise StoreError for an answer of the file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._disk = 0

    @contextmanager
    def answers(self) -> Iterator[None]:
        """Errors of the file system in the body, as one sentence."""
        try:
            yield
        except OSError as error:
            raise refusal(self.root, error) from None

    def open(self, *, writes: bool, must_write: bool) -> None:
        """Make the folder of a run that ``writes``; one with artifacts may be read-only or full unless it ``must``."""
        with self.answers():
            if not writes and not self.root.exists():
                raise StoreError(
                    f"There is no store {self.root}; see whether its disk is mounted, or give another with --store."
                )
            if writes:
                self._try_to_write(must_write)
            with os.scandir(self.root):  # it may be read
                self._disk = os.stat(self.root).st_dev

    def _try_to_write(self, must_write: bool) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            refused = error.errno in (*READ_ONLY, *FULL)
            if must_write or not (refused and os.path.isdir(self.root) and contents.holds_any(self.root)):
                raise

    def make(self, folder: Path) -> None:
        """Make a folder of the store, but not the store again."""
        with self.answers():
            folder.mkdir(exist_ok=True)

    def blob(self, path: Path) -> bytes | None:
        """The content of a file; None if there is none."""
        with self.answers():
            try:
                return _read(path)
            except FileNotFoundError:
                return None

    def refuse_vanished(self) -> None:
        """Refuse if the folder is no longer there, or if an empty one is where its disk was mounted.

        Otherwise everything that was stored would be computed again, and written to another disk.
        """
        with self.answers():
            disk = os.stat(self.root).st_dev
            if disk != self._disk and not os.listdir(self.root):
                raise FileNotFoundError(errno.ENOENT, "an empty folder of another disk is in its place")
            self._disk = disk  # a mount that comes back may have another number


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return path.read_bytes()  # another host replaced the file while it was being opened
