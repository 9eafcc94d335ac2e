"""One entry under audit: lines with verdicts, and what holds for entries of any track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..core.errors import UserError
from ..core.versions import versions
from ..detection.entry import Entry
from ..localisation.entry import FOLDER
from .entry import sentence

#: Folders of a suite's results that hold entries.
HOMES = ("entries", FOLDER)

Verdict = Literal["match", "mismatch", "not checked"]

#: What is said of an entry that an earlier state of its folder has to the byte.
AS_IT_WAS = "as it was"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass
class Audit:
    """An entry's file (relative to what was asked for), what was found, and the entry where it could be read."""

    file: str
    path: Path
    lines: list[Line] = field(default_factory=list)
    entry: Entry | None = None
    scores: pd.DataFrame | None = None

    @property
    def good(self) -> bool:
        return all(line.verdict != "mismatch" for line in self.lines)

    @property
    def root(self) -> Path:
        """The folder that holds ``entries`` or ``localisation``, below which the scores lie."""
        return next(parent.parent for parent in self.path.parents if parent.name in HOMES)


@contextmanager
def without_traceback(audit: Audit) -> Iterator[None]:
    """What an entry does to whoever reads it is a line of its audit."""
    try:
        yield
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, audit.path, audit.file)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:  # no run writes that
        what = " ".join(str(error).split())[:120]
        said = f"it is not as a run writes it ({type(error).__name__}: {what}); run the suite again."
        audit.lines.append(Line("entry", "mismatch", said))


def place(audit: Audit, wanted: str) -> Line:
    """Whether an entry lies where a run writes it: under another name it would stand beside its successor."""
    found = "/".join(audit.path.parts[-2:])
    same = found == wanted
    return Line("place", "match" if same else "mismatch", wanted if same else f"it lies at {found}, not at {wanted}")


# -- what the entry says of itself ------------------------------------------------------------------------------------


def own_words(entry: Mapping[str, Any]) -> Iterator[Line]:
    """Versions, and the entry that it takes the place of."""
    here = versions(tuple(name for name in entry["versions"] if name != "python" and _installed(name)))
    other = [
        f"{name} {stated} there, {here.get(name, 'none')} here"
        for name, stated in entry["versions"].items()
        if here.get(name) != stated
    ]
    yield Line(
        "versions",
        "not checked" if other else "match",
        f"run with others: {', '.join(other)}" if other else f"{len(here)} as installed here",
    )
    old = entry.get("supersedes")
    if old is not None:
        fine = isinstance(old, str) and len(old) == 64 and set(old) <= set("0123456789abcdef")
        said = "an earlier entry; --base compares the two" if fine else "is no sha256 of an earlier entry's file"
        yield Line("supersedes", "not checked" if fine else "mismatch", said)


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
