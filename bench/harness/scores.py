"""Files of per-image scores, opened with a check of path, hash, columns and size."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import UserError, reason_of
from ..core.hashing import hash_arrays
from .entry import Column, Entry

#: A file beyond these (packed or unpacked) is refused: no entry of one detector comes close.
MOST_BYTES, MOST_ROWS = 1 << 28, 5_000_000


def open_scores(folder: Path, entry: Entry, names: Sequence[str] = ()) -> pq.ParquetFile:
    """The parquet file that an entry names by path and sha256; columns in ``names`` stay dictionaries.

    Raises UserError, one sentence, if it is outside the folder, missing, another file, not parquet, too large (as it is
    or unpacked), or lacks a column of the entry's track or has one of another type.
    """
    blob, label = read_blob(folder, entry), _label(entry)
    try:
        file = pq.ParquetFile(BytesIO(blob))
        large = file.metadata.num_rows > MOST_ROWS or _unpacked(entry, file) > MOST_BYTES
        unfit = None if large else _unfit(entry, file)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"{label} are not a parquet table ({reason_of(error)}); run the suite again.") from None
    if large:
        raise UserError(f"{label} {_TOO_LARGE}")
    if unfit:
        raise UserError(f"{label} {unfit}; run the suite again.")
    # A dictionary holds a long name once, not on every row.
    return pq.ParquetFile(BytesIO(blob), read_dictionary=list(names)) if names else file


_TOO_LARGE = "are larger, unpacked, than any that a suite writes, and are refused."


def read_blob(folder: Path, entry: Entry) -> bytes:
    """The bytes of the file that an entry names by path and sha256.

    Raises UserError, one sentence, if it is outside the folder, missing, too large, or another file.
    """
    stated = entry.scores
    if stated is None:
        raise UserError(f"The entry {entry.file} names no scores; run the suite again.")
    path, label = folder / stated.file, _label(entry)
    if folder.resolve() not in path.resolve().parents:
        raise UserError(f"{label} lie outside their results folder and are refused.")
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise UserError(f"{label} are no regular file and are refused.")
        blob = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such file"
        raise UserError(f"{label} cannot be read ({reason}); run the suite again.") from None
    if blob is None:
        raise UserError(f"{label} {_TOO_LARGE}")
    if hashlib.sha256(blob).hexdigest() != stated.sha256:
        raise UserError(f"{label} are not those that it names (sha256 differs); run the suite again.")
    return blob


def _label(entry: Entry) -> str:
    return f"The scores {entry.scores.file if entry.scores else ''!r} of the entry {entry.file}"


#: How a column of whole numbers may be written, the first of the shortest being chosen: repeats of a run of images are
#: found among plain bytes only, a run itself is short as differences, and a few values are short as a dictionary.
_WHOLE = ("DICTIONARY", "PLAIN", "DELTA_BINARY_PACKED")


def packed(frame: pd.DataFrame) -> bytes:
    """A frame as parquet, values unchanged: of many columns, statistics and schemas would be most of a file."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    encodings = {name: _encoding(table.select([name])) for name in table.column_names}
    return _written(table, encodings)


#: What was chosen for whole numbers, by their hash: detectors of a run are scored on the same images and splits.
_CHOSEN: dict[str, str] = {}


def _encoding(column: pa.Table) -> str:
    kind = column.schema.types[0]
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    if not pa.types.is_integer(kind):
        return "DICTIONARY"
    key = hash_arrays(column.column(0).to_numpy())
    if key not in _CHOSEN:
        _CHOSEN[key] = min(_WHOLE, key=lambda encoding: len(_written(column, {column.column_names[0]: encoding})))
    return _CHOSEN[key]


def _written(table: pa.Table, encodings: Mapping[str, str]) -> bytes:
    blob = BytesIO()
    pq.write_table(
        table,
        blob,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name, encoding in encodings.items() if encoding == "DICTIONARY"],
        column_encoding={name: encoding for name, encoding in encodings.items() if encoding != "DICTIONARY"},
        write_statistics=False,
        store_schema=False,
    )
    return blob.getvalue()


def read_columns(file: pq.ParquetFile, names: Sequence[str]) -> pa.Table:
    """These columns. Raises UserError if the file turns out to be damaged inside, or lacks a value."""
    try:
        table = file.read(list(names), use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"Its scores are not a parquet table ({reason_of(error)}); run the suite again.") from None
    lacking = [name for name in names if table[name].null_count]
    if lacking and pa.types.is_floating(table[lacking[0]].type):
        count = table[lacking[0]].null_count
        raise UserError(f"{count} of its {len(table)} scores are NaN; run the suite again.")
    if lacking:
        raise UserError(f"Its scores hold values other than numbers and names ({lacking[0]} has missing values).")
    return table


def read_frame(folder: Path, entry: Entry) -> pd.DataFrame:
    """The known columns of an entry's scores file, one row per image."""
    names = [column.pattern for column in entry.columns if column.kind == "name"]
    file = open_scores(folder, entry, names)
    frame: pd.DataFrame = read_columns(file, known_columns(entry, file)).to_pandas()
    return frame


def known_columns(entry: Entry, file: pq.ParquetFile) -> list[str]:
    """Names of the file's columns that the entry's track knows; all others stay unread."""
    return [name for name in file.schema_arrow.names if _column(entry, name) is not None]


def _column(entry: Entry, name: str) -> Column | None:
    return _column_of(type(entry), name)


@lru_cache(maxsize=1 << 14)  # a file of localisation has hundreds of columns, and all files have the same
def _column_of(form: type[Entry], name: str) -> Column | None:
    return next((column for column in form.columns if column.holds(name)), None)


def _unfit(entry: Entry, file: pq.ParquetFile) -> str | None:
    """What is wrong with the columns, if anything: one is missing, is there twice, or is of another type."""
    names, empty = known_columns(entry, file), file.metadata.num_rows == 0
    for column in entry.columns:
        if column.required and column.pattern not in names:
            return f"lack the column {column.pattern!r}"
    for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True):
        known = _column(entry, name)
        if known is None:
            continue
        if names.count(name) > 1:
            return f"have the column {name!r} twice"
        if not _fits(known.kind, kind, empty):
            return f"hold values other than numbers and names (the column {name!r} is of type {str(kind)[:40]})"
    return None


def _fits(kind: str, given: pa.DataType, empty: bool) -> bool:
    given = given.value_type if pa.types.is_dictionary(given) else given
    if empty and pa.types.is_null(given):
        return True
    if kind == "name":
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
    if pa.types.is_integer(given):
        return True
    return kind == "number" and bool(pa.types.is_floating(given) or pa.types.is_boolean(given))


def _unpacked(entry: Entry, file: pq.ParquetFile) -> int:
    """Bytes that the known columns take in memory: as stored, or as arrays, whichever is more."""
    metadata, known = file.metadata, set(known_columns(entry, file))
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    stored = sum(
        group.column(k).total_uncompressed_size
        for group in groups
        for k in range(group.num_columns)
        if group.column(k).path_in_schema in known
    )
    types = zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)
    width = sum(1 if pa.types.is_boolean(kind) else 8 for name, kind in types if name in known)
    return max(int(stored), int(metadata.num_rows) * width)
