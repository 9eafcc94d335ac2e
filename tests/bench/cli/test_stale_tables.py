"""Tables that nothing gives any more are removed, or refused by --check; what a user wrote beside them is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core.packed import plain
from subnetbench.bench.detection.climbed import ladder_files
from subnetbench.bench.detection.summary import FILES
from subnetbench.bench.harness.tables import render
from subnetbench.bench.tracks import TRACKS

from ..made_board import made_results
from .test_commands import call

RESULTS = Path(__file__).resolve().parents[3] / "results"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return made_results(tmp_path / "results", {"lid": (2.0, 1.5), "energy": (1.0, 0.5)})


#: Tables of parts that a suite may lose, and of a page of several suites.
STALE = (
    "made/tables/published.md",
    "made/tables/sensitivity.csv",
    "made/tables/adaptive-arms.md",
    "made/tables/adaptive-report.md",
    "made/tables/shift-2.csv",
    "made/tables/sensitivity.md.xz",
    "tables/published.md",
    "tables/ladder-svhn10k-moved.csv",
)
#: A user's own, a table of arrays that are not kept, and one that the other track alone would have written.
FOREIGN = (
    "made/tables/notes.md",
    "made/tables/published-by-us.md",
    "made/tables/separation.csv",
    "made/tables/controls.md",
    "tables/ladder-mine.md",
    "tables/claims.xlsx",
)


def test_tables_of_an_earlier_state_are_removed_and_nothing_else(results: Path) -> None:
    assert call("tables", results).code == 0
    before = {path.relative_to(results).as_posix() for path in results.rglob("tables/*")}
    assert before.isdisjoint({*STALE, *FOREIGN})
    for name in (*STALE, *FOREIGN):
        (results / name).write_text("text")
    said = call("tables", results)
    assert said.code == 0, said.err
    after = {path.relative_to(results).as_posix() for path in results.rglob("tables/*")}
    assert after == before | set(FOREIGN)
    assert {(results / name).read_text() for name in FOREIGN} == {"text"}
    for name in STALE:
        assert f"{results / name}: removed" in said.out
    assert call("tables", results, "--check").code == 0


def test_in_another_folder_every_file_but_those_written_is_the_user_s(results: Path, tmp_path: Path) -> None:
    for name in STALE:
        (tmp_path / "paper" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "paper" / name).write_text("mine")
    for form in ((), ("--format", "latex")):
        said = call("tables", results, "--output", tmp_path / "paper", *form)
        assert "removed" not in said.out
    assert {(tmp_path / "paper" / name).read_text() for name in STALE} == {"mine"}


def test_line_ends_of_another_system_are_no_difference(results: Path) -> None:
    assert call("tables", results).code == 0
    for path in results.rglob("tables/*"):
        if path.suffix in {".csv", ".md"}:
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert call("tables", results, "--check").code == 0


@pytest.mark.parametrize("name", STALE)
def test_check_reports_a_table_of_an_earlier_state_and_removes_nothing(results: Path, name: str) -> None:
    assert call("tables", results).code == 0
    (results / name).write_text("text")
    said = call("tables", results, "--check")
    assert said.code != 0
    assert f"{results / name} is of an earlier state" in said.mistake
    assert (results / name).read_text() == "text"


def test_in_one_suites_folder_too(results: Path) -> None:
    stale = results / "made" / "tables" / "published.md"
    stale.parent.mkdir()
    stale.write_text("text")
    assert "removed" in call("tables", results / "made").out
    assert not stale.exists()


def test_so_are_those_in_latex(results: Path) -> None:
    assert call("tables", results, "--format", "latex").code == 0
    stale = results / "made" / "tables" / "table1.tex"
    stale.write_text("text")
    assert "is of an earlier state" in call("tables", results, "--format", "latex", "--check").mistake
    call("tables", results, "--format", "latex")
    assert not stale.exists()


def test_every_table_that_is_written_is_known(results: Path) -> None:
    """Else one that is no longer written would stay."""
    made = render(TRACKS["detection"].tables.report(results / "made"))
    assert set(made) <= set(TRACKS["detection"].tables.FILES)
    everything = {*FILES, *ladder_files()} | {name for track in TRACKS.values() for name in track.tables.FILES}
    arrays = {f"{name}.{ending}" for name in ("separation", "semantics") for ending in ("csv", "md")}
    committed = {plain(path).name for path in RESULTS.rglob("tables/*")}
    assert committed - arrays <= everything
    assert committed & arrays
