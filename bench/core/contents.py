"""What is in a store, by the files of its folder: nothing but a store's own files counts, and nothing else goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .artifact import NAME, made_by

#: The folder of locks, which are no artifacts.
LOCKS = "locks"

#: The folder of checkpoints, each of a stage that is not complete.
SCRATCH = "scratch"

#: What beside the artifacts goes when all goes; earlier versions locked with two files of other names.
_LOCK_FILES = ("*.lease", "*.lock", "*.holder", ".partial-*")


@dataclass(frozen=True)
class Held:
    """One artifact: its kind, the suite whose run made it, its bytes, when it was made, on how many kinds of machine.

    ``suite`` is empty and ``machines`` 0 where a store of an earlier version does not say.
    """

    kind: str
    suite: str
    size: int
    made: float
    machines: int


def files_of(root: Path) -> dict[str, list[Path]]:
    """The files of each kind. OSError as of reading folders."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name != LOCKS)
    found = {folder.name: _artifacts(folder) for folder in folders}
    return {kind: files for kind, files in found.items() if files}


def holds_any(root: Path) -> bool:
    return any(_artifacts(folder) for folder in root.iterdir() if folder.is_dir() and folder.name != LOCKS)


def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Files and bytes of each kind. OSError as of reading folders."""
    return {kind: (len(files), sum(_size(path) for path in files)) for kind, files in files_of(root).items()}


def held(root: Path) -> Iterator[Held]:
    """Every complete artifact, of which the beginning alone is read. OSError as of reading."""
    for kind, files in files_of(root).items():
        for path in files if kind != SCRATCH else ():
            if path.name.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                facts, stated = path.stat(), made_by(path)
                machines = stated.get("machines")
                count = len(machines) if isinstance(machines, list) else 0
                yield Held(kind, str(stated.get("suite", ""))[:200], facts.st_size, facts.st_mtime, count)


def unfinished(root: Path) -> tuple[int, int]:
    """Files and bytes of checkpoints and of partial files, which killed runs leave."""
    files = [
        path for kind, paths in files_of(root).items() for path in paths if kind == SCRATCH or path.name.startswith(".")
    ]
    return len(files), sum(_size(path) for path in files)


def remove(root: Path, kinds: Iterable[str] | None = None) -> int:
    """Remove the files of some kinds, or all; return the bytes freed. OSError where that is refused."""
    freed = 0
    for kind, files in files_of(root).items():
        if kinds is None or kind in kinds:
            freed += sum(_size(path) for path in files)
            _remove(files)
    if kinds is None:
        _remove([path for pattern in _LOCK_FILES for path in (root / LOCKS).glob(pattern)])
    return freed


def _remove(files: Iterable[Path]) -> None:
    """Remove these files, and their folders where that leaves them empty."""
    files = list(files)
    for path in files:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _artifacts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_file()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # removed meanwhile
        return 0
