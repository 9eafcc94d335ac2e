"""Files written whole or not at all; a damaged one raises a one-sentence error when read."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .text import csv_cell, shown

if TYPE_CHECKING:
    import pandas as pd  # the command line's help does without


def replace_file(path: Path, blob: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part of it.

    A symbolic link is followed. OSError if something else than a regular file is there, such as a device.
    """
    path = target_of(path)
    handle, partial = partial_file(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def partial_file(folder: Path) -> tuple[int, Path]:
    """A new file in the folder, to be renamed when complete: its handle and path. Its permissions follow the umask."""
    path = folder / f".partial-{secrets.token_hex(8)}"  # not tempfile's, which only their owner can read
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), path


#: Answers that mean: there are no hard links here (FAT, many mounts of object stores, some of Windows shares).
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL)


def linked_once(partial: Path, path: Path) -> bool | None:
    """Give a complete file a second name; False where that is taken, None where the file system has no hard links.

    A link fails where the name exists, on network mounts as well; a rename would replace what is there.
    """
    try:
        os.link(partial, path)
        return True
    except FileExistsError:
        return False
    except AttributeError:  # a system without links
        return None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return None


def target_of(path: Path) -> Path:
    """The regular file, there or not, that writing to ``path`` replaces. OSError if something else is there."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise OSError(errno.EEXIST, "it exists and is no regular file")
    return target


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    try:
        text = _indented(content, "\n") + "\n"
    except ValueError:
        unfit = _not_finite(content)
        if unfit is None:
            raise
        place, value = unfit
        raise UserError(
            f"{path} cannot be written: {place} is {value}, and a result has finite figures only."
        ) from None
    write_text(path, text)


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def _indented(value: Any, line: str) -> str:
    """JSON with an indent of 1, as `json.dumps` has it, but a list of numbers in one line: figures by split would else
    be most of an entry. ``line`` is a line end and the indent of the value."""
    inner = line + " "
    if isinstance(value, dict) and value:
        items = (
            f"{_encode(key if isinstance(key, str) else _key(key))}: {_indented(v, inner)}" for key, v in value.items()
        )
        return f"{{{inner}{f',{inner}'.join(items)}{line}}}"
    if isinstance(value, list | tuple) and not all(map(_is_number, value)):
        return f"[{inner}{f',{inner}'.join(_indented(item, inner) for item in value)}{line}]"
    return _encode(value)


def _is_number(item: Any) -> bool:
    return item is None or (isinstance(item, int | float) and not isinstance(item, bool))


def _key(key: Any) -> str:
    """A key that is no text as the text that JSON makes of it."""
    return str(next(iter(json.loads(_encode({key: 0})))))


def _not_finite(value: Any, place: str = "") -> tuple[str, float] | None:
    """The place and the value of the first number that JSON cannot hold."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (place, value)
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    found = (_not_finite(item, f"{place}.{key}" if place else str(key)) for key, item in items)
    return next((unfit for unfit in found if unfit is not None), None)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, blob: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, blob)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); give another folder with --output."
        ) from None


#: Larger arrays of figures and maps are refused unread.
MOST_ARRAYS = 1 << 30

#: A larger JSON file is refused unread: a run writes none of that size.
MOST_BYTES = 16 << 20

#: JSON in more levels than this is refused: deeper ones exhaust what reads, compares or writes them.
DEEPEST = 64


def read_bounded(path: Path, most: int, what: str = "that a run writes") -> bytes:
    """The bytes of a regular file of at most ``most`` bytes. Raises UserError, one sentence, for any other.

    (Reading a pipe would wait for ever, and reading a device would never end.)
    """
    try:
        facts = path.stat()
        blob = path.read_bytes() if stat.S_ISREG(facts.st_mode) and facts.st_size <= most else b""
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); correct its permissions or run its suite again."
        ) from None
    if not stat.S_ISREG(facts.st_mode):
        raise UserError(f"{path} is no regular file and is refused unread.")
    if facts.st_size > most:
        size = f"{facts.st_size >> 20} MiB" if facts.st_size >> 20 else f"{facts.st_size} bytes"
        raise UserError(f"{path} has {size}, more than any file {what}; it is refused unread.")
    return blob


def read_json(path: Path) -> Any:
    """The content of a JSON file from any source. Raises UserError, one sentence, if it cannot be used."""
    return json_of(read_bounded(path, MOST_BYTES), path)


def json_of(blob: bytes, path: Path) -> Any:
    """The content of JSON that was read from a file. Raises UserError, one sentence, if it cannot be used."""
    try:
        content = json.loads(blob.decode("utf-8"))
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
        if _deeper_than(content, DEEPEST):
            raise RecursionError
    except RecursionError:
        raise UserError(f"{path} is nested deeper than any file that a run writes; run its suite again.") from None
    except UnicodeEncodeError:  # half a surrogate pair is valid JSON but not valid text
        raise UserError(f"{path} holds characters that are not valid text; run its suite again.") from None
    except ValueError as error:
        if str(error).startswith("Out of range float"):
            raise UserError(f"{path} holds NaN or an infinite number; run its suite again.") from None
        raise UserError(f"{path} cannot be read ({str(error)[:120]}); run its suite again.") from None
    return content


def _deeper_than(content: Any, levels: int) -> bool:
    """Whether anything lies that deep in what `json.loads` gives: dictionaries and lists, and no other containers."""
    level = [content] if type(content) in _CONTAINERS else []
    for _ in range(levels - 1):
        if not level:
            return False
        items = chain.from_iterable(value.values() if type(value) is dict else value for value in level)
        level = [item for item in items if type(item) in _CONTAINERS]
    return any(level)


_CONTAINERS = frozenset({dict, list})


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder at or below this one with the names of its files, sorted; what begins with a dot is not ours.

    (Editors, file managers and version control keep copies of files under such names.) UserError if one of the folders
    may not be listed: what is left would be taken for the whole.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise UserError(
                f"The folder {error.filename} cannot be listed ({error.strerror}); correct its permissions."
            )

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), sorted(name for name in names if not name.startswith("."))


def json_files(folder: Path) -> list[Path]:
    """The JSON files that lie in a folder itself; none if there is no such folder."""
    names = next(iter(walk(folder)), (folder, []))[1]
    return [folder / name for name in names if name.endswith(".json") and (folder / name).is_file()]


def sentence(error: UserError, path: Path, file: str) -> str:
    """The error message without its file name (``file`` where a path stands inside it), cut to 400 characters."""
    text = str(error).replace(shown(str(path)), file).removeprefix(f"{file}: ")
    text = f"It {text.removeprefix(f'{file} ')}" if text.startswith(f"{file} ") else text
    return text if len(text) <= 400 else f"{text[:400]} ..."


def csv_text(frame: pd.DataFrame, digits: str = "%.6g") -> str:
    """A table as CSV, in which no text is a formula that a spreadsheet would run."""
    safe = frame.rename(columns=lambda name: csv_cell(str(name)))
    for place in range(safe.shape[1]):
        column = safe.iloc[:, place]
        if column.dtype.kind not in "biuf":
            safe.isetitem(place, [csv_cell(value) if isinstance(value, str) else value for value in column])
    text: str = safe.to_csv(index=False, float_format=digits, lineterminator="\n")
    return text
