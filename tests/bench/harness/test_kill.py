"""kill -9 at random moments and two runs at once: one store, the same tables to the last digit.

The runs are children of one process that has imported everything, so that a run costs what it computes. This file
is that process's script, too: ``python test_kill.py FOLDER [KILLS]`` runs FOLDER/killed.toml, with the data in
FOLDER/data if it has any, and writes FOLDER/report.json. The localisation track's test runs it as well.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

KILLS = 20

#: What a run imports only when it needs it: ten seconds in all, in which there would be nothing to kill.
LAZY = ("foolbox", "pyarrow.parquet", "subnetbench.bench.runner", "tabulate", "torch._dynamo")


class Child:
    """A run of the suite in a process of its own; its parent computes nothing, so that no thread is forked away."""

    def __init__(self, folder: Path, store: str, output: str) -> None:
        self.report = folder / f"{output}.json"
        self.report.unlink(missing_ok=True)
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(folder / "killed.toml", folder / store, folder / output)

    def _run(self, file: Path, store: Path, output: Path) -> None:
        code = 1
        try:
            import torch
            from subnetbench.bench.core.progress import Silent
            from subnetbench.bench.core.store import Store
            from subnetbench.bench.harness.context import Context
            from subnetbench.bench.runner import execute
            from subnetbench.bench.tracks import load_suite

            torch.set_num_threads(1)
            said = Silent()
            data = file.with_name("data")
            context = Context(
                Store(store, "missing"), torch.device("cpu"), data if data.is_dir() else None, report=said
            )
            result = execute(load_suite(file), context, output)
            self.report.write_text(json.dumps({"computed": result.computed, "warnings": said.warnings}))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def end(self, within: float = 300.0) -> tuple[int | None, float]:
        """The exit code, or None if ``within`` seconds passed and it was killed; and the seconds it lived."""
        while time.monotonic() - self.began < within:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), time.monotonic() - self.began
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return (None if code == -signal.SIGKILL else code), time.monotonic() - self.began

    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.report.read_text())
        return found


def artifacts(store: Path) -> list[Path]:
    return sorted(path for path in store.glob("*/*.safetensors") if path.parent.name != "scratch")


def damaged(store: Path) -> list[str]:
    """Files under an artifact's name that are not whole."""
    blobs = {path: path.read_bytes() for path in artifacts(store)}
    return [str(path) for path, blob in blobs.items() if hashlib.sha256(blob[64:]).hexdigest().encode() != blob[:64]]


def undisturbed(folder: Path) -> dict[str, Any]:
    child = Child(folder, "calm-store", "calm")
    code, seconds = child.end()
    return {"code": code, "seconds": seconds, "artifacts": len(artifacts(folder / "calm-store")), **child.said()}


def killed(folder: Path, seconds: float, kills: int) -> dict[str, Any]:
    """Kill runs of one store until so many of them died; a run that got through takes half of the artifacts with it."""
    draw = random.Random(20)
    store = folder / "killed-store"
    codes: list[int | None] = []
    counts: list[tuple[int, int]] = []  # artifacts before and after each run
    while codes.count(None) < kills and len(codes) < 4 * kills:
        before = len(artifacts(store))
        code, _ = Child(folder, "killed-store", "killed").end(draw.uniform(0, seconds))
        codes.append(code)
        counts.append((before, len(artifacts(store))))
        if code is not None:
            for path in artifacts(store):
                if draw.random() < 0.5:
                    path.unlink()
    whole = damaged(store)
    partial = len(list(store.rglob(".partial*")))
    last = Child(folder, "killed-store", "killed")
    code, _ = last.end()
    return {"codes": codes, "counts": counts, "damaged": whole, "partial": partial, "last": code, **last.said()}


def together(folder: Path) -> dict[str, Any]:
    children = [Child(folder, "shared-store", name) for name in ("first", "second")]
    codes = [child.end()[0] for child in children]
    return {
        "codes": codes,
        "damaged": damaged(folder / "shared-store"),
        "said": [child.said() for child in children],
        "artifacts": len(artifacts(folder / "shared-store")),
    }


def main(folder: Path, kills: int) -> None:
    for name in LAZY:
        importlib.import_module(name)
    from subnetbench.bench.core import registry

    for each in (registry.datasets, registry.models, registry.attacks, registry.detectors):
        list(each)  # imports the modules that register
    report: dict[str, Any] = {"calm": undisturbed(folder)}
    report["killed"] = killed(folder, report["calm"]["seconds"], kills)
    report["together"] = together(folder)
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else KILLS)
    sys.exit()

import pytest  # noqa: E402 (the script needs none)

from ..made_suite import KILLED  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("killed")
    (made / "killed.toml").write_text(KILLED)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, str(made)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


def report(folder: Path, part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())[part]
    return found


def cells(folder: Path, output: str) -> bytes:
    return (folder / output / "killed" / "tables" / "cells.csv").read_bytes()


def test_twenty_kills_at_random_moments_change_no_figure(folder: Path) -> None:
    found = report(folder, "killed")
    assert found["codes"].count(None) == KILLS
    assert not [code for code in found["codes"] if code]  # a run that was not killed got through
    assert found["last"] == 0
    assert cells(folder, "killed") == cells(folder, "calm")
    assert len({after for _, after in found["counts"]}) >= 3  # the kills met the run at several stages


def test_a_kill_leaves_no_damaged_artifact_and_keeps_the_finished_ones(folder: Path) -> None:
    found = report(folder, "killed")
    assert found["damaged"] == found["warnings"] == []
    killed = [counts for code, counts in zip(found["codes"], found["counts"], strict=True) if code is None]
    assert all(after >= before for before, after in killed)
    assert any(after > before for before, after in killed)


def test_two_runs_at_once_share_a_store_and_agree(folder: Path) -> None:
    found = report(folder, "together")
    assert found["codes"] == [0, 0]
    assert found["damaged"] == []
    assert not [warning for said in found["said"] for warning in said["warnings"]]
    tables = [
        {p.name: p.read_bytes() for p in (folder / name / "killed" / "tables").iterdir()}
        for name in ("first", "second")
    ]
    assert tables[0] == tables[1]  # measured seconds, too: they were measured once
    assert cells(folder, "first") == cells(folder, "calm")


def test_two_runs_at_once_compute_every_artifact_once(folder: Path) -> None:
    found = report(folder, "together")
    assert sum(said["computed"] for said in found["said"]) == found["artifacts"] == report(folder, "calm")["computed"]
