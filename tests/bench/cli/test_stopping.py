"""Ctrl-C and SIGTERM in a process of its own: one sentence, the shell's exit code, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from subnetbench.bench.cli.stopping import STOPPED

#: What a command does, in place of a real one: `work` runs where a computation would.
SCRIPT = """
import ctypes, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may have it ignored
from subnetbench.bench.cli import main as cli

def begin():
    print("begins", flush=True)

def slow_to_unwind():
    try:
        begin()
        time.sleep(60)
    finally:
        print("unwinds", flush=True)
        time.sleep(60)

work = {
    "sleeps": lambda: [begin(), time.sleep(60)],
    "unwinds": slow_to_unwind,
    "is deaf": lambda: [begin(), ctypes.CDLL(None).sleep(40), time.sleep(60)],
}[sys.argv.pop()]

@cli.app.command()
def work_on():
    work()

cli.main()
"""


@pytest.mark.parametrize(
    ("work", "signals", "code"),
    [
        ("sleeps", [signal.SIGINT], 130),
        ("sleeps", [signal.SIGTERM], 143),
        ("unwinds", [signal.SIGINT, signal.SIGINT], 130),
        ("is deaf", [signal.SIGINT], 130),  # C code: Python's own handler is not called before its end
    ],
)
def test_a_signal_ends_the_command_in_a_sentence(work: str, signals: list[signal.Signals], code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "work-on", work],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            began = time.monotonic()
            process.send_signal(signals[0])
            for number in signals[1:]:
                assert process.stdout.readline() == "unwinds\n"
                process.send_signal(number)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code
    assert said == f"{STOPPED}\n"
    assert time.monotonic() - began < 20  # about one second in C code, on a free machine
