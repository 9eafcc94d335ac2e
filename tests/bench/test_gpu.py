"""On a GPU, everything runs and gives the figures of a CPU, but for what another order of sums may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from subnetbench.bench.adaptive.entry import read_entries as adaptive_entries
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.localisation.entry import read_entries as localisation_entries

from .made_devices import run_on

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results on the CPU, and on the GPU of the nets that were trained on the CPU."""
    cpu = run_on("cpu", tmp_path_factory.mktemp("cpu"))
    return cpu / "out", run_on("cuda", tmp_path_factory.mktemp("cuda"), weights=cpu) / "out"


def by_key(entries: Any) -> dict[Any, Any]:
    return {entry.title: entry for entry in entries}


def test_attacks_succeed_as_often_with_the_same_norms(both: tuple[Path, Path]) -> None:
    """One image in 200 may lie so near to the boundary that the order of sums decides."""
    cpu, gpu = (read_entries(folder / "devices")[0].attacks for folder in both)
    assert cpu.keys() == gpu.keys()
    for title, note in cpu.items():
        assert abs(gpu[title].successes - note.successes) <= 1, title
        assert gpu[title].l2_median == pytest.approx(note.l2_median, rel=1e-3), title


def test_aurocs_differ_by_less_than_half_a_point(both: tuple[Path, Path]) -> None:
    """Under `strict`; `lee2018` fits on 19 images here, of which one more or less changes the combiner."""
    cpu, gpu = (by_key(read_entries(folder / "devices")) for folder in both)
    assert cpu.keys() == gpu.keys()
    for key, entry in cpu.items():
        for cell, same in zip(entry.cells, gpu[key].cells, strict=True):
            assert same.pair == cell.pair
            if entry.protocol["name"] == "strict":
                assert same.auroc == pytest.approx(cell.auroc, abs=0.005), (key, cell.pair)


def test_attackers_who_know_the_detector_evade_as_often(both: tuple[Path, Path]) -> None:
    cpu, gpu = (by_key(adaptive_entries(folder / "devices")) for folder in both)
    assert cpu.keys() == gpu.keys()
    assert cpu
    for key, entry in cpu.items():
        for cell, same in zip(entry.cells, gpu[key].cells, strict=True):
            assert same.robust == pytest.approx(cell.robust, abs=1.5 / 20), key  # one image


def test_objects_are_found_as_well(both: tuple[Path, Path]) -> None:
    cpu, gpu = (by_key(localisation_entries(folder / "wsol-digits")) for folder in both)
    assert cpu.keys() == gpu.keys()
    for key, entry in cpu.items():
        if entry.variant in ("normal", "control"):  # gates and weights of the others are learned or drawn anew
            for name, metric in entry.metrics.items():
                assert gpu[key].metrics[name].value == pytest.approx(metric.value, abs=1.5 / 30), (key, name)


def test_a_second_run_on_the_gpu_gives_the_same_figures(both: tuple[Path, Path], tmp_path: Path) -> None:
    again = run_on("cuda", tmp_path, weights=both[0].parent) / "out"
    for path in ("devices/tables/cells.csv", "devices/tables/adaptive-cells.csv", "wsol-digits/tables/metrics.csv"):
        assert (again / path).read_bytes() == (both[1] / path).read_bytes(), path
