"""Entries say on how many kinds of machine what they rest on was made."""

from __future__ import annotations

import json

import pytest
from subnetbench.bench.core.machine import Machine
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.entry import Entry, read_entries

from ..cli.test_commands import call
from ..conftest import Tiny

FAR = Machine("another kind", 64, "cpu")


def kinds(entry: Entry) -> list[str]:
    return [machine.cpu for machine in entry.machines]


def test_entries_of_one_machine_state_it_with_threads_and_device(tiny: Tiny) -> None:
    here = Machine.here("cpu")
    for entry in read_entries(tiny.folder):
        assert [(note.cpu, note.threads, note.device) for note in entry.machines] == [(here.cpu, 1, "cpu")]


def test_an_entry_counts_every_kind_behind_it_and_none_of_anothers(
    again: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, store = Machine.here("cpu").cpu, Store(again.store)
    store.clean(["cells"])
    (again.store / "outcome").rename(again.store.parent / "outcomes")
    lost = sorted((again.store.parent / "outcomes").iterdir())[0]
    lost.unlink()  # those of one detector under one protocol are made again, elsewhere
    (again.store.parent / "outcomes").rename(again.store / "outcome")
    monkeypatch.setattr(Machine, "here", lambda device: FAR)
    again.run()
    monkeypatch.undo()
    stated = [kinds(entry) for entry in read_entries(again.folder)]
    assert all(FAR.cpu in cpus and here in cpus for cpus in stated)  # the cells of all were measured there
    Store(again.store).clean(["cells"])
    again.run()
    stated = [kinds(entry) for entry in read_entries(again.folder)]
    assert sorted(stated, key=len) == [[here]] * (len(stated) - 1) + [sorted([FAR.cpu, here])]
    assert "0 with a mismatch" in call("verify", again.folder).out


def test_artifacts_of_an_earlier_version_count_as_one_more_kind(again: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from subnetbench.bench.core import store as stores

    monkeypatch.setattr(stores, "written", lambda machines: [])
    store = Store(again.store)
    (path,) = (again.store / "weights").iterdir()
    artifact = store.read("weights", path.stem)
    assert artifact is not None
    path.unlink()
    store.write("weights", path.stem, *artifact)
    monkeypatch.undo()
    again.run()
    assert all(kinds(entry) == sorted(["not stated", Machine.here("cpu").cpu]) for entry in read_entries(again.folder))


def test_an_entry_without_machines_is_read_as_before(again: Tiny) -> None:
    path = next((again.folder / "entries" / "strict").glob("*.json"))
    content = json.loads(path.read_text())
    del content["machines"]
    path.write_text(json.dumps(content))
    assert [] in [kinds(entry) for entry in read_entries(again.folder)]
    assert "0 with a mismatch" in call("verify", again.folder).out
    assert call("tables", again.folder, "--check").code == 0
