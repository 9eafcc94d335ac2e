from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench import UserError
from subnetbench.bench.core.files import write_text
from subnetbench.bench.core.hashing import canonical, hash_arrays, key_of
from subnetbench.bench.core.store import NotStored, Store


class Work:
    """Counts how often something is computed; the content tells which time it was."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        self.times += 1
        return {"x": np.arange(6.0).reshape(2, 3), "time": np.array(self.times)}, {"note": "é", "n": 2}


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "locks" not in p.parts)


def test_what_is_stored_is_not_computed_again(tmp_path):
    work = Work()
    first, meta = Store(tmp_path).get("scores", {"a": 1}, work)
    second, again = Store(tmp_path).get("scores", {"a": 1}, work)
    assert work.times == 1
    assert meta == again == {"note": "é", "n": 2}
    assert (first["x"] == second["x"]).all()
    assert second["time"].shape == ()
    assert files(tmp_path) == [f"scores/{key_of('scores', {'a': 1})}.safetensors"]


def test_other_inputs_are_another_artifact(tmp_path):
    store, work = Store(tmp_path), Work()
    for kind, inputs in (("scores", {"a": 1}), ("scores", {"a": 2}), ("features", {"a": 1})):
        store.get(kind, inputs, work)
    assert work.times == store.computed == 3
    assert len(files(tmp_path)) == 3


def test_a_key_does_not_depend_on_how_inputs_are_written():
    assert key_of("k", {"a": (1, 2), "b": np.float64(0.5)}) == key_of("k", {"b": 0.5, "a": [1, 2]})
    assert canonical({"s": {"b", "a"}}) == '{"s":["a","b"]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
    with pytest.raises(TypeError, match="object has no canonical JSON"):
        canonical({"a": object()})


def test_arrays_of_other_shape_or_type_hash_otherwise():
    x = np.zeros(4, np.float32)
    assert hash_arrays(x) == hash_arrays(x.copy())
    assert len({hash_arrays(x), hash_arrays(x.reshape(2, 2)), hash_arrays(x.astype(np.int32))}) == 3


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_artifact_is_named_and_built_again(tmp_path, damage):
    warnings: list[str] = []
    store, work = Store(tmp_path, warn=warnings.append), Work()
    store.get("scores", {"a": 1}, work)
    path = store.path("scores", key_of("scores", {"a": 1}))
    blob = bytearray(path.read_bytes())
    blob[-3] ^= 1
    path.write_bytes({"flip": bytes(blob), "cut": bytes(blob[:40]), "empty": b""}[damage])
    arrays, _ = store.get("scores", {"a": 1}, work)
    assert arrays["time"] == 2
    assert [path.name in message and "damaged" in message for message in warnings] == [True]
    assert Store(tmp_path, "cached").get("scores", {"a": 1}, work)[0]["time"] == 2


@pytest.mark.parametrize("when", ["never", "cached"])
def test_a_run_that_computes_nothing_says_what_is_absent_and_removes_nothing(tmp_path, when):
    work, warnings = Work(), []
    Store(tmp_path).get("scores", {"a": 1}, work)
    store = Store(tmp_path, when, warnings.append)
    assert store.get("scores", {"a": 1}, work)[0]["time"] == 1
    with pytest.raises(NotStored, match="scores"):
        store.get("scores", {"a": 2}, work)
    path = store.path("scores", key_of("scores", {"a": 1}))
    path.write_bytes(b"damaged")
    with pytest.raises(NotStored):
        store.get("scores", {"a": 1}, work)
    assert "left out" in warnings[0]
    assert path.read_bytes() == b"damaged"
    assert work.times == 1


def test_always_computes_once_a_run(tmp_path):
    work = Work()
    Store(tmp_path).get("scores", {"a": 1}, work)
    store = Store(tmp_path, "always")
    assert store.get("scores", {"a": 1}, work)[0]["time"] == 2
    assert store.get("scores", {"a": 1}, work)[0]["time"] == 2
    assert (store.computed, store.reused) == (1, 0)  # what it made itself was not there before


def test_what_was_there_before_a_run_counts_as_read_once_and_what_the_run_makes_does_not(tmp_path):
    work, first = Work(), Store(tmp_path)
    for _ in range(2):
        first.get("scores", {"a": 1}, work)
    assert (first.computed, first.reused) == (1, 0)
    second = Store(tmp_path)
    Store(tmp_path).get("scores", {"a": 2}, work)  # by a worker of the second
    for _ in range(2):
        for number in (1, 2, 3):
            second.get("scores", {"a": number}, work)
    assert (second.computed, second.reused) == (1, 1)


def test_a_computation_that_fails_leaves_nothing_behind(tmp_path):
    def fails() -> Any:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        Store(tmp_path).get("scores", {"a": 1}, fails)
    assert files(tmp_path) == []
    assert Store(tmp_path).get("scores", {"a": 1}, Work())[0]["time"] == 1  # the lock is free


def test_a_stages_scratch_goes_when_the_artifact_is_complete(tmp_path):
    store = Store(tmp_path)
    scratch = store.scratch("weights", key_of("weights", {"a": 1}))
    scratch.parent.mkdir()
    scratch.write_bytes(b"epoch 3")
    store.get("weights", {"a": 1}, Work())
    assert not scratch.exists()


def out_of_space(*args: Any, **kwargs: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*args: Any, **kwargs: Any) -> Any:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_store_is_one_sentence_and_keeps_no_part(tmp_path, monkeypatch, call):
    store = Store(tmp_path)
    store.get("scores", {"a": 1}, Work())
    before = files(tmp_path)
    monkeypatch.setattr(os, call, out_of_space)
    with pytest.raises(UserError, match=r"is full; free space there or give another with --store"):
        store.get("scores", {"a": 2}, Work())
    assert files(tmp_path) == before


def test_a_full_store_is_one_sentence_where_the_lock_cannot_be_made(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setattr(os, "open", out_of_space)
    with pytest.raises(UserError, match="is full"):
        store.get("scores", {"a": 1}, Work())


def test_a_store_that_cannot_be_written_is_one_sentence_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "file")
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)  # tests may run as root, who may write anywhere
    with pytest.raises(UserError, match=r"cannot be used \(Permission denied\); make it a writable folder"):
        Store(tmp_path / "store")


def test_a_store_that_may_only_be_read_serves_what_it_has(tmp_path, monkeypatch):
    Store(tmp_path).get("scores", {"a": 1}, Work())
    for name in ("os.open", "os.unlink", "os.mkdir"):
        monkeypatch.setattr(name, refused)  # root may write anywhere
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    work = Work()
    for when in ("missing", "never", "cached"):
        store = Store(tmp_path, when)
        assert store.get("scores", {"a": 1}, work)[0]["time"] == 1
    assert work.times == 0
    assert list(store.size()) == ["scores"]
    with pytest.raises(UserError, match="cannot be used"):
        store.clean()
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path).get("scores", {"a": 2}, work)
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path, "always")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_serves_as_any_other(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def none_here(*_):
        raise OSError(number, os.strerror(number))

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, none_here)
    assert Store(tmp_path).get("scores", {"a": 1}, Work())[0]["time"] == 1
    assert files(tmp_path) == [f"scores/{key_of('scores', {'a': 1})}.safetensors"]


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o002, 0o664, 0o775), (0o077, 0o600, 0o700)])
def test_files_and_folders_are_as_open_to_a_group_as_the_umask_says(tmp_path, mask, file_mode, folder_mode):
    held: dict[str, int] = {}

    def work():
        held.update({path.suffix: path.stat().st_mode & 0o777 for path in (tmp_path / "new" / "locks").iterdir()})
        return {"x": np.arange(3)}, {}

    before = os.umask(mask)
    try:
        Store(tmp_path / "new").get("scores", {"a": 1}, work)
        Store(tmp_path / "new", "always").get("scores", {"a": 1}, work)
        write_text(tmp_path / "new" / "tables" / "table.md", "table")
    finally:
        os.umask(before)
    made = list((tmp_path / "new").rglob("*"))
    assert {path.suffix for path in made if path.is_file()} == {".safetensors", ".md"}
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_file()} == {oct(file_mode)}
    folders = [tmp_path / "new", *(path for path in made if path.is_dir())]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {oct(folder_mode)}
    assert held == {".lease": file_mode}


HOLD = """
import sys, time
from pathlib import Path
from subnetbench.bench.core.store import Store

