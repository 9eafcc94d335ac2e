"""The public face: every name is there, nothing heavy comes with it, and results of either track become a frame."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from subnetbench import bench

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.mark.parametrize("name", bench.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(bench, name) is not None
    assert name in dir(bench)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'rnu'"):
        _ = bench.rnu


def test_importing_the_face_imports_no_torch(tmp_path: Path) -> None:
    script = "import sys, subnetbench.bench; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def entries(folder: Path, home: str) -> list[dict[str, Any]]:
    """Packed entries as plain JSON."""
    return [json.loads(lzma.decompress(path.read_bytes())) for path in sorted((folder / home).glob("*/*.json.xz"))]


def test_detection_results_are_a_frame_with_a_row_a_cell() -> None:
    whole = bench.load_results(RESULTS / "digits")
    frame = whole[whole["test_on"] != "adaptive"]
    assert len(whole) > len(frame)  # a row for each budget of attackers who know the detector
    cells = [
        (entry["protocol"]["name"], entry["detector"]["label"], cell["fit_on"], cell["test_on"], cell["auroc"])
        for entry in entries(RESULTS / "digits", "entries")
        for cell in entry["cells"]
    ]
    assert len(cells) > 100
    columns = ["protocol", "detector", "fit_on", "test_on", "auroc"]
    assert sorted(frame[columns].itertuples(index=False, name=None)) == sorted(cells)
    assert set(frame["suite"]) == {"digits"}
    assert (frame["low"] <= frame["high"]).all()


def test_localisation_results_are_a_frame_with_a_row_a_metric() -> None:
    frame = bench.load_results(RESULTS / "wsol-tiny")
    metrics = [
        (entry["model"]["label"], entry["method"]["label"], entry["variant"], name, metric["value"])
        for entry in entries(RESULTS / "wsol-tiny", "localisation")
        for name, metric in entry["metrics"].items()
        if entry["model"]["name"] or name != "top1_error"  # without a net nothing classifies an image
    ]
    assert len(metrics) > 100
    columns = ["net", "method", "variant", "metric", "value"]
    assert sorted(frame[columns].itertuples(index=False, name=None)) == sorted(metrics)
    assert set(frame["suite"]) == {"wsol-tiny"}
    assert (frame["low"] <= frame["high"]).all()


def test_a_folder_without_entries_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(bench.UserError, match="There are no entries under"):
        bench.load_results(tmp_path)
