"""Results made small for a repository: entries compressed, scores in the precision that every figure needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..core.files import write_bytes, write_text
from ..core.packed import XZ, pack
from ..detection.entry import Entry
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


def pack_results(folder: Path) -> Packed:
    """Pack every entry below a folder. What is packed already stays as it is."""
    files = [(t.entry, path) for t in TRACKS.values() for path in entry_files(t.entry, folder) if path.suffix != XZ]
    before = after = rounded = 0
    for form, path in files:
        saved = _rounded(path) if form is Entry else 0
        rounded += saved > 0
        before, after = before + path.stat().st_size + saved, after + pack(path).stat().st_size
    return Packed(len(files), rounded, before, after)


def _rounded(path: Path) -> int:
    """Scores as float32, where every figure of the entry follows from them as before; the bytes that it saves.

    A probability in float64 takes twice as much, and its further digits only seldom decide the rank of an image.
    """
    entry = read_entry(Entry, path)
    if entry.scores is None:
        return 0
    root = root_of(Entry, path)
    file = root / entry.scores.file
    scores = entry.unpacked(read_frame(root, entry))
    scores["score"] = scores["score"].astype("float32").astype("float64")
    old, new, text = file.read_bytes(), Entry.packed(scores), path.read_text(encoding="utf-8")
    if len(new) >= len(old):
        return 0
    write_bytes(file, new)
    write_text(path, text.replace(entry.scores.sha256, hashlib.sha256(new).hexdigest()))
    if audited(TRACKS["detection"], path, path.name).good:
        return len(old) - len(new)
    write_bytes(file, old)
    write_text(path, text)
    return 0