def work():
    Path(sys.argv[2]).touch()
    time.sleep(30)

Store(Path(sys.argv[1])).get("scores", {"a": 1}, work)
"""


def test_a_run_that_waits_for_another_says_for_which(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "store", tmp_path / "held"])
    said: list[str] = []

    @contextlib.contextmanager
    def waiting(text):
        said.append(text)
        other.kill()
        yield

    try:
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
        store = Store(tmp_path / "store")
        store.waiting = waiting
        assert store.get("scores", {"a": 1}, Work())[0]["time"] == 1
    finally:
        other.kill()
        other.wait()
    (line,) = said
    key, who = key_of("scores", {"a": 1}), f"process {other.pid} on {socket.gethostname()}"
    assert line.startswith(f"wait for scores {key[:12]}, which {who} has been making since {time.strftime('%Y-')}")


def test_an_interrupt_leaves_no_lock(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get("scores", {"a": 1}, interrupted)
    assert list((tmp_path / "locks").iterdir()) == []


def test_one_that_collects_writes_nothing_and_needs_a_store(tmp_path, monkeypatch):
    Store(tmp_path / "store").get("scores", {"a": 1}, Work())
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *more, **named: real(path, flags & ~writes, *more, **named))
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(os, "mkdir", refused)
    for when in ("never", "cached"):
        store = Store(tmp_path / "store", when)
        assert store.get("scores", {"a": 1}, Work())[0]["time"] == 1
        with pytest.raises(NotStored):
            store.get("scores", {"a": 2}, Work())
        with pytest.raises(UserError, match=r"There is no store .*nowhere; see whether its disk is mounted"):
            Store(tmp_path / "nowhere", when)


@pytest.mark.parametrize("when", ["missing", "never"])
def test_a_store_that_vanishes_is_one_sentence_and_not_made_again(tmp_path, when):
    Store(tmp_path / "store").get("scores", {"a": 1}, Work())
    store = Store(tmp_path / "store", when)
    (tmp_path / "store").rename(tmp_path / "taken away")
    with pytest.raises(UserError, match=r"not there or does not answer \(No such file.*finished so far is kept"):
        store.get("scores", {"a": 2}, Work())
    (tmp_path / "store").mkdir()
    store._mount._disk += 1  # an unmounted disk leaves an empty folder, which is another disk's
    with pytest.raises(UserError, match="an empty folder of another disk is in its place"):
        store.get("scores", {"a": 2}, Work())
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.ESTALE])
def test_a_mount_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch, number):
    store = Store(tmp_path)
    store.get("scores", {"a": 1}, Work())

    def gone(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    for place, name, inputs in ((Path, "read_bytes", {"a": 1}), (os, "fsync", {"a": 2})):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, gone)
            with pytest.raises(UserError, match="see whether its disk is mounted"):
                store.get("scores", inputs, Work())
    assert store.get("scores", {"a": 1}, Work())[0]["time"] == 1  # published before, and kept


def test_a_file_that_another_host_replaced_is_opened_again(tmp_path, monkeypatch):
    store, real, calls = Store(tmp_path), Path.read_bytes, []
    store.get("scores", {"a": 1}, Work())

    def stale_once(path: Path) -> bytes:
        calls.append(path)
        if len(calls) == 1:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", stale_once)
    assert store.get("scores", {"a": 1}, Work())[0]["time"] == 1


def test_an_artifact_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.get("scores", {"a": 1}, Work())
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UserError, match="Permission denied"):
        store.get("scores", {"a": 1}, Work())


SHARE = """
import sys, time
from pathlib import Path
import numpy as np
from subnetbench.bench.core.store import Store

