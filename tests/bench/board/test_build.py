"""The leaderboard's site without a browser: what is on it, what is refused by name, and the same bytes again."""

from __future__ import annotations

import copy
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as any_
from hypothesis import settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import roc_curve
from subnetbench.bench import UserError
from subnetbench.bench.board import reproduce as board_rerun
from subnetbench.bench.board import row as board_rows
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.build import MANIFEST, write_single, write_site
from subnetbench.bench.board.downloads import board_frame, latex, markdown
from subnetbench.bench.board.names import slug, web_address
from subnetbench.bench.board.pages import table_library
from subnetbench.bench.cli import console
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core.files import csv_text, write_json
from subnetbench.bench.detection import scores as board_scores
from subnetbench.bench.detection.entry import Entry, read_scores
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.figures import roc as curves
from subnetbench.bench.harness.entry import read_checked
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.localisation import audit as wsol_audit
from subnetbench.bench.localisation import metrics as wsol_metrics
from subnetbench.bench.localisation import tables as wsol_tables
from subnetbench.bench.localisation.entry import Entry as MapEntry
from subnetbench.bench.stats import metrics
from subnetbench.bench.tracks import load_suite

from ..made_board import MAPS, edit, entry, made_results, scores, write_entry

#: Committed results with attackers who know the detector.
DIGITS = Path(__file__).parents[3] / "results" / "digits"

