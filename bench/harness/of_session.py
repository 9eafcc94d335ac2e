"""What cannot be run again from an entry's file alone: parts that were objects of their author's session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .entry import OfSession


def parts_of_session(entry: Any) -> dict[str, OfSession]:
    """``the detector my-detector`` and so on -> what the entry states of each such part, in any track that has some."""
    return {words: note for words, note in _parts(entry) if note.from_}


def needed(entry: Any) -> str:
    """What it takes to run an entry again, in words; empty where its file is enough."""
    parts = parts_of_session(entry)
    if not parts:
        return ""
    told = ", ".join(
        f"{words} was {note.from_.replace('of this session', 'of a session')} ({note.source[:12]})"
        for words, note in parts.items()
    )
    them = "it" if len(parts) == 1 else "them"
    return (
        f"{told}; the file alone cannot run {them} again: hand {them} to subnetbench.bench.run as its author did, or "
        f"let the author register {them}"
    )


def _parts(entry: Any) -> Iterator[tuple[str, OfSession]]:
    for word, note in (("detector", "detector"), ("net", "model"), ("data set", "dataset")):
        part = getattr(entry, note, None)
        if isinstance(part, OfSession):
            yield f"the {word} {getattr(part, 'label', part.name)}", part  # type: ignore[attr-defined]
    for label, part in getattr(entry, "attacks", {}).items():
        if isinstance(part, OfSession):
            yield f"the attack {label}", part