root, log = Path(sys.argv[1]), Path(sys.argv[2])

def work():
    with log.open("a") as file:
        file.write("computed\\n")
    time.sleep(1)
    return {"x": np.arange(3)}, {}

store = Store(root)
(log.parent / sys.argv[3]).touch()
while len(list(log.parent.glob("ready*"))) < 2:
    time.sleep(0.01)
assert store.get("scores", {"a": 1}, work)[0]["x"].tolist() == [0, 1, 2]
"""


def test_two_processes_share_a_store_and_compute_once(tmp_path):
    (tmp_path / "share.py").write_text(SHARE)
    log = tmp_path / "log"
    runs = [
        subprocess.Popen([sys.executable, tmp_path / "share.py", tmp_path / "store", log, f"ready{i}"], cwd=tmp_path)
        for i in range(2)
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert log.read_text() == "computed\n"


def test_size_and_clean_count_by_kind(tmp_path):
    store = Store(tmp_path)
    store.get("scores", {"a": 1}, Work())
    store.get("features", {"a": 1}, Work())
    sizes = store.size()
    assert {kind: count for kind, (count, _) in sizes.items()} == {"features": 1, "scores": 1}
    assert store.clean(["scores"]) == sizes["scores"][1]
    assert list(store.size()) == ["features"]
    store.clean()
    assert files(tmp_path) == []
    assert store.get("scores", {"a": 1}, Work())[0]["time"] == 1


def test_clean_leaves_what_no_store_wrote(tmp_path):
    """A folder given as a store by mistake."""
    (tmp_path / "thesis" / "chapters").mkdir(parents=True)
    (tmp_path / "thesis" / "chapters" / "a.tex").write_text("years of work")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.safetensors").write_text("mine")
    (tmp_path / "notes.txt").write_text("")
    before = files(tmp_path)
    store = Store(tmp_path)
    assert store.size() == {}
    store.get("weights", {"a": 1}, Work())
    assert {kind: count for kind, (count, _) in store.size().items()} == {"weights": 1}
    store.clean()
    assert files(tmp_path) == before
