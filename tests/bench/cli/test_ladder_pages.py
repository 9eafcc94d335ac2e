"""Suites and the ladder that stand on the pages about Table 2 in full are read as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from subnetbench.bench.detection.ladder import load_ladder
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.tracks import load_suite

DOCS = Path(__file__).resolve().parents[3] / "docs"


def block(page: str, folder: Path) -> Path:
    (text,) = re.findall(r"^```toml\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_ladder_of_the_page_is_one(tmp_path: Path) -> None:
    ladder = load_ladder(block("ladder.md", tmp_path))
    assert [step.differs for step in ladder.steps] == [None, "attacks"]


def test_the_page_names_every_suite_of_the_cpu_ladders() -> None:
    page = (DOCS / "ladder.md").read_text(encoding="utf-8").replace("`-e-mean`", "`cifar10-resnet34-ladder-e-mean`")
    for name in builtin_suites():
        if "-ladder-" in name and not name.endswith("-f"):
            assert name in page


def test_the_rehearsal_for_a_gpu_is_the_suite_made_smaller(tmp_path: Path) -> None:
    small, whole = (cast(Suite, load_suite(s)) for s in (block("resnet34.md", tmp_path), "cifar10-resnet34-ladder-f"))
    assert small.attacks == whole.attacks
    assert small.detectors == whole.detectors
    assert small.subnets == whole.subnets
    assert small.model.trains


@pytest.mark.parametrize("name", ["cifar10-resnet34-ladder-f", "cifar100-resnet34-ladder-f"])
def test_the_suite_for_a_gpu_trains_the_papers_net_in_full(name: str) -> None:
    suite = cast(Suite, load_suite(name))
    assert suite.model.name == "resnet34"
    assert suite.model.parameters == {}
    assert suite.model.trains


def test_the_other_net_for_imagenet_is_read(tmp_path: Path) -> None:
    suite = load_suite(block("imagenet.md", tmp_path))
    (model,) = suite.models  # type: ignore[attr-defined]
    assert suite.dataset.parameters["classes"] == model.parameters["wnids"]
