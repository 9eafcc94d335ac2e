from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.core import lease as leases
from subnetbench.bench.core.lease import Lease, holders

HOLD = """
import sys, time
from pathlib import Path
from subnetbench.bench.core.lease import Lease

assert Lease(Path(sys.argv[1])).take()
print("held", flush=True)
time.sleep(60)
"""


def of_another_host(path: Path, seconds_ago: float = 0.0, **facts: Any) -> Lease:
    """A lease that a host far away renewed so many seconds ago, by the clock of the disk."""
    stated = {"pid": 7, "host": "far", "since": "2026-11-27", "where": "far away", "started": "5", "token": "t"}
    path.write_text(json.dumps(stated | facts))
    there = path.stat().st_mtime - seconds_ago
    os.utime(path, (there, there))
    return Lease(path)


def test_a_lease_is_held_by_one_and_free_when_released(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "a.lease"), Lease(tmp_path / "a.lease")
    assert first.take()
    assert not second.take()
    assert str(second.holder()) == f"process {os.getpid()} on {os.uname().nodename}"
    assert list(holders(tmp_path)) == ["a"]
    first.release()
    assert second.take()
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lease_of_a_killed_process_of_this_host_is_free_at_once(tmp_path: Path, reaped: bool) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a.lease"], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    lease = Lease(tmp_path / "a.lease")
    assert not lease.take()
    other.kill()
    if reaped:
        other.wait()
    began = time.monotonic()
    while not lease.take():
        assert time.monotonic() - began < leases.LEASE / 4
    lease.release()
    other.wait()


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    mine = Lease(path)
    assert mine.take()
    facts = json.loads(path.read_text())
    assert not Lease(path).take()
    path.write_text(json.dumps(facts | {"started": "1"}))
    if sys.platform == "linux":
        assert Lease(path).take()


def test_the_lease_of_another_host_counts_until_it_is_stale(tmp_path: Path) -> None:
    assert not of_another_host(tmp_path / "a.lease", leases.LEASE / 2).take()
    assert of_another_host(tmp_path / "b.lease", leases.LEASE + 1).take()


def test_the_clock_of_this_host_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = 24 * 3600
    for name, seconds, free in (("a", leases.LEASE / 2, False), ("b", leases.LEASE + 1, True)):
        # The disk's clock is a day behind this host's: files made now get yesterday's time.
        lease = of_another_host(tmp_path / f"{name}.lease", day + seconds)
        monkeypatch.setattr(leases, "_time_at", lambda folder: time.time() - day)
        assert lease.take() is free


def test_a_lease_that_nobody_renews_is_stale_whatever_the_disks_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 0.3)
    lease = of_another_host(tmp_path / "a.lease", -3600)  # renewed in the future: the disk's clock was set back
    began = time.monotonic()
    while not lease.take():
        assert time.monotonic() - began < 5
        time.sleep(0.02)
    assert time.monotonic() - began > 0.3


def test_a_holder_that_lives_keeps_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.05)
    lease = Lease(tmp_path / "a.lease")
    assert lease.take()
    os.utime(tmp_path / "a.lease", (0, 0))
    began = time.monotonic()
    while (tmp_path / "a.lease").stat().st_mtime == 0:
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    lease.release()


def test_who_lost_a_lease_neither_renews_nor_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    lease = Lease(tmp_path / "a.lease")
    assert lease.take()
    of_another_host(tmp_path / "a.lease", 30)
    before = (tmp_path / "a.lease").stat().st_mtime
    time.sleep(0.2)
    lease.release()
    assert (tmp_path / "a.lease").stat().st_mtime == before


def test_of_several_that_find_a_stale_lease_none_removes_the_new_one(tmp_path: Path) -> None:
    late = of_another_host(tmp_path / "a.lease", leases.LEASE + 1)
    stale, first = late.holder(), Lease(tmp_path / "a.lease")
    assert first.take()
    assert late._remove(stale)  # it judged before the other took over
    assert not late._create()
    assert str(first.holder()).startswith(f"process {os.getpid()} ")
    first.release()


def test_a_stale_lease_that_may_not_be_removed_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = of_another_host(tmp_path / "a.lease", leases.LEASE + 1)

    def refused(*_: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refused)
    assert lease.take()
    lease.release()
    assert (tmp_path / "a.lease").exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}', "\x00\x00"])
def test_a_lease_that_does_not_say_whose_it_is_counts_by_its_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.lease"
    path.write_text(text)
    assert Lease(path).holder() is None
    assert not Lease(path).take()
    os.utime(path, (path.stat().st_mtime - leases.LEASE - 1,) * 2)
    assert Lease(path).take()


def test_a_holders_words_do_not_command_a_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in str(of_another_host(tmp_path / "a.lease", host="\x1b[2Jfar").holder())
