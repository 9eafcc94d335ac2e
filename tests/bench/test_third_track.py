"""A third track is a folder of modules with known names (`tests/bench/chance`) and one line in `tracks.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from subnetbench.bench import load_results, run
from subnetbench.bench.harness.track import Track
from subnetbench.bench.tracks import TRACKS

from .cli.test_commands import call

SUITE = """
name = "by-chance"

[dataset]
name = "digits"

[[rules]]
name = "majority"

[[rules]]
name = "first"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    line = Track("chance", ("rules",), home="chance", folders=("chance",), package="chance")
    monkeypatch.setitem(TRACKS, "chance", line)
    (tmp_path / "by-chance.toml").write_text(SUITE)
    return tmp_path / "by-chance.toml"


def test_it_runs_writes_entries_has_a_table_and_passes_verify(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "2 rules" in call("validate", suite).out
    said = call("run", suite, "--store", tmp_path / "store", "--output", out)
    assert said.code == 0, said.err
    assert "majority" in said.out
    assert "Share of test images in percent." in said.out
    folder = out / "by-chance"
    assert sorted(path.name for path in (folder / "chance" / "digits").iterdir()) == [
        "first.json",
        "first.parquet",
        "majority.json",
        "majority.parquet",
    ]
    assert (folder / "tables" / "chance.csv").read_text().startswith("rule,right\n")
    assert call("tables", out, "--check").code == 0
    verified = call("verify", out)
    assert verified.code == 0, verified.out
    assert "2 entries, 0 with a mismatch" in verified.out
    assert set(load_results(out)["rule"]) == {"majority", "first"}


def test_the_face_runs_it_and_a_false_entry_is_found(suite: Path, tmp_path: Path) -> None:
    frame = run(suite, store=tmp_path / "store", output=tmp_path / "out")
    assert frame["right"].between(0.05, 0.2).all()
    path = tmp_path / "out" / "by-chance" / "chance" / "digits" / "first.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"right": 0.9}))
    verified = call("verify", tmp_path / "out")
    assert verified.code == 1
    assert "states 0.9" in verified.out


def test_what_goes_with_detectors_alone_is_refused_in_one_sentence(suite: Path, tmp_path: Path) -> None:
    assert "--detector goes with suites of detectors" in call("run", suite, "--detector", "lid").mistake
    assert "--classes goes with suites of detectors" in call("run", suite, "--classes", "a,b").mistake
