"""The command line: what every command prints, and that each mistake is one sentence and exit code 2."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from subnetbench.bench import DetectorInfo
from subnetbench.bench.cli import console
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core import registry
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.entry import read_entries
from subnetbench.bench.harness import train
from subnetbench.bench.harness.toml import builtin_suites

from ..made_suite import SMALL, changed


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def mistake(self) -> str:
        """The one sentence for a mistake, its exit code and form checked."""
        assert self.code == 2
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.strip() and not line.startswith("  ")]  # but stages
        assert len(lines) == 1, self.err
        assert re.fullmatch(r"error: \S.*[.?]", lines[0]), lines[0]
        return lines[0]

    @property
    def computed(self) -> int:
        return int(re.search(r"^(\d+) artifacts? computed", self.out, re.MULTILINE)[1])


def call(*words: object, width: int = 200) -> Said:
    """What a terminal would see of ``subnetbench WORDS``, without starting a process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["subnetbench", *map(str, words)])
        patch.setattr(console.out, "width", width)
        patch.setenv("COLUMNS", str(width))  # as text: without it, a pipe gets Markdown
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
    return Said(code, out.getvalue(), err.getvalue())


@dataclass
class Small:
    """A suite file, its store and its output, and what the first run said."""

    file: Path
    store: Path
    output: Path
    first: Said

    def run(self, *more: object, file: Path | None = None) -> Said:
        return call("run", file or self.file, "--store", self.store, "--output", self.output, *more)


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.toml").write_text(changed(SMALL, *changes))
    return folder / "small.toml"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """One finished run; tests that harm the store use another."""
    folder = tmp_path_factory.mktemp("small")
    made = Small(written(folder), folder / "store", folder / "out", Said(0, "", ""))
    made.first = made.run()
    return made


@pytest.fixture
def own(ran: Small, tmp_path: Path) -> Small:
    """The finished run's store, for one test to change, with an output of its own."""
    shutil.copytree(ran.store, tmp_path / "store")
    return Small(ran.file, tmp_path / "store", tmp_path / "out", ran.first)


# -- ls and validate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("datasets", ["digits", "cifar10", "cifar100", "svhn"]),
        ("models", ["digits-cnn", "wide7", "resnet34"]),
        ("attacks", ["foolbox/fgsm", "foolbox/cw", "art/deepfool"]),
        ("detectors", ["mahalanobis ", "lid", "kd-pu", "subnet-mahalanobis ", "max-softmax (control)"]),
        ("saliencymethods", ["saliency", "guided-bp", "int-grad"]),
        ("suites", list(builtin_suites())),
    ],
)
def test_ls_shows_what_is_registered(kind: str, names: list[str]) -> None:
    said = call("ls", kind)
    assert said.code == 0
    for name in names:
        assert f"│ {name}" in said.out


def test_ls_suites_lists_ladders_last_and_files_only_where_there_is_room() -> None:
    said = call("ls", "suites", width=80)
    names = re.findall(r"^│ (\S+)", said.out, re.MULTILINE)
    ladders = ["-ladder-" in name for name in names]
    assert ladders == sorted(ladders)
    assert any(ladders)
    assert ".toml" not in said.out
    assert len(said.out.splitlines()) < 110
    assert "digits.toml" in call("ls", "suites", "--wide").out
    assert "digits.toml" in call("ls", "suites", "--format", "csv").out


def test_ls_marks_controls_and_only_those() -> None:
    marked = set(re.findall(r"│ (\S+) \(control\)", call("ls", "detectors").out))
    assert marked == {name for name in registry.detectors if registry.detectors.get(name).info.control}
    assert {"max-softmax", "energy"} <= marked
    assert not marked & {"mahalanobis", "lid", "kd-pu", "subnet-mahalanobis"}


