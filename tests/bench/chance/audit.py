"""The share again, from every image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.harness.audit import Audit, Line, settings
from subnetbench.bench.harness.scores import read_frame

from .entry import Entry
from .suite import Suite


def examine(root: Path, entry: Entry) -> int:
    frame = read_frame(root, entry)
    if frame["right"].mean() != entry.right:
        raise UserError(f"The entry {entry.file} states {entry.right}, and its images give {frame['right'].mean()}.")
    return len(frame)


def look(entry: Entry, scores: pd.DataFrame, root: Path, suite: Suite) -> Iterator[Line]:
    yield settings(suite, {"dataset.name": (entry.dataset.name, suite.dataset.name)})
    yield Line("figures", "match", f"{examine(root, entry)} images")


def beside(root: Path) -> list[Path]:
    return []


def look_beside(audit: Audit, suite: Any) -> Iterator[Line]:
    yield from ()
