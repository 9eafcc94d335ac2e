"""One entry of either track: a form that a run fills and writes, and that tables, pages and audits read and check."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import UserError
from ..core.files import sentence, walk, write_bytes, write_json
from ..core.machine import Machine
from ..core.packed import XZ, plain, read_json
from ..core.text import shown
from .fields import Count as Count
from .fields import Day, Seed, shown_name
from .fields import Positive as Positive
from .fields import Share as Share
from .fields import Shown as Shown
from .left_out import LeftOut as LeftOut
from .toml import explain

SCHEMA: Literal[1] = 1


@dataclass(frozen=True)
class Column:
    """A column of a scores file: a pattern for its whole name, and whether it holds whole numbers, numbers or names."""

    pattern: str
    kind: Literal["whole", "number", "name"]
    required: bool = True

    def holds(self, name: str) -> bool:
        return re.fullmatch(self.pattern, name) is not None


class Form(BaseModel):
    """Strict types and finite numbers; keys of another version are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True, populate_by_name=True)


class OfSession(Form):
    """What stands for something that no file of a package defines: what it was, and a hash of its code or content.

    Written where it is so alone; from the entry's file nobody else can run it again.
    """

    from_: str = Field("", alias="from")
    source: str = ""


class SuiteNote(Form):
    name: Shown
    title: str = ""
    limit: int | None = None


class DatasetNote(OfSession):
    name: str
    note: str = ""
    sha256: str


class ScoresNote(Form):
    """The file of per-image scores, relative to the results folder."""

    file: str
    sha256: str


class MachineNote(Form):
    """A kind of machine that an entry rests on; "not stated" for artifacts of an earlier version's store."""

    cpu: str = Field(max_length=1000)
    threads: Count
    device: str = Field(max_length=200)


class Entry(Form):
    """The fields that the entries of every track share: suite, seed, versions, and the file of the images' scores.

    A track adds its own fields, its folder among the results, and the file of each entry.
    """

    #: The folder among a suite's results that holds a track's entries.
    home: ClassVar[str]

    #: The columns of its file of scores; others are not read.
    columns: ClassVar[tuple[Column, ...]]

    #: Names of all fields in the order in which they are written.
    written_order: ClassVar[tuple[str, ...]]

    schema_: Literal[1] = Field(SCHEMA, alias="schema")
    suite: SuiteNote
    seed: Seed
    versions: dict[str, str]
    #: At most these kinds of machine made what it rests on; entries of earlier versions state none.
    machines: list[MachineNote] = Field(default_factory=list)
    scores: ScoresNote | None = None
    #: The sha256 of the file that this entry replaced, and the day on which it did; its author states both.
    supersedes: Any = None
    superseded: Day | None = None

    @property
    def place(self) -> str:
        """The entry's file below `home`, without its suffix."""
        raise NotImplementedError

    @property
    def scores_file(self) -> str:
        """The scores' file below the results folder."""
        raise NotImplementedError

    @property
    def identity(self) -> tuple[str, ...]:
        """The key that no two entries share; its last part is the name of what was measured."""
        raise NotImplementedError

    @property
    def ground(self) -> Any:
        """Equal for entries measured on the same images of the same net; None where that cannot be said."""
        return None

    @property
    def title(self) -> str:
        """The identity in words."""
        raise NotImplementedError

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        """Scores as the bytes of the stored parquet file."""
        raise NotImplementedError

    @classmethod
    def unpacked(cls, scores: pd.DataFrame) -> pd.DataFrame:
        """Scores as the run had them, from the stored file."""
        return scores

    @property
    def page_names(self) -> dict[str, str]:
        """Names that pages are named after, by key: a run takes a data set by its path, a page cannot be called so."""
        return {}

    @property
    def file(self) -> str:
        """The entry's file below the results folder."""
        return f"{self.home}/{self.place}.json"

    def made_by(self, machines: Sequence[Machine]) -> Self:
        """The entry with the kinds of machine that it rests on; as it is where nothing says."""
        if not machines:
            return self
        return self.model_copy(update={"machines": [MachineNote(**asdict(machine)) for machine in machines]})

    def write(self, folder: Path, scores: pd.DataFrame | None) -> Self:
        """Write scores and entry below a results folder, linked by a sha256; return the entry that names its scores."""
        entry = self
        if scores is not None:
            blob = self.packed(scores)
            write_bytes(folder / self.scores_file, blob)
            note = ScoresNote(file=self.scores_file, sha256=hashlib.sha256(blob).hexdigest())
            entry = self.model_copy(update={"scores": note})
        write_json(folder / self.file, entry.written())
        (folder / f"{self.file}{XZ}").unlink(missing_ok=True)  # the entry of an earlier run, compressed since
        return entry

    def written(self) -> dict[str, Any]:
        """The content of the entry's JSON: its schema, and the fields that were set."""
        content = {"schema": self.schema_, **self.model_dump(mode="json", by_alias=True, exclude_unset=True)}
        order = ("schema", *self.written_order)
        place = order.index("versions") + 1
        names = (*order[:place], "machines", *order[place:], "superseded")
        return {name: content[name] for name in names if name in content}


E = TypeVar("E", bound=Entry)


F = TypeVar("F", bound=Form)


