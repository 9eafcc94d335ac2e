"""A lease: a small file that says who is at work, renewed while that process lives and taken over when it does not.

It needs no locks of the file system, which some network mounts lack and others grant to everyone at once. It is a
courtesy all the same: a holder that is cut off for longer than `LEASE` loses it while it works on. Whatever must not
happen twice is secured otherwise (`publish`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import linked_once, partial_file
from .text import shown

#: Seconds without a sign of life after which a lease is anybody's.
LEASE = 60.0

#: Seconds between two signs of life, which are times of last change.
BEAT = 10.0

#: Seconds between two looks at the clock of the lease's disk, while a lease is waited for.
LOOK = 5.0


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease. ``where``: the system's start and the process table that ``pid`` is one of."""

    pid: int
    host: str
    since: str
    where: str
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def has_died(self) -> bool:
        """Whether that is certain. Only a process of this very process table can be looked for."""
        return bool(self.where) and self.where == _where() and not _lives(self.pid, self.started)


class Lease:
    """A lease in a file, to be taken, held and released by one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._token = ""
        self._released = threading.Event()
        self._last: tuple[float, float] | None = None
        self._look_at = 0.0

    def take(self) -> bool:
        """Take it, if it is free or its holder is gone. OSError where no such file can be made."""
        if self._create():
            return True
        holder = self.holder()
        if not self._is_abandoned(holder):
            return False
        if not self._remove(holder):
            return True  # nobody holds it, and another user's file stays where it is: then without one
        return self._create()

    def release(self) -> None:
        if self._token:
            self._released.set()
            with contextlib.suppress(OSError):
                if _token_in(self.path) == self._token:  # not another's, who took it over
                    self.path.unlink()
            self._token = ""

    def holder(self) -> Holder | None:
        """Who holds it; None where nobody does, or where the file does not say who."""
        return _holder_in(self.path)

    def _create(self) -> bool:
        token = secrets.token_hex(8)
        if not _written_once(self.path, json.dumps(asdict(_myself(token)))):
            return False
        self._token = token
        self._released.clear()
        with contextlib.suppress(RuntimeError):  # no thread more: then it is not renewed
            threading.Thread(target=_beat, args=(self.path, token, self._released), daemon=True).start()
        return True

    def _remove(self, holder: Holder | None) -> bool:
        """Remove this holder's lease, not that of one who took it over meanwhile; False where that is not allowed."""
        aside = self.path.with_name(f".partial-{secrets.token_hex(8)}")
        try:
            self.path.rename(aside)  # one of several that wait succeeds
            if _holder_in(aside) == holder:
                aside.unlink()
            else:
                aside.rename(self.path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _is_abandoned(self, holder: Holder | None) -> bool:
        """Whether its holder has died here, or has given no sign of life for `LEASE` seconds, by either of two clocks.

        The clock of the lease's disk is asked at once and then now and again: hosts disagree on the time, and a lease
        was changed at its disk's. The other is this process's own, from when it first saw the lease in this state.
        """
        if holder is not None and holder.has_died:
            return True
        changed = _changed(self.path)
        if changed is None:
            return True
        now = time.monotonic()
        if self._last is None or self._last[0] != changed:
            self._last = changed, now
        if now - self._last[1] > LEASE:
            return True
        if now < self._look_at:
            return False
        self._look_at = now + LOOK
        there = _time_at(self.path.parent)
        return there is not None and there - changed > LEASE


def holders(folder: Path) -> dict[str, Holder]:
    """Holders of the leases in a folder by the lease's name; those that have died, or do not say who they are, are not.

    OSError where the folder cannot be read.
    """
    found = {path.stem: _holder_in(path) for path in sorted(folder.glob("*.lease"))}
    return {name: holder for name, holder in found.items() if holder is not None and not holder.has_died}


def _written_once(path: Path, text: str) -> bool:
    """Make a file, at once with its text: a lease that says nothing blocks until it is stale. False if there is one."""
    handle, partial = partial_file(path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        linked = linked_once(partial, path)
        if linked is not None:
            return linked
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return True
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _beat(path: Path, token: str, released: threading.Event) -> None:
    while not released.wait(BEAT):
        try:
            if _token_in(path) != token:
                return
            os.utime(path)  # without a time of ours: the disk's server enters its own
        except FileNotFoundError:
            return
        except OSError:  # a mount that does not answer may do so at the next beat
            continue


def _holder_in(path: Path) -> Holder | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        texts = {name: shown(str(facts[name]))[:200] for name in ("host", "since", "where", "started", "token")}
        return Holder(pid=int(facts["pid"]), **texts)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _token_in(path: Path) -> str:
    """OSError where the file cannot be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["token"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _changed(path: Path) -> float | None:
    """The time of last change; None if the file is gone."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)  # network mounts ask their server when a file is opened, not for its facts
        try:
            return os.fstat(handle).st_mtime
        finally:
            os.close(handle)
    try:
        return path.stat().st_mtime  # another's file that may not be read
    except FileNotFoundError:
        return None


def _time_at(folder: Path) -> float | None:
    """The time by the clock of this folder's disk: that of a new file, before a write enters the time of our own."""
    try:
        handle, path = partial_file(folder)
    except OSError:
        return None
    try:
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            path.unlink()


def _myself(token: str) -> Holder:
    pid = os.getpid()
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return Holder(pid, socket.gethostname(), since, _where(), _state_of(pid)[1], token)


def _where() -> str:
    """What tells one table of processes from all others; empty where that cannot be said.

    Containers may share a host's name, and then the number of a process means nothing.
    """
    if sys.platform != "linux":
        return f"{sys.platform} {socket.gethostname()}" if os.name == "posix" else ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _lives(pid: int, started: str) -> bool:
    if sys.platform == "linux":
        state, its_start = _state_of(pid)
        return state not in ("", "Z", "X") and its_start == started  # else the number is another's by now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _state_of(pid: int) -> tuple[str, str]:
    """State and time of start of a process on Linux; empty if there is none (or on another system)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
