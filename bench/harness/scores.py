"""Files of per-image scores, opened with a check of path, hash and size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import UserError, reason_of
from .entry import Entry

#: A file beyond these (packed or unpacked) is refused: no entry of one detector comes close.
MOST_BYTES, MOST_ROWS = 1 << 28, 5_000_000


def open_scores(folder: Path, entry: Entry, names: Sequence[str] = ()) -> pq.ParquetFile:
    """The parquet file that an entry names by path and sha256; columns in ``names`` stay dictionaries.

    Raises UserError, one sentence, if it is outside the folder, missing, another file, not parquet, or too large (as it
    is or unpacked).
    """
    stated = entry.scores
    if stated is None:
        raise UserError(f"The entry {entry.file} names no scores; run the suite again.")
    path, label = folder / stated.file, f"The scores {stated.file!r} of the entry {entry.file}"
    if folder.resolve() not in path.resolve().parents:
        raise UserError(f"{label} lie outside their results folder and are refused.")
    try:
        blob = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        raise UserError(f"{label} cannot be read ({error.strerror or 'no such file'}); run the suite again.") from None
    if blob is not None and hashlib.sha256(blob).hexdigest() != stated.sha256:
        raise UserError(f"{label} are not those that it names (sha256 differs); run the suite again.")
    try:
        # A dictionary holds a long name once, not on every row.
        file = None if blob is None else pq.ParquetFile(BytesIO(blob), read_dictionary=list(names))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"{label} are not a parquet table ({reason_of(error)}); run the suite again.") from None
    if file is None or file.metadata.num_rows > MOST_ROWS or _unpacked(file) > MOST_BYTES:
        raise UserError(f"{label} are larger, unpacked, than any that a suite writes, and are refused.")
    return file


def read_columns(file: pq.ParquetFile, names: Sequence[str] | None = None) -> pa.Table:
    """These columns, or all. Raises UserError if the file turns out to be damaged inside."""
    try:
        return file.read(None if names is None else list(names), use_threads=False)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"Its scores are not a parquet table ({reason_of(error)}); run the suite again.") from None


def read_frame(folder: Path, entry: Entry) -> pd.DataFrame:
    """All of an entry's scores file, one row per image."""
    frame: pd.DataFrame = read_columns(open_scores(folder, entry)).to_pandas()
    return frame


def _unpacked(file: pq.ParquetFile) -> int:
    return sum(file.metadata.row_group(k).total_byte_size for k in range(file.metadata.num_row_groups))
