"""A detector that the suite's part [adaptive] does not name is not passed over in silence."""

from __future__ import annotations

from pathlib import Path

from subnetbench.bench.adaptive import tables
from subnetbench.bench.adaptive.entry import read_entries
from subnetbench.bench.adaptive.terminal import shown
from subnetbench.bench.core.files import write_json
from subnetbench.bench.core.grid import Grid
from subnetbench.bench.detection.override import with_detectors
from subnetbench.bench.tracks import load_suite

RESULTS = Path(__file__).resolve().parents[3] / "results" / "digits"
MINE = """
extends = "digits"
name = "mine"

[[detectors]]
name = "max-logit"

[adaptive]
detectors = ["max-logit"]
"""


def told(folder: Path) -> list[str]:
    return [line for line in shown(read_entries(RESULTS), folder) if isinstance(line, str)]


def test_rows_have_the_order_of_the_files() -> None:
    entries = read_entries(RESULTS)
    order = list(tables.robust(entries)["detector"])
    for made in (entries, entries[::-1]):
        (grid,) = (table for table in shown(made, RESULTS) if isinstance(table, Grid))
        assert [f"{row.name} {row.aside}".strip() for row in grid.rows] == order


def test_a_line_under_the_table_says_how_an_added_detector_is_attacked(tmp_path: Path) -> None:
    suite = with_detectors(load_suite("digits"), ["max-logit"])
    write_json(tmp_path / "suite.json", suite.model_dump(mode="json"))
    assert told(tmp_path) == [
        "[adaptive] of digits names 3 of 14 detectors. To attack another, such as max-logit, run a suite file that "
        'extends digits, has it among its detectors, and says detectors = ["max-logit"] under [adaptive].'
    ]
    (tmp_path / "mine.toml").write_text(MINE)
    mine = load_suite(tmp_path / "mine.toml")
    assert mine.adaptive.detectors == ["max-logit"]
    assert mine.adaptive.arms == suite.adaptive.arms


def test_nothing_is_said_where_all_detectors_are_attacked(tmp_path: Path) -> None:
    suite = load_suite("digits")
    every = suite.model_copy(update={"adaptive": suite.adaptive.model_copy(update={"detectors": []})})
    write_json(tmp_path / "suite.json", every.model_dump(mode="json"))
    assert told(tmp_path) == []
