"""Entries that a page may show: read one by one and checked, and those that are refused, each by name."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..core.errors import UserError
from ..detection.entry import Entry, read_entry
from ..detection.scores import Found, examine
from .toml import explain

#: A larger file is no entry, and is refused unread.
MOST_BYTES = 16 << 20


def _shown(text: str) -> str:
    """A name may hold whatever can be shown; it becomes a file's name, so it must not lead anywhere."""
    if not text.strip() or text.strip(".") == "" or any(c in "/\\" for c in text):
        raise ValueError("this is no name: it is empty, or reads as a path")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("this is no name: it holds control characters")
    return text


Shown = Annotated[str, Field(max_length=200), AfterValidator(_shown)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(ge=0)]


class _Form(BaseModel):
    """What pages use of an entry; keys that they do not use may be anything."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Suite(_Form):
    name: Shown
    title: str = ""


class _Dataset(_Form):
    name: Shown
    note: str = ""
    sha256: str
    train_images: Count
    attacked_images: Count


class _Model(_Form):
    name: Shown
    parameters: dict[str, Any]
    sha256: str
    accuracy: Share


class _Protocol(_Form):
    name: Shown
    ties: Literal["half", "pessimistic"]


class _Detector(_Form):
    label: Shown
    name: Shown
    control: bool
    title: str
    year: int = Field(ge=1900, le=2200)
    url: str = ""
    needs: list[Shown]
    formula: str
    candidates: list[dict[str, Any]] = []
    notes: str = ""


class _Attack(_Form):
    name: Shown
    library: str
    version: str
    preset: str
    parameters: dict[str, Any]
    threat: str
    norm: str
    images_sha256: str | None = None
    clean_correct: Count
    successes: Count
    seconds_per_image: Positive
    l2_median: Positive | None
    linf_median: Positive | None
    margin_median: float | None
    survives_8bit: Share | None

    @model_validator(mode="after")
    def _possible(self) -> _Attack:
        if self.successes > self.clean_correct:
            raise ValueError(f"{self.successes} successes on {self.clean_correct} images cannot be")
        return self


class _Cell(_Form):
    fit_on: str
    test_on: str
    seen: bool
    auroc: Share | None
    low: Share | None
    high: Share | None
    fpr95: Share | None
    noise_auroc: Share | None = None
    aupr: Share | None = None
    accuracy: Share | None = None
    split_sd: Positive | None = None
    gate_sd: Positive | None = None
    n: list[Count]
    n_fit: list[Count]
    remark: str

    @model_validator(mode="after")
    def _consistent(self) -> _Cell:
        if self.seen != (self.fit_on == self.test_on):
            raise ValueError(f"seen cannot be {str(self.seen).lower()} here")
        if len({self.auroc is None, self.low is None, self.high is None, self.fpr95 is None}) > 1:
            raise ValueError("auroc, low, high and fpr95 stand or lack together")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval from {self.low} to {self.high} is upside down")
        return self


class _Statistics(_Form):
    level: float = Field(gt=0, lt=1)


class _Cost(_Form):
    seconds_per_image: Positive | None = None


class _Scores(_Form):
    file: str
    sha256: str


class _Entry(_Form):
    suite: _Suite
    dataset: _Dataset
    model: _Model
    protocol: _Protocol
    detector: _Detector
    attacks: dict[Shown, _Attack] = Field(min_length=1)
    seed: Count
    statistics: _Statistics
    cells: list[_Cell] = Field(min_length=1)
    cost: _Cost
    versions: dict[str, str]
    scores: _Scores

    @model_validator(mode="after")
    def _cells_are_of_attacks(self) -> _Entry:
        pairs = [(cell.fit_on, cell.test_on) for cell in self.cells]
        for pair in pairs:
            if not set(pair) <= self.attacks.keys():
                raise ValueError(f"a cell names the attacks {pair}, which the entry does not describe")
        twice = {pair for pair in pairs if pairs.count(pair) > 1} if len(set(pairs)) < len(pairs) else set()
        if twice:
            raise ValueError(f"the cell {min(twice)} stands there twice")
        return self


@dataclass(frozen=True)
class Checked:
    """An entry that passed, the results folder it is of, its file (relative to what was read) and what scores give."""

    entry: Entry
    folder: Path
    file: str
    found: Found

    @property
    def id(self) -> tuple[str, str, str]:
        return identity(self.entry)


@dataclass(frozen=True)
class LeftOut:
    """A file that is not on the pages, and one sentence that says why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} is left out: {self.reason}"


