"""One result in the form that is wanted: text, Markdown, CSV or JSON, folded or whole, with few words."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.cli import console
from subnetbench.bench.core.grid import Listing
from subnetbench.bench.core.home import DATA, STORE
from subnetbench.bench.core.plain import csv_text, json_text, markdown
from subnetbench.bench.core.store import default_store

from ..conftest import Tiny
from .test_commands import Said, call


@pytest.fixture
def ran(tiny: Tiny, tmp_path: Path) -> Any:
    """Runs the finished suite again in a form."""

    def run(*more: str, width: int = 200) -> Said:
        return call("run", tiny.file, "--store", tiny.store, "--output", tmp_path, *more, width=width)

    return run


def test_csv_is_a_figure_a_line_and_says_nothing_else(ran: Any, tiny: Tiny) -> None:
    said = ran("--format", "csv")
    assert said.code == 0
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert {row["column"] for row in rows} == {"seen fgsm", "seen bim", "unknown bim", "noise"}
    assert {row["row"] for row in rows} == {"mahalanobis", "lid", "max-softmax"}
    assert {row["aside"] for row in rows if row["row"] == "max-softmax"} == {"control"}
    assert all(re.fullmatch(r"\d+(\.\d)?|", row["value"]) for row in rows)
    assert "artifacts computed" in said.err


def test_json_has_numbers_and_null_and_parses(ran: Any) -> None:
    tables = json.loads(ran("--json").out)
    assert len(tables) == 2
    figures = [row for table in tables for row in table["rows"]]
    assert all(row["value"] is None or 0 <= row["value"] <= 100 for row in figures)
    ranges = [(row["low"], row["value"], row["high"]) for row in figures if row["low"] is not None]
    assert ranges
    assert all(low <= value <= high for low, value, high in ranges)
    assert sum(row["marks"].startswith("highest") for row in tables[0]["rows"]) == 3


def test_a_list_for_programs_has_no_marks_of_markdown() -> None:
    listing = Listing("gains", [{"step": "a", "seen": "**-4.0 [-4.7, -3.2]**", "unknown": "94.0* [93.4, 94.5] †"}])
    assert csv_text([listing]).splitlines()[1] == "a,-4.0,-4.7,-3.2,94.0,93.4,94.5"
    assert "*" not in json_text([listing])
    assert "**-4.0 [-4.7, -3.2]**" in markdown(listing)


def test_a_pipe_gets_markdown_and_a_stated_width_text(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ran().out
    markdown = ran("--format", "markdown").out
    assert "┃" in text
    assert "┃" not in markdown
    assert "| detector | seen fgsm | seen bim | unknown bim | noise |\n| --- | --: | --: | --: | --: |" in markdown
    assert len(re.findall(r"\| \*\*\d", markdown)) >= 3
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console.output.Output().form_on(console.out) is console.output.Form.markdown
    monkeypatch.setenv("COLUMNS", "80")
    assert console.output.Output().form_on(console.out) is console.output.Form.text


def test_quiet_prints_tables_alone(ran: Any) -> None:
    said = ran("--quiet")
    assert "mahalanobis" in said.out
    assert "artifacts" not in said.out
    assert "Static AUROC" not in said.out
    assert said.err == ""


def test_the_last_line_says_how_long_it_took(ran: Any) -> None:
    said = ran()
    assert re.fullmatch(r"finished in [\d.]+ s|finished in \d+ min \d+ s", said.err.splitlines()[-1])


def test_wide_is_never_folded_and_folding_is_said(ran: Any) -> None:
    narrow, wide = ran(width=60).out, ran("--wide", width=60).out
    assert "--wide prints each whole" in " ".join(narrow.split())
    assert "--wide prints each whole" not in " ".join(wide.split())
    assert max(map(len, wide.splitlines())) > 60


def test_lists_and_checks_come_as_json_too(tiny: Tiny) -> None:
    (detectors,) = json.loads(call("ls", "detectors", "--json").out)
    assert {"detector", "paper", "year"} <= set(detectors["rows"][0])
    verified = call("verify", tiny.folder / "entries" / "strict" / "lid.json", "--json")
    (audit,) = json.loads(verified.out)
    assert {row["verdict"] for row in audit["rows"]} <= {"match", "not checked"}
    compared = call("compare", "lid", "mahalanobis", "--results", tiny.folder, "--format", "csv")
    assert compared.out.startswith(
        "table,attack,lid,mahalanobis,difference,difference low,difference high,p (Holm),verdict\n"
    )
    assert "⠀" not in compared.out


def test_variables_name_the_store_and_the_data_and_options_go_first(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE, str(tmp_path / "s"))
    monkeypatch.setenv(DATA, str(tmp_path / "none"))
    assert default_store() == tmp_path / "s"
    assert call("clean").code == 0
    assert (tmp_path / "s").is_dir()
    assert call("clean", "--store", tmp_path / "t").code == 0
    assert (tmp_path / "t").is_dir()
    (tmp_path / "data.toml").write_text(tiny.file.read_text().replace('name = "digits"', 'name = "mine.npz"', 1))
    assert f"{tmp_path / 'none'}" in call("run", tmp_path / "data.toml", "--store", tmp_path / "t").err
    assert f"{tmp_path / 'other'}" in call("run", tmp_path / "data.toml", "--data-root", tmp_path / "other").err
    for variable in (STORE, DATA):
        assert variable in call("run", "--help").out


def test_no_color_prints_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "100"}
    words = [sys.executable, "-m", "subnetbench", "ls", "weights"]
    text = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)


def test_a_shell_completes_commands_and_suites() -> None:
    for typed, place, wanted in (
        ("subnetbench lead", "1", "leaderboard"),
        ("subnetbench run cifar10-t", "2", "table2"),
    ):
        asked = {"_SUBNETBENCH_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": place}
        script = "import sys; sys.argv = ['subnetbench']; from subnetbench.bench.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | asked, capture_output=True, text=True, check=False
        )
        assert wanted in done.stdout, done.stderr


@pytest.mark.parametrize("command", ["tables", "plot", "leaderboard"])
def test_a_folder_without_entries_is_said_before_anything_else(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("")
    assert "There are no entries under site; run a suite first" in call(command, "site").mistake
    assert "site/mine.txt is a file, not a results folder" in call(command, "site/mine.txt").mistake


def test_a_damaged_entry_leaves_every_table_as_it_was(tiny: Tiny, tmp_path: Path) -> None:

    for name in ("a", "b"):
        shutil.copytree(tiny.folder, tmp_path / name)
    (tmp_path / "b" / "entries" / "strict" / "lid.json").write_text("{}")
    (tmp_path / "a" / "tables" / "table2.csv").write_text("as it was")
    assert "lid.json" in call("tables", tmp_path).mistake
    assert (tmp_path / "a" / "tables" / "table2.csv").read_text() == "as it was"
