"""A suite file's mistake is one sentence with file, line and key; what ships is valid."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.toml import builtin_suites, line_of
from subnetbench.bench.tracks import load_suite, tracks_of

from ..cli.test_commands import call

GOOD = """
name = "mine"
limit = 100

[dataset]
name = "digits"

[model]
name = "digits-cnn"

[[attacks]]
name = "fgsm"

[[attacks]]
name = "bim"

[[detectors]]
name = "lid"

[[protocols]]
name = "strict"
splits = 2

[model.train]
epochs = 20
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_suite(path)
    return str(caught.value)


def checked(tmp_path: Path, text: str) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(text)
    suite = load_suite(path)
    for track in tracks_of(suite):
        track.run(suite, Context(Store(tmp_path / "store"), torch.device("cpu"))).check()


@pytest.mark.parametrize("name", sorted(builtin_suites()))
def test_every_suite_that_ships_is_valid(name: str, tmp_path: Path) -> None:
    assert load_suite(name).name == name
    checked(tmp_path, builtin_suites()[name].read_text())


def test_a_suite_of_the_other_track_is_refused_by_name(tmp_path: Path) -> None:
    said = call("export", "wsol-tiny", "--out", tmp_path / "attacks.zip", "--store", tmp_path / "store")
    assert "wsol-tiny is a localisation suite, and this takes a suite of detectors" in said.mistake


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "splits = 2",
            "splits = -1",
            22,
            "protocols.strict.splits: input should be greater than or equal to 2 (given",
        ),
        (
            "splits = 2",
            "spilts = 2",
            22,
            "spilts: there is no such key here",
        ),
        ("limit = 100", 'limit = "many"', 3, "limit: input should be a valid integer"),
        ('[[attacks]]\nname = "bim"', '[[attacks]]\nname = "b im"', 15, "attacks.b im.name"),
        ('[model]\nname = "digits-cnn"', "[model]\nfloor = 0.5", 8, "model.name: this key is required and missing"),
        ('name = "bim"', 'name = "fgsm"', None, "two entries are labelled 'fgsm'"),
        ('name = "strict"', 'name = "lee2019"', 20, "protocols.lee2019"),
    ],
)
def test_a_mistake_is_named_by_line_and_key(tmp_path: Path, old: str, new: str, line: int | None, words: str) -> None:
    message = refused(tmp_path, GOOD.replace(old, new))
    assert words in message
    if line is not None:
        assert f"suite.toml, line {line}:" in message
    assert "\n" not in message


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    assert "is not TOML" in refused(tmp_path, "name = [")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"seed = {'9' * 5000}", "suite.toml, line 1: a number has too many digits to be read; correct it."),
        (f"seed = {'9' * 3000}", "line 1: seed: input should be less than 4294967296 (given: 9999"),
        ("seed = 4294967296", "line 1: seed: input should be less than 4294967296 (given: 4294967296)"),
        (f"limit = {'9' * 3000}", "(3000 characters) is not below 2**63; correct it."),
        (f"a = {'[' * 500}{']' * 500}", "is nested more than 20 levels deep, which no suite is; correct it."),
        (f"a = {'[' * 30}{']' * 30}", "is nested more than 20 levels deep, which no suite is; correct it."),
        ("#" * (2 << 20), "has 2048 KiB, more than any suite; give a suite's file."),
    ],
)
def test_what_no_suite_holds_is_one_short_sentence(tmp_path: Path, text: str, words: str) -> None:
    message = refused(tmp_path, f"{text}\n{GOOD.replace('limit = 100', '')}")
    assert words in message
    assert len(message) < 300 + len(str(tmp_path))


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(GOOD, encoding="utf-8-sig")
    assert load_suite(tmp_path / "suite.toml").name == "mine"


def test_a_suite_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "suite.toml").write_text(GOOD)
    for function, words in (("read_text", "cannot be read"), ("stat", "cannot be used")):
        with monkeypatch.context() as patch:
            patch.setattr(Path, function, refuse)  # root may read anything
            with pytest.raises(UserError, match=rf"{words} \(Permission denied\)"):
                load_suite(tmp_path / "suite.toml")


def test_a_localisation_suite_with_a_table_of_the_other_track_is_told_which(tmp_path: Path) -> None:
    text = (Path(str(builtin_suites()["wsol-tiny-nets"]))).read_text(encoding="utf-8")
    message = refused(tmp_path, f'{text}\n[[attacks]]\nname = "fgsm"\n')
    line = text.count("\n") + 2
    assert f"suite.toml, line {line}: attacks: only a detection suite has it, and with [" in message
    assert "this is a localisation suite; remove it." in message


def test_seeds_of_recipes_and_gates_end_where_the_suites_do(tmp_path: Path) -> None:
    for old, new in (("[model.train]\n", "[model.train]\n"), ("[[attacks]]", "[subnets]\n")):
        text = GOOD.replace(old, f"{new}seed = 4294967296\n{'' if old == new else old}", 1)
        with pytest.raises(UserError, match=r"seed: input should be less than 4294967296"):
            checked(tmp_path, text)
    assert "--seed 4294967296 is too large; give one below 2**32." in call("run", "digits", "--seed", 2**32).mistake


def test_a_detector_whose_name_no_suite_can_hold_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    list(registry.detectors)
    monkeypatch.setitem(registry.detectors._items, "my score", registry.detectors.get("lid"))
    assert "The detector 'my score' cannot be in a suite" in call("run", "digits", "--detector", "my score").mistake


def test_the_beginning_of_a_name_is_met_with_those_that_go_on_from_it() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'cifar10-table2', 'cifar10-adaptive' or 'cifar10-grid'\?"):
        load_suite("cifar10")


def test_an_unknown_suite_is_met_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="Did you mean 'digits'"):
        load_suite("digit")


def test_comparisons_must_name_detectors_of_the_suite(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD + '\n[statistics]\ncomparisons = [["lid", "nobody"]]\n')
    assert "'nobody'" in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "lid"', 'name = "lidd"', "Did you mean 'lid'"),
        ('name = "bim"', 'name = "bimm"', "Did you mean 'foolbox/bim'"),
        ('name = "digits-cnn"', 'name = "digit-cnn"', "Did you mean 'digits-cnn'"),
        ('name = "digits"\n', 'name = "digit"\n', "Did you mean 'digits'"),
        ('name = "lid"', 'name = "lid"\nparameters = { q = 3 }', "'lid' does not take them"),
        ('name = "lid"', 'name = "lid"\nparameters = { k = 1 }', "lid"),
        ('name = "lid"', 'name = "subnet-mahalanobis"', "add a [subnets] table"),
        ('name = "bim"', 'name = "bim"\npreset = "standrad"', "Did you mean 'standard'"),
        ("epochs = 20", "epochs = 0", "model.train.epochs"),
        ("[model.train]\nepochs = 20\n", "", "nothing gives the model 'digits-cnn' its weights"),
        ("[[attacks]]", "[subnets]\ngamma = -1\n\n[[attacks]]", "subnets.gamma"),
    ],
)
def test_names_and_parameters_are_checked_before_anything_runs(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(tmp_path, GOOD.replace(old, new, 1))
    assert words in str(caught.value)


def test_the_line_of_a_missing_key_is_its_tables_header() -> None:
    assert line_of("a = 1\n[t]\nb = 2\n[[u]]\nc = 1\n[[u]]\n", ("u", 1, "c")) == 6


def test_two_suites_with_the_same_meaning_are_equal(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(GOOD)
    second.write_text(GOOD.replace("\n\n", "\n"))
    assert load_suite(first) == load_suite(second)
    assert isinstance(load_suite(first), Suite)
