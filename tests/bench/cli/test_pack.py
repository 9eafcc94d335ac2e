"""Entries that are compressed for a repository are read as if they were not."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench import load_results
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.packed import pack, read_content, read_json
from subnetbench.bench.detection.entry import read_entries, read_scores
from subnetbench.bench.detection.fits import ALL_ATTACKS
from subnetbench.bench.exchange import pack as pack_module
from subnetbench.bench.exchange.pack import coarser

from ..conftest import Tiny
from .test_commands import call


@pytest.fixture
def packed(tiny: Tiny, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    said = call("pack", folder)
    assert said.code == 0, said.err
    return folder


def test_every_command_reads_packed_entries(tiny: Tiny, packed: Path, tmp_path: Path) -> None:
    plain = sorted((tiny.folder / "entries").rglob("*.json"))
    assert sorted((packed / "entries").rglob("*.json")) == []
    assert len(list((packed / "entries").rglob("*.json.xz"))) == len(plain)
    assert [e.cells for e in read_entries(packed)] == [e.cells for e in read_entries(tiny.folder)]
    assert load_results(packed).equals(load_results(tiny.folder))
    assert call("tables", packed, "--check").code == 0
    said = call("verify", packed)
    assert said.code == 0, said.out + said.err
    assert f"{len(plain)} entries, 0 with a mismatch." in said.out
    assert call("leaderboard", packed, "--out", tmp_path / "site").code == 0


def test_an_entry_is_as_it_was_whether_or_not_it_is_packed(tiny: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    for path in sorted((folder / "entries").rglob("*.json")):
        pack(path)
    for now, base in ((folder, tiny.folder), (tiny.folder, folder)):
        said = call("verify", now, "--base", base)
        assert said.code == 0, said.out + said.err
        assert "6 as they were, 0 with a mismatch." in said.out


def test_packing_twice_changes_nothing(packed: Path) -> None:
    before = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    assert "0 entries packed, scores of 0 rounded" in call("pack", packed).out
    assert {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()} == before


def test_scores_lose_bits_as_long_as_every_figure_stays(tiny: Tiny, packed: Path) -> None:
    for entry in read_entries(packed):
        (before,) = (e for e in read_entries(tiny.folder) if e.file == entry.file)
        old, new = read_scores(tiny.folder, before), read_scores(packed, entry)
        assert (old["image"] == new["image"]).all()
        np.testing.assert_allclose(new["score"], old["score"], rtol=2.0**-12)
    before, after = (_bytes_of(folder / "scores") for folder in (tiny.folder, packed))
    assert after < before


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def test_a_large_listing_of_cells_is_packed_and_stays_so(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_module, "LARGE", 1000)
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    plain, packed = folder / "tables" / "cells.csv", folder / "tables" / "cells.csv.xz"
    before = plain.read_bytes()
    assert call("pack", folder).code == 0
    assert not plain.exists()
    assert lzma.decompress(packed.read_bytes()) == before
    assert call("tables", folder, "--check").code == 0
    for blob in (lzma.compress(before + b"more"), packed.read_bytes()[:-30], b"no xz"):
        packed.write_bytes(blob)
        assert "cells.csv.xz is not what its entries give" in call("tables", folder, "--check").err
        assert call("tables", folder).code == 0
        assert not plain.exists()
        assert lzma.decompress(packed.read_bytes()) == before
    assert len(pd.read_csv(packed)) == len(pd.read_csv(tiny.folder / "tables" / "cells.csv"))
    plain.write_bytes(b"of an earlier state, as a merge or `unxz -k` leaves it")
    assert "stands beside cells.csv.xz" in call("tables", folder, "--check").err
    assert call("tables", folder).code == 0
    assert not plain.exists()
    assert lzma.decompress(packed.read_bytes()) == before


def test_the_scores_of_table_2_can_be_enough(tiny: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    assert call("pack", folder, "--seen").code == 0
    for entry in read_entries(folder):
        (before,) = (e for e in read_entries(tiny.folder) if e.file == entry.file)
        rows, all_rows = read_scores(folder, entry), read_scores(tiny.folder, before)
        if entry.protocol_name == "lee2018":
            assert len(rows) < len(all_rows)
            assert set(rows["fit_on"]) == set(rows["test_on"]) == set(entry.attacks)
        else:
            assert ALL_ATTACKS in set(all_rows["fit_on"])
            assert set(rows["fit_on"]) == set(entry.attacks)
    said = call("verify", folder)
    assert said.code == 0, said.out + said.err


def all_equal(scores: np.ndarray, bits: int) -> np.ndarray:
    """As of a regression whose scores lie closer together than float32 tells apart."""
    return np.zeros(len(scores))


def beyond(scores: np.ndarray, bits: int) -> np.ndarray:
    raise OverflowError("a score lies beyond float32")


@pytest.mark.parametrize("rounding", [all_equal, beyond])
def test_scores_that_no_rounding_bears_are_kept_as_they_are(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounding: Callable[..., np.ndarray]
) -> None:
    """Fewer rows are worth it alone."""
    monkeypatch.setattr(pack_module, "coarser", rounding)
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    assert call("pack", folder, "--seen").code == 0
    entry = next(entry for entry in read_entries(folder) if entry.protocol_name == "lee2018")
    (before,) = (e for e in read_entries(tiny.folder) if e.file == entry.file)
    rows, all_rows = read_scores(folder, entry), read_scores(tiny.folder, before)
    seen = all_rows[all_rows["fit_on"] == all_rows["test_on"]].reset_index(drop=True)
    assert len(seen) < len(all_rows)
    assert rows.equals(seen)
    assert call("verify", folder).code == 0


def test_rounding_keeps_the_order_of_scores_of_both_signs() -> None:
    rng = np.random.default_rng(0)
    scores = np.sort(rng.normal(0, 1, 4000) * 10.0 ** rng.integers(-9, 9, 4000))
    for bits in (11, 15, 23):
        rounded = coarser(scores, bits)
        assert (np.diff(rounded) >= 0).all()
        np.testing.assert_allclose(rounded, scores, rtol=2.0 ** -(bits + 1))
    with pytest.raises(OverflowError):
        coarser(np.array([1e60]), 11)


def test_an_entry_that_is_written_again_replaces_the_packed_one(packed: Path) -> None:
    entry = read_entries(packed)[0]
    entry.write(packed, None)
    assert (packed / entry.file).is_file()
    assert not (packed / f"{entry.file}.xz").exists()


def test_a_damaged_packed_entry_is_one_sentence(packed: Path) -> None:
    path = next((packed / "entries").rglob("*.json.xz"))
    whole = path.read_bytes()
    for blob, reason in ((whole[:-30], "it is cut off"), (b"no xz" * 10, "cannot be read")):
        path.write_bytes(blob)
        assert reason in call("tables", packed, "--check").mistake


def test_a_small_file_of_huge_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.xz"
    path.write_bytes(lzma.compress(json.dumps("0" * 40_000_000).encode()))
    with pytest.raises(UserError, match="larger than any that a run writes"):
        read_json(path)
    assert len(read_content(path, 1 << 26)) == 40_000_002
