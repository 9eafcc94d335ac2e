"""The page "register a detector" does what it says: its blocks are run, in order, as a stranger would."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from subnetbench.bench import registry
from subnetbench.bench.config import DetectorPart, builtin_suites

from .test_cli import Said, call, written
from .test_skeleton import laid

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "register-a-detector.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def plugged_in() -> Iterator[None]:
    """The registry as it was, after a package was added to the path."""
    detectors = registry.detectors
    list(detectors)
    before, ours = dict(detectors._items), detectors._ours
    yield
    sys.modules.pop("subnetbench_margin", None)
    detectors._items, detectors._ours, detectors._loaded = before, ours, True


def test_every_command_of_the_page_works_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugged_in: None
) -> None:
    """`pip install` is laid out by hand (no network), and `digits` is a smaller suite of the same form."""
    monkeypatch.chdir(tmp_path)
    small = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'))
    shipped = builtin_suites()
    monkeypatch.setattr("subnetbench.bench.config.builtin_suites", lambda: shipped | {"digits": small})
    monkeypatch.setattr("subnetbench.bench.runner.default_store", lambda: tmp_path / "store")
    said: dict[str, Said] = {}
    for line in "".join(blocks("bash")).splitlines():
        words = shlex.split(line)
        if words[0] == "pip":
            assert words == ["pip", "install", "--editable", "margin"]
            (source,) = blocks("python")
            (tmp_path / "margin" / "subnetbench_margin.py").write_text(source, encoding="utf-8")
            laid(tmp_path / "margin", tmp_path / "site")
            monkeypatch.syspath_prepend(tmp_path / "site")
            registry.detectors._loaded = False
            continue
        assert words[0] == "subnetbench"
        if words[1] == "import":  # somebody else's store, with the same net
            for kind in ("adversarial", "strength"):
                shutil.rmtree(tmp_path / "store" / kind)
        said[words[1]] = call(*words[1:])
        assert said[words[1]].code == 0, line + said[words[1]].out + said[words[1]].err
    assert "│ margin" in said["ls"].out
    assert ", 0 fail" in said["validate-detector"].out
    assert "│ margin" in said["run"].out
    assert "margin minus max-softmax" in said["compare"].out
    assert "figures of 1 cells, intervals included" in said["verify"].out
    assert "60 images of fgsm are in" in said["import"].out


def test_the_other_blocks_are_what_they_are_called() -> None:
    (suite,) = blocks("toml")
    (part,) = tomllib.loads(suite)["detectors"]
    assert DetectorPart(**part).title == "margin-again"
    (entry,) = blocks("json")
    assert re.fullmatch(r"[0-9a-f]{64}", json.loads(entry)["supersedes"])


def test_every_claim_that_the_page_lists_is_a_check_that_runs() -> None:
    from subnetbench.bench.trial import examine

    names = {check.name for check in examine("max-softmax")}
    table = PAGE.split("| claim | fails where |")[1].split("\n\n")[0]
    told = " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    for name in ("the views are left as they were", "two fresh instances agree", "a second fit forgets the first",
                 "labels are not used when scoring", "a pickled copy scores the same", "time and memory",
                 "adversarial images score higher", "mere noise is found less"):  # fmt: skip
        assert name in names
        assert name in told
