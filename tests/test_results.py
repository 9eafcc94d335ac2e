"""What is committed in results: tables are what entries give, figures are those of the scores, links lead to files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from subnetbench.bench.adaptive import tables as adaptive_tables
from subnetbench.bench.adaptive.audit import examine
from subnetbench.bench.core.arrays import EVERY
from subnetbench.bench.detection import tables as detection_tables
from subnetbench.bench.detection.entry import read_entries, read_scores
from subnetbench.bench.detection.summary import summary
from subnetbench.bench.figures.features import check_data
from subnetbench.bench.harness.scores import read_frame
from subnetbench.bench.harness.tables import write_tables
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.localisation import entry as maps
from subnetbench.bench.localisation import tables as localisation_tables
from subnetbench.bench.stats.metrics import auroc
from subnetbench.bench.tracks import load_suite

RESULTS = Path(__file__).resolve().parents[1] / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/entries"))
ATTACKED = sorted(path.parent for path in RESULTS.glob("*/adaptive"))
LOCATED = sorted(path.parent for path in RESULTS.glob("*/localisation"))

#: Suites whose committed run has today's protocols.
RUN_AGAIN = {
    *("digits", "cifar10-table2", "cifar10-sensitivity", "svhn10k-table2", "cifar10-grid", "cifar10-timm-resnet18d"),
    *("cifar10-ladder-ab", "cifar10-resnet34-ladder-ab", "cifar10-resnet34-ladder-cd", "cifar10-resnet34-ladder-f"),
    *(
        "cifar10-resnet34-ladder-e",
        "cifar10-ladder-cd",
        "svhn10k-ladder-ab",
        "svhn10k-ladder-cd",
        "cifar10-ladder-e-mean",
    ),
    *("cifar100-table2", "cifar100-all"),
}

#: Rows that suites got after their committed run; the next run of all suites empties this.
CAME_LATER = {"max-softmax-both"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_committed_tables_are_what_committed_entries_give(folder):
    write_tables(folder, detection_tables.report(folder), check=True)
    check_data(folder)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("tables/*.csv")), ids=lambda path: "/".join(path.parts[-3:]))
def test_a_committed_csv_is_for_programs(path):
    """No bold type, no sign behind a figure, no character by its name in HTML; one figure a cell, nothing is empty."""
    found = re.findall(r"\*\*|\d\*|[†‡§]|&#?\w+;", path.read_text(encoding="utf-8"))
    assert not found
    cells = {cell for column in pd.read_csv(path, dtype=str, keep_default_na=False).T.to_numpy() for cell in column}
    assert not [cell for cell in cells if re.fullmatch(r"–.*|[-+]?[\d.]+( \[.*|–[\d.]+| / .*)", cell)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_the_marks_of_table_2_say_is_a_column_of_the_cells(folder):
    (listing,) = (folder / "tables").glob("cells.csv*")  # compressed or not
    cells, marked = pd.read_csv(listing), (folder / "tables" / "table2.md").read_text("utf-8")
    shown = cells[cells["seen"] | (cells["fit_on"] == cells["fit_on"].iloc[0])]
    shown = shown[shown["test_on"].isin(shown["fit_on"])]
    counts = shown["standing"].value_counts()
    assert counts.get("highest", 0) == marked.count("**") / 2 > 0
    assert counts.get("not separable from the highest", 0) == marked.count("†")


def test_the_page_of_all_suites_is_what_they_give():
    write_tables(RESULTS, summary(FOLDERS), check=True)


@pytest.mark.parametrize("folder", LOCATED, ids=lambda path: path.name)
def test_committed_localisation_tables_are_what_committed_entries_give(folder):
    write_tables(folder, localisation_tables.report(folder), check=True)


@pytest.mark.parametrize("folder", ATTACKED, ids=lambda path: path.name)
def test_committed_adaptive_tables_and_figures_are_what_the_outcome_of_every_image_gives(folder):
    write_tables(folder, adaptive_tables.report(folder), check=True)
    for entry in adaptive_tables.read_entries(folder):
        assert examine(folder, entry) or entry.reason


@pytest.mark.parametrize("folder", LOCATED, ids=lambda path: path.name)
def test_a_committed_localisation_error_is_that_of_its_images(folder):
    """One entry of each net by its own images; the intervals from the same draws."""
    for entry in {e.model.label: e for e in maps.read_entries(folder) if e.metrics}.values():
        stated = {name: metric.model_dump() for name, metric in entry.metrics.items()}
        assert localisation_tables.recomputed(folder, entry) == stated
        frame = read_frame(folder, entry)
        assert stated["error"]["value"] == pytest.approx((frame["iou"] < 0.5).mean(), abs=1e-6)


@pytest.mark.parametrize("folder", FOLDERS + LOCATED, ids=lambda path: path.name)
def test_committed_results_come_from_the_suite_that_ships(folder):
    """The suite as it ran, but for fields that came later and have their defaults, and for rows that came later."""
    assert folder.name in builtin_suites()
    suite = load_suite(folder.name)
    ran = type(suite).model_validate_json((folder / "suite.json").read_bytes()).model_dump(mode="json")
    ships = suite.model_dump(mode="json")
    for form in (ran, ships):
        if folder.name not in RUN_AGAIN:
            form.pop("protocols", None)  # five splits and no lee2018, until these suites are run again
        elif folder.name == "cifar10-resnet34-ladder-f":
            form["limit"] = 1600  # of 5,600: --limit, so that training and all else fitted into eight minutes of a card
        elif folder.name == "svhn10k-table2":
            form["protocols"] = form["protocols"][:1]  # its lee2018 would not fit into the tracked tree
        form["detectors"] = [part for part in form.get("detectors", []) if part["name"] not in CAME_LATER]
    assert ran == ships


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_committed_figure_of_a_split_is_that_of_its_scores(folder):
    """One detector a suite, by the plain AUROC: the strict protocol's first seen cell."""
    strict = [e for e in read_entries(folder) if e.label == "subnet-mahalanobis" and e.protocol_name == "strict"]
    if not strict:
        pytest.skip("only under lee2018, whose score files hold one order of the images")
    entry = strict[0]
    scores = read_scores(folder, entry)
    attack = next(iter(entry.attacks))
    cell = entry.by_pair()[attack, attack]
    stated = dict(zip(entry.places(cell), cell.auroc_by_split, strict=True))
    assert cell.auroc == pytest.approx(sum(stated.values()) / len(stated), abs=1e-12)
    places = {(int(gate), int(split)) for gate, split in zip(scores["gate"], scores["split"], strict=True)}
    assert {split for _, split in places} == ({0, 1} if entry.protocol["fit_share"] == 0.5 else {0})
    for gate, split in places:
        mine = scores[(scores["gate"] == gate) & (scores["split"] == split) & (scores["fit_on"] == attack)]
        rows, shared = mine[mine["test_on"] == attack], mine[mine["test_on"] == EVERY]
        assert not rows.empty
        if not (rows["kind"] == "clean").any():
            rows = pd.concat([rows, shared])
        sides = (rows.loc[rows["kind"] == kind, "score"].to_numpy() for kind in ("adversarial", "clean"))
        assert auroc(*sides) == pytest.approx(stated[gate, split], abs=1e-5)


def test_the_tracked_tree_stays_small():
    """Every run of a suite adds as much to the history for ever."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=RESULTS.parent, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    paths = [RESULTS.parent / name for name in tracked.stdout.decode().split("\0") if name]
    assert sum(path.stat().st_size for path in paths if path.is_file()) <= 60 * 2**20


@pytest.mark.parametrize("page", [RESULTS / "FINDINGS.md", RESULTS.parent / "README.md"], ids=lambda path: path.name)
def test_pages_link_to_files_that_are_there(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
