"""Entries of every track found and checked, alone or against an earlier state of their folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UserError
from ..core.files import sentence
from ..harness.audit import AS_IT_WAS, Audit, Line
from ..harness.entry import entry_files, read_entry
from ..tracks import TRACKS, track_of_file


def located(given: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files to look at: one, or all below a folder."""
    if given.is_file():
        if track_of_file(given.absolute()) is None:
            raise UserError(
                f"{given} does not lie below a folder `entries`, beside which its scores are looked for; "
                "give the file where its run wrote it."
            )
        return given.parent, [given.absolute()]
    if not given.is_dir():
        raise UserError(f"There is no entry and no results folder {given}; give what a run wrote.")
    paths = all_files(given)
    if not paths:
        raise UserError(f"There are no entries under {given}; run a suite first, or give its output folder.")
    return given, paths


def all_files(folder: Path) -> list[Path]:
    """Entries, and what is checked beside them, track by track."""
    paths: list[Path] = []
    for track in TRACKS.values():
        roots = track.folders_below(folder)
        entries = entry_files(track.entry, folder)
        paths += sorted(
            path.absolute() for path in [*entries, *(p for root in roots for p in track.audit.beside(root))]
        )
    return paths


def is_entry(path: Path) -> bool:
    track = track_of_file(path.absolute())
    return track is not None and not (path.parent.name == track.home and path.name in track.entry.beside)


def unchanged(path: Path, file: str, history: Line) -> Audit:
    """An entry that is as it was verified earlier: only that its scores are still those that it names."""
    track = track_of_file(path)
    assert track is not None  # only files of a track are looked at
    root = next(parent.parent for parent in path.absolute().parents if parent.name == track.home)
    audit = Audit(file, path, root, [history])
    try:
        audit.entry = read_entry(track.entry, path)
        track.audit.examine(root, audit.entry)
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, path, file)))
    return audit


def repeated(audits: Sequence[Audit]) -> None:
    """Say of every entry that repeats an earlier one's identity that it does."""
    first: dict[tuple[str, ...], str] = {}
    for audit in audits:
        if audit.entry is not None:
            key = (str(audit.root), *audit.entry.identity)
            if key in first:
                detail = f"{first[key]} is {audit.entry.title} too; an entry is superseded, not repeated"
                audit.lines.append(Line("identity", "mismatch", detail))
            first.setdefault(key, audit.file)


# -- what was there before --------------------------------------------------------------------------------------------


def against_base(now: Path, base: Path) -> tuple[dict[str, Line], list[Line]]:
    """The entries of an earlier state of a results folder, compared with this one.

    Of each entry that is there still (by its file) a line, ``match`` where it is the same to the byte or says which
    earlier file it supersedes; and a line for each that is gone.
    """
    if not base.is_dir():
        raise UserError(f"There is no folder {base} with an earlier state of {now}; give one with --base.")
    kept: dict[str, Line] = {}
    gone: list[Line] = []
    for old in (path for path in all_files(base) if is_entry(path)):
        file = old.relative_to(base.absolute()).as_posix()
        digest = hashlib.sha256(old.read_bytes()).hexdigest()
        new = now / file
        if not new.is_file():
            gone.append(Line(file, "mismatch", "was removed; an entry is superseded, never removed"))
            continue
        kept[file] = _history(new.read_bytes(), digest)
    return kept, gone


def _history(blob: bytes, digest: str) -> Line:
    """Whether an entry is the earlier one, of which ``digest`` is the sha256, or its declared successor."""
    if hashlib.sha256(blob).hexdigest() == digest:
        return Line("history", "match", AS_IT_WAS)
    try:
        superseded = json.loads(blob).get("supersedes")
    except (ValueError, AttributeError, RecursionError):
        superseded = None
    if superseded == digest:
        return Line("history", "match", f"supersedes {digest[:12]}")
    return Line("history", "mismatch", f'was edited; a new version says "supersedes": "{digest}"')
