from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench.core.hashing import key_of
from subnetbench.bench.core.publish import discard, publish
from subnetbench.bench.core.store import Store

ROUNDS = 200

RACE = """
import errno, json, os, sys, time
from pathlib import Path
import numpy as np
from subnetbench.bench.core.store import Store

root, sync, me, other, links = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
if links == "without links":
    def link(*_):
        raise OSError(errno.EPERM, "no links here")
    os.link = link
store, seen = Store(root), []
for number in range(200):
    (sync / f"{me}-{number}").touch()
    while not (sync / f"{other}-{number}").exists():
        time.sleep(0.0002)
    key = f"{number:032x}"
    arrays, _ = store.write("scores", key, {"x": np.full(500, int(me))}, {})
    seen.append([int(arrays["x"][0]), os.stat(store.path("scores", key)).st_ino])
print(json.dumps(seen))
"""


@pytest.mark.parametrize("links", ["links", "without links"])
def test_of_two_that_publish_at_once_one_wins_and_both_go_on_with_its_bits(tmp_path: Path, links: str) -> None:
    root, sync = tmp_path / "store", tmp_path / "sync"
    sync.mkdir()
    runs = [
        subprocess.Popen([sys.executable, "-c", RACE, root, sync, me, other, links], stdout=subprocess.PIPE)
        for me, other in (("1", "2"), ("2", "1"))
    ]
    first, second = (json.loads(run.communicate(timeout=120)[0]) for run in runs)
    assert len(first) == ROUNDS
    assert first == second  # the same bits, and the same file
    store = Store(root)
    for number, (winner, inode) in enumerate(first):
        key = f"{number:032x}"
        artifact = store.read("scores", key)
        assert artifact is not None
        assert set(artifact[0]["x"].tolist()) == {winner}
        assert os.stat(store.path("scores", key)).st_ino == inode  # nobody replaced it later
    assert not list(root.rglob(".partial*"))


def no_links(*_: Any) -> Any:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "file"
    assert publish(path, [b"first ", b"writer"])
    assert not publish(path, [b"second"])
    assert path.read_bytes() == b"first writer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_late_twin_reads_the_artifact_of_the_first(tmp_path: Path) -> None:
    def late() -> Any:
        Store(tmp_path).write("scores", key_of("scores", {"a": 1}), {"x": np.zeros(2)}, {"by": "first"})
        return {"x": np.ones(2)}, {"by": "late"}

    arrays, meta = Store(tmp_path).get("scores", {"a": 1}, late)
    assert (arrays["x"].tolist(), meta) == ([0.0, 0.0], {"by": "first"})


def test_a_refused_link_that_is_no_lack_of_links_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"):
        publish(tmp_path / "file", [b"x"])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_removed_but_not_a_whole_one_that_took_its_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"damaged")
    discard(path, lambda file: file.read_bytes() == b"whole")
    assert not path.exists()
    path.write_bytes(b"whole")
    discard(path, lambda file: file.read_bytes() == b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
    discard(tmp_path / "nothing", lambda file: True)
