"""Files written whole or not at all; a damaged one raises a one-sentence error when read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    import pandas as pd  # the command line's help does without


def replace_file(path: Path, blob: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part of it."""
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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=False, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(path, text)


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


#: A larger JSON file is refused unread: a run writes none of that size.
MOST_BYTES = 16 << 20


def read_json(path: Path) -> Any:
    """The content of a JSON file from any source. Raises UserError, one sentence, if it cannot be used."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"{path} has {size >> 20} MiB, more than any file that a run writes; it is refused unread.")
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); correct its permissions or run its suite again."
        ) from None
    except RecursionError:
        raise UserError(f"{path} is nested deeper than any file that a run writes; run its suite again.") from None
    except UnicodeEncodeError:  # half a surrogate pair is valid JSON but not valid text
        raise UserError(f"{path} holds characters that are not valid text; run its suite again.") from None
    except ValueError as error:
        if str(error).startswith("Out of range float"):
            raise UserError(f"{path} holds NaN or an infinite number; run its suite again.") from None
        raise UserError(f"{path} cannot be read ({str(error)[:120]}); run its suite again.") from None
    return content


def sentence(error: UserError, path: Path, file: str) -> str:
    """The error message without its file name (``file`` where a path stands inside it), cut to 400 characters."""
    text = printable(str(error)).replace(printable(str(path)), file).removeprefix(f"{file}: ")
    text = f"It {text.removeprefix(f'{file} ')}" if text.startswith(f"{file} ") else text
    return text if len(text) <= 400 else f"{text[:400]} ..."


def printable(text: str) -> str:
    """The text without half surrogates (from file names that are not UTF-8), which a page cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def csv_text(frame: pd.DataFrame) -> str:
    text: str = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text
