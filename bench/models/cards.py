"""The cards of the weights that ship, read without torch: `subnetbench ls weights` needs nothing else."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

Card = dict[str, Any]

INDEX = "index.json"


def folder() -> Path:
    return Path(str(files("subnetbench.bench"))) / "weights"


def cards(where: Path | None = None) -> dict[str, Card]:
    """Name -> card of every set of weights that ships."""
    path = (where or folder()) / INDEX
    index: dict[str, Card] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return index
