"""`subnetbench compare RUN_A RUN_B`: figures inside the earlier intervals, and verdicts that changed."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Tiny
from .test_commands import call


def rewrite(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def later(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the results with one figure far away, one that moved inside its interval, and another verdict."""
    folder = tmp_path / "later"
    shutil.copytree(tiny.folder, folder)

    def move(content: dict[str, Any]) -> None:
        far, near = (
            next(c for c in content["cells"] if (c["fit_on"], c["test_on"]) == (a, a)) for a in ("fgsm", "bim")
        )
        far["auroc"], far["low"], far["high"] = 0.02, 0.01, 0.03
        near["auroc"] = (near["low"] + near["high"]) / 2

    def turn(content: dict[str, Any]) -> None:
        record = content["comparisons"][0]
        record["verdict"] = "worse" if record["verdict"] != "worse" else "better"

    rewrite(folder / "entries" / "strict" / "mahalanobis.json", move)
    rewrite(folder / "comparisons" / "strict.json", turn)
    return folder


def tables(out: str) -> list[list[dict[str, str]]]:
    return [table["rows"] for table in json.loads(out)]


def test_the_same_results_twice_have_every_figure_inside_and_no_verdict_changed(tiny: Tiny) -> None:
    said = call("compare", tiny.folder, tiny.folder, "--json")
    assert said.code == 0, said.err
    counts = tables(said.out)[0][-1]
    assert counts["protocol"] == "all"
    assert int(counts["figures"]) == int(counts["inside the earlier interval"]) > 0
    assert (counts["outside"], counts["changed"], counts["largest"]) == ("0", "0", "0.00")


def test_what_moved_is_counted_and_named(tiny: Tiny, later: Path) -> None:
    counts, changed, most = tables(call("compare", tiny.folder, later, "--json").out)
    strict = next(row for row in counts if row["protocol"] == "strict")
    assert strict["outside"] == "1"
    assert int(strict["inside the earlier interval"]) == int(strict["figures"]) - 1
    assert strict["changed"] == "1"
    assert next(row for row in counts if row["protocol"] == "lee2018")["outside"] == "0"
    assert len(changed) == 1
    assert changed[0]["protocol"] == "strict"
    assert (most[0]["detector"], most[0]["cell"]) == ("mahalanobis", "seen fgsm")
    assert most[0]["inside the earlier interval"] == "no"
    assert len(most) <= 10


def test_csv_and_markdown_have_the_same_rows(tiny: Tiny, later: Path) -> None:
    assert list(csv.reader(io.StringIO(call("compare", tiny.folder, later, "--format", "csv").out)))
    text = call("compare", tiny.folder, later, "--format", "markdown").out
    assert "inside the earlier interval" in text
    assert "seen fgsm" in text


def test_cells_of_one_state_alone_are_counted(tiny: Tiny, later: Path) -> None:
    path = later / "entries" / "strict" / "lid.json"
    figures = sum(cell["auroc"] is not None for cell in json.loads(path.read_text())["cells"])
    path.unlink()
    assert f"{figures} figures are in" in call("compare", tiny.folder, later).out


def test_a_mistake_is_one_sentence(tiny: Tiny, later: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "mahalanobis is not; give two results folders" in call("compare", tiny.folder, "mahalanobis").mistake
    assert "There are no entries under" in call("compare", tiny.folder, empty).mistake
    assert "--plot draws the curves of two" in call("compare", tiny.folder, later, "--plot", "x.png").mistake
    for path in (later / "entries").glob("*/*.json"):
        rewrite(path, lambda content: content["suite"].update(name="other"))
    assert "holds the suite tiny and" in call("compare", tiny.folder, later).mistake
    both = tmp_path / "both"
    shutil.copytree(tiny.folder, both / "a")
    shutil.copytree(later, both / "b")
    assert "holds several suites (other, tiny)" in call("compare", tiny.folder, both).mistake
    for path in (later / "entries").glob("*/*.json"):
        rewrite(path, lambda content: (content["suite"].update(name="tiny"), content["detector"].update(label="x")))
    assert "have no figure in common" in call("compare", tiny.folder, later).mistake
