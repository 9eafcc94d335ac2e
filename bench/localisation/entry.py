"""The localisation track's entry: one net, method and variant, with the results of every image beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from pydantic import Field, model_validator

from ..core.files import read_json
from ..harness import entry as entries_of
from ..harness.entry import Column, Count, DatasetNote, Form, Positive, Share, Shown, read_form
from ..harness.reports import GateReport
from ..harness.scores import packed, read_frame
from . import hits

FOLDER = "localisation"

#: The variant of controls without a net.
CONTROL = "control"


class LeftOutNote(Form):
    test: Count
    train: Count


class BoxedNote(DatasetNote):
    size: Count
    boxes_sha256: str
    left_out: LeftOutNote


class NetNote(Form):
    """A net; for controls without a net, only the label."""

    label: Shown
    name: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""
    accuracy: Share | None = None
    weights: dict[str, Any] | None = None


class MethodNote(Form):
    label: Shown
    name: str = ""
    title: str = ""
    year: int | None = None
    url: str = ""
    formula: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Metric(Form):
    value: Share
    low: Share
    high: Share

    @model_validator(mode="after")
    def _ordered(self) -> Metric:
        if self.low > self.high:
            raise ValueError(f"the interval from {self.low} to {self.high} is upside down")
        return self


class StatisticsNote(Form):
    resamples: Count
    level: float
    iou: float


class Claim(Form):
    """A paired difference in error; negative where the first errs less."""

    model: Shown
    method: Shown
    first: Shown
    second: Shown
    difference: float = Field(ge=-1, le=1)
    low: float = Field(ge=-1, le=1)
    high: float = Field(ge=-1, le=1)
    p_holm: Share
    verdict: str


class Entry(entries_of.Entry):
    """One net, method and variant; if the method does not work on the net, a reason in place of metrics."""

    home: ClassVar[str] = FOLDER
    written_order: ClassVar[tuple[str, ...]] = (
        *("suite", "dataset", "model", "method", "variant", "target", "seed", "versions", "reason", "alpha", "alphas"),
        *("heldout_errors", "heldout_images", "images", "unusable_maps", "metrics", "statistics", "seconds_per_image"),
        *("scores", "supersedes"),
    )
    columns: ClassVar[tuple[Column, ...]] = (
        *(Column("hit", "number"), Column("correct", "number")),
        *(Column("image", "whole", False), Column("label", "whole", False), Column("iou", "number", False)),
        *(Column("usable", "number", False), Column("pointing", "number", False)),
        *(Column(hits.ONE, "number", False), Column(hits.MANY, "whole", False)),
    )

    dataset: BoxedNote
    model: NetNote
    method: MethodNote
    variant: Shown
    target: str = "GT-known"
    reason: str = ""
    alpha: float | None = None
    alphas: list[float] = Field(default_factory=list)
    heldout_errors: list[float] = Field(default_factory=list)
    heldout_images: Count = 0
    images: Count = 0
    unusable_maps: Count = 0
    metrics: dict[str, Metric] | None = None
    statistics: StatisticsNote | None = None
    seconds_per_image: Positive | None = None

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        if self.metrics and self.alpha is None:
            raise ValueError("metrics are given without the alpha that they were measured at")
        return self

    @property
    def page_names(self) -> dict[str, str]:
        return {"dataset.name": self.dataset.name}

    @property
    def stem(self) -> str:
        return f"{self.method.label}.{self.variant}"

    @property
    def place(self) -> str:
        return f"{self.model.label}/{self.stem}"

    @property
    def scores_file(self) -> str:
        return f"{FOLDER}/{self.place}.parquet"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.model.label, self.method.label, self.variant

    @property
    def identity(self) -> tuple[str, ...]:
        return self.suite.name, *self.key

    @property
    def title(self) -> str:
        net, method, variant = self.key
        return f"{method!r} on {variant!r} of the net {net!r}, suite {self.suite.name!r},"

    @property
    def has_net(self) -> bool:
        """Whether there is a net: controls such as edges have none, so no image is classified, correctly or not."""
        return bool(self.model.name)

    def metric(self, name: str) -> Metric | None:
        """A metric, if it is meaningful here: top-1 error needs a net."""
        if name == "top1_error" and not self.has_net:
            return None
        return (self.metrics or {}).get(name)

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        return packed(pd.DataFrame(hits.packed({name: scores[name].to_numpy() for name in map(str, scores)})))

    @classmethod
    def unpacked(cls, scores: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(hits.spread({name: scores[name].to_numpy() for name in map(str, scores)}))


def read_entries(folder: Path) -> list[Entry]:
    """All entries of a localisation suite's results, in the order of the names in the suite."""
    entries = entries_of.read_entries(Entry, folder)
    order = _order(folder)
    return sorted(entries, key=lambda entry: tuple(order.get(name, len(order)) for name in entry.key))


def _order(folder: Path) -> dict[str, int]:
    """Names and their positions in the suite beside the entries; empty if there is no suite."""
    path = folder / "suite.json"
    if not path.is_file():
        return {}
    suite = read_json(path)
    try:  # not as a `Suite`: one of another version has the same names
        names = [part.get("label") or part["name"] for part in [*suite["models"], *suite["saliency"]]]
        return {name: place for place, name in enumerate([*names, *suite["localisation"]["variants"]])}
    except (KeyError, TypeError, AttributeError):
        return {}


def read_images(folder: Path, entry: Entry) -> pd.DataFrame:
    """The results of every image, which an entry names; their sha256 must be the one it states."""
    return entry.unpacked(read_frame(folder, entry))


class Claims(Form):
    images: Count
    left_out: LeftOutNote
    claims: list[Claim]


class NetReports(Form):
    nets: dict[Shown, GateReport]


def claims_file(folder: Path) -> Path:
    return folder / FOLDER / "claims.json"


def read_claims(folder: Path) -> tuple[dict[str, Any], list[Claim]]:
    """The claims of a suite, as written and as validated."""
    path = claims_file(folder)
    claims = read_form(Claims, path).claims
    return read_json(path), claims


def read_net_reports(folder: Path) -> dict[str, GateReport]:
    """The reports on each net's gates; none for results without subnets."""
    path = folder / FOLDER / "subnets.json"
    return read_form(NetReports, path).nets if path.is_file() else {}