def test_validate_counts_the_cells_of_a_good_suite(tmp_path: Path) -> None:
    said = call("validate", written(tmp_path))
    assert said.code == 0
    assert "is a valid suite: 2 detectors x 1 attack x 1 protocol = 2 cells." in said.out
    assert "digits-cnn: trained from nothing by [model.train]" in said.out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("limit = 60", "limmit = 60", "line 3: limmit: there is no such key here"),
        ("limit = 60", "limit = ", "is not TOML"),
        ("splits = 2", 'splits = "many"', "splits: input should be a valid integer"),
        ('name = "mahalanobis"', 'name = "mahalanobiss"', "Did you mean 'mahalanobis'?"),
        ('name = "fgsm"', 'name = "fgms"', "fgsm"),
        ("epochs = 3", "epochs = 0", "model.train.epochs"),
        ('name = "digits-cnn"', 'name = "digits-cmm"', "Did you mean 'digits-cnn'?"),
        ("{ magnitude = 0.0 }", "{ magnet = 0.0 }", "magnet"),
        (
            "[statistics]",
            '[statistics]\ncomparisons = [["lid", "max-softmax"]]',
            "'lid', which is not a detector label",
        ),
    ],
)
def test_validate_names_the_mistake_of_a_bad_suite(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in call("validate", written(tmp_path, (old, new))).mistake


@pytest.mark.parametrize("command", ["run", "validate", "train"])
def test_an_unknown_suite_is_answered_with_the_nearest(command: str) -> None:
    assert (
        "There is no suite named 'digitz' and no such file. Did you mean 'digits'?" in call(command, "digitz").mistake
    )


# -- run -------------------------------------------------------------------------------------------------------------


def test_run_prints_every_detector_and_where_results_are(ran: Small) -> None:
    said = ran.first
    assert said.code == 0
    assert "suite small, data digits, net digits-cnn" in said.out
    assert re.search(r"│ mahalanobis +│ +\d+\.\d\*?[±−+]\d+\.\d", said.out)
    assert re.search(r"│ max-softmax \(control\) +│ +\d+\.\d", said.out)
    assert said.computed > 0
    folder = ran.output / "small"
    for place in (folder / "tables" / "report.md", folder / "tables", folder / "entries", folder / "scores"):
        assert str(place) in said.out
        assert place.exists()
    assert {"table2.csv", "table2.md"} <= {path.name for path in (folder / "tables").iterdir()}
    assert (folder / "scores" / "strict" / "mahalanobis.parquet").is_file()


def test_run_says_which_stage_is_running_and_no_control_codes_reach_a_pipe(ran: Small) -> None:
    for stage in ("train digits-cnn", "attack fgsm", r"score with mahalanobis \(strict\)"):
        assert re.search(rf"^  \d\d:\d\d:\d\d {stage}$", ran.first.err, re.MULTILINE)
    assert "\x1b" not in ran.first.err + ran.first.out


def test_a_second_run_computes_nothing(ran: Small) -> None:
    before = (ran.output / "small" / "tables" / "cells.csv").read_bytes()
    said = ran.run()
    assert said.code == 0
    assert said.computed == 0
    assert (ran.output / "small" / "tables" / "cells.csv").read_bytes() == before


def test_a_dry_run_prints_the_grid_and_writes_no_results(ran: Small, tmp_path: Path) -> None:
    said = call("run", ran.file, "--store", tmp_path / "store", "--output", tmp_path / "out", "--dry-run")
    assert said.code == 0
    for row in ("classifier", "attack (foolbox)", "mahalanobis", "max-softmax"):
        assert f"│ {row}" in said.out
    assert "60 images attacked" in said.out
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "store").rglob("*.safetensors"))
    assert "in the store" in ran.run("--dry-run").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--limit", "5"), "--limit 5 is too few images to fit and evaluate on; give at least 20."),
        (("--seed", "-1"), "--seed -1 is negative; give 0 or more."),
        (("--device", "cuda:9"), "The device 'cuda:9' is not available"),
        (("--device", "toaster"), "The device 'toaster' is not available"),
        (("--data-root", "nowhere"), "The data root nowhere does not exist; create it or give another"),
    ],
)
def test_a_bad_option_is_one_sentence(ran: Small, options: tuple[str, str], words: str) -> None:
    assert words in ran.run(*options).mistake


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("rnu",), "No such command 'rnu'"),
        (("run", "--sed", "1"), "No such option: --sed"),
        (("run", "--when", "sometimes"), "Invalid value for '--when': 'sometimes' is not one of"),
        (("run", "--when", "nevr"), "Did you mean 'never'?"),
        (("run", "--limit", "many"), "Invalid value for '--limit': it should be a valid integer"),
        (("tables", "--format", "html"), "Invalid value for '--format': 'html' is not one of 'markdown', 'latex'"),
        (("ls", "detector"), "Did you mean 'detectors'?"),
        (("compare", "lid"), "Missing argument"),
    ],
)
def test_a_word_that_is_no_command_or_option_is_refused_with_help(words: tuple[str, ...], answer: str) -> None:
    said = call(*words)
    assert said.code == 2
    assert answer in said.err
    assert "--help" in said.err
    assert "Traceback" not in said.err


