"""Files written whole or not at all, and read with one sentence where they are damaged."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import UserError


def replace_file(path: Path, blob: bytes) -> None:
    """Write a whole file or none: a reader sees the old content or the new one, never a part."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)  # mkstemp's own mode keeps others out
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


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


def read_json(path: Path) -> Any:
    """What a run wrote; one sentence where it is damaged, by a merge, say."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run its suite again.") from None


def csv_text(frame: pd.DataFrame) -> str:
    text: str = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text
