"""Keys follow code: an edit of what is computed changes them, an edit of what is written about it does not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from subnetbench.bench.core.hashing import code_hash, source_hash, syntax

CODE = '''"""A module."""

import math


class Score:
    """A score."""

    def __call__(self, x):
        """Of x."""
        return math.sqrt(x)  # never negative


async def later():
    """Not now."""
    return "text"
'''


def hashes(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """The module's text, its hash as a stage of ours, and the hash of the plug-in that it defines."""
    path = folder / "scores.py"
    path.write_text(source, encoding="utf-8")
    module = ModuleType("scores")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "scores", module)
    exec(compile(source, path, "exec"), module.__dict__)
    return syntax(source.encode()), code_hash(module), source_hash(module.Score())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # never negative", ""),
        ("# never negative", "# of a number that is never negative"),
        ('"""A module."""', '"""A module of scores,\n\nwith more to say."""'),
        ('    """A score."""\n\n', ""),
        ('"""Of x."""', "'''Of another x.'''"),
        ('    """Not now."""\n', ""),
        ("\n\n\nclass", "\n\n\n\n\nclass"),
        ("math.sqrt(x)", "math.sqrt( x )"),
    ],
)
def test_an_edit_of_a_comment_a_docstring_or_the_layout_keeps_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert CODE.count(old) == 1
    assert hashes(tmp_path, CODE.replace(old, new), monkeypatch) == hashes(tmp_path, CODE, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("math.sqrt(x)", "math.sqrt(x) + 1"),
        ("math.sqrt(x)", "math.cbrt(x)"),
        ('return "text"', 'return "another text"'),
        ("import math\n", "import math\n\nSCALE = 2\n"),
        ("async def later", "async def sooner"),
    ],
)
def test_an_edit_of_code_changes_every_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert CODE.count(old) == 1
    before, after = hashes(tmp_path, CODE, monkeypatch), hashes(tmp_path, CODE.replace(old, new), monkeypatch)
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_source_that_does_not_parse_is_hashed_as_it_is() -> None:
    assert syntax(b"def") != syntax(b"def # a comment")
    assert syntax(b"\xff") == syntax(b"\xff")
