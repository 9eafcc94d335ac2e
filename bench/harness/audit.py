"""The audit of one entry: lines with verdicts, and the checks that entries of every track share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import ValidationError

from ..core.errors import UserError
from ..core.files import read_json, sentence
from ..core.packed import plain
from ..core.text import shown
from ..core.versions import versions
from .entry import Entry, read_for_pages, root_of
from .scores import read_frame
from .suite import AnySuite

if TYPE_CHECKING:
    from .track import Track  # which imports this module

Verdict = Literal["match", "mismatch", "not checked"]

#: The verdict on an entry that is byte-identical in an earlier state of its folder.
AS_IT_WAS = "as it was"


@dataclass(frozen=True)
class Line:
    """One thing that was checked; words of the entry itself in it are shown, never obeyed by a terminal or a log."""

    what: str
    verdict: Verdict
    detail: str = ""

    def __post_init__(self) -> None:
        for name in ("what", "detail"):
            object.__setattr__(self, name, shown(getattr(self, name)))


@dataclass
class Audit:
    """A file of a track (named relative to the requested path), its lines, and the entry if it could be read.

    ``root`` is the folder that holds the track's home and, below it, the scores; ``suite`` is the one beside the home,
    if the entry belongs to it.
    """

    file: str
    path: Path
    root: Path
    lines: list[Line] = field(default_factory=list)
    entry: Any = None
    scores: pd.DataFrame | None = None
    suite: Any = None

    def __post_init__(self) -> None:
        self.file = shown(self.file)

    @property
    def good(self) -> bool:
        return all(line.verdict != "mismatch" for line in self.lines)


def audited(track: Track, path: Path, file: str) -> Audit:
    """The audit of an entry, its scores and its suite, by the functions that a run measures with."""
    root = root_of(track.entry, path)
    audit = Audit(file, path, root)
    with without_traceback(audit):
        if path in track.audit.beside(root):
            audit.lines += track.audit.look_beside(audit, suite_beside(track.form, root))
            return audit
        entry = read_for_pages(track.entry, path)
        audit.lines += [Line("form", "match", f"schema {entry.schema_}"), _place(entry, path)]
        scores = None
        if entry.scores is not None:
            scores = entry.unpacked(read_frame(root, entry))
            audit.lines.append(Line("scores", "match", f"sha256 {entry.scores.sha256[:12]}, {len(scores)} rows"))
        suite = suite_beside(track.form, root)
        for line in track.audit.look(entry, scores, root, suite):
            audit.lines.append(line)
        audit.lines += own_words(entry)
        audit.entry, audit.scores = entry, scores
        if any(line.what == "suite" and line.verdict == "match" for line in audit.lines):
            audit.suite = suite
    return audit


def suite_beside(form: type[AnySuite], root: Path) -> AnySuite | str:
    """The suite beside the entries, or the reason why there is none."""
    try:
        return form.model_validate(read_json(root / "suite.json"))
    except ValidationError:
        return "suite.json beside the entries is not a suite"
    except UserError:
        return "suite.json beside the entries cannot be read"


def settings(suite: AnySuite, known: Mapping[str, tuple[Any, Any]]) -> Line:
    """Compare the settings that an entry states with the suite's; ``known``: name -> (stated, expected)."""
    differing = [name for name, (stated, expected) in known.items() if stated != expected]
    if differing:
        return Line("suite", "mismatch", f"{', '.join(differing)} differ from suite.json beside the entries")
    return Line("suite", "match", f"{suite.name}, {len(known)} settings as in suite.json")


@contextmanager
def without_traceback(audit: Audit) -> Iterator[None]:
    """Turn an error that an entry causes in its reader into a line of its audit."""
    try:
        yield
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, audit.path, audit.file)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:  # never from a run
        reason = " ".join(str(error).split())[:120]
        message = f"this is not how a run writes it ({type(error).__name__}: {reason}); run the suite again."
        audit.lines.append(Line("entry", "mismatch", message))


def _place(entry: Entry, path: Path) -> Line:
    """Whether an entry lies where a run writes it: under another name, its successor would not replace it."""
    wanted = f"{entry.place}.json"
    actual = "/".join(plain(path).parts[-2:])
    same = actual == wanted
    return Line("place", "match" if same else "mismatch", wanted if same else f"it lies at {actual}, not at {wanted}")


def own_words(entry: Entry) -> Iterator[Line]:
    """Lines for the versions, and for the earlier entry that this one supersedes."""
    installed = versions(tuple(name for name in entry.versions if name != "python" and _installed(name)))
    differing = [
        f"{name} {stated} there, {installed.get(name, 'none')} here"
        for name, stated in entry.versions.items()
        if installed.get(name) != stated
    ]
    yield Line(
        "versions",
        "not checked" if differing else "match",
        f"run with others: {', '.join(differing)}" if differing else f"{len(installed)} as installed here",
    )
    earlier = entry.supersedes
    if earlier is not None:
        is_sha256 = isinstance(earlier, str) and len(earlier) == 64 and set(earlier) <= set("0123456789abcdef")
        detail = "an earlier entry; --base compares the two" if is_sha256 else "is no sha256 of an earlier entry's file"
        yield Line("supersedes", "not checked" if is_sha256 else "mismatch", detail)
    elif entry.superseded is not None:
        yield Line("supersedes", "mismatch", f"an earlier entry was superseded on {entry.superseded}: state which one")


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
