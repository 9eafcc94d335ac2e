"""Files that are kept compressed, as xz: they are read as if they were not."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import MOST_BYTES, json_of, read_bounded, write_bytes

#: What the name of a compressed file ends in.
XZ = ".xz"

#: Memory that opening a compressed file may take beside its content; the one of the highest preset takes 65 MiB.
MOST_MEMORY = 1 << 28

#: xz's filter for numbers of two bytes each, of which the first is noise and the second is not: with a context of its
#: own for each of the two, a net's float16 weights shrink by 15% and not by 10.
HALVES = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 1, "pb": 1}]


def plain(path: Path) -> Path:
    """The path that a file has when it is not compressed."""
    return path.with_suffix("") if path.suffix == XZ else path


def read_content(path: Path, most: int, advice: str = "run its suite again") -> bytes:
    """A file's bytes, at most ``most`` of them, whether or not it is compressed. UserError for any other file."""
    blob = read_bounded(path, most)
    if path.suffix != XZ:
        return blob
    opened = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)
    try:
        content = opened.decompress(blob, most)
    except lzma.LZMAError as error:
        raise UserError(f"{path} cannot be read ({error}); {advice}.") from None
    if not opened.eof:
        raise UserError(f"{path} cannot be read (it is cut off, or larger than any that a run writes); {advice}.")
    return content


def read_json(path: Path) -> Any:
    """As `files.read_json`, of a file that may be compressed."""
    return json_of(read_content(path, MOST_BYTES), path)


def write_content(path: Path, blob: bytes) -> None:
    """Write a file, compressed where its name says so."""
    write_bytes(path, lzma.compress(blob, preset=9) if path.suffix == XZ else blob)


def halves(blob: bytes) -> bytes:
    """A file of float16 numbers compressed."""
    return lzma.compress(blob, filters=HALVES)


def pack(path: Path) -> Path:
    """Replace a file by itself compressed; its new path."""
    packed = path.with_name(path.name + XZ)
    write_content(packed, path.read_bytes())
    path.unlink()
    return packed
