"""The API reference names every public name and every kind of plug-in, and nothing that is not there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from subnetbench import bench
from subnetbench.bench.core import registry

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
IDENTIFIERS = re.findall(r"^::: ([\w.]+)$", PAGE, re.MULTILINE)
REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_what_the_reference_shows_is_there_and_has_a_docstring(identifier: str) -> None:
    module, _, name = identifier.rpartition(".")
    shown = getattr(import_module(f"subnetbench.{module}"), name)
    assert name == "ClassGates" or shown.__doc__


@pytest.mark.parametrize("name", bench.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    shown = {identifier.rpartition(".")[2] for identifier in IDENTIFIERS}
    assert name in shown or f"`{name}`" in PAGE or f"`{name}(name)`" in PAGE


@pytest.mark.parametrize("kind", REGISTRIES, ids=lambda kind: kind.kind.replace(" ", "-"))
def test_every_kind_of_plug_in_has_its_contract_and_its_entry_points(kind: registry.Registry) -> None:
    (row,) = [line for line in PAGE.splitlines() if f"| `{kind.group}` |" in line]
    (anchor,) = re.findall(r"\]\(#([\w-]+)\)", row)
    assert f"\n## {anchor.replace('-', ' ').capitalize()}\n" in PAGE
    (page,) = re.findall(r"\[page\]\(([\w-]+\.md)", row)
    assert (Path(__file__).resolve().parents[2] / "docs" / page).is_file()
