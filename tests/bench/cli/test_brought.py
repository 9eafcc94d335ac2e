"""The pages on attacks, nets, data sets and saliency methods do what they say: each is run block by block."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.core import registry
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.plugin.attack_claims import ATTACK_CLAIMS, ATTACK_ROOTS
from subnetbench.bench.plugin.attack_worth import WORTH

from ..localisation.test_run import SUITE as WSOL
from ..localisation.test_run import draw
from ..made_suite import changed
from ..plugin.test_skeleton import laid
from .test_commands import Said, call
from .test_docs import BROUGHT, PAGES, blocks

KINDS = (registry.attacks, registry.models, registry.datasets, registry.saliency)


@pytest.fixture
def plugged_in() -> Iterator[None]:
    """The registries as they were, after packages were added to the path."""
    before = []
    for kind in KINDS:
        list(kind)
        before.append((kind, dict(kind._items)))
    modules = set(sys.modules)
    yield
    for kind, items in before:
        kind._items, kind._loaded = items, True
    for name in set(sys.modules) - modules:
        if name.startswith("subnetbench_"):
            del sys.modules[name]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits` and `wsol-tiny` are smaller suites of the same form; the store and the images are in the folder."""
    monkeypatch.chdir(tmp_path)
    shipped = builtin_suites()
    text = changed(
        shipped["digits"].read_text(encoding="utf-8"),
        ("limit = 450", "limit = 60"),
        ("floor = 0.95", "floor = 0.1"),
        ("epochs = 20", "epochs = 4"),
        ("gamma = 0.1", "gamma = 0.1\nlearning_rate = 0.1\nepochs = 2\nallow_collapsed = true"),
        ("minimum_fit = 100", "minimum_fit = 5\nsplits = 2"),  # of strict, then of lee2018
        ("minimum_fit = 100", "minimum_fit = 5\nbatch_size = 20\nfit_share = 0.2"),
    )
    slow = re.compile(r'\[\[(attacks|detectors)\]\]\nname = "(bim|deepfool|cw|kd-pu|lid)"\n(?:.+\n)*\n')
    (tmp_path / "digits.toml").write_text(slow.sub("", text), encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(changed(WSOL, ('"wsol-digits"', '"wsol-tiny"')), encoding="utf-8")
    draw(tmp_path / "images")
    suites = shipped | {"digits": tmp_path / "digits.toml", "wsol-tiny": tmp_path / "tiny.toml"}
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: suites)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))


def followed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Said]:
    """Every command of a page in its order, and what each said; the page's module is put in place before pip."""
    said: dict[str, Said] = {}
    for line in "".join(blocks("bash", PAGES[page])).splitlines():
        words = shlex.split(line)
        if words[:2] == ["pip", "install"]:
            folder = tmp_path / words[-1]
            (source,), (module,) = blocks("python", PAGES[page]), folder.glob("subnetbench_*.py")
            assert f"`{words[-1]}/{module.name}`" in PAGES[page]
            module.write_text(source, encoding="utf-8")
            laid(folder, tmp_path / "site")
            monkeypatch.syspath_prepend(tmp_path / "site")
            for kind in KINDS:
                kind._loaded = kind._plugged = False
            continue
        assert words[0] == "subnetbench"
        said[words[1]] = call(*words[1:])
        assert said[words[1]].code == 0, line + said[words[1]].out + said[words[1]].err
    return said


@pytest.mark.parametrize("page", BROUGHT)
def test_every_command_of_a_page_works_in_its_order_with_its_module(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None, plugged_in: None
) -> None:
    said = followed(page, tmp_path, monkeypatch)
    (name,) = [path.parent.name for path in tmp_path.glob("*/pyproject.toml")]
    assert f"│ {name} " in said["ls"].out
    assert "0 artifacts computed" not in said["run"].out
    assert (tmp_path / "subnetbench-results" / name / "tables" / "report.md").is_file()
    report = (tmp_path / "subnetbench-results" / name / "tables" / "report.md").read_text(encoding="utf-8")
    assert name in report
    if page == "register-an-attack.md":
        assert ", 0 fail, 0 warnings" in said["validate-attack"].out
    names: dict[str, Any] = {}
    (tests,) = (tmp_path / name / "tests").iterdir()
    exec(compile(tests.read_text(encoding="utf-8"), tests.name, "exec"), names)
    for test in [value for key, value in names.items() if key.startswith("test_")]:
        test()


def test_the_suite_of_a_net_by_name_runs(tmp_path: Path, small: None) -> None:
    pytest.importorskip("timm")
    (suite,) = blocks("toml", PAGES["register-a-model.md"])
    # Attackers who know the detector take as many passes as all the rest.
    quicker = changed(suite, ('without = ["model.floor"]', 'without = ["model.floor", "adaptive"]'))
    (tmp_path / "mine.toml").write_text(quicker, encoding="utf-8")
    said = call("run", "mine.toml")
    assert said.code == 0, said.out + said.err
    report = (tmp_path / "subnetbench-results/digits-timm/tables/report.md").read_text(encoding="utf-8")
    assert "timm/resnet18" in report
    assert "could not be run" not in report


def test_every_claim_of_an_attack_stands_on_the_page_and_no_other() -> None:
    table = PAGES["register-an-attack.md"].split("| claim | fails where |")[1].split("\n\n")[0]
    told = " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    for name in (*ATTACK_ROOTS, *ATTACK_CLAIMS, *WORTH):
        assert name in told or name in SPELT, name
    assert all(words in told for words in SPELT.values())


#: Claims that share a row of the table, and how they are put there.
SPELT = {
    "it can be made without parameters": "",
    "images and labels are left as they were": "images and labels, the classifier, train and evaluation mode, global",
    "the classifier is left as it was": "the classifier",
    "train and evaluation mode are left as they were": "train and evaluation mode",
    "global random state is left as it was": "global random state are left as they were",
}
