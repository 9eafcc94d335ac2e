"""Results made small for a repository: entries compressed, scores in as few bits as every figure bears."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.arrays import EVERY, Float64
from ..core.files import MOST_BYTES, write_bytes
from ..core.packed import XZ, pack, read_content, write_content
from ..detection.entry import Entry
from ..detection.fits import ALL_ATTACKS
from ..harness.audit import audited
from ..harness.entry import entry_files, read_entry, root_of
from ..harness.scores import read_frame
from ..tracks import TRACKS


@dataclass(frozen=True)
class Packed:
    """How many entries were packed and files of scores rounded, and the bytes of all before and after."""

    entries: int
    scores: int
    before: int
    after: int


#: Bits of a score's mantissa that are tried, from the fewest; float32 has 23.
BITS: tuple[int, ...] = (11, 13, 15, 17, 19, 23)

#: Bytes from which on a table with a row for each cell is compressed.
LARGE = 1 << 15


def pack_results(folder: Path, *, seen: bool = False) -> Packed:
    """Pack every entry below a folder, and large `cells.csv`. What cannot become smaller stays as it is.

    ``seen`` keeps fewer scores, while every figure stays: of a protocol whose columns have images of their own, as
    `lee2018`, those of seen attacks; of any other those of combiners fitted on one attack, not on all.
    """
    files = [(t.entry, path) for t in TRACKS.values() for path in entry_files(t.entry, folder)]
    entries = before = after = rounded = 0
    for form, path in files:
        saved = _smaller(path, seen) if form is Entry else 0
        rounded += saved > 0
        before += path.stat().st_size + saved
        if path.suffix != XZ:
            entries, path = entries + 1, pack(path)
        after += path.stat().st_size
    for path in _listings(folder):
        before += path.stat().st_size
        after += pack(path).stat().st_size
    return Packed(entries, rounded, before, after)


def _listings(folder: Path) -> list[Path]:
    """The tables with every cell in a row, where they are large: nobody reads them line by line, and programs may."""
    places = {place for track in TRACKS.values() for place in track.folders_below(folder)}
    listings = (place / "tables" / "cells.csv" for place in sorted(places))
    return [path for path in listings if path.is_file() and path.stat().st_size >= LARGE]


def _smaller(path: Path, seen: bool) -> int:
    """Scores in as few bits as every figure of the entry bears; the bytes that it saves.

    Of the bits of a float most decide nothing: a figure depends on the order of the images alone, and the audit says
    whether it stays.
    """
    entry = read_entry(Entry, path)
    if entry.scores is None:
        return 0
    root = root_of(Entry, path)
    file = root / entry.scores.file
    scores = entry.unpacked(read_frame(root, entry))
    roundings = _roundings(scores["score"].to_numpy())
    if seen:
        scores = scores[_fewer(scores)].reset_index(drop=True)
    old, stated = file.read_bytes(), read_content(path, MOST_BYTES)
    for bits in roundings:
        kept = scores if bits is None else scores.assign(score=coarser(scores["score"].to_numpy(), bits))
        new = Entry.packed(kept)
        if len(new) >= len(old):
            break
        write_bytes(file, new)
        digest = hashlib.sha256(new).hexdigest()
        write_content(path, stated.replace(entry.scores.sha256.encode(), digest.encode()))
        if audited(TRACKS["detection"], path, path.name).good:
            return len(old) - len(new)
    write_bytes(file, old)
    write_content(path, stated)
    return 0


def _fewer(scores: pd.DataFrame) -> pd.Series[bool]:
    """The rows that `pack_results` keeps under ``seen``."""
    if (scores["test_on"] != EVERY).all():
        return scores["fit_on"] == scores["test_on"]
    return scores["fit_on"] != ALL_ATTACKS


def _roundings(scores: Float64) -> tuple[int | None, ...]:
    """Bits to try, at last None, as they are: scores may lie beyond float32, or closer together than it tells apart."""
    try:
        rounded = coarser(scores, BITS[-2])
    except OverflowError:
        return (None,)
    # Of scores that were rounded before, the audit cannot see how far the figures have gone.
    return (*(BITS[-1:] if (rounded == scores).all() else BITS), None)


def coarser(scores: Float64, bits: int) -> Float64:
    """Scores rounded to a mantissa of so many bits: the order stays, but neighbours may become equal.

    Raises OverflowError where float32 does not hold them.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(scores, np.float32)
    if not np.isfinite(single).all():
        raise OverflowError("a score lies beyond float32")
    dropped = 23 - bits
    whole = single.view(np.int32).astype(np.int64)  # of a sign and a magnitude: rounding is the same for both signs
    half = (1 << dropped) >> 1
    rounded = (whole + half) >> dropped << dropped
    return rounded.astype(np.int32).view(np.float32).astype(np.float64)
