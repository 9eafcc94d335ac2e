"""FINDINGS: each figure on the page is the one that a committed table has, and none is written by hand."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from .ci_script import ci_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def findings() -> ModuleType:
    """The script, which is in no package."""
    return ci_script("findings")


def test_both_pages_are_what_their_sources_give_with_the_committed_tables(findings: ModuleType) -> None:
    for path, text in findings.made().items():
        assert path.read_text(encoding="utf-8") == text, "python .ci/findings.py writes it"


#: Fractions that are settings of an attack or of the paper, not figures.
SETTINGS = {".02", ".1", ".3", ".5", ".05"}


@pytest.mark.parametrize("name", ["SOURCE", "SHORT"])
def test_no_figure_is_written_by_hand(findings: ModuleType, name: str) -> None:
    source = findings.LET.sub("", getattr(findings, name).read_text(encoding="utf-8"))
    for text in (findings.MACRO, re.compile(r"\]\([^)]*\)"), re.compile(r"`[^`]*`")):
        source = text.sub("", source)
    fractions = re.findall(r"(?<![\w/.])[-−+]?\d*\.\d+", source)
    assert set(fractions) <= SETTINGS


def test_a_figure_follows_its_table(findings: ModuleType, tmp_path: Path) -> None:
    name = "cifar10-table2/tables/table2.csv"
    (tmp_path / name).parent.mkdir(parents=True)
    shutil.copy(ROOT / "results" / name, tmp_path / name)
    macro = "{{ cifar10-table2/table2; strict; lid; seen cw }}"
    before = findings.page(macro, tmp_path)
    with (tmp_path / name).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row |= {"static: seen cw": "12.3", "static: seen cw low": "-4.0", "static: seen cw high": "45.6"}
    other = tmp_path / "cifar10-table3" / "tables" / "table2.csv"
    other.parent.mkdir(parents=True)
    with other.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\]", before)
    changed = macro.replace("table2/", "table3/")
    assert findings.page(changed, tmp_path) == "12.3 [−4.0, 45.6]"
    assert findings.page(changed.replace("}}", "; point }}"), tmp_path) == "12.3"
    assert findings.page(changed.replace("}}", "; point; sign }}"), tmp_path) == "+12.3"
    assert findings.page(changed.replace("}}", "; interval }}"), tmp_path) == "[−4.0, 45.6]"


@pytest.mark.parametrize(
    ("macro", "why"),
    [
        ("{{ cifar10-table2/table2; strict; no-such; seen cw }}", "0 rows .* hold strict, no-such"),
        ("{{ cifar10-table2/table2; lid; seen cw }}", "2 rows .* hold lid"),
        ("{{ cifar10-table2/table2; strict; lid; cw }}", "2 columns .* end in 'cw'"),
        ("{{ cifar10-table2/no-table; strict; lid; cw }}", "There is no no-table.csv"),
        ("{{ minus cifar10-table2; strict; lid }}", "compares lid with nothing"),
    ],
)
def test_what_names_no_one_figure_is_refused(findings: ModuleType, macro: str, why: str) -> None:
    with pytest.raises(findings.UnclearError, match=why):
        findings.page(macro, ROOT / "results")


def test_the_table_of_differences_has_the_verdicts_of_the_comparisons(findings: ModuleType) -> None:
    table = findings.page("{{ minus cifar10-table2; strict; subnet-mahalanobis }}", ROOT / "results")
    with (ROOT / "results" / "cifar10-table2" / "tables" / "comparisons.csv").open(newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if (r["protocol"], r["first"]) == ("strict", "subnet-mahalanobis")]
    assert table.count("**") == 2 * sum(row["verdict"] in ("better", "worse") for row in rows)
    assert len(table.splitlines()) == 2 + len({row["second"] for row in rows})
