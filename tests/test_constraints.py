"""`constraints.txt` has the versions that most committed results were made with, as their entries state them."""

from __future__ import annotations

import json
import lzma
import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PINNED = dict(line.split("==") for line in TEXT.splitlines() if line and not line.startswith("#"))


def stated() -> dict[str, Counter[str]]:
    """How many entries state a version, by package."""
    found: dict[str, Counter[str]] = {}
    for file in (ROOT / "results").rglob("*.json*"):
        blob = file.read_bytes()
        content = json.loads(lzma.decompress(blob) if file.suffix == ".xz" else blob)
        if isinstance(content, dict) and isinstance(content.get("versions"), dict):
            for package, version in content["versions"].items():
                found.setdefault(package, Counter())[version] += 1
    return found


def test_each_version_is_the_one_that_most_entries_state():
    """A GPU's machine, or one of another day, has others, which its entries state."""
    versions = {package: counts.most_common(1)[0][0] for package, counts in stated().items()}
    python = versions.pop("python")
    versions.pop("subnetbench")
    assert versions == PINNED
    assert re.search(r"Python ([\d.]+\d)", TEXT)[1] == python


def test_they_are_within_the_bounds_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = dict(re.fullmatch(r"([\w-]+)>=([\d.]+).*", bound).groups() for bound in project["dependencies"])
    for package, version in PINNED.items():
        assert [int(n) for n in version.split(".")] >= [int(n) for n in lowest[package].split(".")], package