def test_a_data_root_that_is_not_there_is_refused_by_a_dry_run_as_by_a_run(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for more in ((), ("--dry-run",)):
        said = call("run", "cifar10-table2", "--data-root", nowhere, "--store", tmp_path / "store", *more)
        assert f"The data root {nowhere} does not exist; create it or give another with --data-root." in said.mistake


def test_help_is_no_mistake() -> None:
    said = call("run", "--help")
    assert said.code == 0
    assert "--data-root" in said.out


def test_the_version_is_the_installed_one() -> None:
    said = call("--version")
    assert (said.code, said.out, said.err) == (0, f"subnetbench {version('subnetbench')}\n", "")


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "subnetbench", "--version"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"subnetbench {version('subnetbench')}\n", "")


@pytest.fixture
def registered() -> Iterator[Any]:
    """Register detectors for one test."""
    list(registry.detectors)  # ours are loaded
    before = dict(registry.detectors._items)
    yield registry.register_detector
    registry.detectors._items.clear()
    registry.detectors._items.update(before)


class Broken:
    """A third-party detector on a bad day."""

    info = DetectorInfo(title="A stranger's", formula="1 / 0", year=2026)
    candidates: ClassVar[list[dict[str, Any]]] = []

    def fit(self, train: Any) -> Any:
        return self

    def characteristics(self, x: Any) -> Any:
        raise ZeroDivisionError("no luck")


def test_a_plug_in_that_raises_is_a_reason_and_exit_code_1(own: Small, tmp_path: Path, registered: Any) -> None:
    registered("broken")(Broken)
    file = written(tmp_path, ('name = "max-softmax"\n', 'name = "max-softmax"\n\n[[detectors]]\nname = "broken"\n'))
    said = own.run(file=file)
    assert said.code == 1
    assert re.search(r"│ broken +│ +–", said.out)
    assert re.search(r"│ mahalanobis +│ +\d", said.out)
    assert "1 detectors could not be run" in said.err
    assert "strict / broken: raised ZeroDivisionError: no luck" in said.err
    assert "Traceback" not in said.err
    with pytest.raises(ZeroDivisionError, match="no luck"):
        own.run("--debug", file=file)


def test_a_plug_in_that_cannot_be_made_is_a_reason_and_all_other_rows_are_made(
    own: Small, tmp_path: Path, registered: Any
) -> None:
    class Unmade(Broken):
        def __init__(self, scale: float | None = None) -> None:
            self.scale = scale + 1  # type: ignore[operator]  # a TypeError that is not about the parameters

    class Dependent(Broken):
        def __init__(self) -> None:
            raise ImportError("No module named 'scipy2'")

    registered("unmade")(Unmade)
    registered("dependent")(Dependent)
    more = "".join(f'\n[[detectors]]\nname = "{name}"\n' for name in ("unmade", "dependent"))
    file = written(tmp_path, ('name = "max-softmax"\n', f'name = "max-softmax"\n{more}'))
    assert call("validate", file).code == 0
    said = own.run(file=file)
    assert said.code == 1
    assert re.search(r"│ mahalanobis +│ +\d", said.out)
    assert re.search(r"│ dependent +│ +–", said.out)
    assert "does not take them" not in said.err
    assert "strict / unmade: its constructor raised TypeError: unsupported operand" in said.err
    reason = "its constructor raised ImportError: No module named 'scipy2'"
    assert said.err.count(f"dependent cannot be run: {reason}") == 1
    assert f"strict / dependent: {reason}" in said.err
    entry = json.loads((own.output / "small" / "entries" / "strict" / "dependent.json").read_text())
    assert {cell["remark"] for cell in entry["cells"]} == {reason}
    with pytest.raises(TypeError, match="unsupported operand"):
        own.run("--debug", file=file)
    file = written(tmp_path / "b", ('name = "max-softmax"\n', 'name = "unmade"\nparameters = { size = 2 }\n'))
    assert "detectors.unmade.parameters: the detector 'unmade' does not take them" in own.run(file=file).mistake


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ("missing", "its info is not of the class DetectorInfo"),
        (None, "its info is not of the class DetectorInfo"),
        (DetectorInfo("T", "f", "2026"), "its info.year is '2026': input should be a valid integer"),  # type: ignore[arg-type]
        (DetectorInfo("T", "f", 2026, url=None), "its info.url is None: input should be a valid string"),  # type: ignore[arg-type]
        (DetectorInfo("T", "f", 2026, needs="clean"), "its info.needs is 'clean': input should be a valid tuple"),  # type: ignore[arg-type]
    ],
)
def test_a_detector_without_a_true_info_is_listed_as_broken_and_refused_in_one_sentence(
    own: Small, registered: Any, info: Any, words: str
) -> None:
    registered("untold")(type("Untold", (), {} if info == "missing" else {"info": info, "candidates": ()}))
    registered("told")(lambda: None)
    said = call("ls", "detectors")
    assert said.code == 0
    assert "│ lid " in said.out
    assert "told (broken)" in said.out
    assert f"{__name__}: {words}" in " ".join(said.out.replace("│", " ").split())
    assert f"detectors.untold: {words}" in own.run("--detector", "untold").mistake


