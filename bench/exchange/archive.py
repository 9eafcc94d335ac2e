"""Safe reading of a third-party zip: only announced files, each within its size limit, and nothing else."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..core.errors import UserError

#: Most members of one archive: the batches of a large suite, with room to spare.
MOST_FILES = 100_000
#: Highest compression ratio: float images hardly shrink, text may shrink this much, more is a zip bomb.
MOST_RATIO = 200

_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A zip whose members are checked before any is read. Nothing is ever unpacked to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UserError(f"There is no file {path}; give what `subnetbench export` wrote.") from None
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UserError(
                f"{path} cannot be read as a zip archive ({error}); give what `subnetbench export` wrote."
            ) from None
        try:
            self._members = self._looked_over()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def _looked_over(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        infos = self._zip.infolist()
        if len(infos) > MOST_FILES:
            raise self._refused(f"has {len(infos)} members, more than {MOST_FILES}")
        for info in infos:
            name = info.orig_filename
            parts = name.replace("\\", "/").split("/")
            if name.startswith(("/", "\\")) or ":" in name or "\\" in name or ".." in parts or "\0" in name:
                raise self._refused(f"names the path {name[:80]!r}, which leads outside")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.is_dir():
                raise self._refused(f"holds {name[:80]!r}, which is not a plain file (a link, a folder)")
            if name in members:
                raise self._refused(f"holds {name[:80]!r} twice")
            if info.flag_bits & 1 or info.compress_type not in _KINDS:
                raise self._refused(f"holds {name[:80]!r} encrypted or compressed in a way that no export uses")
            if info.file_size > MOST_RATIO * max(info.compress_size, 64):
                raise self._refused(f"holds {name[:80]!r}, which would grow more than {MOST_RATIO} times")
            members[name] = info
        return members

    def _refused(self, reason: str) -> UserError:
        return UserError(f"The archive {self.path} {reason}; it is refused.")

    def holds_only(self, names: Sequence[str]) -> None:
        """Raise UserError unless the archive has exactly these members, each once."""
        duplicates = [name for name, count in Counter(names).items() if count > 1]
        if duplicates:
            raise self._refused(f"has a manifest that names {min(duplicates)!r} twice")
        missing, more = set(names) - self._members.keys(), self._members.keys() - set(names)
        if missing:
            raise self._refused(f"lacks {min(missing)!r}")
        if more:
            raise self._refused(f"holds {min(more)[:80]!r}, which its manifest does not name")

    def read(self, name: str, most: int) -> bytes:
        """A member of at most ``most`` bytes; reading stops there."""
        info = self._members.get(name)
        if info is None:
            raise self._refused(f"has no {name}")
        if info.file_size > most:
            raise self._refused(f"holds {name!r} of {info.file_size} bytes, more than the {most} it may have")
        try:
            with self._zip.open(info) as file:
                blob = file.read(most + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise self._refused(f"is damaged at {name!r} ({error or type(error).__name__})") from None
        if len(blob) > most:
            raise self._refused(f"holds {name!r} longer than the {most} bytes it may have")
        return blob
