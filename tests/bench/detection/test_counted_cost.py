"""A third party's own passes stand in the table of costs, and what an attack spent stays with its images."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from subnetbench.bench import DetectorInfo
from subnetbench.bench.core import registry
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.cost import cost
from subnetbench.bench.detection.optimality import optimality
from subnetbench.bench.detection.run import Run
from subnetbench.bench.harness.context import Context
from subnetbench.bench.plugin.trial import check_detector
from subnetbench.bench.tracks import load_suite

from ..made_suite import SMALL, changed


class Costly:
    """Three passes forward of its own and one backward, on a copy of the net that it made when it was fitted."""

    info = DetectorInfo(title="Costly", formula="-max p", year=2026)
    candidates: ClassVar[Any] = ()

    def fit(self, train: Any) -> Any:
        self.net = copy.deepcopy(train.classifier)
        return self

    def characteristics(self, x: Any) -> Any:
        values = []
        for part in x.batches():
            with torch.inference_mode(False), torch.enable_grad():
                images = x.images[part].clone().requires_grad_()
                worth = -self.net(images).softmax(1).amax(1)
                torch.autograd.grad(worth.sum(), images)
            with torch.inference_mode():
                x.classifier(x.images[part])
                self.net.net(self.net.advance(x.images[part], 0, 0))
            values.append(worth.detach().numpy())
        return np.concatenate(values).astype(np.float64)[:, None]


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.detectors._items, "costly", Costly)


def entries(tmp_path: Path) -> list[Any]:
    path = tmp_path / "costs.toml"
    several = ("parameters = { epsilon = 0.3 }", "epsilons = [0.1, 0.3]\nfloor = 1.0")
    path.write_text(changed(SMALL, several, ('name = "max-softmax"', 'name = "costly"')))
    suite = load_suite(path)
    return [
        entry for entry, _ in Run(suite, Context(device=torch.device("cpu"), store=Store(tmp_path / "store"))).made()
    ]


@pytest.mark.usefixtures("costly")
def test_passes_of_ones_own_stand_in_the_table_and_a_second_run_says_the_same(tmp_path: Path) -> None:
    first, again = entries(tmp_path), entries(tmp_path)
    row = cost(first).set_index("detector").loc["costly"]
    assert (row["forward"], row["backward"]) == ("3.0", "1.0")
    assert optimality(first).equals(optimality(again))
    table = optimality(first).set_index("attack")
    assert list(table.index) == ["fgsm-0.1", "fgsm-0.3"]
    assert {note.effort.backward_per_image for note in first[0].attacks.values()} == {1.0}
    weak = first[0].attacks["fgsm-0.1"]
    assert weak.successes < weak.clean_correct
    assert "too weak" in weak.remark
    assert "too weak" in table.loc["fgsm-0.1", "remark"]
    assert table.loc["fgsm-0.1", "best of all %"] != "–"


def test_a_trial_counts_them_too() -> None:
    said = next(check.message for check in check_detector(Costly) if check.name == "time and memory")
    assert "3 forward and 1 backward passes an image beside the shared one" in said
