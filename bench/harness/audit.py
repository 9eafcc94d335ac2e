"""One entry under audit: lines with verdicts, and what holds for entries of any track."""

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
from ..core.versions import versions
from .entry import Entry, read_entry
from .scores import read_frame
from .suite import AnySuite

if TYPE_CHECKING:
    from .track import Track  # which knows this module

Verdict = Literal["match", "mismatch", "not checked"]

#: The verdict on an entry that an earlier state of its folder has to the byte.
AS_IT_WAS = "as it was"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass
class Audit:
    """A file of a track (named relative to what was asked for), its lines, and the entry where it could be read.

    ``root`` is the folder that holds the track's home, below which the scores lie; ``suite`` the one beside it, where
    the entry is of it.
    """

    file: str
    path: Path
    root: Path
    lines: list[Line] = field(default_factory=list)
    entry: Any = None
    scores: pd.DataFrame | None = None
    suite: Any = None

    @property
    def good(self) -> bool:
        return all(line.verdict != "mismatch" for line in self.lines)


def audited(track: Track, path: Path, file: str) -> Audit:
    """Everything that an entry, its scores and its suite say, by the functions that a run measures with."""
    root = next(parent.parent for parent in path.absolute().parents if parent.name == track.home)
    audit = Audit(file, path, root)
    with without_traceback(audit):
        if path in track.audit.beside(root):
            audit.lines += track.audit.look_beside(audit, _suite_beside(track.form, root))
            return audit
        entry = read_entry(track.entry, path)
        audit.lines += [Line("form", "match", f"schema {entry.schema_}"), _place(entry, path)]
        scores = None
        if entry.scores is not None:
            scores = entry.unpacked(read_frame(root, entry))
            audit.lines.append(Line("scores", "match", f"sha256 {entry.scores.sha256[:12]}, {len(scores)} rows"))
        suite = _suite_beside(track.form, root)
        for line in track.audit.look(entry, scores, root, suite):
            audit.lines.append(line)
        audit.lines += own_words(entry)
        audit.entry, audit.scores = entry, scores
        if any(line.what == "suite" and line.verdict == "match" for line in audit.lines):
            audit.suite = suite
    return audit


def _suite_beside(form: type[AnySuite], root: Path) -> AnySuite | str:
    """The suite that lies beside the entries, or why there is none."""
    try:
        return form.model_validate(read_json(root / "suite.json"))
    except ValidationError:
        return "suite.json beside the entries is no suite"
    except UserError:
        return "suite.json beside the entries cannot be read"


def settings(suite: AnySuite, known: Mapping[str, tuple[Any, Any]]) -> Line:
    """Whether the settings that an entry states are those of the suite beside it; ``known``: stated, the suite's."""
    wrong = [name for name, (stated, expected) in known.items() if stated != expected]
    if wrong:
        return Line("suite", "mismatch", f"{', '.join(wrong)} differ from suite.json beside the entries")
    return Line("suite", "match", f"{suite.name}, {len(known)} settings as in suite.json")


@contextmanager
def without_traceback(audit: Audit) -> Iterator[None]:
    """An error that an entry causes in its reader is a line of its audit."""
    try:
        yield
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, audit.path, audit.file)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:  # no run writes that
        what = " ".join(str(error).split())[:120]
        message = f"it is not as a run writes it ({type(error).__name__}: {what}); run the suite again."
        audit.lines.append(Line("entry", "mismatch", message))


def _place(entry: Entry, path: Path) -> Line:
    """Whether an entry lies where a run writes it: under another name it would stand beside its successor."""
    wanted = f"{entry.place}.json"
    actual = "/".join(path.parts[-2:])
    same = actual == wanted
    return Line("place", "match" if same else "mismatch", wanted if same else f"it lies at {actual}, not at {wanted}")


def own_words(entry: Entry) -> Iterator[Line]:
    """Versions, and the entry that it takes the place of."""
    here = versions(tuple(name for name in entry.versions if name != "python" and _installed(name)))
    other = [
        f"{name} {stated} there, {here.get(name, 'none')} here"
        for name, stated in entry.versions.items()
        if here.get(name) != stated
    ]
    yield Line(
        "versions",
        "not checked" if other else "match",
        f"run with others: {', '.join(other)}" if other else f"{len(here)} as installed here",
    )
    old = entry.supersedes
    if old is not None:
        fine = isinstance(old, str) and len(old) == 64 and set(old) <= set("0123456789abcdef")
        detail = "an earlier entry; --base compares the two" if fine else "is no sha256 of an earlier entry's file"
        yield Line("supersedes", "not checked" if fine else "mismatch", detail)


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
