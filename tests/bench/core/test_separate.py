"""A table for programs has one figure a cell and empty cells for nothing; names are left alone."""

from __future__ import annotations

import pandas as pd
import pytest
from subnetbench.bench.core.grid import Listing
from subnetbench.bench.core.plain import records
from subnetbench.bench.core.separate import separated
from subnetbench.bench.harness.tables import Report, Section, render


@pytest.mark.parametrize(
    ("cells", "columns"),
    [
        (["94.5 [94.0, 95.0]", "–"], {"x": ["94.5", ""], "x low": ["94.0", ""], "x high": ["95.0", ""]}),
        (["**-4.0 [-4.7, -3.2]**", "+0.4* [+0.0, +0.8] †"],
         {"x": ["-4.0", "+0.4"], "x low": ["-4.7", "+0.0"], "x high": ["-3.2", "+0.8"]}),
        (["+0.3 [-0.1, +0.6] not separable"],
         {"x": ["+0.3"], "x low": ["-0.1"], "x high": ["+0.6"], "x verdict": ["not separable"]}),
        (["1849", "3200–4590"], {"x": ["1849", "3200"], "x most": ["", "4590"]}),
        (["n = 0", "99.7 [99.0, 99.9] ‡ §"], {"x": ["", "99.7"], "x low": ["", "99.0"], "x high": ["", "99.9"]}),
        (["yes", "– (fewer than 20)", "–"], {"x": ["yes", "fewer than 20", ""]}),
        (["94.0 [93.0, 95.0]", "– (too few)"],
         {"x": ["94.0", ""], "x low": ["93.0", ""], "x high": ["95.0", ""], "x reason": ["", "too few"]}),
        (["– (too few)", "–"], {"x": ["too few", ""]}),
        ([0.5, 3, None], {"x": [0.5, 3, None]}),
        (["1 / 2", "3"], {"x": ["1 / 2", "3"]}),
        (["<0.001", "0.02"], {"x": ["<0.001", "0.02"]}),
        (["lid", "1–2", "5 [1, 2]"], {"x": ["lid", "1–2", "5 [1, 2]"]}),  # names of detectors, of anybody's choice
    ],
)  # fmt: skip
def test_a_cell_has_one_figure(cells: list[str], columns: dict[str, list[str]]) -> None:
    assert separated({"x": cells}) == columns


def test_figures_between_strokes_have_the_names_that_their_table_gives_them() -> None:
    cells = ["0.5 / –", "7.3 / 1.2 (60.4)"]
    assert separated({"x": cells}, further=("gates", "own order")) == {
        "x": ["0.5", "7.3"],
        "x gates": ["", "1.2"],
        "x own order": ["", "60.4"],
    }


def test_a_report_has_brackets_in_its_markdown_and_none_in_its_csv() -> None:
    frame = pd.DataFrame({"detector": ["lid", "kd"], "n": [3, 4], "fgsm": ["**98.2 [97.7, 98.6]**", "not run"]})
    texts = render(Report("t", [], [Section("a", "A", lambda: frame, "AUROC.", nothing=("not run",))]))
    assert texts["a.csv"] == "detector,n,fgsm,fgsm low,fgsm high\nlid,3,98.2,97.7,98.6\nkd,4,,,\n"
    assert "**98.2 [97.7, 98.6]**" in texts["a.md"]
    assert "not run" in texts["a.md"]


def test_so_has_a_listing_for_programs() -> None:
    rows = [{"attack": "fgsm", "difference": "+1.00 [+0.50, +1.50]"}, {"attack": "bim", "difference": "–"}]
    first, second = records(Listing("t", rows))
    assert first == {"attack": "fgsm", "difference": "+1.00", "difference low": "+0.50", "difference high": "+1.50"}
    assert set(second.values()) == {"bim", ""}
    assert records(Listing("t", [])) == []
