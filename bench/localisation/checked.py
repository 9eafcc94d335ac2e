"""The localisation track's entries for a page: read one by one, checked against what happened to every image."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..core.errors import UserError
from ..harness.entry import LeftOut, Share, Shown, one_json, printable, sentence
from ..harness.scores import open_scores, read_columns
from ..harness.toml import explain
from .entry import FOLDER, SCHEMA
from .metrics import METRICS, samples

_COLUMNS = ("hit", "correct", "pointing")

#: A stated metric may be so far from the one that its images give: hits are summed in float32.
TOLERANCE = 1e-5


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Named(_Form):
    name: Shown


class _Net(_Form):
    label: Shown
    name: str = ""


class _Metric(_Form):
    value: Share
    low: Share
    high: Share

    @model_validator(mode="after")
    def _ordered(self) -> _Metric:
        if self.low > self.high:
            raise ValueError(f"the interval from {self.low} to {self.high} is upside down")
        return self


class _Scores(_Form):
    file: str
    sha256: str


class Localisation(_Form):
    """What a page shows of one net, method and variant."""

    suite: _Named
    dataset: _Named
    model: _Net
    method: _Net
    variant: Shown
    alpha: float | None = None
    n: int | None = Field(None, ge=0, description="images that were evaluated, counted")
    metrics: dict[str, _Metric] | None = None
    scores: _Scores | None = None
    reason: str = ""


class Claim(_Form):
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


_CLAIMS = TypeAdapter(list[Claim])


@dataclass(frozen=True)
class Track:
    """All localisation entries and claims below a folder, with the metrics that any entry has."""

    entries: Sequence[Localisation]
    claims: Sequence[tuple[str, Sequence[Claim]]]

    @property
    def metrics(self) -> list[str]:
        found = {name for entry in self.entries for name in entry.metrics or ()}
        return [name for name in METRICS if name in found]

    def frame(self) -> pd.DataFrame:
        """One row an entry and metric, in [0, 1]."""
        rows = [
            {
                "suite": e.suite.name,
                "dataset": e.dataset.name,
                "net": e.model.label,
                "method": e.method.label,
                "variant": e.variant,
                "alpha": e.alpha,
                "images": e.n,
                "metric": name,
                **metric.model_dump(),
            }
            for e in self.entries
            for name, metric in (e.metrics or {}).items()
            if name in METRICS
        ]
        return pd.DataFrame(rows)


def is_claims(path: Path) -> bool:
    return path.name == "claims.json" and path.parent.name == FOLDER


def track_files(folder: Path) -> list[Path]:
    """Entries and claims of the localisation track at any depth, in a fixed order."""
    files = (path for path in folder.rglob("*.json") if path.is_file())
    return sorted(path for path in files if path.parent.parent.name == FOLDER or is_claims(path))


def read_track(folder: Path) -> tuple[Track, list[LeftOut]]:
    """Entries are ``localisation/<net>/*.json`` at any depth, claims ``localisation/claims.json``."""
    entries: list[Localisation] = []
    claims: list[tuple[str, Sequence[Claim]]] = []
    refused: list[LeftOut] = []
    first: dict[tuple[str, ...], str] = {}
    ours = track_files(folder)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for path, found in zip(ours, pool.map(_look, ours), strict=True):
            file = printable(path.relative_to(folder).as_posix())
            if isinstance(found, UserError):
                refused.append(LeftOut(file, sentence(found, path, file)))
            elif isinstance(found, list):
                claims.append((printable(path.parents[1].name), found))
            elif (key := (found.suite.name, found.model.label, found.method.label, found.variant)) in first:
                refused.append(
                    LeftOut(
                        file,
                        f"{first[key]} has the same suite, net, method and variant; an entry is "
                        "replaced, not repeated.",
                    )
                )
            else:
                entries.append(found)
                first[key] = file
    return Track(entries, claims), refused


def _look(path: Path) -> Localisation | list[Claim] | UserError:
    try:
        content = one_json(path)
        return checked_claims(content) if is_claims(path) else checked_map(path, content)
    except ValidationError as error:
        return UserError(explain(error, lambda place: str(path)))
    except (KeyError, TypeError):
        return UserError("It holds no localisation entry and no claims; run its suite again.")
    except UserError as error:
        return error


def checked_claims(content: Any) -> list[Claim]:
    return _CLAIMS.validate_python(content["claims"])


def checked_map(path: Path, content: Any) -> Localisation:
    """An entry whose metrics are those that its images give; UserError or ValidationError where it is not."""
    if content["schema"] != SCHEMA:
        raise UserError(f"It has schema {content['schema']}, this version reads {SCHEMA}; run its suite again.")
    entry = Localisation.model_validate(content)
    if entry.metrics and entry.scores is None:
        raise UserError("It states metrics and names no scores; run its suite again.")
    if entry.metrics:
        root = next(parent.parent for parent in path.parents if parent.name == FOLDER)
        images, given = _given(open_scores(root, content["scores"]))
        for name, metric in entry.metrics.items():
            if name in METRICS and (name not in given or abs(given[name] - metric.value) > TOLERANCE):
                said = f"{given[name]:.6f}" if name in given else "none"
                raise UserError(
                    f"It states {METRICS[name]} {metric.value:.6f}, and its images give {said}; run its suite again."
                )
        # Where there is no net (the controls edges and constant-box), nothing names the class right or wrong.
        metrics = {k: v for k, v in entry.metrics.items() if entry.model.name or k != "top1_error"}
        return entry.model_copy(update={"n": images, "metrics": metrics})
    return entry


def _given(file: pq.ParquetFile) -> tuple[int, dict[str, float]]:
    """The number of images and the metrics that they give."""
    names = [name for name in file.schema_arrow.names if name in _COLUMNS or re.match(r"v[12]_", name)]
    if "hit" not in names or "correct" not in names or not file.metadata.num_rows:
        raise UserError("Its scores hold no images with hits; run its suite again.")
    table = read_columns(file, names)
    try:
        values = {name: table[name].to_numpy().astype(np.float64).astype(bool) for name in names}
        found = samples(values, np.ones((1, len(table)), np.float32))
    except (pa.ArrowException, ValueError, TypeError):
        raise UserError("Its scores hold something else than hits; run its suite again.") from None
    return len(table), {name: float(value[0]) for name, value in found.items()}
