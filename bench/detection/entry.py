"""Results on disk: a reviewable JSON a detector and protocol, with the scores of every image beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..core.files import read_json, write_bytes, write_json

SCHEMA = 1
Entry = dict[str, Any]

_REQUIRED = (
    "schema",
    "suite",
    "protocol",
    "dataset",
    "model",
    "detector",
    "attacks",
    "seed",
    "cells",
    "versions",
    "scores",
)


#: Columns of a cell that a reader looks for first.
_FIRST = ("fit_on", "test_on", "seen", "auroc", "low", "high")


def write_entry(folder: Path, entry: Entry, scores: pd.DataFrame) -> Path:
    """``entries/<protocol>/<label>.json`` and ``scores/<protocol>/<label>.parquet``, tied by a sha256."""
    protocol, label = entry["protocol"]["name"], entry["detector"]["label"]
    blob = _parquet(scores)
    table: Path = folder / "scores" / protocol / f"{label}.parquet"
    write_bytes(table, blob)
    entry["scores"] = {"file": table.relative_to(folder).as_posix(), "sha256": hashlib.sha256(blob).hexdigest()}
    path: Path = folder / "entries" / protocol / f"{label}.json"
    write_json(path, entry)
    return path


def _parquet(scores: pd.DataFrame) -> bytes:
    """No value changes: float32 is taken where it holds every score exactly."""
    types: dict[str, Any] = {"fit_on": "category", "test_on": "category", "kind": "category"}
    if (scores["score"].astype("float32").astype("float64") == scores["score"]).all():
        types["score"] = "float32"
    plain = [name for name in scores.columns if name != "score"]
    blob: bytes = scores.astype(types).to_parquet(
        None, index=False, compression="zstd", use_dictionary=plain, column_encoding={"score": "BYTE_STREAM_SPLIT"}
    )
    return blob


def read_entry(path: Path) -> Entry:
    entry = read_json(path)
    if not isinstance(entry, dict) or any(key not in entry for key in _REQUIRED):
        raise UserError(f"{path} is no entry: it lacks some of {', '.join(_REQUIRED)}; run its suite again.")
    if entry["schema"] != SCHEMA:
        raise UserError(
            f"The entry {path} has schema {entry['schema']}, this version reads {SCHEMA}; run its suite again."
        )
    return entry


def read_entries(folder: Path) -> list[Entry]:
    """All entries under a results folder, whatever depth, in a fixed order."""
    if not folder.is_dir():
        raise UserError(f"There is no results folder {folder}; run a suite first, or give its output folder.")
    paths = sorted(p for p in folder.rglob("*.json") if "entries" in p.relative_to(folder).parts[:-1])
    if not paths:
        raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")
    return [read_entry(path) | {"path": path} for path in paths]


def read_scores(folder: Path, entry: Entry) -> pd.DataFrame:
    """The scores that an entry names; their sha256 must be the one it states."""
    path = folder / entry["scores"]["file"]
    if folder.resolve() not in path.resolve().parents:
        raise UserError(
            f"The entry for {entry['detector']['label']!r} names scores outside of {folder}; it is refused."
        )
    try:
        blob = path.read_bytes()
    except OSError:
        raise UserError(f"The scores {path} are missing; run the suite {entry['suite']['name']!r} again.") from None
    if hashlib.sha256(blob).hexdigest() != entry["scores"]["sha256"]:
        raise UserError(f"The scores {path} are not those of their entry (sha256 differs); run the suite again.")
    frame: pd.DataFrame = pd.read_parquet(path)
    if "gate" not in frame:
        frame.insert(0, "gate", 0)
    return frame.astype({"fit_on": "str", "test_on": "str", "kind": "str", "score": "float64"})


def replicates(scores: pd.DataFrame) -> list[tuple[int, int]]:
    """(set of gates, split) of every repetition in a frame of scores, in order."""
    found = scores[["gate", "split"]].drop_duplicates().sort_values(["gate", "split"])
    return [(int(gate), int(split)) for gate, split in found.itertuples(index=False)]


def tidy(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row a cell: the frame that `run` returns and that the CSV holds."""
    rows = []
    for entry in entries:
        head = {
            "suite": entry["suite"]["name"],
            "dataset": entry["dataset"]["name"],
            "model": entry["model"]["name"],
            "protocol": entry["protocol"]["name"],
            "detector": entry["detector"]["label"],
            "control": entry["detector"]["control"],
        }
        for cell in entry["cells"]:
            n_fit, n = (_mean(cell[name]) for name in ("n_fit", "n"))
            first = {name: cell[name] for name in _FIRST}
            rest = {k: v for k, v in sorted(cell.items()) if k not in (*_FIRST, "n_fit", "n", "candidates", "remark")}
            rows.append(head | first | {"n_fit": n_fit, "n": n} | rest | {"remark": cell["remark"]})
    return pd.DataFrame(rows)


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts) if counts else 0.0


def net_of(entry: Entry) -> str:
    """The model's name with its parameters, which tell two nets of one family apart."""
    model = entry["model"]
    shown = [f"{key}={value}" for key, value in sorted(model["parameters"].items()) if key != "weights"]
    return f"{model['name']} ({', '.join(shown)})" if shown else str(model["name"])
