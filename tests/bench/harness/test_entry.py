"""Where entries are looked for: in a track's home, within the results of their suite, whatever lies above."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from subnetbench.bench import load_results
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.harness.entry import entry_files
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


def test_a_data_set_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    """No page can be named so; a run and its tables do not mind."""
    import numpy as np
    from subnetbench.bench.data.builtin import digits

    data = digits()
    columns = {
        f"{name}_{what}": array
        for name, split in (("train", data.train), ("test", data.test))
        for what, array in (("images", split.images), ("labels", split.labels))
    }
    np.savez(tmp_path / "mine.npz", **columns)
    text = changed(SMALL, ('name = "digits"\n', f"name = '{tmp_path / 'mine.npz'}'\n"))
    (tmp_path / "small.toml").write_text(text)
    said = call("run", tmp_path / "small.toml", "--store", tmp_path / "store", "--output", tmp_path / "out")
    assert said.code == 0, said.err
    assert call("tables", tmp_path / "out" / "small", "--check").code == 0
    assert {entry.dataset.name for entry in read_entries(tmp_path / "out" / "small")} == {str(tmp_path / "mine.npz")}
    assert "reads as a path" in call("verify", tmp_path / "out" / "small").out
