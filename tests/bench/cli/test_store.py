"""`subnetbench store` says what is in a store, and changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench.core.lease import Lease
from subnetbench.bench.core.machine import Machine
from subnetbench.bench.core.store import Store

from ..conftest import Tiny
from .test_commands import call


def work() -> Any:
    return {"x": np.zeros(1000)}, {}


def filled(root: Path) -> Store:
    store = Store(root)
    for suite, kinds in (("old", ["weights"]), ("new", ["adversarial", "cells"])):
        store.suite = suite
        for kind in kinds:
            store.get(kind, {"suite": suite}, work)
    for path in (root / "weights").iterdir():
        os.utime(path, (path.stat().st_mtime - 3 * 86400,) * 2)
    return store


def test_what_a_run_left_is_its_suites(tiny: Tiny) -> None:
    tables = json.loads(call("store", "--store", tiny.store, "--json").out)
    found = {table["title"]: table["rows"] for table in tables}
    (row,), (whole,) = found["suites"], found["store"]
    files = [path for path in tiny.store.rglob("*.safetensors") if path.parent.name != "scratch"]
    assert (row["suite"], row["artifacts"], row["on_several_machines"]) == ("tiny", len(files), 0)
    assert row["bytes"] == whole["bytes"] == sum(path.stat().st_size for path in files)
    assert {kind["kind"] for kind in found["kinds"]} == {path.parent.name for path in files}


def test_a_store_is_data_too_and_so_is_what_is_removed(tmp_path: Path) -> None:
    filled(tmp_path)
    said = call("store", "--store", tmp_path, "--format", "csv").out.splitlines()
    assert said[0] == "table,suite,artifacts,bytes,newest,oldest,on_several_machines"
    assert said[1].startswith("suites,new,2,")
    removed = call("clean", "--store", tmp_path, "--yes", "--json")
    ((table),) = json.loads(removed.out)
    assert {row["kind"]: row["files"] for row in table["rows"]} == {"adversarial": 1, "cells": 1, "weights": 1}
    assert all(row["bytes"] > 8000 for row in table["rows"])
    assert "MB freed." in removed.err


def test_a_store_is_shown_by_suite_size_and_age(tmp_path: Path) -> None:
    filled(tmp_path)
    said = call("store", "--store", tmp_path)
    assert said.code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines() if "│" in line]
    assert [row[:2] for row in rows[:2]] == [["new", "2"], ["old", "1"]]  # the larger first
    assert rows[1][3:] == ["3 d ago", "3 d ago"]
    assert "3 artifacts, 0.0 MB;" in said.out
    assert "free on its disk" in said.out


def test_unfinished_work_and_who_is_at_work_are_said(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "weights" / ".partial-0a").write_bytes(b"12345")
    scratch = store.scratch("weights", "0" * 32)
    scratch.parent.mkdir()
    scratch.write_bytes(b"12345")
    lease = Lease(tmp_path / "locks" / "gates-0.lease")
    assert lease.take()
    said = call("store", "--store", tmp_path).out
    lease.release()
    assert "2 files of unfinished work" in said
    assert f"being made: gates-0, by process {os.getpid()} on " in said


def test_artifacts_behind_which_several_kinds_of_machine_stand_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    monkeypatch.setattr(Machine, "here", lambda device: Machine("another", 1, "cpu"))
    store = Store(tmp_path)
    store.get("weights", {"suite": "old"}, work)
    store.get("gates", {"on": "those weights"}, work)
    assert "Behind 1 of them stands more than one kind of machine" in call("store", "--store", tmp_path).out


def test_a_store_of_an_earlier_version_or_none_is_shown_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "store")
    for path in (store.root / "weights").iterdir():
        path.write_bytes(b"\xff" * 100)  # a length beyond all reason, and no text
    assert "not stated" in call("store", "--store", store.root).out
    assert "There is no store" in call("store", "--store", tmp_path / "nowhere").mistake
    monkeypatch.setattr("subnetbench.bench.cli.store.default_store", lambda: tmp_path / "default")
    assert "nothing was stored yet" in call("store").out
    assert not (tmp_path / "default").exists()
