"""A suite: TOML in, checked by pydantic, canonical JSON out. A mistake is named by file, line and key."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..core.arrays import UserError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]


class Part(BaseModel):
    """Base of every part of a suite: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Form = TypeVar("Form", bound=Part)


class DatasetPart(Part):
    """A registered data set, or the path of an ``.npz`` of one's own."""

    name: str
    parameters: dict[str, Any] = {}
    train_limit: int | None = Field(None, ge=10, description="training images that detectors are fitted on")


class ModelPart(Part):
    name: str
    floor: float = Field(0.0, ge=0, le=1, description="refuse a classifier below this accuracy on the test split")
    parameters: dict[str, Any] = {}
    weights: str | None = Field(
        None, description="weights that ship, by name, or a safetensors file; without it the recipe below is trained"
    )
    train: dict[str, Any] = Field({}, description="fields of bench.train.Recipe")


class AttackPart(Part):
    name: Name
    label: Name | None = None
    library: Name = "foolbox"
    preset: Name = "standard"
    parameters: dict[str, Any] = {}
    batch_size: int = Field(250, ge=1, description="images an attack gets at once; also the unit that a kill can lose")

    @property
    def title(self) -> str:
        return self.label or self.name


class DetectorPart(Part):
    name: Name
    label: Name | None = None
    parameters: dict[str, Any] = {}
    candidates: list[dict[str, Any]] | None = Field(None, description="instead of the detector's published candidates")
    gate_seeds: int | None = Field(None, ge=1, description="at most so many of the sets of gates; none: all of them")

    @property
    def title(self) -> str:
        return self.label or self.name


class Strict(Part):
    """Free of the reference code's leaks: fitting and evaluation share no image, one common index set over attacks."""

    name: Literal["strict"] = "strict"
    splits: int = Field(5, ge=1, description="seeds of the stratified split into fitting and evaluation images")
    fit_share: float = Field(0.4, gt=0, lt=1)
    folds: int = Field(3, ge=2, description="cross-validation on the fitting part chooses among candidates")
    negatives: Literal["clean", "clean+noise"] = "clean"
    minimum_fit: int = Field(500, ge=2, description="cells fitted on fewer successful adversarials are marked")
    minimum_success: int = Field(20, ge=2, description="attacks with fewer successes leave the common index set")
    ties: Literal["half", "pessimistic"] = "half"


class Lee2018(Part):
    """As the code of Lee et al. 2018 does it, unshuffled, leaks included; see the protocol's documentation."""

    name: Literal["lee2018"] = "lee2018"
    fit_share: float = Field(0.1, gt=0, lt=1)
    batch_size: int = Field(100, ge=2, description="the last incomplete batch of kept images is dropped")
    noise_sigma: dict[str, float] = Field(
        {"fgsm": 0.25 / 4, "bim": 0.13 / 2, "deepfool": 0.25 / 4, "cw": 0.05 / 2},
        description="standard deviation of the noise in normalised units; default: ResNet-34 on CIFAR-10",
    )
    folds: int = Field(3, ge=2)
    minimum_fit: int = Field(500, ge=2)
    ties: Literal["half", "pessimistic"] = "pessimistic"


ProtocolPart = Annotated[Strict | Lee2018, Field(discriminator="name")]


class Statistics(Part):
    resamples: int = Field(2000, ge=100, le=100_000)
    level: float = Field(0.95, gt=0.5, lt=1)
    comparisons: list[tuple[Name, Name]] = Field(
        [], description="pairs of detector labels: does the first beat the second?"
    )


class Sensitivity(Part):
    """Choices of gate training that are tried one by one: every position with every norm and that norm's gammas."""

    position: list[str] = Field(min_length=1)
    gamma: dict[Literal["sum", "mean", "layersum"], Annotated[list[float], Field(min_length=1)]] = Field(
        min_length=1, description="for each form of ||lambda||_1 the weights tried with it"
    )
    detector: Name = Field("subnet-mahalanobis", description="label of the detector that is run with each choice")
    control: Name = Field("subnet-mahalanobis-random", description="label of its control, run likewise")
    baseline: Name = Field("mahalanobis", description="label of the detector that both are compared with")


class AnySuite(Part):
    """What suites of every track share: data, and how subnets are learned."""

    name: Name
    title: str = ""
    seed: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=20, description="test images that are used, even over the classes")
    dataset: DatasetPart
    subnets: dict[str, Any] | None = Field(None, description="fields of subnets.GateOptions; absent = no subnets")


class NetSuite(AnySuite):
    """With one net: what the stages of data, classifier and gates need."""

    model: ModelPart