HOSTILE = "<img src=x onerror=alert(1)>"
STRENGTHS = {"good": (3.0, 2.0), "poor": (2.0, 0.2), "plain": (1.0, 1.0)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return made_results(tmp_path_factory.mktemp("made"), STRENGTHS, controls=["plain"])


@pytest.fixture
def results(made, tmp_path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def entry_file(results: Path, label: str = "good") -> Path:
    return results / "made" / "entries" / "strict" / f"{label}.json"


def pages(site: Path) -> dict[str, str]:
    return {p.relative_to(site).as_posix(): p.read_text(encoding="utf-8") for p in site.rglob("*.html")}


# What stands on a board


def test_rows_are_ranked_by_the_lowest_of_seen_and_unknown_cells(made):
    (board,) = read_results(made).boards
    assert board.columns == (("fgsm", "fgsm"), ("cw", "cw"), ("fgsm", "cw"))
    lowest = {row.label: min(row.cells[pair].auroc for pair in board.columns) for row in board.rows}
    assert [row.label for row in board.rows] == sorted(lowest, key=lambda label: -lowest[label])
    for row in board.rows:
        assert row.cells[row.worst].auroc == lowest[row.label]
    off_board = board.rows[0].cells["cw", "fgsm"].auroc
    assert off_board is not None  # measured, and not in the protocol's columns: it does not rank


def test_a_detector_that_lacks_a_cell_others_have_is_not_ranked_and_says_which(results):
    table = scores({"fgsm": 3.0, "cw": 3.0}, seed=9)
    table = table[~((table["test_on"] == "cw") & (table["fit_on"] == "cw"))]
    write_entry(results / "made", entry("partial", table), table)
    (board,) = read_results(results).boards
    assert board.rows[-1].label == "partial"
    assert board.rows[-1].worst is None
    assert board.rows[-1].why_unranked == "no value for seen cw"


def test_survival_of_rounding_is_a_share_or_not_measured(results, tmp_path):
    for path in results.rglob("entries/*/*.json"):
        edit(path, lambda e: e["attacks"]["cw"].update(survives_8bit=None))
    write_site(results, tmp_path / "site")
    texts = pages(tmp_path / "site")
    assert "not measured" in texts["attack/cw.html"]
    assert "not measured" not in texts["attack/fgsm.html"]


def test_a_column_that_nobody_could_run_does_not_rank(tmp_path):
    for label, strength in (("one", 2.0), ("two", 1.0)):
        table = scores({"fgsm": strength, "cw": 1.0})
        table = table[table["test_on"] == "fgsm"]
        write_entry(tmp_path / "made", entry(label, table), table)
    (board,) = read_results(tmp_path).boards
    assert board.ranked == (("fgsm", "fgsm"),)
    assert [row.label for row in board.rows] == ["one", "two"]
    assert any("seen cw, unknown cw" in note for note in board.notes)


def test_all_that_are_not_told_apart_from_the_best_share_its_mark(made):
    (board,) = read_results(made).boards
    stated = json.loads((made / "made" / "comparisons" / "strict.json").read_text())["best"]
    assert board.marks == {(b["fit_on"], b["test_on"]): frozenset([b["best"], *b["not_separable"]]) for b in stated}
    assert any(len(who) < 3 for who in board.marks.values())  # the made ones are told apart somewhere


def test_marks_of_comparisons_that_miss_a_new_best_are_not_shown(results):
    table = scores({"fgsm": 6.0, "cw": 6.0}, seed=5)
    write_entry(results / "made", entry("newest", table), table)
    (board,) = read_results(results).boards
    assert board.marks == {}
    assert any("comparisons were made before the entries changed" in note for note in board.notes)


def test_nets_of_one_name_and_other_weights_do_not_share_a_board(results):
    table = scores({"fgsm": 3.0, "cw": 2.0})
    other = entry("elsewhere", table)
    other["model"]["sha256"] = "f" * 64
    write_entry(results / "made", other, table)
    boards = read_results(results).boards
    assert sorted(len(board.rows) for board in boards) == [1, 3]
    assert len({board.id for board in boards}) == 2


def test_a_detector_whose_cells_change_with_the_fitted_attack_needs_adversarial_images(made):
    learned = entry("a", scores({"fgsm": 3.0, "cw": 2.0}))
    assert board_rows.needs_of(Entry.model_validate(learned)) == ["clean", "adversarial"]
    same = copy.deepcopy(learned)
    for cell in same["cells"]:
        cell["auroc"] = 0.7
    assert board_rows.needs_of(Entry.model_validate(same)) == ["clean"]


# Scores and what they give


def test_recomputed_figures_are_those_of_the_metrics_module():
    rng = np.random.default_rng(0)
    for size, others in product((1, 19, 20, 60, 333), (77, 100, 1000)):  # of 100 and 1000 some rates lie on the grid
        positive = np.sort(np.round(rng.normal(1, 1, size), 1 if others == 77 else 2))  # with ties
        negative = np.sort(np.round(rng.normal(0, 1, others), 1 if others == 77 else 2))
        for ties in ("half", "pessimistic"):
            ours = board_scores.auroc(positive, negative, ties=ties)
            assert ours == pytest.approx(metrics.auroc(positive, negative, ties=ties), abs=1e-15)
            wins, draws = positive[:, None] > negative, positive[:, None] == negative
            assert ours == pytest.approx(wins.mean() + (draws.mean() / 2 if ties == "half" else 0), abs=1e-12)
        assert board_scores.fpr_at_tpr(positive, negative) == metrics.fpr_at_tpr(positive, negative)
        found = [(negative >= t).mean() for t in positive if 100 * (positive >= t).sum() >= 95 * size]
        assert board_scores.fpr_at_tpr(positive, negative) == min(found)
        np.testing.assert_allclose(
            board_scores.roc(positive, negative), curves.mean_roc([(positive, negative)]), atol=1e-12
        )
        truth = np.r_[np.ones(size), np.zeros(others)]
        false, true, _ = roc_curve(truth, np.r_[positive, negative])
        np.testing.assert_allclose(
            board_scores.roc(positive, negative), np.interp(board_scores.GRID, false, true), atol=1e-12
        )


def test_curves_on_the_page_are_those_of_the_figures(made):
    (board,) = read_results(made).boards
    for row in board.rows:
        table = read_scores(row.checked.folder, row.entry)
        for attack, curve in row.checked.measured.curves.items():
            np.testing.assert_allclose(curve, curves.mean_roc(curves.seen_sides(table, attack)), atol=1e-12)
    assert np.array_equal(board_scores.GRID, curves.GRID)


def test_a_run_of_the_suite_passes_every_check(tiny):
    """Both protocols, ties against the detector and shared clean images included."""
    found = read_results(tiny.output)
    assert found.left_out == []
    assert {(b.protocol, len(b.rows)) for b in found.boards} == {("strict", 3), ("lee2018", 3)}


# Bad input


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def first_cell(**changes):
    return lambda path: edit(path, lambda e: e["cells"][0].update(changes))


def detector(**changes):
    return lambda path: edit(path, lambda e: e["detector"].update(changes))


def other_scores(path: Path) -> None:
    blob = path.parents[2] / "scores" / "strict" / "good.parquet"
    blob.write_bytes(blob.read_bytes() + b" ")


def swapped_scores(path: Path) -> None:
    """The hash is right, and the scores are another detector's."""
    poor = path.parents[2] / "scores" / "strict" / "poor.parquet"
    stated = {"file": "scores/strict/poor.parquet", "sha256": hashlib.sha256(poor.read_bytes()).hexdigest()}
    edit(path, lambda e: e.update(scores=stated))


def not_parquet(path: Path) -> None:
    (path.parents[2] / "scores" / "strict" / "good.parquet").write_bytes(b"PAR1 nothing")
    digest = hashlib.sha256(b"PAR1 nothing").hexdigest()
    edit(path, lambda e: e["scores"].update(sha256=digest))


def nan_scores(path: Path) -> None:
    table = pd.read_parquet(path.parents[2] / "scores" / "strict" / "good.parquet")
    table.loc[3, "score"] = np.nan
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    (path.parents[2] / "scores" / "strict" / "good.parquet").write_bytes(buffer.getvalue())
    edit(path, lambda e: e["scores"].update(sha256=hashlib.sha256(buffer.getvalue()).hexdigest()))


def bomb(path: Path) -> None:
    """A hundred kilobytes with more rows than any detector has scores."""
    table = pd.DataFrame(
        {name: np.zeros(6_000_000, np.int8) for name in ("split", "fit_on", "test_on", "kind", "score")}
    )
    buffer = io.BytesIO()
    table.to_parquet(buffer, compression="zstd")
    assert len(buffer.getvalue()) < 200_000
    (path.parents[2] / "scores" / "strict" / "good.parquet").write_bytes(buffer.getvalue())
    edit(path, lambda e: e["scores"].update(sha256=hashlib.sha256(buffer.getvalue()).hexdigest()))


def outside(path: Path) -> None:
    secret = path.parents[4] / "secret.parquet"
    shutil.copy(path.parents[2] / "scores" / "strict" / "good.parquet", secret)
    edit(path, lambda e: e["scores"].update(file="../../secret.parquet"))


DAMAGE = {
    "truncated": (truncate, "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "not UTF-8": (lambda path: path.write_bytes(b"\xff\xfe{}"), "cannot be read"),
    "a list": (lambda path: path.write_text("[1]"), "is not an entry"),
    "nested": (lambda path: path.write_text("[" * 100_000), "nested deeper"),
    "another schema": (lambda path: edit(path, lambda e: e.update(schema=99)), "has schema 99"),
    "NaN": (first_cell(auroc=float("nan")), "NaN"),
    "NaN in what no page shows": (lambda path: edit(path, lambda e: e.update(more=float("inf"))), "NaN"),
    "above one": (first_cell(auroc=1.2), "cells.0.auroc: input should be less than or equal to 1 (given: 1.2)"),
    "below zero": (first_cell(fpr95=-0.1), "cells.0.fpr95"),
    "text for a number": (first_cell(auroc="0.9"), "cells.0.auroc"),
    "half a cell": (first_cell(low=None), "must be all present or all missing"),
    "interval upside down": (first_cell(low=0.9, high=0.8), "upside down"),
    "seen that is not": (first_cell(seen=False), "seen cannot be false"),
    "an unknown attack": (first_cell(test_on="nowhere", seen=False), "does not describe"),
    "a cell twice": (lambda path: edit(path, lambda e: e["cells"].append(e["cells"][0])), "appears twice"),
    "more successes than images": (
        lambda path: edit(path, lambda e: e["attacks"]["cw"].update(successes=41)),
        "images are impossible",
    ),
    "negative cost": (lambda path: edit(path, lambda e: e["cost"].update(seconds_per_image=-1.0)), "cost"),
    "a path for a label": (detector(label="../../../evil"), "reads as a path"),
    "a path for a suite": (lambda path: edit(path, lambda e: e["suite"].update(name="/etc/x")), "reads as a path"),
    "dots": (detector(label=".."), "reads as a path"),
    "no name": (detector(label=" "), "it is empty"),
    "control characters": (detector(label="a\nb"), "control characters"),
    "an invisible character": (detector(label="go\u200bod"), "invisible ones"),
    "a turned name": (detector(label="go\u202eod"), "invisible ones"),
    "half a surrogate": (detector(title="\ud800"), "not valid text"),
    "another figure": (first_cell(auroc=0.5, low=0.4, high=0.6), "states AUROC 0.500000, but its splits give"),
    "another FPR": (first_cell(fpr95=0.987), "states FPR at 95% TPR 0.987000"),
    "another noise": (first_cell(noise_auroc=0.001), "states AUROC on noise"),
    "a cell without scores": (
        lambda path: edit(path, lambda e: e["cells"][1].update(auroc=None, low=None, high=None, fpr95=None)),
        "states AUROC none",
    ),
    "scores that changed": (other_scores, "sha256 differs"),
    "scores of another": (swapped_scores, "its scores give"),
    "scores that are none": (not_parquet, "not a parquet table"),
    "NaN among scores": (nan_scores, "are NaN"),
    "scores that are a bomb": (bomb, "are larger, unpacked,"),
    "scores outside": (outside, "outside their results folder"),
    "scores missing": (
        lambda path: (path.parents[2] / "scores" / "strict" / "good.parquet").unlink(),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_bad_entry_is_named_and_the_rest_is_built(results, tmp_path, name):
    damage, said = DAMAGE[name]
    damage(entry_file(results))
    built = write_site(results, tmp_path / "site")
    (left,) = built.left_out
    assert left.file == "made/entries/strict/good.json"
    assert said in left.reason
    assert "\n" not in left.reason
    assert built.entries == 2
    start = (tmp_path / "site" / "index.html").read_text()
    assert html.escape(left.reason, quote=False) in html.unescape(start).replace("<", "&lt;").replace(">", "&gt;")
    assert not (tmp_path / "site" / "detector" / "good.html").exists()
    assert not [p for p in tmp_path.rglob("*evil*") if "results" not in p.parts]


def test_marks_that_turn_the_text_around_them_are_shown_as_escapes_on_pages_and_in_downloads(results, tmp_path):
    turned = "A \u202epaper\u2066"
    for path in results.rglob("entries/*/*.json"):
        edit(path, lambda e: e["suite"].update(title=turned))
        edit(path, lambda e: e["dataset"].update(note=turned))
        edit(path, lambda e: e["detector"].update(title=turned, formula=turned, notes=turned))
        edit(path, lambda e: e["cells"][0].update(remark=turned))
        edit(path, lambda e: e["model"].update(parameters={"form": turned}))
    built = write_site(results, tmp_path / "site")
    assert built.left_out == []
    for path in (tmp_path / "site").rglob("*.*"):
        if path.suffix in (".html", ".json", ".csv", ".md", ".tex", ".toml"):
            assert not set("\u202e\u2066") & set(path.read_text(encoding="utf-8")), path
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<bdi>A \\u202epaper\\u2066</bdi></a>" in page
    stored = json.loads(next((tmp_path / "site" / "downloads" / "json").glob("*good.json")).read_text(encoding="utf-8"))
    assert stored["detector"]["title"] == turned


def test_of_two_files_with_one_name_the_second_is_refused(results, tmp_path):
    shutil.copytree(results / "made", results / "zcopy")
    built = write_site(results, tmp_path / "site")
    assert built.entries == 3
    assert [left.file for left in built.left_out] == [
        f"zcopy/entries/strict/{n}.json" for n in ("good", "plain", "poor")
    ]
    assert "made/entries/strict/good.json is 'good' of suite 'made', protocol 'strict', already" in str(
        built.left_out[0]
    )


def test_comparisons_that_are_damaged_cost_the_marks_alone(results, tmp_path):
    (results / "made" / "comparisons" / "strict.json").write_text('{"best": [3]}')
    built = write_site(results, tmp_path / "site")
    assert [left.file for left in built.left_out] == ["made/comparisons/strict.json"]
    assert built.entries == 3
    assert "★</span><span class" not in (tmp_path / "site" / "index.html").read_text()


def test_nothing_that_can_be_shown_is_a_mistake_that_names_the_first(results, tmp_path):
    for path in (results / "made" / "entries" / "strict").iterdir():
        truncate(path)
    with pytest.raises(UserError, match=r"Nothing under .*good\.json is left out: .*\(2 more after it\)"):
        write_site(results, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    with pytest.raises(UserError, match="There are no entries under"):
        write_site(tmp_path / "results" / "made" / "scores", tmp_path / "site")
    with pytest.raises(UserError, match="There is no results folder"):
        write_site(tmp_path / "nowhere", tmp_path / "site")


@any_(st.binary(max_size=300), st.sampled_from(["strict/x.json", "more/x.json"]))
@settings(max_examples=60)
def test_no_file_of_any_bytes_is_more_than_left_out(tmp_path_factory, blob, place):
    folder = tmp_path_factory.mktemp("any")
    path = folder / "entries" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(blob)
    checked, refused = read_checked(Entry, folder, board_scores.examine)
    assert (len(checked), len(refused)) == (0, 1)


# Escaping


def test_a_hostile_name_stays_text_in_every_file(tmp_path):
    made_results(tmp_path / "results", {HOSTILE: (3.0, 2.0), "good": (2.0, 1.0)})
    path = next((tmp_path / "results").rglob("<img*.json"))
    attack = '"><script>alert(2)</script>'
    evil = {
        "title": attack,
        "formula": attack,
        "notes": attack,
        "url": "javascript:alert(3)",
        "name": attack.replace("/", ""),
    }
    edit(path, lambda e: e["detector"].update(evil))
    edit(path, lambda e: e["suite"].update(title=attack))
    edit(path, lambda e: e["cells"][0].update(remark=attack))
    built = write_site(tmp_path / "results", tmp_path / "site")
    assert built.entries == 2
    write_single(tmp_path / "results", tmp_path / "one.html")
    texts = pages(tmp_path / "site") | {"one": (tmp_path / "one.html").read_text()}
    assert any("&lt;img" in text for text in texts.values())
    for name, text in texts.items():
        body = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.S) if name == "one" else text
        assert "<img" not in body, name
        assert "<script>alert" not in body, name
        assert 'href="javascript' not in body, name
    (board,) = [b for b in read_results(tmp_path / "results").boards if len(b.rows) == 2]
    assert "<" not in markdown(board)
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", line) for line in (tmp_path / "site" / MANIFEST).read_text().split())


def test_only_addresses_of_the_web_become_links():
    assert web_address("https://example.org/a?b=c") == "https://example.org/a?b=c"
    for bad in (
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "//example.org",
        "https://",
        "",
        "https://a b",
        "http://[",
        "JaVaScRiPt:alert(1)",
        "https://example.org/\x00",
    ):
        assert web_address(bad) is None, bad


@any_(st.text(max_size=40), st.text(max_size=40))
def test_two_names_never_share_a_file_not_even_without_case(a, b):
    assert re.fullmatch(r"[a-z0-9._-]+", slug(a))
    assert slug(a).strip(".") == slug(a)
    assert (slug(a) == slug(b)) == (a == b)


def test_names_that_differ_by_case_and_names_of_devices_get_files_of_their_own():
    assert slug("lid") == "lid"
    assert slug("LID") != "lid"
    assert slug("con") != "con"
    assert slug("..") not in ("", "..")


def test_a_table_for_a_spreadsheet_holds_no_formula():
    text = csv_text(pd.DataFrame({"detector": ["=cmd()", "@x", "fine"], "value": [-1.0, 2.0, 3.0]}))
    assert text.splitlines()[1:] == ["'=cmd(),-1", "'@x,2", "fine,3"]


def test_latex_has_no_sign_of_its_own_from_a_name(tmp_path):
    made_results(tmp_path, {"a_b&c%$#{}~^": (3.0, 2.0)})
    (board,) = read_results(tmp_path).boards
    row = next(line for line in latex(board).splitlines() if line.startswith("a"))
    assert row.startswith(r"a\_b\&c\%\$\#\{\}\textasciitilde{}\textasciicircum{} &")


# Files


def test_every_link_of_every_page_leads_to_a_file_and_every_anchor_to_a_place(results, tmp_path):
    shutil.copy(Path(str(builtin_suites()["digits"])), tmp_path)
    write_json(
        results / "made" / "suite.json",
        load_suite("digits").model_copy(update={"name": "made"}).model_dump(mode="json"),
    )
    localised(results / "boxes")
    write_site(results, tmp_path / "site")
    found = pages(tmp_path / "site")
    assert {"index.html", "wsol.html", "detector/good.html", "attack/cw.html"} <= found.keys()
    links = 0
    for name, text in found.items():
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            target = html.unescape(target)
            if target.startswith("https://"):
                continue
            path, _, anchor = target.partition("#")
            file = (tmp_path / "site" / name).parent / unquote(path) if path else tmp_path / "site" / name
            assert file.is_file(), (name, target)
            if anchor:
                assert f'id="{anchor}"' in file.read_text(), (name, target)
            links += 1
    assert links > 60


def test_the_files_to_take_along_hold_what_the_board_shows(results, tmp_path):
    write_site(results, tmp_path / "site")
    downloads = tmp_path / "site" / "downloads"
    (board,) = read_results(results).boards
    table = pd.read_csv(downloads / "made--strict.csv")
    assert list(table["detector"]) == [row.label for row in board.rows]
    np.testing.assert_allclose(table["unknown cw"], [row.cells["fgsm", "cw"].auroc for row in board.rows], rtol=1e-5)
    tidy = pd.read_parquet(downloads / "cells.parquet")
    assert len(tidy) == 3 * 4
    assert tidy["auroc"].dtype == np.float64
    stated = {(r.detector, r.fit_on, r.test_on): r.auroc for r in tidy.itertuples()}
    assert stated["good", "cw", "fgsm"] == board.rows[0].cells["cw", "fgsm"].auroc
    for name in ("made--strict.md", "made--strict.tex", "boards.md", "boards.tex"):
        assert "good" in (downloads / name).read_text()
    offered, written = downloads / "json" / "made--strict--good.json", entry_file(results)
    assert Entry.model_validate_json(offered.read_text()) == Entry.model_validate_json(written.read_text())
    assert board_frame(board).shape[0] == 3
    assert list(table["rank"]) == [1, 2, 3]


def test_files_of_a_board_hold_what_attackers_who_know_the_detector_leave():
    board = read_results(DIGITS).boards[0]
    frame = board_frame(board).set_index("detector")
    row = next(row for row in board.rows if row.robust is not None and row.robust.robust)
    (words,) = [words for epsilon, words in board.budgets.items() if epsilon == row.robust.epsilon]
    assert frame.loc[row.label, f"robust at {words}"] == row.robust.robust
    assert frame.loc[row.label, f"robust at {words} proven"] == row.robust.proven
    assert f"robust at {words}" in markdown(board)
    assert latex(board).count("&") % (len(board.rows) + 1) == 0


def test_the_same_results_give_the_same_bytes_wherever_they_lie(results, tmp_path):
    truncate(entry_file(results, "poor"))
    shutil.copytree(results, tmp_path / "elsewhere")
    for source, out in ((results, "a"), (tmp_path / "elsewhere", "b")):
        write_site(source, tmp_path / out)
        write_single(source, tmp_path / f"{out}.html")
    files = {
        out: {p.relative_to(tmp_path / out): p.read_bytes() for p in (tmp_path / out).rglob("*") if p.is_file()}
        for out in ("a", "b")
    }
    assert files["a"] == files["b"]
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_second_build_removes_what_is_gone_and_nothing_else(results, tmp_path):
    site = tmp_path / "site"
    write_site(results, site)
    (site / "CNAME").write_text("mine")
    (tmp_path / "victim.txt").write_text("mine")
    (site / MANIFEST).write_text((site / MANIFEST).read_text() + "../victim.txt\n")
    entry_file(results, "poor").unlink()
    write_site(results, site)
    assert not (site / "detector" / "poor.html").exists()
    assert (site / "detector" / "good.html").is_file()
    assert (site / "CNAME").read_text() == "mine"
    assert (tmp_path / "victim.txt").read_text() == "mine"
    listed = set((site / MANIFEST).read_text().split())
    assert listed == {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()} - {"CNAME"}


def test_a_folder_of_something_else_is_not_written_into(results, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("mine")
    with pytest.raises(UserError, match="is not empty and not a site of this command"):
        write_site(results, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "index.html").read_text() == "mine"
    with pytest.raises(UserError, match="not a site of this command"):
        write_site(results, entry_file(results))


def test_pages_ask_for_nothing_that_is_not_beside_them(results, tmp_path):
    write_site(results, tmp_path / "site")
    write_single(results, tmp_path / "site" / "single.html")
    for name, text in pages(tmp_path / "site").items():
        assert "Content-Security-Policy" in text
        policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
        assert policy.startswith("default-src 'none';")
        assert "http" not in policy
        body = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.S)
        assert not re.search(r'(?:src|data|srcset|poster)="(?:https?:)?//', body), name
        if name == "single.html":
            assert "unsafe" not in policy.split("style-src")[0]
            assert not re.search(r"<(?:link|script|img)[^>]+(?:src|href)=", body)


def test_the_bundled_library_is_one_script_that_exports_nothing():
    script, style = table_library()
    assert len(re.findall(r"window\.SubnetTables = \{DataTable: \w+\};", script)) == 1
    assert not re.search(r"^\s*export\b|;export\s*\{", script, flags=re.M)
    assert "MIT" in script or "license" in script  # the authors' notes travel along
    assert ".dataTable" in style


def test_a_page_says_when_an_entry_superseded_another_or_that_no_date_is_stated(results, tmp_path):
    edit(entry_file(results, "good"), lambda e: e.update(supersedes="a" * 64, superseded="2026-11-27"))
    edit(entry_file(results, "poor"), lambda e: e.update(supersedes="b" * 64))
    write_site(results, tmp_path / "site")
    told = {
        label: re.search(r"<dt>History</dt><dd>(.*?)</dd>", (tmp_path / "site/detector" / f"{label}.html").read_text())
        for label in STRENGTHS
    }
    assert told["good"][1].endswith("<code>aaaaaaaaaaaa</code>, since 2026-11-27, as it states")
    assert told["poor"][1].endswith("<code>bbbbbbbbbbbb</code>, date not stated")
    assert told["plain"][1] == "the first of its kind: it supersedes no entry"
    stored = json.loads((tmp_path / "site/downloads/json/made--strict--good.json").read_text())
    assert stored["superseded"] == "2026-11-27"


# Running an entry again


def test_the_suite_file_of_one_detector_gives_its_entry_again(tiny, tmp_path):
    board = next(b for b in read_results(tiny.output).boards if b.protocol == "strict")
    row = next(r for r in board.rows if r.label == "mahalanobis")
    text = board_rerun.reruns([board])[board.id, "mahalanobis"].toml
    (tmp_path / "alone.toml").write_text(text)
    suite = load_suite(tmp_path / "alone.toml")
    assert suite.name == "tiny-mahalanobis"
    assert [d.title for d in suite.detectors] == ["mahalanobis"]
    other = tiny.variant(tmp_path / "v", ("bim", "bim"))
    other.file.write_text(text)
    again = other.run(output=tmp_path / "again").entries[0]
    assert again.cells == row.entry.lean().cells
    assert again.scores.sha256 == row.entry.scores.sha256


@pytest.mark.parametrize("name", [n for n in builtin_suites() if not n.startswith("wsol")])
def test_a_suite_written_as_toml_is_the_same_suite(name):
    suite = load_suite(name)
    assert Suite.model_validate(tomllib.loads(board_rerun.toml(suite.model_dump(mode="json")))) == suite


def test_the_command_says_what_was_given_beside_the_shipped_suite():
    digits = load_suite("digits")
    assert board_rerun.command(digits) == "subnetbench run digits"
    part = digits.detectors[0].model_copy(update={"name": "mine", "label": None, "candidates": None, "parameters": {}})
    changed = digits.model_copy(update={"limit": 100, "seed": 3, "detectors": [*digits.detectors, part]})
    assert board_rerun.command(changed) == "subnetbench run digits --limit 100 --seed 3 --detector mine"
    assert board_rerun.command(digits.model_copy(update={"name": "unknown"})) is None
    assert board_rerun.command(digits.model_copy(update={"detectors": digits.detectors[1:]})) is None


def test_toml_texts_and_keys_that_need_quotes_come_back():
    content = {"name": 'a "b" \\ \x7f é', "table": {"strange key": [1, 2.5, True, {"x": "y"}], "none": None}}
    assert tomllib.loads(board_rerun.toml(content)) == {
        "name": content["name"],
        "table": {"strange key": [1, 2.5, True, {"x": "y"}]},
    }


# The localisation track


MAP_ENTRY = MAPS | {
    "model": {"name": "alexnet", "label": "alexnet", "accuracy": 0.5},
    "method": {"name": "saliency", "label": HOSTILE},
    "variant": "subnet",
}


def test_what_images_give_is_what_the_track_itself_measures(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"hit": rng.random(50) < 0.6, "correct": rng.random(50) < 0.7, "pointing": rng.random(50) < 0.5}
    )
    for kind in ("v1", "v2_0.3", "v2_0.5", "v2_0.7"):
        for k in range(12):
            frame[f"{kind}_{k}"] = rng.random(50) < 0.5
    stated = MapEntry.model_validate(MAP_ENTRY).write(tmp_path, frame)
    images, given = wsol_audit._measured(tmp_path, stated)
    assert images == 50
    theirs = {name: float(v[0]) for name, v in wsol_metrics.samples(frame, np.ones((1, 50), np.float32)).items()}
    assert given == pytest.approx(theirs, abs=1e-6)
    assert given.keys() == wsol_metrics.METRICS.keys() == wsol_tables.METRICS.keys()


def localised(folder: Path, **changes) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "image": np.arange(30),
            "label": 0,
            "correct": rng.random(30) < 0.8,
            "usable": True,
            "iou": 0.5,
            "hit": rng.random(30) < 0.6,
        }
    )
    place = folder / "localisation" / "alexnet"
    place.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(place / "saliency.subnet.parquet")
    digest = hashlib.sha256((place / "saliency.subnet.parquet").read_bytes()).hexdigest()
    error = float((~frame["hit"]).mean())
    content = {
        **MAP_ENTRY,
        "images": 30,
        "alpha": 3.5,
        "metrics": {"error": {"value": error, "low": error - 0.1, "high": error + 0.1}},
        "scores": {"file": "localisation/alexnet/saliency.subnet.parquet", "sha256": digest},
    } | changes
    write_json(place / "saliency.subnet.json", content)
    return place / "saliency.subnet.json"


def test_without_localisation_no_page_leads_to_it(results, tmp_path):
    write_site(results, tmp_path / "site")
    write_single(results, tmp_path / "single.html")
    found = pages(tmp_path / "site")
    assert "wsol.html" not in found
    for text in (*found.values(), (tmp_path / "single.html").read_text()):
        assert "Localisation" not in text
        assert "wsol" not in text.partition("<style>")[0]
    localised(results / "boxes")
    write_site(results, tmp_path / "site")
    write_single(results, tmp_path / "single.html")
    assert '<a href="wsol.html">Localisation</a>' in (tmp_path / "site" / "index.html").read_text()
    assert '<a href="#wsol">Localisation</a>' in (tmp_path / "single.html").read_text()


@pytest.mark.parametrize("address", [None, "https://example.org/people/subnetbench"])
def test_the_header_of_every_page_leads_to_the_repository_where_its_address_is_known(
    results, tmp_path, monkeypatch, address
):
    monkeypatch.setattr("subnetbench.bench.board.pages.address_of", lambda *names: address)
    write_site(results, tmp_path / "site")
    for text in pages(tmp_path / "site").values():
        header = text.partition('<header class="top">')[2].partition("</header>")[0]
        assert (f'<a href="{address}" rel="noopener noreferrer external">Repository</a>' in header) is bool(address)


def test_localisation_entries_have_a_page_of_their_own(results, tmp_path):
    localised(results / "boxes")
    claim = {
        "model": "alexnet",
        "method": "saliency",
        "first": "subnet",
        "second": "normal",
        "difference": -0.05,
        "low": -0.1,
        "high": 0.01,
        "p": 0.1,
        "p_holm": 0.2,
        "verdict": "not separable",
    }
    write_json(
        results / "boxes" / "localisation" / "claims.json",
        {"images": 30, "left_out": {"test": 0, "train": 0}, "claims": [claim]},
    )
    built = write_site(results, tmp_path / "site")
    assert built.left_out == []
    page = (tmp_path / "site" / "wsol.html").read_text()
    assert "GT-known error" in page
    assert html.escape(HOSTILE) in page
    assert "<img" not in page
    assert "not separable" in page
    write_site(results / "boxes", tmp_path / "alone")  # no detector at all
    assert "There are no entries of detectors here" in (tmp_path / "alone" / "index.html").read_text()


@pytest.mark.parametrize(("changes", "said"), [
    ({"schema": 7}, "has schema 7"),
    ({"metrics": {"error": {"value": 0.9, "low": 0.8, "high": 0.95}}}, "its images give"),
    ({"metrics": {"error": {"value": 2.0, "low": 0.8, "high": 0.95}}}, "less than or equal to 1"),
    ({"variant": "../x"}, "reads as a path"),
    ({"scores": {"file": "../../x.parquet", "sha256": ""}}, "outside"),
    ({"scores": {"file": "localisation/none.parquet", "sha256": ""}}, "cannot be read"),
    ({"scores": None}, "names no scores"),
])  # fmt: skip
def test_a_bad_localisation_entry_is_named_and_the_rest_is_built(results, tmp_path, changes, said):
    localised(results / "boxes", **changes)
    built = write_site(results, tmp_path / "site")
    (left,) = built.left_out
    assert left.file == "boxes/localisation/alexnet/saliency.subnet.json"
    assert said in left.reason
    assert built.entries == 3


# The command


@pytest.fixture
def terminal(monkeypatch):
    """Runs the command line and returns its exit code with what it printed and noted."""

    def call(*words: str) -> tuple[int, str, str]:
        out, err = Console(file=io.StringIO(), width=300), Console(file=io.StringIO(), width=300)
        monkeypatch.setattr(console, "out", out)
        monkeypatch.setattr(console, "err", err)
        monkeypatch.setattr(sys, "argv", ["subnetbench", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, out.file.getvalue(), err.file.getvalue()

    return call


def test_the_command_says_what_it_left_out_and_succeeds(results, tmp_path, terminal):
    truncate(entry_file(results))
    code, out, err = terminal(
        "leaderboard", str(results), "--out", str(tmp_path / "site"), "--single", str(tmp_path / "one.html")
    )
    assert code == 0
    assert "made/entries/strict/good.json is left out: " in err
    assert "1 file was left out" in err
    assert "2 entries on 1 board" in out
    assert (tmp_path / "one.html").is_file()


def test_the_command_fails_where_nothing_can_be_shown(tmp_path, terminal):
    code, _, err = terminal("leaderboard", str(tmp_path / "nowhere"), "--out", str(tmp_path / "site"))
    assert code == 2
    assert err.startswith("error: There is no results folder")


def test_the_single_page_alone_writes_no_folder(results, tmp_path):
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from subnetbench.bench.cli.main import main; main()",
            "leaderboard",
            str(results),
            "--single",
            "one.html",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "one.html").is_file()
    assert not (tmp_path / "site").exists()


def test_pages_are_made_without_torch() -> None:
    """Its import takes as long as the pages of a hundred entries."""
    code = "import sys, subnetbench.bench.board.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
