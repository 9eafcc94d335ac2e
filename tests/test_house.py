"""The house can be read from the door: small files, rooms that say what lives in them, one path for each question."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("attacks", "bench", "detectors", "subnets")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
ROOMS = sorted(path.parent for path in (ROOT / "bench").rglob("__init__.py") if path.parent != ROOT / "bench")

MOST_LINES_OF_A_FILE, MOST_OF_A_CLASS, MOST_OF_A_FUNCTION = 350, 150, 60


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def too_long(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if text.count("\n") > MOST_LINES_OF_A_FILE:
        yield name(path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            most = MOST_OF_A_CLASS if isinstance(node, ast.ClassDef) else MOST_OF_A_FUNCTION
            if (node.end_lineno or 0) - node.lineno + 1 > most:
                yield f"{name(path)}: {node.name}"


def test_no_file_class_or_function_is_too_long_to_be_read_at_once():
    assert [place for path in MODULES for place in too_long(path)] == []


def test_a_noun_behind_a_number_gets_its_s_from_one_helper():
    by_hand = re.compile(r"""\{'s' if |\{'' if \w+ == 1 else 's'\}""")
    found = {name(path) for path in MODULES if by_hand.search(path.read_text(encoding="utf-8"))}
    assert found == set(), "use `counted` of bench/core/text.py"


def test_beside_the_rooms_stand_the_face_the_loop_the_tracks_and_views_alone():
    assert {path.name for path in (ROOT / "bench").glob("*.py")} == {
        "__init__.py",
        "runner.py",
        "tracks.py",
        "views.py",
    }


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_every_room_says_in_one_line_what_lives_there(room):
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    assert "\n" not in docstring


def test_the_guide_names_every_room_and_every_answer_is_a_file():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in ROOMS:
        assert f"`{name(room)}/`" in guide, name(room)
    answers = re.findall(r"^\| (.*\?) \| `([^`]+)` \|$", guide, re.MULTILINE)
    assert len(answers) >= 10
    for question, answer in answers:
        assert (ROOT / answer).is_file(), question


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(name(p) for p in sorted((ROOT / "docs").glob("*.md")))]
)
def test_paths_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:attacks|bench|detectors|subnets|tests/bench)/[\w/.-]*)`", text):
        assert (ROOT / path).exists(), path
