"""Localisation results on disk: a JSON for each net, method and variant, and what happened to every image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..core.files import read_json, write_bytes, write_json

SCHEMA = 1
FOLDER = "localisation"
Entry = dict[str, Any]

_REQUIRED = ("schema", "suite", "dataset", "model", "method", "variant", "seed", "versions")


def write_localisation(folder: Path, entry: Entry, frame: pd.DataFrame | None) -> Path:
    """``localisation/<net>/<method>.<variant>.json`` and ``.parquet``, tied by a sha256."""
    stem = f"{entry['method']['label']}.{entry['variant']}"
    place: Path = folder / FOLDER / entry["model"]["label"]
    if frame is not None:
        blob: bytes = frame.to_parquet(None, index=False, compression="zstd")
        write_bytes(place / f"{stem}.parquet", blob)
        entry["scores"] = {
            "file": f"{FOLDER}/{entry['model']['label']}/{stem}.parquet",
            "sha256": hashlib.sha256(blob).hexdigest(),
        }
    write_json(place / f"{stem}.json", entry)
    return place / f"{stem}.json"


def read_localisation(folder: Path) -> list[Entry]:
    """All localisation entries of a results folder, in a fixed order; an empty list where it has none."""
    entries = []
    for path in sorted((folder / FOLDER).glob("*/*.json")):
        entry = read_json(path)
        if not isinstance(entry, dict) or any(key not in entry for key in _REQUIRED):
            raise UserError(
                f"{path} is no localisation entry: it lacks some of {', '.join(_REQUIRED)}; run its suite again."
            )
        if entry["schema"] != SCHEMA:
            raise UserError(
                f"The entry {path} has schema {entry['schema']}, this version reads {SCHEMA}; run its suite again."
            )
        entries.append(entry | {"path": path})
    order = _order(folder)
    last = len(order)

    def place(entry: Entry) -> tuple[int, ...]:
        names = (entry["model"]["label"], entry["method"]["label"], entry["variant"])
        return tuple(order.get(name, last) for name in names)

    return sorted(entries, key=place)


def _order(folder: Path) -> dict[str, int]:
    """Names in the order in which the suite gives them."""
    path = folder / "suite.json"
    if not path.is_file():
        return {}
    suite = read_json(path)
    parts = [part["label"] or part["name"] for key in ("models", "saliency") for part in suite.get(key, ())]
    return {name: place for place, name in enumerate([*parts, *suite.get("localisation", {}).get("variants", ())])}


def read_frame(folder: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    """The images of an entry; their sha256 must be the one that it states."""
    path = folder / entry["scores"]["file"]
    if folder.resolve() not in path.resolve().parents:
        raise UserError(f"The entry {entry['path']} names scores outside of {folder}; it is refused.")
    try:
        blob = path.read_bytes()
    except OSError:
        raise UserError(f"The scores {path} are missing; run the suite {entry['suite']['name']!r} again.") from None
    if hashlib.sha256(blob).hexdigest() != entry["scores"]["sha256"]:
        raise UserError(f"The scores {path} are not those of their entry (sha256 differs); run the suite again.")
    return pd.read_parquet(path)


def others(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Localisation files in a folder that are none of ``paths`` nor beside one of them."""
    ours = {path.with_suffix("") for path in paths}
    found = [path for path in (folder / FOLDER).glob("*/*.*") if path.suffix in (".json", ".parquet")]
    return [path for path in found if path.with_suffix("") not in ours]
