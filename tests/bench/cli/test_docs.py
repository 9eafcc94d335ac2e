"""The documentation does what it says: "register a detector" is run block by block, as a newcomer would, and no page
shows a command that the program does not take, or leaves out what is registered."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import save_file
from subnetbench.attacks.presets import PRESETS, build
from subnetbench.bench import load_results
from subnetbench.bench.cli.main import app
from subnetbench.bench.core import registry
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.suite import AttackPart, DetectorPart
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.tracks import load_suite

from ...conftest import TrainedDigits
from ..plugin.test_skeleton import laid
from ..session.conftest import CELLS, Notebook
from .test_commands import Said, call, written

ROOT = Path(__file__).resolve().parents[3]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]}
PAGE = PAGES["register-a-detector.md"]
#: Pages of other things to bring, each with commands and one module.
BROUGHT = tuple(f"register-{thing}.md" for thing in ("an-attack", "a-model", "a-data-set", "a-saliency-method"))


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_net_with_weights_on_the_page_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(registry.models)
    monkeypatch.setattr(registry.models, "_items", dict(registry.models._items))
    (code,) = [block for block in blocks("python", PAGES["run.md"]) if "register_model" in block]
    exec(code, {"__name__": "page"})
    (suite,) = [block for block in blocks("toml", PAGES["run.md"]) if "mynet" in block]
    weights, file = tmp_path / "mynet.safetensors", tmp_path / "mine.toml"
    file.write_text(suite.replace("/data/mynet.safetensors", str(weights)), encoding="utf-8")
    kept = registry.models.get("mynet")(classes=10, shape=(1, 8, 8))
    save_file(kept.net.state_dict(), weights)
    assert "mynet: taken as its factory gives it" in call("validate", str(file)).out
    trained = Setup(load_suite(file), Context(Store(tmp_path / "store"), torch.device("cpu"))).trained
    assert torch.equal(trained.net.net.head.weight, kept.net.head.weight)


@pytest.fixture
def plugged_in() -> Iterator[None]:
    """The registry as it was, after a package was added to the path."""
    detectors = registry.detectors
    list(detectors)
    before = dict(detectors._items)
    yield
    sys.modules.pop("subnetbench_margin", None)
    detectors._items, detectors._loaded = before, True


def test_every_command_of_the_page_works_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugged_in: None
) -> None:
    """`pip install` is laid out by hand (no network), and `digits` is a smaller suite of the same form."""
    monkeypatch.chdir(tmp_path)
    small = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'))
    shipped = builtin_suites()
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: shipped | {"digits": small})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))  # in which the store is
    said: dict[str, Said] = {}
    for line in "".join(blocks("bash")).splitlines():
        words = shlex.split(line)
        if words[0] == "pip":
            assert words == ["pip", "install", "--editable", "margin"]
            (source,) = [block for block in blocks("python") if "class Margin" in block]
            (tmp_path / "margin" / "subnetbench_margin.py").write_text(source, encoding="utf-8")
            laid(tmp_path / "margin", tmp_path / "site")
            monkeypatch.syspath_prepend(tmp_path / "site")
            registry.detectors._loaded = registry.detectors._plugged = False
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
    assert "figures of 2 cells, intervals included" in said["verify"].out
    assert "60 images of fgsm are in" in said["import"].out
    assert ">margin<" in (tmp_path / "board" / "index.html").read_text(encoding="utf-8")


def test_the_readmes_detector_keeps_the_contract_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from subnetbench.bench import check_detector

    (source,) = blocks("python", PAGES["README.md"])
    (project,) = blocks("toml", PAGES["README.md"])
    points = tomllib.loads(project)["project"]["entry-points"]["subnetbench.detectors"]
    (tmp_path / "my_package.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    detector = EntryPoint("margin", points["margin"], "subnetbench.detectors").load()
    assert [check for check in check_detector(detector) if not check.passed] == []
    sys.modules.pop("my_package")


def test_the_suite_and_the_python_of_run_md_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits` is a smaller suite, with a control in the place of the detector that needs subnets."""
    monkeypatch.chdir(tmp_path)
    (suite,) = (block for block in blocks("toml", PAGES["run.md"]) if "mynet" not in block)
    (tmp_path / "my.toml").write_text(suite, encoding="utf-8")
    mine = load_suite("my.toml")
    titles = [part.title for part in mine.detectors]
    assert titles[titles.index("mahalanobis") + 1] == "mahalanobis-preprocessed"
    shipped = builtin_suites()
    label = ('name = "max-softmax"', 'name = "max-softmax"\nlabel = "subnet-mahalanobis"')
    small = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'), label)
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: shipped | {"digits": small})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    (source,) = (block for block in blocks("python", PAGES["run.md"]) if "load_results" in block)
    names: dict[str, Any] = {}
    exec(compile(source, "run.md", "exec"), names)
    assert len(names["frame"]) == 4  # of each detector the attack, and the worst case
    assert len(names["differences"]) == 1