# -- tables, compare, clean ------------------------------------------------------------------------------------------


def test_tables_are_written_anew_and_checked(ran: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "There is no results folder subnetbench-results; run a suite first" in call("tables").mistake
    shutil.copytree(ran.output, tmp_path / "subnetbench-results")
    table = tmp_path / "subnetbench-results" / "small" / "tables" / "table2.md"
    right = table.read_bytes()
    assert "are what their entries give" in call("tables", "--check").out
    assert re.search(r"small \(detection\): \d+ tables are what", call("tables", "--check").out)
    assert "--check writes nothing; leave --output out." in call("tables", "--check", "--output", "other").mistake
    table.write_bytes(b"")
    said = call("tables", "--output", tmp_path / "other")
    assert said.code == 0
    assert f"{tmp_path / 'other' / 'small'} (detection): " in said.out
    assert (table.read_bytes(), (tmp_path / "other" / "small" / "tables" / "table2.md").read_bytes()) == (b"", right)
    table.write_bytes(right)
    table.write_text("nothing")
    assert "table2.md is not what its entries give" in call("tables", "--check").mistake
    assert table.read_text() == "nothing"
    said = call("tables")
    assert said.code == 0
    assert "written" in said.out
    assert table.read_bytes() == right
    (tmp_path / "empty").mkdir()
    assert "There are no entries under empty" in call("tables", "empty").mistake


def test_a_damaged_comparison_is_one_sentence(ran: Small, tmp_path: Path) -> None:
    home = shutil.copytree(ran.output / "small", tmp_path / "small")
    (home / "comparisons" / "strict.json").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    assert "strict.json cannot be read" in call("tables", home).mistake


def test_gates_that_are_refused_are_kept(own: Small, tmp_path: Path) -> None:
    """Learning them again would give the same: `allow_collapsed` takes them as they are."""
    part = '\n[[detectors]]\nname = "subnet-mahalanobis"\nparameters = { classes = "predicted" }\ncandidates = [{}]\n'
    gates = '\n[subnets]\ngamma = 5.0\nl1 = "sum"\nepochs = 3\nlearning_rate = 0.3\nbatch_size = 16\n'
    file = written(tmp_path / "a", ("\n[[protocols]]", f"{part}{gates}\n[[protocols]]"))
    assert "are collapsed" in own.run(file=file).mistake
    (kept,) = (own.store / "gates").iterdir()
    before = kept.stat().st_mtime_ns
    lenient = written(tmp_path / "b", ("\n[[protocols]]", f"{part}{gates}allow_collapsed = true\n\n[[protocols]]"))
    said = own.run(file=lenient)
    assert said.code == 0, said.err
    assert [path.stat().st_mtime_ns for path in (own.store / "gates").iterdir()] == [before]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width = 8", "classes = 5", "model.parameters.classes: it is 5, and digits has 10"),
        ("width = 8", "width = -1", "width is -1; it must be at least 1"),
        ("width = 8", "width = 2020-01-01", "model.parameters.width: 2020-01-01 is neither text nor a finite number"),
        ("shift = 0", "shift = 9", "model.train.shift is 9 and the images of digits have 8 pixels"),
        ("learning_rate = 0.1", "learning_rate = inf", "model.train.learning_rate: inf is neither"),
    ],
)
def test_parameters_that_no_net_takes_are_one_sentence(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = written(tmp_path, (old, new))
    assert words in call("run", file, "--store", tmp_path / "store", "--output", tmp_path / "out").mistake


def test_compare_prints_paired_differences(ran: Small) -> None:
    said = call("compare", "mahalanobis", "max-softmax", "--results", ran.output / "small")
    assert said.code == 0
    assert "mahalanobis minus max-softmax, AUROC in points, protocol strict" in said.out
    assert re.search(r"│ seen fgsm +│ \d+\.\d\d +│ \d+\.\d\d +│ [+-]\d+\.\d\d \[", said.out)
    every = call("compare", "mahalanobis", "max-softmax", "--results", ran.output / "small", "--all")
    assert re.search(r"│ fgsm +│ fgsm +│ \d+\.\d\d +│ \d+\.\d\d +│ [+-]\d+\.\d\d \[", every.out)


def test_compare_of_an_unknown_label_says_which_there_are(ran: Small, tmp_path: Path) -> None:
    said = call("compare", "mahalanobis", "lidd", "--results", ran.output / "small")
    assert "There is no entry for 'lidd'" in said.mistake
    assert "there are mahalanobis, max-softmax." in said.mistake
    assert "There is no results folder" in call("compare", "a", "b", "--results", tmp_path / "nowhere").mistake


def test_clean_removes_the_kinds_it_is_given_and_says_how_much(own: Small) -> None:
    assert "has no kind 'adverserial'; it has" in call("clean", "adverserial", "--yes", "--store", own.store).mistake
    said = call("clean", "adversarial", "cells", "--yes", "--store", own.store)
    assert said.code == 0
    assert "MB freed." in said.out
    assert not {"adversarial", "cells"} & set(Store(own.store).size())
    assert "weights" in Store(own.store).size()
    assert call("clean", "--yes", "--store", own.store).code == 0
    assert not Store(own.store).size()


# -- weights ---------------------------------------------------------------------------------------------------------


def with_weights(folder: Path, weights: Path, *changes: tuple[str, str]) -> Path:
    return written(folder, ("[model]\n", f"[model]\nweights = '{weights}'\n"), *changes)


def test_weights_that_train_wrote_give_the_same_classifier(own: Small, tmp_path: Path) -> None:
    weights = tmp_path / "new" / "weights.safetensors"
    said = call("train", own.file, "--store", own.store, "--out", weights)
    assert said.code == 0
    assert "of 899 test images correctly classified" in said.out
    result = own.run(file=with_weights(tmp_path / "b", weights))
    assert result.code == 0
    trained, loaded = (read_entries(folder / "small")[0].model for folder in (own.file.parent / "out", own.output))
    assert f"{trained.accuracy:.2%} of 899" in said.out
    assert loaded.accuracy == trained.accuracy
    assert loaded.sha256 == trained.sha256


def test_train_that_cannot_write_its_file_says_so(own: Small, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = call("train", own.file, "--store", own.store, "--out", tmp_path / "file" / "w.safetensors")
    assert "cannot be written" in said.mistake


@pytest.mark.parametrize("missing", [True, False])
def test_weights_that_are_no_safetensors_are_refused(ran: Small, tmp_path: Path, missing: bool) -> None:
    weights = tmp_path / "weights.pt"
    if not missing:
        torch.save({"head.weight": torch.zeros(2)}, weights)
    said = ran.run(file=with_weights(tmp_path, weights))
    assert ("There is no weights file" if missing else "pickled weights are never loaded") in said.mistake


def test_weights_of_another_net_are_refused(own: Small, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    call("train", own.file, "--store", own.store, "--out", weights)
    wide = with_weights(tmp_path / "wide", weights, ("width = 8", "width = 16"))
    assert "do not fit the net" in own.run(file=wide).mistake


def test_weights_of_another_net_are_refused_even_after_the_right_net_had_them(own: Small, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    call("train", own.file, "--store", own.store, "--out", weights)
    assert call("train", with_weights(tmp_path / "right", weights), "--store", own.store).code == 0
    wide = with_weights(tmp_path / "wide", weights, ("width = 8", "width = 16"))
    assert "do not fit the net" in own.run(file=wide).mistake


# -- a store that refuses --------------------------------------------------------------------------------------------


def test_a_store_that_is_no_folder_is_one_sentence(ran: Small, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    said = call("run", ran.file, "--store", tmp_path / "store", "--output", tmp_path / "out")
    assert f"The store {tmp_path / 'store'} cannot be used" in said.mistake
    assert "--store" in said.mistake


def test_a_store_that_may_not_be_written_serves_a_run_that_finds_all_and_is_one_sentence_for_others(
    ran: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("subnetbench.bench.core.mount.tempfile.TemporaryFile", refuse)
    assert ran.run("--when", "cached").code == 0
    said = call("run", ran.file, "--store", tmp_path / "empty", "--output", tmp_path / "out")
    assert "cannot be used (Permission denied); make it a writable folder" in said.mistake


@pytest.mark.parametrize("function", ["fsync", "link"])
def test_a_full_store_keeps_what_is_finished(
    ran: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    calls, real = [], getattr(os, function)

    def full(*args: Any) -> Any:
        calls.append(args)
        if len(calls) >= 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    fresh = Small(ran.file, tmp_path / "store", tmp_path / "out", ran.first)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        mistake = fresh.run().mistake
    assert f"The store {fresh.store} is full" in mistake
    assert "Everything finished so far is kept" in mistake
    assert not list(fresh.store.rglob(".partial*"))
    kept = sum(files for kind, (files, _) in Store(fresh.store).size().items() if kind != "scratch")
    assert kept > 0  # the checkpoints of the training came first
    again = fresh.run()
    assert again.code == 0
    assert again.computed == ran.first.computed - kept
    same = [folder / "small" / "tables" / "cells.csv" for folder in (fresh.output, ran.output)]
    assert same[0].read_bytes() == same[1].read_bytes()


def test_a_disk_that_is_full_for_a_checkpoint_is_one_sentence(
    ran: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(train, "replace_file", full)
    said = call("run", ran.file, "--store", tmp_path / "store", "--output", tmp_path / "out")
    assert f"The store {tmp_path / 'store'} is full" in said.mistake


def test_an_output_that_cannot_be_written_is_one_sentence(ran: Small, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    said = call("run", ran.file, "--store", ran.store, "--output", tmp_path / "out")
    assert "cannot be written" in said.mistake
    assert "--output" in said.mistake


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------

MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may have it ignored
from subnetbench.bench.cli.main import main
main()
"""


def test_ctrl_c_ends_within_seconds_and_keeps_finished_work(tmp_path: Path) -> None:
    endless = '\n[[attacks]]\nname = "bim"\nparameters = { epsilon = 0.3, step_size = 0.1, steps = 1000000 }\n'
    file = written(tmp_path, ("batch_size = 20\n", f"batch_size = 20\n{endless}"))
    command = [sys.executable, "-c", MAIN, "run", str(file), "--store", str(tmp_path / "store")]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "out"), "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            assert process.stderr is not None
            seen = next((line for line in process.stderr if line.endswith(" attack bim\n")), None)
            assert seen, "the stage was never announced"
            time.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=30)
            seconds = time.monotonic() - began
        finally:
            process.kill()
    assert process.returncode == 130
    assert seconds < 15  # some hundredths on a free machine
    assert "Traceback" not in rest
    assert "stopped; all finished work is kept" in rest
    sizes = {kind: files for kind, (files, _) in Store(tmp_path / "store").size().items()}
    assert sizes["weights"] == sizes["accuracy"] == sizes["strength"] == 1
    assert sizes["adversarial"] == 3
    assert not list(tmp_path.rglob(".partial*"))


def test_train_without_a_recipe_is_one_sentence(tmp_path: Path) -> None:
    said = call("train", "imagenet-alexnet", "--store", tmp_path)
    assert said.code == 2
    assert "the model 'alexnet' has no [model.train] table, so there is nothing to train; add one." in said.mistake
