"""Finding and checking entries of every track, alone or against an earlier state of their folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UserError
from ..core.files import MOST_BYTES, sentence
from ..core.packed import XZ, plain, read_content
from ..harness.audit import AS_IT_WAS, Audit, Line
from ..harness.entry import entry_files, is_entry_file, read_entry, root_of
from ..tracks import TRACKS, track_of_file


def located(target: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files to check: one, or all below a folder."""
    if target.is_file():
        if track_of_file(target.absolute()) is None:
            raise UserError(
                f"{target} does not lie below a folder `entries`, beside which its scores are expected; "
                "give the file where its run wrote it."
            )
        return target.parent, [target.absolute()]
    if not target.is_dir():
        raise UserError(f"There is no entry and no results folder {target}; give what a run wrote.")
    paths = all_files(target)
    if not paths:
        raise UserError(f"There are no entries under {target}; run a suite first, or give its output folder.")
    return target, paths


def all_files(folder: Path) -> list[Path]:
    """Entries and the files checked beside them, track by track."""
    paths: list[Path] = []
    for track in TRACKS.values():
        roots = track.folders_below(folder)
        entries = [path for path in entry_files(track.entry, folder) if track_of_file(path) is track]
        paths += sorted(
            path.absolute() for path in [*entries, *(p for root in roots for p in track.audit.beside(root))]
        )
    return paths


def is_entry(path: Path) -> bool:
    track = track_of_file(path.absolute())
    return track is not None and is_entry_file(track.home, path)


def unchanged(path: Path, file: str, history: Line) -> Audit:
    """Audit an entry unchanged since it was verified: check only that its scores are still those it names."""
    track = track_of_file(path)
    assert track is not None  # only files of a track are checked
    root = root_of(track.entry, path)
    audit = Audit(file, path, root, [history])
    try:
        audit.entry = read_entry(track.entry, path)
        track.audit.examine(root, audit.entry)
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, path, file)))
    return audit


def repeated(audits: Sequence[Audit]) -> None:
    """Add a mismatch to every entry that repeats an earlier one's identity."""
    first: dict[tuple[str, ...], str] = {}
    for audit in audits:
        if audit.entry is not None:
            key = (str(audit.root), *audit.entry.identity)
            if key in first:
                detail = f"{first[key]} is {audit.entry.title} too; an entry is superseded, not repeated"
                audit.lines.append(Line("identity", "mismatch", detail))
            first.setdefault(key, audit.file)


# -- comparison with an earlier state ---------------------------------------------------------------------------------


def against_base(now: Path, base: Path) -> tuple[dict[str, Line], list[Line]]:
    """Compare the entries of an earlier state of a results folder with this one.

    Returns a line for each entry whose file still exists, ``match`` where it is the same to the byte or states which
    earlier file it supersedes; and a line for each that is gone.
    """
    if not base.is_dir():
        raise UserError(f"There is no folder {base} with an earlier state of {now}; give one with --base.")
    kept: dict[str, Line] = {}
    gone: list[Line] = []
    for old in (path for path in all_files(base) if is_entry(path)):
        file = plain(old).relative_to(base.absolute()).as_posix()
        digest = hashlib.sha256(_plain(old)).hexdigest()
        new = next((path for path in (now / file, now / f"{file}{XZ}") if path.is_file()), None)
        if new is None:
            gone.append(Line(file, "mismatch", "was removed; an entry is superseded, never removed"))
            continue
        kept[new.relative_to(now).as_posix()] = _history(_plain(new), digest)
    return kept, gone


def _plain(path: Path) -> bytes:
    """An entry's bytes with the line ends that a run writes: version control may give a copy those of its system."""
    return read_content(path, MOST_BYTES).replace(b"\r\n", b"\n")


def _history(blob: bytes, digest: str) -> Line:
    """Check that an entry is the earlier one, whose sha256 is ``digest``, or its declared successor."""
    if hashlib.sha256(blob).hexdigest() == digest:
        return Line("history", "match", AS_IT_WAS)
    try:
        superseded = json.loads(blob).get("supersedes")
    except (ValueError, AttributeError, RecursionError):
        superseded = None
    if superseded == digest:
        return Line("history", "match", f"supersedes {digest[:12]}")
    wanted = f'"supersedes": "{digest}", and may state the day in "superseded"'
    return Line("history", "mismatch", f"was edited; a new version must state {wanted}")
