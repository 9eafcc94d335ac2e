"""What sources declare against what their import registers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.cli import registered
from subnetbench.bench.core import registry
from subnetbench.bench.core.declared import Unread, declared
from subnetbench.bench.core.registry import Registry, origin

KINDS: dict[str, tuple[Registry[Any], Any]] = {
    "detector": (registry.detectors, registered._detector),
    "attack": (registry.attacks, registered._attack),
    "arm": (registry.arms, registered._arm),
    "dataset": (registry.datasets, partial(registered._factory, "dataset", root=None)),
    "model": (registry.models, partial(registered._factory, "model", classes=10, shape=(3, 32, 32))),
    "saliencymethod": (registry.saliency, registered._saliency),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_ours_are_read_as_the_import_gives_them(kind: str) -> None:
    items, row = KINDS[kind]
    ours = {name: items.get(name) for name in items if items.is_ours(name)}
    assert registered.read(kind, items, row) == {name: (origin(item), row(name, item)) for name, item in ours.items()}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``home`` of a module that registers one class."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "__init__.py").write_text("")
    (tmp_path / "home" / "one.py").write_text(
        "import torch\nfrom other import register_thing\nfrom .base import Base, info\n\n"
        '@register_thing("a")\nclass A(Base, torch.nn.Module):\n    title, year = info("of A"), Base.year + 1\n'
    )
    (tmp_path / "home" / "base.py").write_text(
        "import re\n\nclass Base:\n    year = 2000\n    kind: str = re.escape('.')\n\n"
        'def info(text: str) -> str:\n    return f"title {text}"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path / "home"
    for name in [name for name in sys.modules if name.partition(".")[0] == "home"]:
        del sys.modules[name]


def test_a_class_has_what_it_and_its_bases_declare(package: Path) -> None:
    (package / "one.py").write_text((package / "one.py").read_text().replace(", torch.nn.Module", ""))
    item = declared("home", "thing")["a"]
    assert (item.title, item.year, item.kind, origin(item)) == ("title of A", 2001, "\\.", "home.one.A")
    assert "home.one" not in sys.modules


def test_a_base_of_a_library_is_left_to_the_import(package: Path) -> None:
    with pytest.raises(Unread, match=r"torch is not imported"):
        declared("home", "thing")


def test_what_is_registered_within_a_function_is_left_to_the_import(package: Path) -> None:
    text = (package / "one.py").read_text().replace(", torch.nn.Module", "")
    (package / "one.py").write_text(text + '\ndef later():\n    register_thing("b")(A)\n')
    with pytest.raises(Unread, match=r"home\.one registers at line 10"):
        declared("home", "thing")
