"""What stands beside a table explains the marks that it has, and no others."""

from __future__ import annotations

import pandas as pd
from subnetbench.bench.core.grid import Column, Figure, Grid, Row
from subnetbench.bench.core.legend import BEST, ONE_SIDED, Legend
from subnetbench.bench.core.text import BOLD, marks_of
from subnetbench.bench.harness.tables import Report, Section, render

LEGEND = Legend("AUROC.", {ONE_SIDED: "One.", BEST: "Best.", "†": "Close.", "*": "Remark.", "§": "Row.", "noise": "N."})
MARKS = {BOLD: "**Bold**: highest.", "†": "†: close.", "*": "*: remark.", "‡": "‡: weak."}


def grid(*figures: Figure, sign: str = "", title: str = "fgsm") -> Grid:
    return Grid("t", "detector", [Column(title)] * len(figures), [Row("lid", figures, sign=sign)])


def test_a_legend_names_what_its_tables_have() -> None:
    plain = Figure.share(0.9, 0.88, 0.92)
    assert LEGEND.text([grid(plain), "a line"]) == "AUROC."
    assert LEGEND.text([grid(Figure.share(0.99, 0.9, 1.0, sign="*"))]) == "AUROC. One. Remark."
    assert LEGEND.text([grid(plain, sign="§"), grid(Figure("1", mark="†", best=True))]) == "AUROC. Best. Close. Row."
    assert LEGEND.text([grid(plain, title="noise")]) == "AUROC. N."


def test_marks_are_found_on_figures_alone() -> None:
    assert marks_of(["98.2* [97.7, 98.6]", "**-4.7**", "59.8 [52.9, 67.4] ‡ §"]) == {"*", BOLD, "‡", "§"}
    assert marks_of(["**98.2 [97.7, 98.6]**"]) == {BOLD}
    assert marks_of(["**75.1***"]) == {BOLD, "*"}
    assert marks_of(["lid †", "**a word**", "–", "3*x"]) == set()


def test_a_note_is_followed_by_the_marks_of_its_table() -> None:
    def page(*cells: str) -> str:
        frame = pd.DataFrame({"detector": ["lid"] * len(cells), "fgsm": cells})
        return render(Report("t", [], [Section("a", "A", lambda: frame, "AUROC.", marks=MARKS)]))["report.md"]

    assert "\nAUROC.\n" in page("98.2 [97.7, 98.6]")
    assert "\nAUROC. **Bold**: highest. *: remark.\n" in page("**98.2* [97.7, 98.6]**", "98.1 [97.7, 98.6]")
    assert "\nAUROC. †: close. ‡: weak.\n" in page("98.2 [97.7, 98.6] †", "98.1 [97.7, 98.6] ‡")
