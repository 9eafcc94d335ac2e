"""A suite: TOML in, checked by pydantic, canonical JSON out. A mistake is reported with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..core.errors import UserError
from ..core.parameters import SEEDS

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"

#: Names that are devices on Windows, with any suffix: no file or folder can be called so there.
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def _names_a_file(name: str) -> str:
    """A name becomes that of files and folders, which other systems must be able to hold."""
    if DEVICE.fullmatch(name):
        raise ValueError("no file can have this name on Windows; choose another")
    if name.endswith("."):
        raise ValueError("no file name may end with a dot on Windows; leave it out")
    return name


Name = Annotated[str, Field(pattern=NAME, max_length=64), AfterValidator(_names_a_file)]


class Part(BaseModel):
    """Base of every part of a suite: unknown keys are mistakes, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Form = TypeVar("Form", bound=Part)


class DatasetPart(Part):
    """A registered data set, or the path of the user's own ``.npz``."""

    name: str
    parameters: dict[str, Any] = {}
    train_limit: int | None = Field(None, ge=10, description="training images that detectors are fitted on")

    @property
    def title(self) -> str:
        """The name that results state: a file's without its folder, as `load` names its data set; a hub's own."""
        if self.name.lower().endswith(".npz"):
            return PureWindowsPath(self.name).stem
        repository = self.parameters.get("repository")
        return repository if isinstance(repository, str) and repository else self.name


class ModelPart(Part):
    name: str
    floor: float = Field(0.0, ge=0, le=1, description="refuse a classifier below this accuracy on the test split")
    parameters: dict[str, Any] = {}
    weights: str | None = Field(None, description="name of weights that ship, or a safetensors file")
    train: dict[str, Any] | None = Field(
        None, description="fields of bench.harness.train.Recipe; absent = the net is taken as its factory gives it"
    )

    @model_validator(mode="after")
    def _untrained(self) -> Self:
        # Files of earlier versions state {} for nets that were taken as they came.
        if self.train == {} and self.parameters.get("weights"):
            object.__setattr__(self, "train", None)
        return self

    @property
    def trains(self) -> bool:
        """Whether a run trains the net."""
        return self.weights is None and self.train is not None

    @property
    def origin(self) -> str:
        """Where the net's weights come from, in words."""
        if self.weights is not None:
            return f"with the weights {self.weights}"
        return "trained from nothing by [model.train]" if self.trains else "taken as its factory gives it"


class AnySuite(Part):
    """Parts that suites of every track share: data, and how subnets are learned."""

    name: Name
    title: str = ""
    seed: int = Field(0, ge=0, lt=SEEDS)
    limit: int | None = Field(None, ge=20, description="number of test images used, spread evenly over the classes")
    dataset: DatasetPart
    subnets: dict[str, Any] | None = Field(None, description="fields of subnets.GateOptions; absent = no subnets")

    def overridden(
        self,
        *,
        limit: int | None = None,
        seed: int | None = None,
        classes: str | Sequence[str] | None = None,
        detectors: Sequence[str] = (),
    ) -> Self:
        """The suite with a command line's changes. UserError where the track has no classes or detectors."""
        if classes is not None:
            raise UserError(
                f"--classes goes with suites of detectors; the suite {self.name!r} lists its classes in "
                "dataset.parameters.classes."
            )
        if detectors:
            raise UserError(f"--detector goes with suites of detectors; {self.name} is not one.")
        return self._limited(limit, seed)

    def _limited(self, limit: int | None, seed: int | None) -> Self:
        if limit is not None and limit < 20:
            raise UserError(f"--limit {limit} is too few images to fit and evaluate on; give at least 20.")
        if seed is not None and seed < 0:
            raise UserError(f"--seed {seed} is negative; give 0 or more.")
        if seed is not None and seed >= SEEDS:
            raise UserError(f"--seed {seed} is too large; give one below 2**32.")
        return self.model_copy(update={k: v for k, v in (("limit", limit), ("seed", seed)) if v is not None})

    def added_by(self, earlier: Self) -> list[str]:
        """Names that a command line had added to this suite in an earlier run, whose results remain valid beside it."""
        return []

    def with_added(self, names: Sequence[str]) -> Self:
        """The suite with such parts."""
        return self

    def nets(self) -> dict[str, NetSuite]:
        """The nets that the suite trains or loads, by label, each with its data and subnets."""
        raise NotImplementedError

    def size(self) -> str:
        """The suite's size in words: the numbers of its parts and of its results."""
        raise NotImplementedError


class NetSuite(AnySuite):
    """A suite with one net, as data, weights and gates need it."""

    model: ModelPart


def differing_labels(parts: list[Any]) -> list[Any]:
    """A validator: no two parts of a list have the same label."""
    first: dict[str, str] = {}
    for title in (getattr(part, "title", part.name) for part in parts):
        other = first.setdefault(title.casefold(), title)
        if other != title:
            raise ValueError(
                f"two entries are labelled {other!r} and {title!r}, one file name on many systems; give one of them "
                "another label"
            )
    titles = [getattr(part, "title", part.name) for part in parts]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise ValueError(f"two entries are labelled {twice[0]!r}; give one of them a label of its own")
    return parts
