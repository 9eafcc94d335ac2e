"""A small suite with a store of its own, and the cells of a notebook that define a detector and an attack."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from subnetbench import bench
from subnetbench.bench.core import registry

from ..made_suite import SMALL

HELPER = """
import numpy as np
from subnetbench.bench import AttackInfo, DetectorInfo, UserError

SCALE = 1.0


def gap(view):
    second, first = np.sort(view.logits.astype(np.float64), axis=1)[:, -2:].T
    return SCALE * (first - second)
"""
DETECTOR = """
class MyDetector:
    info = DetectorInfo(title="Margin", formula="-(z_(1) - z_(2)) / s", year=2026)
    candidates = ()

    def __init__(self, k=1):
        self.k = k
        self.scale = None

    def fit(self, train):
        self.scale = float(np.abs(gap(train)).mean())
        return self

    def characteristics(self, x):
        if self.scale is None:
            raise UserError("my-detector was asked for characteristics before it was fitted; call fit first.")
        return -(gap(x) / self.scale)[:, None] ** self.k
"""
ATTACK = """
class MyAttack:
    def __init__(self, epsilon=0.3):
        self.epsilon = epsilon

    @property
    def parameters(self):
        return {"epsilon": self.epsilon}

    @property
    def info(self):
        return AttackInfo("Noise", 2026, "budget", "Linf", "mine", "1", epsilon=self.epsilon)

    def __call__(self, classifier, images, labels, *, generator):
        import torch

        step = torch.randn(images.shape, generator=generator).sign().to(images)
        return (images + self.epsilon * step).clamp(0, 1)
"""
CELLS = (HELPER, DETECTOR, ATTACK)


class Notebook:
    """Cells run one after the other in one namespace; ``kept``: their text is kept, as IPython does it."""

    def __init__(self, *, kept: bool = False) -> None:
        self.names: dict[str, Any] = {}
        self._kept = kept

    def run(self, *cells: str) -> dict[str, Any]:
        for cell in cells:
            name = f"<cell {hash(cell)}>" if self._kept else "<stdin>"
            if self._kept:
                linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec", dont_inherit=True), self.names)
        return self.names


@dataclass
class Place:
    """Where runs of the small suite share what is trained and attacked."""

    folder: Path

    @property
    def suite(self) -> Path:
        return self.folder / "small.toml"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def run(self, **given: Any) -> pd.DataFrame:
        output = given.pop("output", self.output)
        return bench.run(self.suite, store=self.folder / "store", output=output, device="cpu", **given)

    def auroc(self, label: str, **given: Any) -> float:
        frame = self.run(detectors=[given.pop("detector")], **given)
        return float(frame.query("detector == @label and fit_on == test_on == 'fgsm'")["auroc"].iloc[0])


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("session"))
    made.suite.write_text(SMALL)
    return made


@pytest.fixture
def cells() -> dict[str, Any]:
    """The names that the cells define, in a namespace that no module has."""
    return Notebook().run(*CELLS)


@pytest.fixture(autouse=True)
def nothing_stays() -> Any:
    """No test leaves a name behind in a registry."""
    kinds = (registry.detectors, registry.attacks, registry.models, registry.datasets)
    before = [list(kind) for kind in kinds]
    yield
    assert [list(kind) for kind in kinds] == before