def identity(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """What no two entries share: suite, protocol and the detector's label."""
    return entry["suite"]["name"], entry["protocol"]["name"], entry["detector"]["label"]


def entry_files(folder: Path) -> list[Path]:
    """Every JSON file below a folder named ``entries``, in a fixed order."""
    found = (path for path in folder.rglob("*.json") if "entries" in path.relative_to(folder).parts[:-1])
    return sorted(path for path in found if path.is_file())


def read_checked(folder: Path) -> tuple[list[Checked], list[LeftOut]]:
    """All entries below a folder that hold what they claim, and what was left out."""
    if not folder.is_dir():
        raise UserError(f"There is no results folder {folder}; run a suite first, or give its output folder.")
    checked: list[Checked] = []
    refused: list[LeftOut] = []
    first: dict[tuple[str, str, str], str] = {}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # reading and sorting leave Python's lock
        for each in pool.map(lambda path: _look(path, folder), entry_files(folder)):
            if isinstance(each, LeftOut):
                refused.append(each)
            elif each.id in first:
                suite, protocol, label = each.id
                refused.append(
                    LeftOut(
                        each.file,
                        f"{first[each.id]} is {label!r} of suite {suite!r}, protocol "
                        f"{protocol!r}, already; an entry is replaced, not repeated.",
                    )
                )
            else:
                checked.append(each)
                first[each.id] = each.file
    return checked, refused


def _look(path: Path, folder: Path) -> Checked | LeftOut:
    file = printable(path.relative_to(folder).as_posix())
    try:
        entry = checked_entry(path)
        root = next(parent.parent for parent in path.parents if parent.name == "entries")
        return Checked(entry, root, file, examine(root, entry))
    except UserError as error:
        return LeftOut(file, sentence(error, path, file))


def checked_entry(path: Path) -> Entry:
    """The entry in a file; UserError where it is none, of another schema, or states what cannot be."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"It has {size >> 20} MiB, more than any entry; it is refused unread.")
        entry = read_entry(path)
        json.dumps(entry, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except OSError as error:
        raise UserError(f"It cannot be read ({error.strerror}); mend its permissions or run the suite again.") from None
    except RecursionError:
        raise UserError("It is nested deeper than any entry; run its suite again.") from None
    except UnicodeEncodeError:  # half a surrogate pair is JSON and no text
        raise UserError("It holds characters that are no text; run its suite again.") from None
    except ValueError:
        raise UserError("It holds NaN or an infinite number; run its suite again.") from None
    try:
        _Entry.model_validate(entry)
    except ValidationError as error:
        raise UserError(explain(error, lambda place: str(path))) from None
    return entry


def sentence(error: UserError, path: Path, file: str) -> str:
    """What went wrong, without the file that it is said of, and not longer than a reader bears."""
    said = printable(str(error)).replace(printable(str(path)), file).removeprefix(f"{file}: ")
    return said if len(said) <= 400 else f"{said[:400]} ..."


def printable(text: str) -> str:
    """Half surrogates (names of files that are no UTF-8) cannot be written to a page."""
    return text.encode("utf-8", "replace").decode("utf-8")


def one_json(path: Path) -> Any:
    """What JSON makes of a file that anybody may have written; UserError where it makes nothing."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is larger than any such file")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"It is no JSON ({str(error)[:120]}); run its suite again.") from None
