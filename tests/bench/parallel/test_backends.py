"""Real processes: joblib's own, of which one is killed, a dask scheduler with two workers, submitit's local jobs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.parallel.alone import do, planned_of
from subnetbench.bench.tracks import load_suite

from .conftest import Place


def page(language: str, word: str) -> str:
    """The example of the documentation that has this word."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "many-machines.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if word in b]
    return str(block)


@pytest.fixture(scope="module")
def done(plain: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every cell is done."""
    store = tmp_path_factory.mktemp("done") / "store"
    context = Context(Store(store), torch.device("cpu"))
    assert not do(planned_of(load_suite(plain.file), context), context).failures
    return store


@pytest.fixture
def begun(fresh: Place, done: Path) -> Place:
    """A store without scores: a worker costs its imports and those."""
    shutil.copytree(done, fresh.folder / "store")
    for kind in ("outcome", "characteristics", "cells"):
        shutil.rmtree(fresh.folder / "store" / kind)
    return fresh


@contextmanager
def killing(store: Path) -> Iterator[list[int]]:
    """While the body runs, the first worker that begins a task is killed; the numbers of processes killed."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set() and not killed:
            for mark in store.glob("running/*/*"):
                words = mark.read_text().split()
                if len(words) == 2:
                    os.kill(int(words[1]), signal.SIGKILL)
                    killed.append(int(words[1]))
                    break
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_two_processes_of_which_one_is_killed_make_the_same(plain: Place, begun: Place) -> None:
    with killing(begun.folder / "store") as killed:
        said = begun.run("-j", 2)
    assert said.code == 0, said.err
    assert "loky with 2 workers, 1 thread each" in said.err
    assert len(killed) == 1
    assert begun.content() == plain.content()
    assert not (begun.folder / "store" / "running").exists()


def test_a_dask_scheduler_with_two_worker_processes_makes_the_same(plain: Place, begun: Place) -> None:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    )
    with cluster:
        config = begun.folder / "dask.toml"
        text = page("toml", "dask_address")
        config.write_text(re.sub(r"tcp://[\d.:]+", cluster.scheduler_address, text))
        said = begun.run("--parallel-config", config)
    assert said.code == 0, said.err
    assert "dask with 2 workers, 1 thread each" in said.err
    assert begun.content() == plain.content()


DIES = """
import os, sys

class Dies:
    def find_spec(self, name, path=None, target=None):
        if name == "subnetbench.bench.parallel.worker":
            os._exit(1)

sys.meta_path.insert(0, Dies())
"""


def test_dask_workers_that_die_during_their_imports_end_the_run_with_one_sentence(fresh: Place) -> None:
    distributed = pytest.importorskip("distributed")
    (fresh.folder / "dying").mkdir()
    (fresh.folder / "dying" / "sitecustomize.py").write_text(DIES)
    paths = os.pathsep.join([str(fresh.folder / "dying"), *filter(None, sys.path)])
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        config = fresh.folder / "dask.toml"
        config.write_text(f'backend = "dask"\ndask_address = "{address}"\nwait_for_workers_timeout = 2\n')
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL) as worker:
            while not cluster.scheduler.workers and worker.poll() is None:
                time.sleep(0.1)
            said = fresh.run("--parallel-config", config)
            worker.kill()
    assert said.code == 2
    assert f"error: The workers of the dask scheduler at {address} have all ended" in said.err
    assert "subnetbench.bench.parallel.worker" in said.err
    assert "Traceback" not in said.err


def test_jobs_of_submitit_make_the_same(plain: Place, begun: Place) -> None:
    pytest.importorskip("submitit")
    config = begun.folder / "jobs.toml"
    config.write_text(page("toml", "slurm_time") + 'cluster = "local"\n')
    said = begun.run("--parallel-config", config)
    assert said.code == 0, said.err
    assert "submitit on local, 1 thread each" in said.err
    assert begun.content() == plain.content()
