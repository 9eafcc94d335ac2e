"""Entries of either track found and checked, alone or against an earlier state of their folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UserError
from ..detection.entry import read_scores
from ..harness.audit import AS_IT_WAS, HOMES, Audit, Line
from ..harness.entry import checked_entry, entry_files, identity, one_json, sentence
from ..localisation.checked import checked_map, is_claims, track_files
from ..localisation.entry import FOLDER


def located(given: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the entries' files: one, or all below a folder."""
    if given.is_file():
        if not any(parent.name in HOMES for parent in given.absolute().parents):
            raise UserError(
                f"{given} does not lie below a folder `entries`, beside which its scores are looked for; "
                "give the file where its run wrote it."
            )
        return given.parent, [given.absolute()]
    if not given.is_dir():
        raise UserError(f"There is no entry and no results folder {given}; give what a run wrote.")
    paths = [path.absolute() for path in all_entries(given)]
    if not paths and any(parent.name == "entries" for parent in (given.absolute() / "x").parents):
        paths = sorted(path.absolute() for path in given.rglob("*.json") if path.is_file())
    if not paths:
        raise UserError(f"There are no entries under {given}; run a suite first, or give its output folder.")
    return given, paths


def is_map(path: Path) -> bool:
    """Whether a file is of the localisation track."""
    return path.parent.parent.name == FOLDER or is_claims(path)


def all_entries(folder: Path) -> list[Path]:
    """Entries of detectors, then those and the claims of the localisation track."""
    return [*entry_files(folder), *track_files(folder)]


def unchanged(path: Path, file: str, history: Line) -> Audit:
    """An entry that is as it was verified earlier: only that its scores are still those that it names."""
    audit = Audit(file, path, [history])
    try:
        if is_map(path):
            checked_map(path, one_json(path))  # its scores included
        else:
            audit.entry = checked_entry(path)
            read_scores(audit.root, audit.entry)
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, path, file)))
    return audit


def repeated(audits: Sequence[Audit]) -> None:
    """Say of every entry that repeats an earlier one's suite, protocol and detector that it does."""
    first: dict[tuple[str, ...], str] = {}
    for audit in audits:
        if audit.entry is not None:
            key = (str(audit.root), *identity(audit.entry))
            if key in first:
                audit.lines.append(
                    Line(
                        "identity",
                        "mismatch",
                        f"{first[key]} is the same suite, protocol and detector; an entry is superseded, not repeated",
                    )
                )
            first.setdefault(key, audit.file)


# -- what was there before --------------------------------------------------------------------------------------------


def against_base(now: Path, base: Path) -> tuple[dict[str, Line], list[Line]]:
    """What became of the entries of an earlier state of a results folder.

    Of each entry that is there still (by its file) a line, ``match`` where it is the same to the byte or says which
    earlier file it supersedes; and a line for each that is gone.
    """
    if not base.is_dir():
        raise UserError(f"There is no folder {base} with an earlier state of {now}; give one with --base.")
    kept: dict[str, Line] = {}
    gone: list[Line] = []
    for old in (path for path in all_entries(base) if not is_claims(path)):  # claims are made of entries
        file = old.relative_to(base).as_posix()
        digest = hashlib.sha256(old.read_bytes()).hexdigest()
        new = now / file
        if not new.is_file():
            gone.append(Line(file, "mismatch", "was removed; an entry is superseded, never removed"))
            continue
        blob = new.read_bytes()
        if hashlib.sha256(blob).hexdigest() == digest:
            kept[file] = Line("history", "match", AS_IT_WAS)
            continue
        try:
            said = json.loads(blob).get("supersedes")
        except (ValueError, AttributeError, RecursionError):
            said = None
        if said == digest:
            kept[file] = Line("history", "match", f"supersedes {digest[:12]}")
        else:
            kept[file] = Line("history", "mismatch", f'was edited; a new version says "supersedes": "{digest}"')
    return kept, gone
