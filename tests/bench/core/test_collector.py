"""What modules make is not searched for garbage, and what is made afterwards is."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from subnetbench.bench.core.collector import importing


class Thing:
    """Something that can hold itself, and of which one can see whether it is still there."""


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_made_meanwhile_is_kept_and_later_garbage_is_found() -> None:
    before = gc.get_freeze_count()
    with importing():
        assert not gc.isenabled()
        module = [Thing() for _ in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + 100
    thing = Thing()
    vars(thing)["itself"] = thing
    seen = weakref.ref(thing)
    del thing
    gc.collect()
    assert seen() is None
    assert len(module) == 100


def test_a_search_that_was_off_stays_off_and_an_import_that_fails_turns_it_on_again() -> None:
    gc.disable()
    with importing():
        pass
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()


@pytest.mark.parametrize("command", [["--version"], ["run", "no such suite"]])
def test_a_command_ends_without_a_search(command: list[str], tmp_path: Path) -> None:
    """What Python would search as it ends is next to nothing: all else was left out before."""
    program = (
        "import gc, sys, atexit\n"
        "from subnetbench.bench.cli.main import main\n"
        "atexit.register(lambda: print('left', len(gc.get_objects())))\n"
        f"sys.argv = ['subnetbench', *{command!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    left = int(done.stdout.splitlines()[-1].split()[1])
    assert left < 1000, done.stderr
