"""A suite's results folder: one run at a time writes into it, and what an earlier run left stays or is named."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..core.errors import UserError
from ..core.lease import Lease
from ..core.packed import plain, read_json
from .entry import Entry, entry_files, read_entry, root_of

LOCK = ".run.lock"


@contextlib.contextmanager
def one_run_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder for one run. UserError if another run holds it, or if it cannot be made."""
    lease = Lease(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not lease.take():
            holder = lease.holder()
            raise UserError(
                f"Another run{f' ({holder})' if holder else ''} writes into {folder} at this moment; wait for its end, "
                "or give another folder with --output."
            )
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); give another folder with --output."
        ) from None
    try:
        yield
    finally:
        lease.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # where the run wrote nothing


def clear_earlier(
    form: type[Entry], folder: Path, entries: Sequence[Entry], stays: Collection[str]
) -> tuple[list[str], list[str]]:
    """Remove the entries of an earlier form of the suite, which tables would take for this run's.

    An entry named in ``stays`` is kept if it was measured on the same ground as this run's. Returns the files that stay
    and those that were removed. Whatever no run has written there is left alone.
    """
    kept: list[str] = []
    removed: list[str] = []
    ours = {entry.file for entry in entries}
    grounds = [entry.ground for entry in entries]
    for path in entry_files(form, folder / form.home):
        file = path.relative_to(folder).as_posix()
        if file in ours or root_of(form, path) != folder.absolute():
            continue
        old = _entry_in(form, path)
        if isinstance(old, Entry) and old.identity[-1] in stays and old.ground in grounds:
            kept.append(file)
        elif old is not None:
            path.unlink(missing_ok=True)
            if isinstance(old, Entry):
                (folder / old.scores_file).unlink(missing_ok=True)
            removed.append(file)
    return kept, removed


def _entry_in(form: type[Entry], path: Path) -> Entry | bool | None:
    """The entry in a file, True for one of another version, None if no run has written this file."""
    try:
        entry = read_entry(form, path)
        return entry if plain(path).as_posix().endswith(entry.file) else None
    except UserError:
        pass
    try:
        content = read_json(path)
    except UserError:
        return None
    return True if isinstance(content, dict) and {"schema", "suite"} <= content.keys() else None


def without_folders(value: Any) -> Any:
    """A suite's content in which every path is a file's name: results name no folder of their author's."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return file_name(value) if isinstance(value, str) and _is_path(value) else value


def file_name(path: str) -> str:
    return PureWindowsPath(path).name  # which knows both kinds of slashes


#: Endings that make a text with a slash a path, and not a name such as `timm/resnet18`.
_OF_FILES = (".npz", ".safetensors", ".safetensors.xz", ".csv", ".xml")


def _is_path(text: str) -> bool:
    rooted = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or text.startswith("~")
    return rooted or (file_name(text) != text and text.lower().endswith(_OF_FILES))
