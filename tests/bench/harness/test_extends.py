"""A suite that extends another: what it becomes, and every mistake as one sentence with the file where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.harness.extends import read_suite
from subnetbench.bench.harness.toml import builtin_suites, read_toml
from subnetbench.bench.tracks import load_suite

from ..cli.test_commands import call

ROOT = Path(__file__).resolve().parents[3]

BASE = """
name = "base"
title = "The base"
limit = 100

[dataset]
name = "digits"

[model]
name = "digits-cnn"
floor = 0.5
parameters = { width = 8 }

[model.train]
epochs = 6
flip = false

[[attacks]]
name = "fgsm"
parameters = { epsilon = 0.3, kind = { a = 1, b = 2 } }

[[detectors]]
name = "lid"
candidates = [{ k = 10 }, { k = 20 }]

[[detectors]]
name = "mahalanobis"
label = "maha.v1"

[[detectors]]
name = "energy"

[[protocols]]
name = "strict"
splits = 2

[statistics]
comparisons = [["lid", "energy"]]
"""

HEAD = 'extends = "base.toml"\nname = "mine"\n'
WSOL = """
name = "maps"

[dataset]
name = "tinyimagenet30"

[[models]]
name = "bottleneck64"

[[saliency]]
name = "grad-cam"

[subnets]
gamma = 0.5
"""


def written(folder: Path, text: str, base: str = BASE) -> Path:
    (folder / "base.toml").write_text(base)
    (folder / "mine.toml").write_text(text)
    return folder / "mine.toml"


def content(folder: Path, text: str) -> dict[str, Any]:
    return read_suite(written(folder, text)).content


def labels(entries: list[dict[str, Any]]) -> list[str]:
    return [entry.get("label", entry["name"]) for entry in entries]


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}/", "")


# Meaning


def test_a_variant_that_changes_nothing_is_its_base_by_another_name(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD, BASE.replace(", kind = { a = 1, b = 2 }", ""))
    base = load_suite(tmp_path / "base.toml")
    assert load_suite(path) == base.model_copy(update={"name": "mine", "title": ""})


def test_the_words_of_merging_are_no_part_of_the_suite(tmp_path: Path) -> None:
    more = 'without = ["detectors.maha.v1"]\n[[detectors]]\nname = "lid"\nafter = "energy"\n'
    assert set(content(tmp_path, HEAD + more)) == set(read_toml(tmp_path / "base.toml")[1]) - {"title"}
    assert "after" not in str(content(tmp_path, HEAD + more))


def test_tables_are_merged_key_by_key_at_every_depth(tmp_path: Path) -> None:
    changes = "[model]\nfloor = 0.9\n[model.train]\nepochs = 1\nshift = 2\n[subnets]\ngamma = 0.1\n"
    suite = content(tmp_path, HEAD + changes)
    assert suite["model"] == {
        "name": "digits-cnn",
        "floor": 0.9,
        "parameters": {"width": 8},
        "train": {"epochs": 1, "flip": False, "shift": 2},
    }
    assert suite["subnets"] == {"gamma": 0.1}
    assert suite["limit"] == 100


def test_lists_are_replaced_whole(tmp_path: Path) -> None:
    changes = '[statistics]\ncomparisons = [["energy", "lid"]]\n[[detectors]]\nname = "lid"\ncandidates = [{ k = 5 }]\n'
    suite = content(tmp_path, HEAD + changes)
    assert suite["statistics"]["comparisons"] == [["energy", "lid"]]
    assert suite["detectors"][0] == {"name": "lid", "candidates": [{"k": 5}]}


def test_an_entry_of_the_bases_label_is_merged_in_its_place_and_a_new_one_comes_last(tmp_path: Path) -> None:
    new = '[[detectors]]\nname = "mahalanobis"\n[[detectors]]\nlabel = "maha.v1"\ngate_seeds = 1\n'
    attack = '[[attacks]]\nname = "fgsm"\nparameters = { kind = { b = 3 } }\n'
    suite = content(tmp_path, HEAD + new + attack)
    assert labels(suite["detectors"]) == ["lid", "maha.v1", "energy", "mahalanobis"]
    assert suite["detectors"][1] == {"name": "mahalanobis", "label": "maha.v1", "gate_seeds": 1}
    assert suite["attacks"] == [{"name": "fgsm", "parameters": {"epsilon": 0.3, "kind": {"a": 1, "b": 3}}}]


@pytest.mark.parametrize(
    ("entries", "order"),
    [
        ([("new", "lid")], ["lid", "new", "maha.v1", "energy"]),
        ([("new", "energy")], ["lid", "maha.v1", "energy", "new"]),
        ([("lid", "maha.v1")], ["maha.v1", "lid", "energy"]),
        ([("energy", "lid")], ["lid", "energy", "maha.v1"]),
        ([("one", "lid"), ("two", "one")], ["lid", "one", "two", "maha.v1", "energy"]),
        ([("two", "one"), ("one", None)], ["lid", "maha.v1", "energy", "one", "two"]),
    ],
)
def test_after_places_an_entry(tmp_path: Path, entries: list[tuple[str, str | None]], order: list[str]) -> None:
    text = "".join(
        f'[[detectors]]\nname = "{name}"\n' + (f'after = "{other}"\n' if other else "") for name, other in entries
    )
    assert labels(content(tmp_path, HEAD + text)["detectors"]) == order


@pytest.mark.parametrize(
    ("place", "gone"),
    [
        ("limit", lambda suite: "limit" not in suite),
        ("model.train", lambda suite: set(suite["model"]) == {"name", "floor", "parameters"}),
        ("model.train.flip", lambda suite: suite["model"]["train"] == {"epochs": 6}),
        ("detectors.lid", lambda suite: labels(suite["detectors"]) == ["maha.v1", "energy"]),
        ("detectors.maha.v1", lambda suite: labels(suite["detectors"]) == ["lid", "energy"]),
        ("detectors.maha.v1.label", lambda suite: suite["detectors"][1] == {"name": "mahalanobis"}),
        ("attacks.fgsm.parameters.kind", lambda suite: suite["attacks"][0]["parameters"] == {"epsilon": 0.3}),
        ("detectors", lambda suite: "detectors" not in suite),
    ],
)
def test_without_leaves_out_keys_tables_and_entries(tmp_path: Path, place: str, gone: Any) -> None:
    assert gone(content(tmp_path, f'without = ["{place}"]\n{HEAD}'))


def test_what_is_left_out_and_written_again_is_replaced_whole(tmp_path: Path) -> None:
    text = f'without = ["model.train", "detectors"]\n{HEAD}[model.train]\nepochs = 1\n[[detectors]]\nname = "lid"\n'
    suite = content(tmp_path, text)
    assert suite["model"]["train"] == {"epochs": 1}
    assert suite["detectors"] == [{"name": "lid"}]


def test_name_and_title_are_not_inherited(tmp_path: Path) -> None:
    path = written(tmp_path, 'extends = "base.toml"\n')
    assert refused(path) == "mine.toml: name: this key is required and missing."
    assert "title" not in read_suite(path).content


def test_a_chain_is_merged_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "inner/middle.toml").write_text(
        'extends = "../base.toml"\nname = "middle"\nlimit = 50\nwithout = ["detectors.lid"]\n[model]\nfloor = 0.7\n'
    )
    (tmp_path / "mine.toml").write_text(
        'extends = "inner/middle.toml"\nname = "mine"\n[model]\nfloor = 0.8\n[[detectors]]\nname = "lid"\n'
    )
    suite = read_suite(tmp_path / "mine.toml").content
    assert (suite["limit"], suite["model"]["floor"]) == (50, 0.8)
    assert suite["detectors"][-1] == {"name": "lid"}


def test_a_suite_that_ships_is_extended_by_name_from_anywhere(tmp_path: Path) -> None:
    text = 'extends = "cifar100-table2"\nname = "mine"\nlimit = 100\n'
    mine, base = load_suite(written(tmp_path, text)), load_suite("cifar100-table2")
    assert mine == base.model_copy(update={"name": "mine", "title": "", "limit": 100})


@pytest.mark.parametrize("change", ['[model]\nname = "resnet34"\n', '[dataset]\nname = "mine.npz"\n'])
def test_weights_are_not_inherited_by_another_net_or_for_other_data(tmp_path: Path, change: str) -> None:
    mine = read_suite(written(tmp_path, f'extends = "cifar10-table2"\nname = "mine"\n{change}')).content
    assert "weights" not in mine["model"]
    assert mine["model"]["train"] == read_suite("cifar10-table2").content["model"]["train"]


def test_weights_are_inherited_for_the_same_net_and_stated_ones_stay(tmp_path: Path) -> None:
    head = 'extends = "cifar10-table2"\nname = "mine"\n[dataset]\nname = "cifar10"\n[model]\nname = "wide7"\n'
    assert read_suite(written(tmp_path, head)).content["model"]["weights"] == "cifar10/wide7"
    stated = head.replace('"wide7"', '"resnet34"\nweights = "w.safetensors"')
    assert read_suite(written(tmp_path, stated)).content["model"]["weights"] == "w.safetensors"


def test_the_order_of_rows_of_a_suite_that_ships() -> None:
    suite = load_suite("cifar100-table2")
    assert [part.title for part in suite.detectors][3:6] == [
        "subnet-mahalanobis",
        "subnet-mahalanobis-top5",
        "max-softmax",
    ]


@pytest.mark.parametrize("name", sorted(builtin_suites()))
def test_what_ships_has_its_own_name_and_title_and_leaves_no_word_of_merging(name: str) -> None:
    _, written_there = read_toml(builtin_suites()[name])
    assert written_there["name"] == name
    assert written_there["title"]
    assert not {"extends", "without", "after"} & set(read_suite(name).content)


def test_the_suite_of_the_page_is_what_the_page_says(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/run.md").read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if "cifar10-table2" in block]
    mine, base = load_suite(written(tmp_path, text)), load_suite("cifar10-table2")
    assert isinstance(mine, Suite)
    titles = [part.title for part in base.detectors if part.title != "lid"]
    titles.insert(titles.index("mahalanobis") + 1, "mahalanobis-preprocessed")
    assert [part.title for part in mine.detectors] == titles
    assert [part.name for part in mine.protocols] == ["strict"]
    assert mine.attacks[3] == base.attacks[3].model_copy(update={"parameters": {"binary_search_steps": 3}})
    assert mine.subnets == {**(base.subnets or {}), "gamma": 0.3}


# Mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'extends = "cifar10-tabel2"\n',
            "mine.toml, line 1: extends: there is no suite named 'cifar10-tabel2' and no such file beside it. "
            "Did you mean 'cifar10-table2'? `subnetbench ls suites` lists what ships.",
        ),
        (
            "extends = 3\n",
            "mine.toml, line 1: extends: 3 is not a suite; give the name of one that ships, or a file, as text.",
        ),
        (
            f'{HEAD}without = "limit"\n',
            "mine.toml, line 3: without: 'limit' is not a list of texts; give one, such as "
            '["model.weights", "detectors.lid"].',
        ),
        (
            f'{HEAD}without = ["detectors.lidd"]\n',
            "mine.toml, line 3: without: 'base.toml' has no 'detectors.lidd'. Did you mean 'detectors.lid'? "
            "Name a key or an entry that it has, or remove this.",
        ),
        (
            f'{HEAD}without = ["flip"]\n',
            "mine.toml, line 3: without: 'base.toml' has no 'flip'. Did you mean 'model.train.flip'? "
            "Name a key or an entry that it has, or remove this.",
        ),
        (
            f'{HEAD}without = ["model.name.x"]\n',
            "mine.toml, line 3: without: 'base.toml' has no 'model.name.x'. Did you mean 'model.name'? "
            "Name a key or an entry that it has, or remove this.",
        ),
        (
            f'{HEAD}[[detectors]]\nname = "energy"\n[[detectors]]\nname = "new"\nafter = "lidd"\n',
            "mine.toml, line 7: detectors.new.after: there is no other entry 'lidd'. Did you mean 'lid'? "
            "Name one by its label, or remove the line.",
        ),
        (
            f'{HEAD}[[detectors]]\nname = "lid"\nafter = "lid"\n',
            "mine.toml, line 5: detectors.lid.after: there is no other entry 'lid'. "
            "Name one by its label, or remove the line.",
        ),
        (
            f'{HEAD}[[detectors]]\nname = "lid"\nafter = ["energy"]\n',
            "mine.toml, line 5: detectors.lid.after: there is no other entry ['energy']. Did you mean 'energy'? "
            "Name one by its label, or remove the line.",
        ),
        (
            f"{HEAD}[[detectors]]\ngate_seeds = 1\n",
            "mine.toml, line 3: detectors.0: an entry needs a name or a label as text; give it one.",
        ),
        (
            f'{HEAD}[[attacks]]\nname = "bim"\n[[attacks]]\nname = "bim"\n',
            "mine.toml, line 5: attacks.1: two entries are labelled 'bim'; give one of them a label of its own.",
        ),
        (
            f'{HEAD}[[saliency]]\nname = "grad-cam"\n',
            "mine.toml, line 3: saliency: only a localisation suite has it, and 'base.toml' is a detection suite; "
            "extend a localisation suite, or leave saliency out.",
        ),
        (
            'extends = "wsol-tiny"\nname = "mine"\n[[detectors]]\nname = "lid"\n',
            "mine.toml, line 3: detectors: only a detection suite has it, and 'wsol-tiny' is a localisation suite; "
            "extend a detection suite, or leave detectors out.",
        ),
        (
            'extends = "mine.toml"\nname = "mine"\n',
            "mine.toml, line 1: extends: mine.toml extends mine.toml; remove this key from one of them.",
        ),
    ],
)
def test_a_mistake_in_extending_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    assert refused(written(tmp_path, text)) == message


def test_a_circle_is_named_where_it_closes(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD, '\nextends = "mine.toml"\n')
    message = (
        "base.toml, line 2: extends: mine.toml extends base.toml extends mine.toml; remove this key from one of them."
    )
    assert refused(path) == message


def test_a_detection_command_refuses_a_variant_of_a_localisation_suite(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD, WSOL)
    said = call("export", path, "--out", tmp_path / "attacks.zip", "--store", tmp_path / "store")
    assert f"{path} is a localisation suite, and this takes a suite of detectors" in said.mistake


def test_a_base_that_is_no_toml_is_named(tmp_path: Path) -> None:
    assert refused(written(tmp_path, HEAD, "name = [")).startswith("base.toml is not TOML")


@pytest.mark.parametrize(
    ("text", "old", "new", "where"),
    [
        # what the variant says is wrong
        ("limit = 3\n", "", "", "mine.toml, line 3: limit: input"),
        ("[model]\nfloor = 2.0\n", "", "", "mine.toml, line 4: model.floor: input"),
        ("[model]\nflor = 0.2\n", "", "", "mine.toml, line 4: model.flor: there is no such key"),
        ("[model.train]\nepochs = nan\n", "", "", "mine.toml, line 4: model.train.epochs: nan is neither"),
        ("model = 3\n", "", "", "mine.toml, line 3: model: input"),
        ('[detectors]\nname = "lid"\n', "", "", "mine.toml, line 3: detectors: Input should be a valid list"),
        (
            '[[detectors]]\nname = "energy"\ngate_seeds = 0\n',
            "",
            "",
            "mine.toml, line 5: detectors.energy.gate_seeds:",
        ),
        ('[[detectors]]\nname = "n"\nafter = "lid"\nk = 1\n', "", "", "mine.toml, line 6: detectors.n.k: there is no"),
        (
            '[[detectors]]\nname = "max-softmax"\ncandidate = [{}]\n',
            "",
            "",
            "mine.toml, line 5: detectors.max-softmax.candidate: there is no such key here; remove it or correct its "
            "spelling. Did you mean 'candidates'?",
        ),
        ('[[detectors]]\nlabel = "new"\n', "", "", "mine.toml, line 3: detectors.new.name: this key is required"),
        ('[statistics]\ncomparisons = [["lid"]]\n', "", "", "mine.toml, line 4: statistics.comparisons.0.1: this key"),
        ('without = ["model"]\n', "", "", "mine.toml: model: this key is required and missing"),
        ('without = ["detectors.lid"]\n', "", "", "mine.toml: the suite: statistics.comparisons names 'lid'"),
        # what the base says is wrong
        ("", "limit = 100", "limit = 3", "base.toml, line 4: limit: input"),
        ("[model]\nfloor = 0.2\n", "width = 8 }", "width = nan }", "base.toml, line 12: model.parameters.width: nan"),
        (
            'without = ["detectors.lid"]\n',
            '"energy"\n',
            '"energy"\nk = 1\n',
            "base.toml, line 32: detectors.energy.k: there",
        ),
        (
            '[[protocols]]\nname = "lee2018"\n',
            "splits = 2",
            "splits = 0",
            "base.toml, line 35: protocols.strict.splits:",
        ),
        ("", 'name = "lid"', 'name = "lid"\nafter = "energy"', "base.toml, line 24: detectors.lid.after: there is no"),
        ("[model]\nfloor = 0.2\n", 'name = "digits-cnn"', "", "mine.toml, line 3: model.name: this key is required"),
        ("", 'name = "digits-cnn"', "", "base.toml, line 9: model.name: this key is required"),
        ("", 'label = "maha.v1"', 'label = "lid"', "base.toml, line 26: detectors.1: two entries are labelled 'lid'"),
    ],
)
def test_a_mistake_in_the_merged_suite_is_named_by_the_file_that_it_stands_in(
    tmp_path: Path, text: str, old: str, new: str, where: str
) -> None:
    assert old in BASE
    assert refused(written(tmp_path, HEAD + text, BASE.replace(old, new, 1) if old else BASE)).startswith(where)


def test_without_and_after_mean_nothing_in_a_suite_that_extends_none(tmp_path: Path) -> None:
    path = written(tmp_path, 'without = ["limit"]' + BASE)
    assert refused(path).startswith("mine.toml, line 1: without: there is no such key here")
