"""What is printed is what was meant: in any encoding, at any width, and whatever a path is called."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench.cli import console, output
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.home import cache, expanded
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.detection.terminal import shown

from ..conftest import Tiny
from ..made_suite import SMALL, changed
from .test_commands import call


def run(tiny: Tiny, folder: Path, *more: object, width: int = 200) -> Any:
    return call("run", tiny.file, "--store", tiny.store, "--output", folder, *more, width=width)


def test_a_stream_that_knows_ascii_alone_gets_stand_ins(tiny: Tiny, tmp_path: Path, monkeypatch: Any) -> None:
    written = io.BytesIO()
    words = ["run", tiny.file, "--store", tiny.store, "--output", tmp_path / "é"]
    monkeypatch.setattr(sys, "argv", ["subnetbench", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "160")
    with contextlib.redirect_stdout(io.TextIOWrapper(written, encoding="ascii")) as stream:
        cli.main()
        stream.flush()
    text = written.getvalue().decode("ascii")
    assert re.search(r"\d\*?~\d", text)
    assert "in percent, ~ half the width" in text
    assert r"\xe9" in text
    assert len({len(line) for line in text.splitlines() if line.startswith(("|", "+"))}) <= 2  # two tables


def test_a_narrow_terminal_cuts_no_figure(tiny: Tiny, tmp_path: Path) -> None:
    wide, narrow = (run(tiny, tmp_path / "r", width=width).out for width in (300, 44))
    figures = re.compile(r"\d+\.\d\*?[±−+]\d+\.\d")
    assert "…" not in narrow
    assert len(figures.findall(wide)) >= 15
    assert Counter(figures.findall(narrow)) == Counter(figures.findall(wide))


def test_what_stands_behind_a_path_is_folded_and_the_path_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    place, remark = "Adaptive  " + "d" * 60 + "/adaptive", " (one entry a detector, with one row an image, parquet)"

    def said(width: int, *, wide: bool = False) -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(console.out, "width", width)
            patch.setattr(output, "current", output.Output(output.Form.text, wide=wide))
            console.folded_aside(remark, place)
        return capsys.readouterr().out.splitlines()

    assert said(160) == said(80, wide=True) == [f"{place}{remark}"]
    assert said(80) == [place, f"{' ' * 10}{remark.strip()}"]
    assert max(map(len, said(40)[1:])) <= 40
    assert said(40)[0] == place


def test_the_paths_of_a_run_stand_whole(tiny: Tiny, tmp_path: Path) -> None:
    lines = run(tiny, tmp_path / "r", width=60).out.splitlines()
    assert f"Scores    {tmp_path}/r/tiny/scores" in lines
    assert "          (one row an image, parquet)" in lines


def test_brackets_in_paths_and_names_of_data_are_no_markup(tiny: Tiny, tmp_path: Path) -> None:
    odd = tmp_path / "r[/x]"
    shutil.copytree(tiny.folder, odd / "tiny")
    assert f"{odd}/tiny (detection): " in call("tables", odd, width=1000).out
    Store(tmp_path / "s[/y]").get("scores", {"a": 1}, lambda: ({"x": np.zeros(1)}, {}))
    assert "s[/y]" in call("clean", "--yes", "--store", tmp_path / "s[/y]", width=1000).out
    assert "s[/q]" in run(tiny, tmp_path, "--dry-run", "--store", tmp_path / "s[/q]", width=1000).out
    entries = [
        entry.model_copy(update={"dataset": entry.dataset.model_copy(update={"name": "a[/b].npz"})})
        for entry in read_entries(tiny.folder)
    ]
    assert "a[/b].npz" in str(next(iter(shown(entries, tiny.folder))).title)  # type: ignore[union-attr]


def test_clean_with_nobody_to_ask_asks_for_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path).get("scores", {"a": 1}, lambda: ({"x": np.zeros(1)}, {}))
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    said = call("clean", "--store", tmp_path)
    assert said.code == 2
    assert "give --yes." in said.err
    assert Store(tmp_path).size()


def test_an_error_within_a_stage_has_no_empty_line_before_it(tiny: Tiny, tmp_path: Path) -> None:
    said = call("run", tiny.file, "--store", tmp_path / "empty", "--output", tmp_path, "--when", "cached")
    assert said.code == 2
    assert not said.err.startswith("\n")
    assert "\n\n" not in said.err


def test_home_is_found_in_every_path(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.folder, tmp_path / "r" / "tiny")
    shutil.copy(tiny.file, tmp_path / "tiny.toml")
    assert call("clean", "--store=~/x").code == 0
    assert (tmp_path / "x").is_dir()
    assert call("tables", "~/r").code == 0
    assert call("validate", "~/tiny.toml").code == 0
    weights = changed(tiny.file.read_text(), ("[model]\n", '[model]\nweights = "~/w.safetensors"\n'))
    (tmp_path / "weights.toml").write_text(weights)
    (tmp_path / "w.safetensors").write_bytes(b"")
    assert f"model.weights: {tmp_path / 'w.safetensors'} " in call("validate", "weights.toml").mistake
    data = changed(tiny.file.read_text(), ('name = "digits"', 'name = "~/none.npz"'))
    (tmp_path / "data.toml").write_text(data)
    assert f"There is no data file {tmp_path / 'none.npz'}" in call("run", "data.toml", "--store", "s").err
    assert not (tmp_path / "~").exists()


def test_without_a_home_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a number that no user has
    with pytest.raises(UserError, match=r"no home folder is known for ~; give the whole path"):
        expanded("~/x")
    with pytest.raises(UserError, match=r"HOME is not set\); set HOME, or give --store"):
        cache("--store")
    assert "give --store" in call("clean").mistake


@pytest.mark.parametrize(
    "words",
    [
        ("tables", "LONG"),
        ("plot", "LONG"),
        ("leaderboard", "LONG"),
        ("verify", "LONG"),
        ("compare", "a", "b", "--results", "LONG"),
        ("run", "LONG"),
        ("run", "--store", "LONG"),
        ("run", "--output", "LONG"),
        ("run", "--data-root", "LONG"),
        ("validate", "LONG"),
        ("train", "LONG"),
        ("train", "--out", "LONG"),
        ("clean", "--store", "LONG"),
        ("export", "digits", "--out", "LONG"),
        ("import", "LONG"),
        ("new", "detector", "mine", "--into", "LONG"),
    ],
)
def test_a_name_of_300_letters_is_one_sentence(words: tuple[str, ...]) -> None:
    mistake = call(*("a" * 300 if word == "LONG" else word for word in words)).mistake
    assert "(300 letters) cannot be used (File name too long)" in mistake


@pytest.mark.parametrize("command", ["tables", "plot", "leaderboard"])
def test_a_folder_that_is_not_there_is_said_before_anything_else(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("")
    assert "There is no results folder nowhere; run a suite first" in call(command, "nowhere").mistake


def test_plot_says_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    (tmp_path / "localisation").mkdir()
    assert f"Nothing below {tmp_path} can be drawn" in call("plot", tmp_path).mistake


def test_a_protocol_without_figures_gives_its_reason_under_its_table(tmp_path: Path) -> None:
    lee = '[[protocols]]\nname = "lee2018"\nbatch_size = 20\nfit_share = 0.05\n'
    (tmp_path / "small.toml").write_text(changed(SMALL, ("[statistics]", f"{lee}\n[statistics]")))
    said = call("run", tmp_path / "small.toml", "--store", tmp_path / "s", "--output", tmp_path / "r")
    assert said.code == 0
    reason = r"\d+ triples were kept, in whole batches of \d+, too few to fit on the first 5% of them\."
    assert re.search(f"^No figure of any detector: {reason}$", said.out, re.MULTILINE)
    compared = call("compare", "mahalanobis", "max-softmax", "--results", tmp_path / "r" / "small")
    assert re.search(f"Protocol lee2018 has nothing to compare: {reason}", compared.out)
    shutil.rmtree(tmp_path / "r" / "small" / "entries" / "strict")
    none = call("compare", "mahalanobis", "max-softmax", "--results", tmp_path / "r" / "small")
    assert re.search(f"mahalanobis and max-softmax have no cell in common: {reason}", none.mistake)
