"""The localisation track's entries for a page: read one by one, checked against what happened to every image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from .board_entries import LeftOut, Share, Shown, each_json, printable, sentence
from .config import explain
from .types import UserError
from .wsol_entries import FOLDER, SCHEMA, read_frame, samples
from .wsol_tables import METRICS

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
            {"suite": e.suite.name, "dataset": e.dataset.name, "net": e.model.label, "method": e.method.label,
             "variant": e.variant, "alpha": e.alpha, "images": e.n, "metric": name, **metric.model_dump()}
            for e in self.entries for name, metric in (e.metrics or {}).items() if name in METRICS
        ]  # fmt: skip
        return pd.DataFrame(rows)


def read_track(folder: Path) -> tuple[Track, list[LeftOut]]:
    """Entries are ``localisation/<net>/*.json`` at any depth, claims ``localisation/claims.json``."""
    entries: list[Localisation] = []
    claims: list[tuple[str, Sequence[Claim]]] = []
    refused: list[LeftOut] = []
    first: dict[tuple[str, ...], str] = {}
    files = (path for path in folder.rglob("*.json") if path.is_file())
    ours = sorted(p for p in files if p.parent.parent.name == FOLDER or p.match(f"{FOLDER}/claims.json"))
    for path, content in each_json(iter(ours)):
        file = printable(path.relative_to(folder).as_posix())
        try:
            if isinstance(content, UserError):
                raise content
            if path.parent.name == FOLDER:
                claims.append((printable(path.parents[1].name), _CLAIMS.validate_python(content["claims"])))
                continue
            entry = _checked(path, content)
            key = (entry.suite.name, entry.model.label, entry.method.label, entry.variant)
            if key in first:
                raise UserError(f"{first[key]} has the same suite, net, method and variant; an entry is replaced, not "
                                "repeated.")  # fmt: skip
            entries.append(entry)
            first[key] = file
        except ValidationError as error:
            refused.append(LeftOut(file, sentence(UserError(explain(error, path, "")), path, file)))
        except (KeyError, TypeError):
            refused.append(LeftOut(file, "It holds no localisation entry and no claims; run its suite again."))
        except UserError as error:
            refused.append(LeftOut(file, sentence(error, path, file)))
    return Track(entries, claims), refused


def _checked(path: Path, content: Any) -> Localisation:
    if content["schema"] != SCHEMA:
        raise UserError(f"It has schema {content['schema']}, this version reads {SCHEMA}; run its suite again.")
    entry = Localisation.model_validate(content)
    if entry.metrics and entry.scores is None:
        raise UserError("It states metrics and names no scores; run its suite again.")
    if entry.metrics:
        root = next(parent.parent for parent in path.parents if parent.name == FOLDER)
        try:
            frame = read_frame(root, content | {"path": path})
            given = samples(frame, np.ones((1, len(frame)), np.float32))
        except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"Its scores are no table of images ({str(error)[:120]}); run its suite again.") from None
        for name, metric in entry.metrics.items():
            if name in METRICS and (name not in given or abs(float(given[name][0]) - metric.value) > TOLERANCE):
                said = f"{float(given[name][0]):.6f}" if name in given else "none"
                raise UserError(f"It states {METRICS[name]} {metric.value:.6f}, and its images give {said}; run its "
                                "suite again.")  # fmt: skip
        return entry.model_copy(update={"n": len(frame)})
    return entry