def test_the_notebook_of_the_page_works_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`digits` is a smaller suite."""
    monkeypatch.chdir(tmp_path)
    small = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'))
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: {"digits": small})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    (cell,) = [block for block in blocks("python") if "class Margin" in block]
    (lines,) = [block for block in blocks("python") if "class Margin" not in block]
    names: dict[str, Any] = {}
    exec(compile(cell, "<cell 1>", "exec", dont_inherit=True), names)
    exec(compile(lines, "<cell 2>", "exec", dont_inherit=True), names)
    assert "margin keeps the contract" in capsys.readouterr().out
    frame = load_results(tmp_path / "subnetbench-results")
    assert {"margin", "max-softmax"} <= set(frame["detector"])
    assert names["check_detector"](names["Margin"]).summary.startswith("margin: ")


def test_the_objects_of_run_md_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained_digits: TrainedDigits
) -> None:
    """`digits` is a smaller suite."""
    monkeypatch.chdir(tmp_path)
    small = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'))
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: {"digits": small})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    (source,) = (block for block in blocks("python", PAGES["run.md"]) if "MyAttack" in block)
    names, data = Notebook().run(*CELLS), trained_digits.dataset
    names |= {"net": trained_digits.classifier}
    for split, part in (("train", data.train), ("test", data.test)):
        names |= {f"{split}_images": part.images, f"{split}_labels": part.labels}
    exec(compile(source, "run.md", "exec", dont_inherit=True), names)
    made = {path.name for path in (tmp_path / "subnetbench-results").iterdir()}
    assert made == {
        *("digits", "digits-my-detector", "digits-my-attack-epsilon0.2-bim", "digits-my-net", "digits-my-data")
    }


def test_the_net_with_weights_of_run_md_is_taken_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = (block for block in blocks("python", PAGES["run.md"]) if "register_model" in block)
    (suite,) = (block for block in blocks("toml", PAGES["run.md"]) if "mynet" in block)
    list(registry.models)
    monkeypatch.setattr(registry.models, "_items", dict(registry.models._items))
    names: dict[str, Any] = {}
    exec(compile(source, "run.md", "exec"), names)
    state = names["mynet"](classes=10, shape=(1, 8, 8)).net.state_dict()
    save_file(state, tmp_path / "mynet.safetensors")
    file = tmp_path / "mine.toml"
    file.write_text(suite.replace("/data", tmp_path.as_posix()), encoding="utf-8")
    said = call("validate", file)
    assert said.code == 0, said.err
    assert "mynet: taken as its factory gives it" in said.out


def test_every_block_of_code_on_every_page_is_run_or_read_by_a_test() -> None:
    """A block in a language of its own on another page needs a test of its own, and then a line here."""
    found = {
        (name, language)
        for name, page in PAGES.items()
        for language in re.findall(r"^```(\w+)\n", page, re.MULTILINE)
        if language != "bash"  # commands are checked on every page
    }
    assert found == {
        ("README.md", "python"),
        ("README.md", "toml"),
        ("run.md", "toml"),
        ("run.md", "python"),
        ("attacks.md", "toml"),
        ("adaptive.md", "python"),  # tests/bench/plugin/test_gradient.py
        ("adaptive.md", "toml"),
        ("shift.md", "toml"),
        ("detectors.md", "toml"),
        ("cite.md", "bibtex"),
        *(("register-a-detector.md", language) for language in ("python", "toml", "json")),
        *((page, "python") for page in BROUGHT),  # tests/bench/cli/test_brought.py
        ("register-a-model.md", "toml"),  # the same
        *(
            (page, "toml") for page in ("ladder.md", "resnet34.md", "imagenet.md")
        ),  # tests/bench/cli/test_ladder_pages.py
        *(("many-machines.md", language) for language in ("toml", "yaml")),  # tests/bench/parallel
        ("worked-claim.md", "python"),  # tests/docs
        *(("register-an-arm.md", language) for language in ("python", "toml")),  # the same
        *((f"notebook-{name}.md", "python") for name in ("bring-a-detector", "regenerate-a-table")),  # the same
    }


def test_the_part_of_a_suite_that_asks_for_attackers_who_know_the_detector_is_read(tmp_path: Path) -> None:
    (part,) = blocks("toml", PAGES["adaptive.md"])
    (tmp_path / "mine.toml").write_text(f'extends = "digits"\nname = "mine"\nwithout = ["adaptive"]\n\n{part}')
    said = call("validate", tmp_path / "mine.toml")
    assert said.code == 0, said.err
    wanted = load_suite(tmp_path / "mine.toml").adaptive
    assert wanted.epsilons[-1] == 8 / 255
    assert wanted.arms[1].parameters == {"restarts": 3}


def test_the_part_of_a_suite_that_asks_for_benign_shift_is_read(tmp_path: Path) -> None:
    (part,) = blocks("toml", PAGES["shift.md"])
    (tmp_path / "mine.toml").write_text(f'extends = "digits"\nname = "mine"\n\n{part}')
    said = call("validate", tmp_path / "mine.toml")
    assert said.code == 0, said.err
    assert load_suite(tmp_path / "mine.toml").shift.severities == [1, 3, 5]


def test_a_detector_of_the_page_can_be_made_as_it_stands() -> None:
    (part,) = tomllib.loads(blocks("toml", PAGES["detectors.md"])[0])["detectors"]
    registry.detectors.get(part["name"])(**part["parameters"])


def test_the_other_blocks_are_what_they_are_called() -> None:
    (suite,) = blocks("toml")
    (part,) = tomllib.loads(suite)["detectors"]
    assert DetectorPart(**part).title == "margin-again"
    (entry,) = blocks("json")
    assert re.fullmatch(r"[0-9a-f]{64}", json.loads(entry)["supersedes"])


def test_every_claim_that_the_page_lists_is_a_check_that_runs() -> None:
    from subnetbench.bench import check_detector

    names = {check.name for check in check_detector("max-softmax")}
    table = PAGE.split("| claim | fails where |")[1].split("\n\n")[0]
    told = " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    for name in (
        "the views are left as they were",
        "two fresh instances agree",
        "a second fit forgets the first",
        "labels are not used when scoring",
        "a pickled copy scores the same",
        "time and memory",
        "adversarial images score higher",
        "mere noise is found less",
    ):
        assert name in names
        assert name in told


def commands(page: str) -> list[str]:
    """Whatever stands in a block and calls the program, a comment behind it left out."""
    inside = page.split("```")[1::2]  # blocks open and close in turn
    lines = [line for block in inside if block.startswith(("\n", "bash\n")) for line in block.splitlines()]
    calls = [part.split("#")[0] for line in lines for part in line.split("&&")]
    return [call for call in calls if re.match(r"\s*(\.venv/bin/)?subnetbench ", call)]


@pytest.mark.parametrize("name", [name for name in sorted(PAGES) if "\nsubnetbench " in PAGES[name]])
def test_no_page_shows_a_command_that_is_not_taken(name: str) -> None:
    known = typer.main.get_command(app)
    assert commands(PAGES[name])
    with known.make_context("subnetbench", ["ls", "suites"]) as context:
        for line in commands(PAGES[name]):
            rest = shlex.split(line)[1:]
            command, arguments = known.get_command(context, rest[0]), rest[1:]  # type: ignore[attr-defined]
            assert command is not None, line
            if hasattr(command, "commands"):
                command, arguments = command.commands[arguments[0]], arguments[1:]
            command.make_context("subnetbench", arguments)  # raises where an option or argument is not taken
            if rest[0] in ("run", "export") and arguments and not arguments[0].startswith(("-", "my")):
                assert arguments[0] in builtin_suites(), line


def test_every_detector_of_ours_has_its_formula_on_the_page() -> None:
    for name in registry.detectors:
        if registry.detectors.is_ours(name):
            assert f"| `{name}` | `{registry.detectors.get(name).info.formula}` |" in PAGES["detectors.md"]


def test_the_attacks_of_the_page_are_those_that_presets_know() -> None:
    page = PAGES["attacks.md"]
    known = {name.rpartition("/")[2] for name in PRESETS["standard"]}
    rows = re.findall(r"^\| (`.+?`) \|", page.split("## Your own")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == known
    assert all(f"`{preset}`" in page for preset in PRESETS)
    suite, _ = blocks("toml", page)
    part = AttackPart(**tomllib.loads(suite)["attacks"][0])
    assert build(part.name, part.library, part.preset, part.parameters).info.library == "art"
