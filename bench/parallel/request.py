"""What a worker is asked and what it answers, both as text: no image, array or object goes between processes."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from ..core.home import expanded
from ..harness.suite import AnySuite
from ..harness.toml import builtin_suites
from ..tracks import TRACKS, load_suite
from .plan import fingerprint


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def text(self) -> str:
        return self.model_dump_json()

    @classmethod
    def read(cls, text: str) -> Self:
        return cls.model_validate_json(text)


class Changes(Text):
    """What a command line changes in a suite."""

    limit: int | None = None
    seed: int | None = None
    classes: str | list[str] | None = None
    detectors: list[str] = []


class Source(Text):
    """A suite by its name or file, or, if it is an object of a session, by its content and its track."""

    name: str
    fingerprint: str
    version: str
    suite: str
    track: str = ""
    changes: Changes = Changes()

    @classmethod
    def of(cls, source: str | Path | AnySuite, ready: AnySuite, changes: Changes) -> Source:
        """``source`` with ``changes`` is ``ready``."""
        head = {"name": ready.name, "fingerprint": fingerprint(ready), "version": version("subnetbench")}
        if not isinstance(source, AnySuite):
            if isinstance(changes.classes, str):
                changes = changes.model_copy(update={"classes": _absolute(changes.classes)})
            shipped = str(source) in builtin_suites()
            return cls(**head, suite=str(source) if shipped else _absolute(source), changes=changes)
        track = next(name for name, track in TRACKS.items() if not track.part and type(ready) is track.form)
        return cls(**head, suite=ready.model_dump_json(), track=track)

    def load(self) -> AnySuite:
        """The suite as this process has it. UserError as from `load_suite`."""
        if self.track:
            return TRACKS[self.track].form.model_validate_json(self.suite)
        return load_suite(self.suite).overridden(**self.changes.model_dump())


def _absolute(text: str | Path) -> str:
    """A file's whole path, since a worker may be in another folder; any other text as it is."""
    file = expanded(text)
    return str(file.absolute() if file.is_file() else text)


class Surrounds(Text):
    """Everything that a worker needs besides its task, the same for all tasks of a wave."""

    source: Source
    command: Literal["run", "train"] = "run"
    store: str
    device: str
    data_root: str | None = None
    threads: int = 1
    failed: dict[str, str] = {}


class Request(Text):
    """One task."""

    surrounds: Surrounds
    marks: str
    key: str


class Answer(Text):
    """What became of a task: ``reason`` why it has no result, ``mistake`` what ends the whole run."""

    key: str
    reason: str = ""
    mistake: str = ""
    warnings: list[str] = []
    computed: int = 0
