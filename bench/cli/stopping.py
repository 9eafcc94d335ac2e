"""Ctrl-C and SIGTERM: finished work is kept, the exit code is that of shells, and there is never a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

STOPPED = "stopped; all finished work is kept, and the same command goes on from there"

#: Seconds that a running computation has to notice the signal: Python sees one only between two calls into C.
PATIENCE = 1.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """While entered, a signal raises KeyboardInterrupt; a second one, or a deaf computation, ends the process at once.

    That is safe: files appear whole or not at all, and the lease of a process that died is free at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def code(self) -> int | None:
        """The exit code, where a signal came."""
        return None if self.signal is None else 128 + self.signal

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():  # Python's condition for handlers
            heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # as under nohup
            self._before = {number: signal.signal(number, self._stop) for number in heard}
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before and self.signal is None:  # after a signal the process ends
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._writer.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _leave(number)
        self.signal = number
        raise KeyboardInterrupt

    def _watch(self) -> None:
        """Be there for signals while the main thread is in C."""
        heard = 0
        while number := self._reader.recv(1):
            if number[0] in self._before:
                heard += 1
                if heard == 1:
                    time.sleep(PATIENCE)
                if self.signal is None or heard > 1:
                    _leave(number[0])
        self._reader.close()


def end(code: int) -> None:
    """End the process now: after a torch computation, Python takes seconds to take itself apart."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _leave(number: int) -> None:
    """End the process without another step of the main thread's."""
    show_cursor = "\r\x1b[2K\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{show_cursor}{STOPPED}\n".encode())
    os._exit(128 + number)
