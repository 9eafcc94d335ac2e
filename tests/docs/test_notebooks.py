"""The notebooks work as they stand, and the pages that show them are up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .ci_script import ci_script

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
STALE = "python .ci/pages.py --execute docs/notebooks/NAME.ipynb runs it again, python .ci/pages.py writes the pages"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return ci_script("pages")


def test_every_made_page_is_up_to_date(pages: ModuleType) -> None:
    for path, text in pages.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {STALE}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_one_that_jupyter_opens(notebook: Path, pages: ModuleType) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        required = {"cell_type", "id", "metadata", "source"}
        more = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == required | more
        for place in pages.source_of(cell).split("](")[1:]:
            assert (notebook.parent / place.partition(")")[0]).is_file(), "a link of a notebook starts at its folder"


def test_the_notebook_of_a_table_prints_what_it_shows(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    notebook = ROOT / "docs" / "notebooks" / "regenerate-a-table.ipynb"
    shown = [pages.outputs_of(cell) for cell in pages.cells(notebook) if cell["cell_type"] == "code"]
    assert list(pages.outputs(notebook, {"__name__": "__main__"})) == shown, STALE
    assert "True\n" in shown


@pytest.mark.usefixtures("small_digits")
def test_the_notebook_of_a_detector_ends_with_a_comparison(
    pages: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a smaller `digits`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    *_, checked, table, differences = pages.outputs(ROOT / "docs" / "notebooks" / "bring-a-detector.ipynb", names)
    assert checked == "[]\n"
    assert "entropy" in table
    assert set(names["shown"].verdict) <= {"better", "worse", "not separable"}
    assert differences.count("\n") == 1 + len(names["shown"])
    assert "torch" in sys.modules
