"""Small suites with a stage of every kind, and results compared to the byte but for measured seconds and memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ..cli.test_commands import Said, call
from ..made_suite import SMALL

PARTS = """
[adaptive]
images = 10
steps = 3
epsilons = [0.1]
detectors = ["max-softmax"]
rate = 0.1
arms = [{ name = "margin-apgd" }]

[adaptive.proof]
images = 4
inner = 10
draws = 5

[shift]
images = 20
kinds = ["contrast"]
severities = [1]
rate = 0.1
"""

#: What a run measures of itself, and pages that print it.
MEASURED = ("seconds", "seconds_per_image", "peak_mb", "train_minutes", "versions")
TIMED_COLUMNS = ("ms an image", "seconds", "peak MB")
TIMED_PAGES = ("report", "adaptive-report", "shift-report", "cost", "time", "strength")


def without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_measured(item) for key, item in value.items() if key not in MEASURED}
    return [without_measured(item) for item in value] if isinstance(value, list) else value


def content(folder: Path) -> dict[str, Any]:
    """Every file of a results folder, by its path: bytes, but of what is timed all besides the times."""
    files: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            files[name] = json.dumps(without_measured(json.loads(path.read_text())))
        elif path.stem in TIMED_PAGES and path.suffix == ".csv":
            frame = pd.read_csv(path)
            files[name] = frame.drop(columns=[c for c in frame.columns if c in TIMED_COLUMNS]).to_csv()
        elif path.stem not in TIMED_PAGES or path.suffix != ".md":
            files[name] = path.read_bytes()
    return files


@dataclass
class Place:
    """A suite's file with a store and an output."""

    file: Path
    folder: Path

    def run(self, *words: object, output: str = "out", store: str = "store") -> Said:
        place = ("--store", self.folder / store, "--output", self.folder / output)
        return call("run", self.file, *place, *words)

    def content(self, output: str = "out") -> dict[str, Any]:
        return content(self.folder / output / self.file.stem)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One process, and no option of this page."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "small.toml").write_text(SMALL + PARTS)
    place = Place(folder / "small.toml", folder)
    said = place.run()
    assert said.code == 0, said.err
    return place


@pytest.fixture
def fresh(plain: Place, tmp_path: Path) -> Place:
    """The same suite with a store of its own."""
    return Place(plain.file, tmp_path)