def read_form(form: type[F], path: Path) -> F:
    """The content of any of a run's JSON files. UserError with file and key if it is not as a run writes it."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not as a run writes it; run its suite again.")
    try:
        return form.model_validate(content)
    except ValidationError as error:
        message = explain(error, lambda place: str(path)).removesuffix(".")
        raise UserError(f"{message}; run its suite again.") from None


def read_entry(form: type[E], path: Path) -> E:
    """The entry in a file. UserError if it is not an entry, has another schema or states impossible values."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not an entry; run its suite again.")
    if content.get("schema") != SCHEMA:
        stated = f"has schema {content['schema']!r}" if "schema" in content else "states no schema"
        raise UserError(f"{path} {stated}, this version reads {SCHEMA}; run its suite again.")
    try:
        return form.model_validate(content)
    except ValidationError as error:
        raise UserError(explain(error, lambda place: str(path))) from None


def read_entries(form: type[E], folder: Path, keep: Callable[[E], E] = lambda entry: entry) -> list[E]:
    """All of a track's entries below a results folder, at any depth, in a fixed order; of each, what ``keep`` gives."""
    if not folder.is_dir():
        raise UserError(f"There is no results folder {folder}; run a suite first, or give its output folder.")
    paths = entry_files(form, folder)
    if not paths:
        raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")
    return [keep(read_entry(form, path)) for path in paths]


def entry_files(form: type[Entry], folder: Path) -> list[Path]:
    """The files of a track's entries at or below ``folder``, sorted: those that lie where a run writes entries."""
    above = folder.absolute().parents[:2]  # the folder may be a home itself, or one of its folders
    top = above[-1] if above else folder.absolute()
    paths = (place / name for place, names in walk(folder) for name in names if name.endswith((".json", f".json{XZ}")))
    return sorted(path for path in paths if is_entry_file(form.home, path, top) and path.is_file())


def is_entry_file(home: str, path: Path, top: Path | None = None) -> bool:
    """Whether a file lies where a run writes entries: in a folder of the track's home, neither higher nor deeper.

    Everything else in a home is somebody's own, whatever it holds: it is neither read nor removed.
    """
    above = path.absolute().parent.parent
    return above.name == home and plain(path).suffix == ".json" and home_of(path, (home,), top) == above


def folders_below(folder: Path, home: str) -> list[Path]:
    """Folders at or below ``folder`` that hold a home, or the one whose home it is."""
    itself = {folder.absolute().parent} if folder.absolute().name == home else set()
    below = {place.parent for place, _ in walk(folder) if place.name == home and place != folder}
    return sorted(below or itself)


def home_of(path: Path, homes: Collection[str], top: Path | None = None) -> Path | None:
    """The folder of one of these names that a file lies in, searched no higher than its suite's results (and `top`)."""
    for parent in path.absolute().parents:
        if parent == top or (parent / "suite.json").is_file():
            return None
        if parent.name in homes:
            return parent
    return None


def read_for_pages(form: type[E], path: Path) -> E:
    """`read_entry`; UserError if one of its names cannot be that of a page."""
    entry = read_entry(form, path)
    for key, name in entry.page_names.items():
        try:
            shown_name(name)
        except ValueError as error:
            raise UserError(f"{path}: {key}: {error} (given: {name!r}).") from None
    return entry


def root_of(form: type[Entry], path: Path) -> Path:
    """The results folder of an entry's file, to which the path of its scores is relative."""
    return next(parent.parent for parent in path.absolute().parents if parent.name == form.home)


# -- entries that a page may show -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked(Generic[E]):
    """An entry that passed, its results folder, its file (relative to the folder read) and what its scores give."""

    entry: E
    folder: Path
    file: str
    measured: Any


#: ``examine(root, entry)`` measures from the scores what the entry states, and raises UserError if they differ.
Examine = Callable[[Path, E], Any]


def _examined(path: Path, root: Path, entry: E, examine: Examine[E]) -> Any:
    return examine(root, entry)


def read_checked(
    form: type[E], folder: Path, examine: Examine[E], measured: Callable[[Path, Path, E, Examine[E]], Any] = _examined
) -> tuple[list[Checked[E]], list[LeftOut]]:
    """All of a track's entries below a folder whose claims hold, and the files that were left out.

    ``measured(path, root, entry, examine)`` may know the outcome for the entry in a file from an earlier call.
    """
    if not folder.is_dir():
        raise UserError(f"There is no results folder {folder}; run a suite first, or give its output folder.")
    checked: list[Checked[E]] = []
    refused: list[LeftOut] = []
    first: dict[tuple[str, ...], str] = {}

    def outcome(path: Path) -> Checked[E] | LeftOut:
        return _checked(form, folder, lambda root, entry: measured(path, root, entry, examine), path)

    for result in _in_threads(outcome, entry_files(form, folder)):
        if isinstance(result, LeftOut):
            refused.append(result)
        elif result.entry.identity in first:
            reason = f"{first[result.entry.identity]} is {result.entry.title} already"
            refused.append(LeftOut(result.file, f"{reason}; an entry is replaced, not repeated."))
        else:
            checked.append(result)
            first[result.entry.identity] = result.file
    return checked, refused


def _checked(form: type[E], folder: Path, examine: Examine[E], path: Path) -> Checked[E] | LeftOut:
    file = shown(path.relative_to(folder).as_posix())
    try:
        entry, root = read_for_pages(form, path), root_of(form, path)
        return Checked(entry, root, file, examine(root, entry))
    except UserError as error:
        return LeftOut(file, sentence(error, path, file))


R = TypeVar("R")


def _in_threads(work: Callable[[Path], R], paths: Sequence[Path]) -> Iterator[R]:
    """Results in order, from threads: reading and sorting release Python's lock."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(work, paths)
