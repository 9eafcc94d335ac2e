"""What a class without a file computes with: any edit that matters gives another hash, nothing else does."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.hashing import source_hash
from subnetbench.bench.core.sources import of_session, sources_of

CELL = '''
import numpy as np

SCALE = 2.0
TABLE = {"a": [1, 2], "b": np.arange(3)}


def helper(x):
    """What it does."""
    return x * SCALE  # a comment


def of(size):
    return lambda x: x + size


shift = of(3)


class Base:
    order = 1

    def sign(self, x):
        return helper(x)


class Score(Base):
    factor = 3

    def __init__(self, k=5):
        self.k = k

    @property
    def name(self):
        return "score"

    def of(self, x):
        def inside(y):
            return TABLE["b"] + y

        return shift(inside(self.sign(x))) if x in {"p", "q", "r"} else self.k
'''


def run(cell: str = CELL, name: str | None = None) -> Any:
    names: dict[str, Any] = {} if name is None else {"__name__": name}
    exec(compile(cell, "<cell>", "exec"), names)
    return names["Score"]


BEFORE = source_hash(run())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ('"a": [1, 2]', '"a": [1, 3]'),
        ("np.arange(3)", "np.arange(3) + 1"),
        ("return x * SCALE", "return x / SCALE"),
        ("of(3)", "of(4)"),
        ("order = 1", "order = 2"),
        ("factor = 3", "factor = 4"),
        ("k=5", "k=6"),
        ('return "score"', 'return "scores"'),
        ("return TABLE", "return 1 + TABLE"),
        ("class Score(Base)", "class Other(Base):\n    pass\n\n\nclass Score(Other)"),
    ],
)
def test_what_matters_gives_another_hash(old: str, new: str) -> None:
    assert old in CELL
    assert source_hash(run(CELL.replace(old, new, 1))) != BEFORE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ("What it does.", "What it is for."),
        ("\nclass Base", "\n\n\nUNUSED = 3\n\n\nclass Base"),
    ],
)
def test_what_does_not_matter_gives_the_same(old: str, new: str) -> None:
    assert old in CELL
    assert source_hash(run(CELL.replace(old, new, 1))) == BEFORE


def test_the_hash_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Sets of texts are in another order there."""
    lines = ["from subnetbench.bench.core.hashing import source_hash", f"exec({CELL!r}, names := {{}})"]
    script = "\n".join([*lines, "print(source_hash(names['Score']))"])
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert ran.stdout.strip() == BEFORE


def test_being_pickled_does_not_change_a_class() -> None:
    cls = run()
    copy.deepcopy(cls())  # which leaves __slotnames__ on it
    assert source_hash(cls) == BEFORE


def test_a_helper_of_ones_own_file_counts_where_it_is_imported_inside_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    cell = (
        "class Score:\n    def of(self, x):\n        import helpers_of_mine\n        return helpers_of_mine.sign(x)\n"
    )
    hashes = []
    for text in ("def sign(x):\n    return x\n", "def sign(x):\n    return -x\n"):
        (tmp_path / "helpers_of_mine.py").write_text(text)
        hashes.append(source_hash(run(cell)))
    assert hashes[0] != hashes[1]


def test_objects_count_with_what_they_hold() -> None:
    def hashed(value: Any) -> str:
        names = {"value": value}
        exec("class Score:\n    def of(self):\n        return value", names)
        return source_hash(names["Score"])

    net = torch.nn.Linear(2, 2)
    pairs = [(np.float32(1), np.float32(2)), (torch.zeros(2), torch.ones(2)), (Path("a"), Path("b")), (len, max)]
    pairs += [([net.weight], [net.bias]), ({1, 2}, {1, 3}), (run()(), run()(4)), (net, torch.nn.Linear(2, 2))]
    pairs += [(torch.zeros(1).bfloat16(), torch.ones(1).bfloat16()), (np.array([None]), np.array([1], object))]
    for one, other in pairs:
        assert hashed(one) == hashed(one)
        assert hashed(one) != hashed(other)
    ring: list[Any] = []
    ring.append(ring)
    assert hashed(ring) == hashed(ring)


def test_what_a_session_defines_is_told_from_what_a_library_does() -> None:
    class Mine:
        pass

    Mine.__module__ = "__main__"
    for made in (run(), run(name="__main__"), run(name="a_page"), Mine):
        assert of_session(made)
    for other in (list, len, dict, torch.nn.Linear, np.ndarray, Path, sources_of):
        assert not of_session(other)
