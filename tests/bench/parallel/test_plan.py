"""A suite's cells have keys that any machine agrees on; every mistake with the options is one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.parallel.alone import planned_of
from subnetbench.bench.parallel.config import config_of
from subnetbench.bench.parallel.plan import Shard
from subnetbench.bench.parallel.pools import opened
from subnetbench.bench.tracks import load_suite

from ..cli.test_commands import call, written
from ..made_suite import KILLED
from .conftest import PARTS, Place


def keys(file: Path, folder: Path, shard: Shard | None = None) -> list[str]:
    context = Context(Store(folder / "store"), torch.device("cpu"))
    return [planned.key for planned in planned_of(load_suite(file), context, shard=shard).planned]


def test_keys_differ_by_cell_and_by_suite_and_not_by_folder(tmp_path: Path) -> None:
    first = keys(written(tmp_path / "a"), tmp_path)
    assert len(first) == len(set(first)) == 1 + 3 + 2
    assert keys(written(tmp_path / "b"), tmp_path) == first
    other = keys(written(tmp_path / "c", ("epochs = 3", "epochs = 4")), tmp_path)
    assert not {*other} & {*first}


def test_shards_share_all_cells_out_and_no_cell_twice(tmp_path: Path) -> None:
    (tmp_path / "killed.toml").write_text(KILLED)
    every = keys(tmp_path / "killed.toml", tmp_path)
    shards = [keys(tmp_path / "killed.toml", tmp_path, Shard(i, 3)) for i in range(3)]
    assert sorted(key for shard in shards for key in shard) == sorted(every)
    assert all(int(key, 16) % 3 == 1 for key in shards[1])


def test_a_dry_run_lists_every_cell_with_its_key_and_the_time_of_all(tmp_path: Path) -> None:
    (tmp_path / "killed.toml").write_text(KILLED + PARTS)
    said = call("run", tmp_path / "killed.toml", "--store", tmp_path / "store", "--dry-run", "-j", 2)
    assert said.code == 0, said.err
    for key in keys(tmp_path / "killed.toml", tmp_path):
        assert key in said.out
    assert re.search(r"About .+ in one process, .+ with 2 workers\.", said.out)
    assert "timed just now: a busy machine shows more" in said.out
    assert "2 cells whose time is not known" in said.out  # those of benign shift
    assert not list((tmp_path / "store").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-j", 0), "-j is 0, and nothing runs without a worker"),
        (("--shard", "3/3"), "i counts from 0 and has to be below N"),
        (("--shard", "a"), "not of the form i/N"),
        (("--shard", "0/2", "-j", 2), "-j and --shard exclude each other"),
        (("--collect", "--when", "always"), "--collect goes with --when missing alone"),
        (("-j", 2, "--debug"), "leave -j out"),
        (("--only", "0123456789ab"), "has no cell '0123456789ab'"),
        (("--parallel-config", "none.toml"), "cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, words: tuple[object, ...], sentence: str) -> None:
    said = call("run", written(tmp_path), "--store", tmp_path / "store", "--output", tmp_path / "out", *words)
    assert sentence in said.mistake


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('backend = "dsk"', "there is no backend 'dsk'. Did you mean 'dask'?"),
        ("n_jobs = 0", "n_jobs is 0"),
        ("n_jobs = true", "give a whole number"),
        ("inner_max_num_threads = 0", "give 1 or more"),
        ("n_job = 2", "has no key 'n_job'. Did you mean 'n_jobs'?"),
        ('backend = "dask"\ndask_adress = "tcp://127.0.0.1:1"', "Did you mean 'dask_address'?"),
        ('backend = "dask"', "needs the address of a scheduler"),
        ('backend = "dask"\ndask_address = "tcp://127.0.0.1:9"\ndask_timeout = 1', "There is no dask scheduler at"),
        ('backend = "submitit"\nslurm_tim = "1:00:00"', "Did you mean 'slurm_time'"),
        ('backend = "submitit"\ncluster = "moon"', "give 'slurm' or 'local'"),
        ('backend = "submitit"', "submitit refuses this (RuntimeError: Could not detect"),
        ('backend = "ray"', "ray is not installed"),
    ],
)
def test_a_configuration_is_checked_and_names_the_nearest(tmp_path: Path, text: str, sentence: str) -> None:
    for package in ("dask", "submitit"):
        if f'"{package}"' in text:
            pytest.importorskip({"dask": "distributed"}.get(package, package))
    (tmp_path / "parallel.toml").write_text(text)

    def use() -> None:
        config = config_of(None, tmp_path / "parallel.toml")
        assert config is not None
        with opened(config, Store(tmp_path / "store")):
            pass

    with pytest.raises(UserError, match=re.escape(sentence)):
        use()


def test_a_cell_alone_fills_the_store_with_what_it_makes(fresh: Place) -> None:
    first = keys(fresh.file, fresh.folder)[0]
    said = fresh.run("--only", first)
    assert said.code == 0, said.err
    assert "1 of 1 cell is in" in said.out
    assert {path.parent.name for path in (fresh.folder / "store").glob("*/*.safetensors")} == {"weights", "accuracy"}
    assert not (fresh.folder / "out").exists()
