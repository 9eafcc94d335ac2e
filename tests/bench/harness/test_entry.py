"""Where entries are looked for: in a track's home, within the results of their suite, whatever lies above."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from subnetbench.bench import load_results
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.harness.entry import entry_files
from subnetbench.bench.harness.folder import without_folders
from subnetbench.bench.localisation.entry import Entry as LocalisationEntry
from subnetbench.bench.tracks import TRACKS, track_of_file

from ..cli.test_commands import call
from ..conftest import Tiny
from ..made_suite import SMALL, changed


@pytest.mark.parametrize("above", ["entries", "localisation"])
def test_results_may_lie_in_a_folder_that_is_called_like_a_home(tiny: Tiny, tmp_path: Path, above: str) -> None:
    folder = shutil.copytree(tiny.folder, tmp_path / above / "tiny")
    entries = entry_files(TRACKS["detection"].entry, tiny.folder)
    for place in (folder, folder.parent, tmp_path):
        assert len(entry_files(TRACKS["detection"].entry, place)) == len(entries)
        assert entry_files(LocalisationEntry, place) == []
    assert track_of_file(folder / "entries" / "strict" / "lid.json") is TRACKS["detection"]
    assert track_of_file(folder / "comparisons" / "strict.json") is None
    said = call("verify", folder.parent)
    assert said.code == 0, said.out
    assert f"{len(entries)} entries, 0 with a mismatch." in said.out


def test_results_within_results_are_read_once(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny.folder, tmp_path / "tiny")
    shutil.copytree(tiny.folder, folder / "older" / "tiny")
    (tmp_path / "empty" / "entries").mkdir(parents=True)
    assert len(load_results(tmp_path)) == 2 * len(load_results(tiny.folder))


def own_data(path: Path) -> Path:
    """The digits as a file of one's own."""
    data = digits()
    columns = {
        f"{name}_{what}": array
        for name, split in (("train", data.train), ("test", data.test))
        for what, array in (("images", split.images), ("labels", split.labels))
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **columns)
    return path


def test_results_name_no_folder_of_their_author(tmp_path: Path) -> None:
    data = own_data(tmp_path / "the author's home" / "mine.npz")
    text = changed(SMALL, ('name = "digits"\n', f'name = "{data}"\n'))
    (tmp_path / "small.toml").write_text(text)
    said = call("run", tmp_path / "small.toml", "--store", tmp_path / "store", "--output", tmp_path / "out")
    assert said.code == 0, said.err
    folder = tmp_path / "out" / "small"
    assert {entry.dataset.name for entry in read_entries(folder)} == {"mine"}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"the author's home" in path.read_bytes()]
    assert json.loads((folder / "suite.json").read_text())["dataset"]["name"] == "mine.npz"
    assert call("verify", folder, "--store", tmp_path / "store").code == 0
    assert call("leaderboard", folder, "--out", tmp_path / "site").code == 0
    assert "mine" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "stated"),
    [
        ("/home/me/w.safetensors", "w.safetensors"),
        ("weights/w.safetensors", "w.safetensors"),
        ("weights/w.safetensors.xz", "w.safetensors.xz"),
        ("C:\\me\\mine.npz", "mine.npz"),
        ("~/classes.txt", "classes.txt"),
        ("../mine.npz", "mine.npz"),
        ("cifar10/wide7", "cifar10/wide7"),
        ("boxes.csv", "boxes.csv"),
    ],
)
def test_paths_in_a_suite_lose_their_folders(given: str, stated: str) -> None:
    assert without_folders({"models": [{"weights": given}]}) == {"models": [{"weights": stated}]}
