"""What a build of pages gives, and the single page of an earlier call, remembered for files of the same bytes."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import metadata
from pathlib import Path

from ..core.errors import UserError
from ..core.files import walk, write_bytes
from ..core.recall import recall, remember
from ..harness.left_out import LeftOut

#: The name of the page that is remembered: one, the last that was made.
NAME = "single-page"


@dataclass(frozen=True)
class Built:
    """The result of a build: the page to open, the numbers of boards and entries on it, and the files left out."""

    start: Path
    boards: int
    entries: int
    left_out: list[LeftOut]


def recalled_single(folder: Path, file: Path) -> Built | None:
    """Write the single page again that was made of these very files by this very code; None if none is remembered."""
    known = recall(NAME)
    if known is None or known["state"] != state_of(folder):
        return None
    write_bytes(file, known["page"].encode())
    return Built(file, known["boards"], known["entries"], [LeftOut(**each) for each in known["left_out"]])


def remember_single(state: str | None, page: str, built: Built) -> None:
    """Keep a page for `recalled_single`; ``state`` is that of its folder, or None if it could not be read."""
    if state is not None:
        left_out = [asdict(each) for each in built.left_out]
        counts = {"boards": built.boards, "entries": built.entries}
        remember(NAME, {"state": state, "page": page, **counts, "left_out": left_out})


def state_of(folder: Path) -> str | None:
    """Hash of all files of a folder, and of what its pages say that stands neither there nor in our code.

    None where there is no such folder, or a file cannot be read.
    """
    if not folder.is_dir():
        return None
    state = hashlib.sha256(f"{folder.absolute()}\n{metadata('subnetbench').get_all('Project-URL')}\n".encode())
    try:
        for path in _files(folder):
            is_file = stat.S_ISREG(path.stat().st_mode)
            content = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "no regular file"
            state.update(f"{path.relative_to(folder).as_posix()!r} {content}\n".encode())
    except (OSError, UserError):
        return None
    return state.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (place / name for place, names in walk(folder) for name in names)
