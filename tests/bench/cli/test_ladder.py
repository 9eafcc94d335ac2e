"""`subnetbench ladder`: a small ladder climbed from end to end, and what is said where there is nothing to climb."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ..made_suite import TINY, changed
from .test_commands import call

#: Two detectors, whose second needs no gates so that a step takes a second, under both protocols.
BELOW = changed(
    TINY,
    ('name = "tiny"', 'name = "below"'),
    ("limit = 200", "limit = 120"),
    ("epochs = 6", "epochs = 3"),
    ("floor = 0.8\n", ""),
    ('[[detectors]]\nname = "lid"\ncandidates = [{ k = 10 }]\n', ""),
    ("candidates = [{ magnitude = 0.0 }, { magnitude = 0.01 }]", "candidates = [{}]"),
)
ABOVE = """
extends = "below.toml"
without = ["protocols.strict"]
name = "above"

[[attacks]]
name = "fgsm"
library = "lee2018"
preset = "lee2018"
parameters = { epsilon = 0.2 }

[[attacks]]
name = "bim"
parameters = { step_size = 0.05 }
"""
LADDER = """
title = "A small ladder"

[[steps]]
net = "digits"
step = "a"
change = "ours"
suite = "below"
protocol = "strict"
subnets = "max-softmax"

[[steps]]
net = "digits"
step = "b"
change = "protocol"
differs = "protocol"
suite = "below"
subnets = "max-softmax"

[[steps]]
net = "digits"
step = "c"
change = "attacks"
differs = "attacks"
suite = "above"
subnets = "max-softmax"

[[steps]]
net = "digits"
step = "d"
change = "never run"
differs = "candidates"
suite = "higher"
subnets = "max-softmax"
"""


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of three of the four steps."""
    folder = tmp_path_factory.mktemp("ladder")
    text = changed(
        BELOW, ('comparisons = [["mahalanobis", "max-softmax"]]', 'comparisons = [["max-softmax", "mahalanobis"]]')
    )
    for name, suite in (("below", text), ("above", ABOVE)):
        (folder / f"{name}.toml").write_text(suite)
        said = call("run", folder / f"{name}.toml", "--store", folder / "store", "--output", folder / "out", "-q")
        assert said.code == 0, said.err
    (folder / "small.toml").write_text(LADDER)
    return folder


def test_a_ladder_is_climbed_from_end_to_end(climbed: Path) -> None:
    said = call("ladder", climbed / "small.toml", climbed / "out", width=400)
    assert said.code == 0, said.err
    tables = climbed / "out" / "tables"
    steps = pd.read_csv(tables / "ladder-small-steps.csv").set_index("step")
    assert list(steps["differs in"]) == ["first step", "protocol", "attacks", "not run"]
    auroc = pd.read_csv(tables / "ladder-small-auroc.csv")
    for suite, protocol, step in (("below", "strict", "a"), ("below", "lee2018", "b"), ("above", "lee2018", "c")):
        content = json.loads((climbed / "out" / suite / "entries" / protocol / "max-softmax.json").read_text())
        cell = next(c for c in content["cells"] if (c["fit_on"], c["test_on"]) == ("fgsm", "bim"))
        row = auroc[(auroc["step"] == step) & (auroc["detector"] == "max-softmax")]
        ours = row["unknown BIM"].item()
        assert pd.isna(ours) if cell["auroc"] is None else ours == round(100 * cell["auroc"], 1)
    margin = pd.read_csv(tables / "ladder-small-margin.csv").set_index("step")
    stated = json.loads((climbed / "out" / "below" / "comparisons" / "strict.json").read_text())["comparisons"]
    record = next(r for r in stated if (r["fit_on"], r["test_on"]) == ("bim", "bim"))
    assert f"{100 * record['difference']:+.1f}" == f"{margin.loc['a', 'seen BIM']:+.1f}"
    assert margin.loc["d"].drop("net").isna().all()  # a step that was not run
    assert (climbed / "out" / "figures" / "ladder-small-digits.png").is_file()
    assert "3 of 4 steps have been run; not run: d on digits" in said.out
    assert "*" not in said.out


def test_check_finds_what_no_entry_gives(climbed: Path) -> None:
    assert call("ladder", climbed / "small.toml", climbed / "out", "--figure", "none").code == 0
    assert call("ladder", climbed / "small.toml", climbed / "out", "--check").code == 0
    path = climbed / "out" / "tables" / "ladder-small-auroc.md"
    path.write_text(path.read_text().replace("mahalanobis", "euclid", 1))
    assert "is not what its entries give" in call("ladder", climbed / "small.toml", climbed / "out", "--check").mistake


def test_the_terminal_gives_the_tables_in_every_form(climbed: Path) -> None:
    said = call("ladder", climbed / "small.toml", climbed / "out", "--json", "--figure", "none")
    content = json.loads(said.out)
    assert "not run" in json.dumps(content)


def test_the_ladders_that_ship_are_made_with_all_other_tables(climbed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(climbed / "out" / "below", results / "cifar10-ladder-ab")
    for path in (results / "cifar10-ladder-ab").glob("**/*.json"):
        content = json.loads(path.read_text())
        if path.name == "suite.json":
            content["name"] = "cifar10-ladder-ab"
        elif isinstance(content.get("suite"), dict):
            content["suite"]["name"] = "cifar10-ladder-ab"
            for part in ("label", "name"):
                content["detector"][part] = content["detector"][part].replace("max-softmax", "subnet-mahalanobis")
        path.write_text(json.dumps(content))
    assert call("tables", results).code == 0
    text = (results / "tables" / "ladder-cifar10.md").read_text()
    assert "2 of 15 steps have been run" in text
    assert call("tables", results, "--check").code == 0


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("nowhere", "{out}"), "There is no ladder named 'nowhere' and no such file"),
        (("cifar10", "{out}/none"), "There is no results folder"),
        (("cifar10", "{out}"), "holds no step of the ladder cifar10; run one first"),
        (("{ladder}", "{out}", "--figure", "gif"), "--figure gif is unknown; choose among png, svg, pdf, none"),
    ],
)
def test_a_mistake_is_one_sentence(climbed: Path, words: tuple[str, ...], mistake: str) -> None:
    known = {"out": climbed / "out", "ladder": climbed / "small.toml"}
    assert mistake in call("ladder", *(word.format(**known) for word in words)).mistake
