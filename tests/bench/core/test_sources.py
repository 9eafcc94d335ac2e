"""Which files count for a plug-in: all that it comes with, and of ours only what it imports from its own folder."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from subnetbench.bench.core import sources
from subnetbench.bench.core.hashing import source_hash, syntax
from subnetbench.bench.core.sources import sources_of
from subnetbench.bench.models.cifar import digits_cnn

SCORES = """
from other_helper import sign

from .parts import part


class Score:
    def of(self, x):
        return sign(part(x))
"""
FILES = {
    "mine/__init__.py": "",
    "mine/scores.py": SCORES,
    "mine/parts.py": "def part(x):\n    return x\n",
    "other_helper.py": "def sign(x):\n    return x\n",
    "stranger.py": "X = 1\n",
}
INFO = {"METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1\n", "top_level.txt": "mine\nother_helper\n"}


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write files with changes into a folder on the path, and hash the class ``Score`` of one of its modules."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def made(module: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        for name in set(sys.modules) - before:
            del sys.modules[name]
        importlib.invalidate_caches()
        sources._distributions.cache_clear()
        return source_hash(importlib.import_module(module).Score)

    yield made
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sources._distributions.cache_clear()


def edited(name: str, old: str = "return x", new: str = "return -x") -> dict[str, str]:
    assert old in FILES[name]
    return FILES | {name: FILES[name].replace(old, new)}


def test_every_module_of_a_plug_ins_distribution_counts(hashed: Callable[..., str]) -> None:
    installed = FILES | {f"mine-1.dist-info/{name}": text for name, text in INFO.items()}
    before = hashed("mine.scores", installed)
    assert hashed("mine.scores", edited("mine/parts.py")) != before
    assert hashed("mine.scores", edited("other_helper.py")) != before
    assert hashed("mine.scores", edited("other_helper.py", "return x", "return x  # as it is")) == before
    assert hashed("mine.scores", edited("stranger.py", "1", "2")) == before


def test_a_file_of_ones_own_counts_with_what_it_imports_beside_it(hashed: Callable[..., str]) -> None:
    files = FILES | {"alone.py": "import other_helper\n\n\nclass Score:\n    of = other_helper.sign\n"}
    before = hashed("alone", files)
    assert hashed("alone", files | edited("other_helper.py")) != before
    assert hashed("alone", files | edited("mine/parts.py")) == before
    assert hashed("alone", files) == before


def test_a_base_class_from_elsewhere_counts(hashed: Callable[..., str]) -> None:
    files = {"based.py": "class Base:\n    sign = 1\n", "mine/__init__.py": "", "mine/score.py": ""}
    files["mine/score.py"] = "import based\n\n\nclass Score(based.Base):\n    pass\n"
    before = hashed("mine.score", files)
    assert hashed("mine.score", files | {"based.py": "class Base:\n    sign = -1\n"}) != before


def test_of_ours_only_the_module_and_what_it_imports_from_its_folder_counts() -> None:
    sources = set(sources_of(digits_cnn))
    assert {"cifar.py", "classifier.py", "unstated.py", "wrap.py"} <= sources
    assert sources.isdisjoint({"weights.py", "dry.py", "torchvision.py"})


def test_a_module_whose_import_was_blocked_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources_of(digits_cnn)
    monkeypatch.setitem(sys.modules, "blocked", None)
    assert sources_of(digits_cnn) == before


def test_in_a_notebook_the_cells_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*cells: str) -> Any:
        module = ModuleType("notebook")
        monkeypatch.setitem(sys.modules, "notebook", module)
        for place, cell in enumerate(cells):
            name = f"<cell {place} {hash(cell)}>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec"), module.__dict__)
        return module.Score

    helper, score = "def sign(x):\n    return x\n", "class Score:\n    def of(self, x):\n        return sign(x)\n"
    before = source_hash(run(helper, score))
    assert source_hash(run(helper, score)) == before
    assert source_hash(run(helper.replace("return x", "return -x"), score)) != before


def test_a_syntax_tree_has_the_same_hash_in_every_version_of_python() -> None:
    source = b"""
import a.b as c
from . import d


class E(c.F, metaclass=G):
    x: int = 1_000

    @staticmethod
    async def f(y, /, *args, z=None, **rest) -> "E":
        return f"{y!r:>{z}} 'and' " f'"{rest["k"]:.2f}" {z=}' if y else [*args, {**rest}, 1e400, 2j, b"", ..., None]


match d:
    case [E(x=1), *_] | {"k": None, **rest} if (n := len(d)) > 1:
        lambda: (yield)
try:
    del d[1:, ::2]
except* ValueError as error:
    raise error from None
"""
    assert syntax(source) == "e453d2dbc545e40592bd5731b3db8bd367b4610baa753b81534c444ba6240437"


def test_a_module_that_is_made_again_is_not_taken_for_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are looked through once for many plug-ins, and again after each import."""
    old, new = (ModuleType("made_again") for _ in range(2))
    old.__file__ = new.__file__ = "made_again.py"
    for module in (old, new):
        monkeypatch.setitem(sys.modules, "made_again", module)
        assert sources._by_file()["made_again.py"] is module
        assert sources._by_file() is sources._by_file()
