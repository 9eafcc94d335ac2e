"""A suite with a part [shift] counts false alarms on changed clean images; every figure follows from the rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench import load_results
from subnetbench.bench.shift.entry import CALIBRATION, CLEAN, read_entries
from subnetbench.bench.shift.figures import all_figures

from ..cli.test_commands import Said, call
from ..made_suite import SMALL

PART = """
[shift]
images = 20
kinds = ["gaussian-noise", "contrast"]
severities = [1, 5]
rate = 0.1
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("shift")
    (folder / "small.toml").write_text(SMALL + PART)
    said = call("run", folder / "small.toml", "--store", folder / "store", "--output", folder / "out")
    return folder, said


def test_it_runs_and_has_tables_that_entries_give(place: tuple[Path, Said]) -> None:
    folder, said = place
    assert said.code == 0, said.err
    assert "false alarms under benign shift" in said.out
    assert call("tables", folder / "out" / "small", "--check").code == 0
    report = (folder / "out" / "small" / "tables" / "shift-report.md").read_text()
    assert "severity 5" in report
    entries = read_entries(folder / "out")
    assert {entry.label for entry in entries} == {"mahalanobis", "max-softmax"}
    for entry in entries:
        assert entry.kinds == ["gaussian-noise", "contrast"]
        assert entry.clean is not None
        assert entry.clean.images == 20


def test_a_second_run_computes_nothing_and_gives_the_same(place: tuple[Path, Said], tmp_path: Path) -> None:
    folder, _ = place
    again = call("run", folder / "small.toml", "--store", folder / "store", "--output", tmp_path / "out")
    assert again.code == 0
    assert "0 artifacts computed" in again.out
    for path in (folder / "out").rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(folder / "out")).read_bytes()


def test_frames_of_all_results_have_its_rows(place: tuple[Path, Said]) -> None:
    rows = load_results(place[0] / "out").query("test_on == 'benign shift'")
    assert len(rows) == 2 * 2 * 2
    assert rows["alarms"].between(0, 1).all()


def test_verify_finds_a_figure_that_its_rows_do_not_give(place: tuple[Path, Said], tmp_path: Path) -> None:
    folder, _ = place
    assert "0 with a mismatch" in call("verify", folder / "out").out
    path = folder / "out" / "small" / "shift" / "strict" / "max-softmax.json"
    text = path.read_text()
    content = json.loads(text)
    content["cells"][0]["alarms"] |= {"value": 0.5, "low": 0.1, "high": 0.9}
    path.write_text(json.dumps(content))
    try:
        said = call("verify", folder / "out")
        assert said.code == 1
        assert "cells 0 alarms" in said.out
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"contrast"', '"fog"'), "has no corruption 'fog'"),
        (('"contrast"', '"saturation"'), "cannot have 'saturation'"),
        (("[1, 5]", "[0, 5]"), "severities of 1 to 5"),
        (("rate = 0.1", 'rate = 0.1\nfit_on = "cw"'), "shift.fit_on is 'cw'"),
        (("rate = 0.1", 'rate = 0.1\ndetectors = ["lid"]'), "shift.detectors names 'lid'"),
        (("rate = 0.1", "rate = 0.0001"), "are too few"),
    ],
)
def test_a_mistake_is_one_sentence(
    place: tuple[Path, Said], tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    (tmp_path / "bad.toml").write_text((SMALL + PART).replace(*change))
    said = call("run", tmp_path / "bad.toml", "--store", place[0] / "store", "--output", tmp_path / "out")
    assert message in said.mistake


def rows_of(clean: list[float], changed: list[tuple[bool, float]], calibration: list[float]) -> pd.DataFrame:
    rows = [(CLEAN, 0, number, True, score) for number, score in enumerate(clean)]
    rows += [(CALIBRATION, 0, number, True, score) for number, score in enumerate(calibration)]
    rows += [("contrast", 1, number, correct, score) for number, (correct, score) in enumerate(changed)]
    return pd.DataFrame(rows, columns=["kind", "severity", "image", "correct", "score"])


def test_alarms_count_images_still_classified_correctly_and_no_others() -> None:
    rows = rows_of([0.0] * 4, [(True, 9.0), (True, 0.0), (False, 9.0), (False, 9.0)], list(np.arange(10.0)))
    figures = all_figures(rows, 0.25, 0.95, 0)
    assert figures["tau"] == 7.0
    cell = figures["cells"][0]
    assert (cell["alarms"]["images"], cell["alarms"]["value"]) == (2, 0.5)
    assert (cell["flagged_wrong"]["images"], cell["flagged_wrong"]["value"]) == (2, 1.0)
    assert figures["means"] == [
        {"severity": 1, "alarms": 0.5, "low": cell["alarms"]["low"], "high": cell["alarms"]["high"]}
    ]


def test_where_no_image_is_classified_correctly_there_is_no_rate() -> None:
    rows = rows_of([0.0] * 4, [(False, 9.0)] * 4, list(np.arange(10.0)))
    figures = all_figures(rows, 0.25, 0.95, 0)
    assert figures["cells"][0]["alarms"] == {"images": 0}
    assert figures["means"] == []


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Scores of both sides are uniform, so that the true rate is known: tau is where a quarter of them is above."""
    generator = np.random.default_rng(5)
    held = 0
    for seed in range(60):
        changed = [(True, float(score)) for score in generator.random(80) + 0.2]
        rows = rows_of(list(generator.random(80)), changed, list(generator.random(400)))
        cell = all_figures(rows, 0.25, 0.95, seed)["cells"][0]["alarms"]
        held += cell["low"] <= 0.45 <= cell["high"]
    assert held >= 51


def test_the_board_shows_the_mean_at_the_middle_severity(place: tuple[Path, Said], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert call("leaderboard", place[0] / "out", "--out", site).code == 0
    page = (site / "index.html").read_text()
    assert "False alarms, benign shift" in page
    for entry in read_entries(place[0] / "out"):
        mean = next(mean for mean in entry.means if mean.severity == 5)
        assert f'<td data-order="{mean.alarms}">' in page
