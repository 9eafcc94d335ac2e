"""Every track on a device that is not the CPU, simulated: what a machine without a GPU can find out."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from subnetbench.bench.adaptive.entry import read_entries as adaptive_entries
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.localisation.entry import read_entries as localisation_entries

from ..other_device import DEVICE, Elsewhere, simulated
from .made_devices import FEW, FEW_MAPS, rows, run_on


@pytest.fixture(scope="module", autouse=True)
def _with_this_torch() -> None:
    """Skips where this version of torch bears no such device: tried in a process of its own, which may abort."""
    file = Path(__file__).resolve().parents[1] / "other_device.py"
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"torch {torch.__version__} bears no simulated device: {done.stderr.strip()[-200:]}")


def test_the_simulated_device_refuses_what_a_gpu_refuses() -> None:
    with simulated():
        there, here = torch.ones(3).to(DEVICE), torch.ones(3)
        assert isinstance(there, Elsewhere)
        assert there.device == DEVICE
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        assert (there + 1).cpu().tolist() == [2, 2, 2]
        x = torch.ones(2, device=DEVICE, requires_grad=True)
        (x.square().sum() * 3).backward()
        assert x.grad is not None
        assert x.grad.device == DEVICE
        assert x.grad.tolist() == [6, 6]


def test_no_track_leaves_a_tensor_on_the_wrong_side(tmp_path: Path) -> None:
    """Nets are trained, gates learned, attacks, arms, changes and maps made there; a stray tensor ends the run."""
    with simulated() as device:
        folder = run_on(str(device), tmp_path, FEW, FEW_MAPS)
    entries = read_entries(folder / "out" / "devices")
    assert {entry.label for entry in entries} == {"mahalanobis", "preprocessed", "lid", "kd-pu"}
    assert all(
        cell.auroc is not None for entry in entries if entry.protocol["name"] == "strict" for cell in entry.cells
    )
    assert adaptive_entries(folder / "out" / "devices")[0].cells[0].arms
    assert localisation_entries(folder / "out" / "wsol-digits")


def test_every_detector_scores_images_that_lie_there(tmp_path: Path) -> None:
    names = [name for name in detectors if detectors.is_ours(name)]
    if find_spec("pytorch_ood") is None:
        names = [name for name in names if not name.startswith("ood-")]
    with simulated() as device:
        folder = run_on(str(device), tmp_path, rows(names), None)
    entries = read_entries(folder / "out" / "devices")
    assert {entry.label for entry in entries} == set(names)
    assert all(cell.auroc is not None for entry in entries for cell in entry.cells if cell.seen)