class Suite(NetSuite):
    """Everything that determines a run's numbers."""

    attacks: list[AttackPart] = Field(min_length=1)
    detectors: list[DetectorPart] = Field(min_length=1)
    protocols: list[ProtocolPart] = Field(min_length=1)
    statistics: Statistics = Statistics()
    sensitivity: Sensitivity | None = None

    @field_validator("attacks", "detectors", "protocols")
    @classmethod
    def _labels_differ(cls, parts: list[Any]) -> list[Any]:
        titles = [getattr(part, "title", part.name) for part in parts]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"two entries are labelled {twice[0]!r}; give one of them a label of its own")
        return parts

    @model_validator(mode="after")
    def _pairs_exist(self) -> Suite:
        labels = [detector.title for detector in self.detectors]
        if self.sensitivity is not None:
            for key in ("detector", "control", "baseline"):
                if getattr(self.sensitivity, key) not in labels:
                    raise ValueError(
                        f"sensitivity.{key} is {getattr(self.sensitivity, key)!r}, which is no detector label of this "
                        "suite"
                    )
        for pair in self.statistics.comparisons:
            for label in pair:
                if label not in labels:
                    raise ValueError(
                        f"statistics.comparisons names {label!r}, which is no detector label of this suite"
                    )
        return self


Changed = TypeVar("Changed", bound=AnySuite)


def changed(suite: Changed, *, limit: int | None, seed: int | None) -> Changed:
    """The suite with what a command line changes in any track."""
    if limit is not None and limit < 20:
        raise UserError(f"--limit {limit} is too few images to fit and evaluate on; give at least 20.")
    if seed is not None and seed < 0:
        raise UserError(f"--seed {seed} is negative; give 0 or more.")
    return suite.model_copy(update={k: v for k, v in (("limit", limit), ("seed", seed)) if v is not None})


def builtin_suites() -> dict[str, Path]:
    folder = files("subnetbench.bench") / "suites"
    return {Path(str(f)).stem: Path(str(f)) for f in sorted(folder.iterdir(), key=str) if str(f).endswith(".toml")}


def load_suite(source: str | Path) -> Suite:
    """The built-in suite of that name, or the suite in that file. Raises UserError with file, line and key."""
    path, text, content = read_suite(source)
    if "saliency" in content:
        raise UserError(f"{path} is a localisation suite, and this takes a suite of detectors; give one of those.")
    return checked_suite(Suite, path, text, content)


def read_suite(source: str | Path) -> tuple[Path, str, dict[str, Any]]:
    """The file of a suite, its text and what TOML makes of it. Raises UserError where there is none."""
    shipped = builtin_suites()
    path = shipped.get(str(source), Path(source))
    if not path.is_file():
        near = difflib.get_close_matches(str(source), shipped, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"There is no suite named {str(source)!r} and no such file.{hint} `subnetbench ls suites` lists what ships."
        )
    try:
        text = path.read_text(encoding="utf-8")
        return path, text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}. Mend that line.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save the suite as UTF-8.") from None


def checked_suite(form: type[Form], path: Path, text: str, content: dict[str, Any]) -> Form:
    for place, value in _leaves(content):
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            line = line_of(text, place)
            key = ".".join(map(str, place))
            raise UserError(f"{path}{f', line {line}' if line else ''}: {key}: {value} is neither text nor a finite "
                            "number; give one of these.")  # fmt: skip
    try:
        return form.model_validate(content)
    except ValidationError as error:
        raise UserError(explain(error, path, text)) from None


def _leaves(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Whatever TOML holds that is neither a table nor a list, with its place."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def explain(error: ValidationError, path: Path | str, text: str, prefix: tuple[str | int, ...] = ()) -> str:
    """The first mistake of a suite as one sentence, with the number of the others."""
    first = error.errors()[0]
    place = (*prefix, *(part for part in first["loc"] if part not in ("strict", "lee2018")))
    line = line_of(text, place)
    key = ".".join(str(part) for part in place) or "the suite"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such key here; remove it or correct its spelling"
    elif first["type"] == "missing":
        message = "this key is required and missing"
    else:
        given = first["input"]
        if isinstance(given, str | int | float | bool):
            message = f"{message[:1].lower()}{message[1:]} (given: {given!r})"
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    return f"{path}{f', line {line}' if line else ''}: {key}: {message}{more}."


def line_of(text: str, place: tuple[str | int, ...]) -> int | None:
    """The line where a key stands; of a table that misses one, the line of its header."""
    table: list[str | int] = []
    counts: dict[str, int] = {}
    best: tuple[int, int] | None = None  # (depth of agreement, line)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            names = header.group(2).replace('"', "").split(".")
            table = list(names)
            if header.group(1) == "[[":
                counts[header.group(2)] = counts.get(header.group(2), -1) + 1
                table.append(counts[header.group(2)])
            elif names[0] in counts:
                table.insert(1, counts[names[0]])
            here = table
        elif key := re.match(r'\s*"?([\w.-]+)"?\s*=', line):
            here = [*table, *key.group(1).split(".")]
        else:
            continue
        if tuple(here) == place[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None
