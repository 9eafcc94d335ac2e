"""A track: a folder whose modules have known names, imported only when they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from ..core.grid import Grid
from ..core.legend import Legend
from .audit import Audit, Line
from .context import Context
from .entry import Entry, folders_below
from .suite import AnySuite
from .tables import Report


class Running(Protocol):
    """A suite being run: the class ``Run`` of a track's module ``run``, made from a suite and a context."""

    failures: list[str]

    def __init__(self, suite: Any, context: Context) -> None: ...

    def check(self) -> None:
        """Raise UserError for every mistake that shows without computing; warn of merely unwise settings."""

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        """A title, and rows that say what a run would do and roughly how long it would take."""

    def steps(self) -> Sequence[float]:
        """About how many seconds each step that `made` and `finish` report takes, in order."""

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame | None]]:
        """Entries one by one, each with the scores of its images; one that failed has none and states the reason."""

    def finish(self, folder: Path) -> None:
        """Write the files beside the entries: comparisons, reports, arrays of figures."""


class Tables(Protocol):
    """The module ``tables``: made from entries and nothing else.

    ``FILES`` are the names of all files that a report may write, so that those of an earlier state are found.
    """

    FILES: frozenset[str]

    def report(self, folder: Path) -> Report: ...

    def frame(self, entries: Iterable[Any]) -> pd.DataFrame:
        """One row per figure, as `run` and `load_results` return them."""


class Terminal(Protocol):
    """The module ``terminal``: the output at the end of a run.

    ``LEGEND`` stands below the tables and explains what these have, between which lines of text may say what they lack;
    ``FILES`` lists names, paths below the results folder and remarks, and ``FAILURES`` is the noun for the parts that
    could not be run.
    """

    LEGEND: Legend
    FILES: Sequence[tuple[str, str, str]]
    FAILURES: str

    def shown(self, entries: Sequence[Any], folder: Path) -> Iterable[Grid | str]: ...


class Audits(Protocol):
    """The module ``audit``: entries checked against the files beside them."""

    def examine(self, root: Path, entry: Any) -> Any:
        """Measure from the scores what an entry states. Raises UserError if they differ."""

    def look(self, entry: Any, scores: Any, root: Path, suite: Any) -> Iterator[Line]:
        """A line for every check of an entry against its scores and its suite.

        ``scores`` is a frame or None; ``suite`` is the one beside the entry, or the reason why there is none.
        """

    def beside(self, folder: Path) -> list[Path]:
        """Files that are not entries but that `verify` checks too."""

    def look_beside(self, audit: Audit, suite: Any) -> Iterator[Line]:
        """A line for every check of one of these files."""


@dataclass(frozen=True)
class Track:
    """One kind of benchmark: the package of its name, with the modules suite, entry, run, tables, terminal and audit.

    ``tables_of_suite`` are tables of a suite's TOML that only suites of this track have; ``home`` is the folder among a
    suite's results that holds its entries, ``folders`` are all folders that hold entries or their scores. ``part``: the
    part of a suite that asks for this track, beside the track whose suite it is; empty where every such suite does.
    """

    name: str
    tables_of_suite: tuple[str, ...]
    home: str
    folders: tuple[str, ...]
    package: str = ""
    part: str = ""

    def _module(self, name: str) -> Any:
        return import_module(f"{self.package or f'subnetbench.bench.{self.name}'}.{name}")

    @property
    def form(self) -> type[AnySuite]:
        """The class of the track's suites."""
        return cast(type[AnySuite], self._module("suite").Suite)

    @property
    def entry(self) -> type[Entry]:
        return cast(type[Entry], self._module("entry").Entry)

    def is_asked_by(self, suite: AnySuite) -> bool:
        """Whether a run of the suite has entries of this track."""
        return isinstance(suite, self.form) and (not self.part or getattr(suite, self.part) is not None)

    def run(self, suite: AnySuite, context: Context) -> Running:
        return cast(Running, self._module("run").Run(suite, context))

    @property
    def tables(self) -> Tables:
        return cast(Tables, self._module("tables"))

    @property
    def terminal(self) -> Terminal:
        return cast(Terminal, self._module("terminal"))

    @property
    def audit(self) -> Audits:
        return cast(Audits, self._module("audit"))

    def folders_below(self, folder: Path) -> list[Path]:
        """Results folders of this track at or below a folder, or the one whose home it is."""
        return folders_below(folder, self.home)
