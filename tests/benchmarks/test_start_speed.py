"""How long commands take to start, as ratios to importing typer and to importing torch in the same run.

Run with ``pytest tests/benchmarks/test_start_speed.py --benchmark-only -s``. Seconds are those of the process, so that
a busy machine counts less; of several rounds, in which all take turns, each one's best counts. "Again": an earlier
process looked at the same code. Nothing is asserted about time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

resource = pytest.importorskip("resource")  # not on Windows

ROUNDS = 4
PEERS = {"import typer": ["-c", "import typer"], "import torch": ["-c", "import torch"]}
COMMANDS = ("--version", "--help", "ls suites", "ls detectors", "ls attacks", "ls models", "validate digits")


def seconds(arguments: list[str], home: Path) -> float:
    """Of the processor, of one Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


@pytest.mark.benchmark(group="start")
def test_commands_beside_the_import_of_typer_and_of_torch(benchmark: Any, tmp_path: Path) -> None:
    ways = PEERS | {command: ["-m", "subnetbench", *command.split()] for command in COMMANDS}
    first = {name: seconds(arguments, tmp_path) for name, arguments in ways.items()}
    if benchmark.disabled:
        return  # every command ran: where nothing is measured, that is all there is to see
    best = benchmark.pedantic(
        lambda: [{name: seconds(arguments, tmp_path) for name, arguments in ways.items()} for _ in range(ROUNDS)],
        rounds=1,
    )
    again = {name: min(turn[name] for turn in best) for name in ways}
    print(f"\n{'':<18}{'first':>8}{'again':>8}{'x typer':>9}{'x torch':>9}")
    for name in ways:
        ratios = [again[name] / again[peer] for peer in PEERS]
        print(f"{name:<18}{first[name]:>7.2f}s{again[name]:>7.2f}s{ratios[0]:>9.1f}{ratios[1]:>9.2f}")
        benchmark.extra_info[name] = {"first": first[name], "again": again[name]}
