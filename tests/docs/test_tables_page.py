"""The page that says how each table's number is made knows every table."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.+?) \| (.+) \| `([\w/]+\.py)` \|$", PAGE, re.MULTILINE)


def named() -> set[str]:
    """The names of the tables that the code makes, by its literals."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bench").rglob("*.py"))
    return set(re.findall(r"\bSection\(\s*\"([\w-]+)\"", source))


def test_every_table_has_a_row_that_says_how_it_is_made() -> None:
    told = {name for names, _, _ in ROWS for name in re.findall(r"`([\w-]+)`", names)}
    assert len(named()) > 20
    assert named() <= told


def test_every_committed_table_is_one_of_them() -> None:
    told = {name for names, _, _ in ROWS for name in re.findall(r"`([\w-]+)`", names)}
    made = {path.stem for path in (ROOT / "results").glob("*/tables/*.md") if not path.stem.endswith("report")}
    assert made <= told


def test_the_files_that_it_names_are_there() -> None:
    assert all((ROOT / file).is_file() for _, _, file in ROWS)
