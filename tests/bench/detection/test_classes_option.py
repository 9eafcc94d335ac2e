"""``--classes``: some class folders of a data set, and pretrained nets cut to them; whole runs on real images."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from subnetbench.bench import UserError, runner
from subnetbench.bench.cli import console
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core.store import Store
from subnetbench.bench.core.wnids import places, synsets
from subnetbench.bench.data.load import load
from subnetbench.bench.detection.override import choose_classes
from subnetbench.bench.detection.suite import Suite
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.tracks import load_suite

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "tinyimagenet30"
SUITES = [name for name in builtin_suites() if name.startswith("imagenet-")]

#: King penguin, lemon, school bus: no two of them look alike.
WNIDS = ("n02056570", "n07749582", "n04146614")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real 64-pixel images of three of Tiny-ImageNet's classes: 20 each to fit on, 10 each to attack."""
    if not (SHARED / "val.tar").is_file():
        pytest.skip(f"{SHARED} is not here: Tiny-ImageNet's images do not travel with the project")
    root = tmp_path_factory.mktemp("tiny-imagenet")
    for split, count in (("train", 20), ("val", 10)):
        with tarfile.open(SHARED / f"{split}.tar") as archive:
            for wnid in WNIDS:
                members = [m for m in archive.getmembers() if m.name.startswith(f"{split}/{wnid}/")]
                for member in members[:count]:  # extractall's `filter` came with Python 3.11.4
                    path = root / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.extractfile(member).read())
    return root


def call(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of ``subnetbench WORDS``, without starting a process."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["subnetbench", *map(str, words)])
        patch.setattr(console, "out", Console(width=200))
        patch.setattr(console, "err", Console(stderr=True))
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), err.getvalue()


def sentence(*words: object) -> str:
    """What a user's mistake prints: one sentence, exit code 2, no traceback."""
    code, _, err = call(*words)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2, err
    assert "Traceback" not in err
    assert len(lines) == 1
    assert lines[0].endswith(".")
    return lines[0]


def no_network(*args: object, **kwargs: object) -> None:
    raise OSError("<urlopen error [Errno -2] Name or service not known>")


# -- the thousand ------------------------------------------------------------------------------------------------------


def test_the_thousand_wnids_are_sorted_and_unique():
    known = synsets()
    assert list(known) == sorted(known)
    assert len(known) == 1000
    assert list(known.values()) == list(range(1000))


def test_their_order_is_that_of_torchvisions_categories():
    from torchvision.models import AlexNet_Weights, ResNet50_Weights, VGG16_Weights

    names = ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    assert names == AlexNet_Weights.IMAGENET1K_V1.meta["categories"] == VGG16_Weights.IMAGENET1K_V1.meta["categories"]
    pairs = {"n01440764": "tench", "n02124075": "Egyptian cat", "n03126707": "crane", "n15075141": "toilet tissue"}
    if (SHARED / "classes.csv").is_file():
        pairs |= dict(line.split(",") for line in (SHARED / "classes.csv").read_text().splitlines()[1:])
        assert len(pairs) == 33
    assert [names[place] for place in places(list(pairs))] == list(pairs.values())


# -- the choice --------------------------------------------------------------------------------------------------------


def test_names_reach_the_data_set_and_the_logits_without_row_numbers():
    chosen = choose_classes(load_suite("imagenet-resnet50"), "n04146614, n02056570,n02056570")
    assert chosen.dataset.parameters["classes"] == ["n04146614", "n02056570"]
    assert chosen.model.parameters == {"weights": "IMAGENET1K_V1", "rows": ["n02056570", "n04146614"]}
    assert load_suite("imagenet-resnet50").model.parameters == {"weights": "IMAGENET1K_V1"}


def test_a_net_without_weights_has_no_rows_to_choose_and_may_see_any_folder():
    suite = load_suite("imagenet-alexnet")
    suite = suite.model_copy(update={"model": suite.model.model_copy(update={"parameters": {}})})
    assert choose_classes(suite, ["cat", "dog"]).model.parameters == {}


def test_classes_that_the_suite_itself_lists_need_no_rows_either():
    suite = load_suite("imagenet-alexnet")
    part = suite.dataset.model_copy(update={"parameters": {"classes": list(WNIDS)}})
    suite = suite.model_copy(update={"dataset": part})
    assert suite.overridden().model.parameters["rows"] == sorted(WNIDS)
    rows = {"weights": "IMAGENET1K_V1", "rows": [5, 6, 7]}
    own = suite.model_copy(update={"model": suite.model.model_copy(update={"parameters": rows})})
    assert choose_classes(own, None) == own
    assert choose_classes(load_suite("digits"), None) == load_suite("digits")


@pytest.mark.parametrize(
    "text",
    [
        "n02056570\nn07749582\n",
        "wnid,name\nn02056570,king penguin\nn07749582,lemon\n",
        "\ufeffn02056570 king penguin, Aptenodytes patagonica\n\n# fruit\nn07749582 lemon\r\n",
        '"n02056570","king penguin"\n"n07749582","lemon"\n"n07749582","lemon"\n',
    ],
)
def test_names_may_come_from_a_file(tmp_path, text):
    file = tmp_path / "some.csv"
    file.write_text(text, encoding="utf-8")
    chosen = choose_classes(load_suite("imagenet-vgg16"), str(file))
    assert chosen.dataset.parameters["classes"] == ["n02056570", "n07749582"]


def test_a_file_for_ones_own_folder_has_no_header(tmp_path):
    (tmp_path / "names").write_text("ant\nbee\n", encoding="utf-8")
    suite = load_suite("imagenet-alexnet")
    update = {"dataset": suite.dataset.model_copy(update={"name": "folder"}), "model": load_suite("digits").model}
    chosen = choose_classes(suite.model_copy(update=update), str(tmp_path / "names"))
    assert chosen.dataset.parameters["classes"] == ["ant", "bee"]


def test_all_thousand_names_on_a_command_line_are_no_path():
    assert len(choose_classes(load_suite("imagenet-vgg16"), ",".join(synsets())).model.parameters["rows"]) == 1000


@pytest.mark.parametrize(
    ("suite", "classes", "fix"),
    [
        ("digits", "1,2", "data set 'digits' has no class folders to choose from; --classes goes with"),
        ("cifar10-table2", "cat,dog", "data set 'cifar10' has no class folders"),
        ("imagenet-resnet50", "n02056570", "--classes names only 'n02056570', but a classifier needs two"),
        ("imagenet-resnet50", " , ", "--classes names no class,"),
        ("imagenet-resnet50", "nowhere.csv", "There is no file nowhere.csv for --classes"),
        ("imagenet-resnet50", "n02056570,n00000001", "'n00000001' is not one of ImageNet's thousand wnids"),
        ("imagenet-resnet50", "cat,dog", r"'cat' is not one of .*\(2 of 2 classes are not\)"),
    ],
)
def test_a_wrong_choice_is_one_sentence(suite, classes, fix):
    with pytest.raises(UserError, match=fix):
        choose_classes(load_suite(suite), classes)
    assert sentence("run", suite, "--classes", classes).startswith("error: ")


def test_a_file_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        choose_classes(load_suite("imagenet-vgg16"), str(tmp_path / "a.txt"))


def test_a_wnid_that_the_root_lacks_is_named(images):
    said = sentence("run", "imagenet-alexnet", "--data-root", images, "--classes", "n02056570,n01440764")
    assert "train has no class folder 'n01440764' (1 of 2 named classes are absent); correct --classes" in said


def test_a_root_of_other_classes_than_the_thousand_says_to_use_classes(images):
    said = sentence("run", "imagenet-alexnet", "--data-root", images)
    assert "has 1000 logits and the data set has 3 classes; name these classes with --classes" in said


def test_classes_of_an_npz_is_one_sentence(tmp_path):
    pixels, labels = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2
    np.savez(tmp_path / "a.npz", train_images=pixels, train_labels=labels, test_images=pixels, test_labels=labels)
    said = sentence("run", "imagenet-alexnet", "--data-root", tmp_path / "a.npz", "--classes", "n02056570,n07749582")
    assert "whose classes have numbers but no names" in said
    suite = load_suite("imagenet-alexnet")
    suite = suite.model_copy(update={"dataset": suite.dataset.model_copy(update={"name": str(tmp_path / "a.npz")})})
    with pytest.raises(UserError, match="no class folders"):
        choose_classes(suite, "a,b")


# -- the data set ------------------------------------------------------------------------------------------------------


def test_images_are_spread_evenly_over_the_chosen_classes(images):
    found = load("imagenet", images, size=32, train_images=30, test_images=1)
    assert np.bincount(found.train.labels).tolist() == [10, 10, 10]
    assert np.bincount(found.test.labels).tolist() == [1, 1, 1]
    two = load("imagenet", images, size=32, classes=list(WNIDS[:2]), train_images=31, test_per_class=3)
    assert np.bincount(two.train.labels).tolist() == [15, 15]
    assert np.bincount(two.test.labels).tolist() == [3, 3]
    assert two.note == "ImageNet subset"


# -- suites and whole runs ---------------------------------------------------------------------------------------------


def test_the_three_suites_differ_in_the_model_alone():
    assert SUITES == ["imagenet-alexnet", "imagenet-resnet50", "imagenet-vgg16"]
    first, *others = [
        load_suite(name).model_dump(exclude={"name": True, "title": True, "model": {"name", "floor"}})
        for name in SUITES
    ]
    assert all(other == first for other in others)
    table2 = load_suite("cifar10-table2")
    assert [a.title for a in load_suite(SUITES[0]).attacks] == [a.title for a in table2.attacks]
    assert {d.name for d in load_suite(SUITES[0]).detectors} == {d.name for d in table2.detectors}
    assert load_suite(SUITES[0]).protocols == table2.protocols


@pytest.mark.parametrize("name", SUITES)
def test_validate_needs_neither_data_nor_network(monkeypatch, name):
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    code, out, _ = call("validate", name)
    assert code == 0
    assert "is a valid suite" in out


@pytest.mark.parametrize("name", SUITES)
def test_without_a_network_the_weights_are_one_sentence(monkeypatch, images, name):
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    said = sentence("run", name, "--data-root", images, "--classes", ",".join(WNIDS))
    assert "could not be downloaded or read (<urlopen error" in said
    assert "with no network, put https://download.pytorch.org/models/" in said


def test_without_a_root_the_fix_is_stated():
    assert "give the folder that holds train/ and val/ with --data-root" in sentence("run", "imagenet-vgg16")


def small(net: str, parameters: dict[str, Any]) -> Suite:
    """The shipped suite on 30 images of 64 pixels, with FGSM alone and four of its detectors."""
    suite = load_suite(f"imagenet-{net}")
    kept = ("mahalanobis", "subnet-mahalanobis", "max-softmax", "subnet-mahalanobis-random")
    changes = suite.model_dump(mode="json") | {"limit": 30}
    changes["dataset"]["parameters"] = {"size": 64}
    changes["model"] |= {"floor": 0.0, "parameters": parameters, "train": {"epochs": 1, "batch_size": 40}}
    changes["attacks"] = changes["attacks"][:1]
    changes["detectors"] = [d for d in changes["detectors"] if d["name"] in kept and d["label"] is None]
    changes["subnets"] |= {"epochs": 1, "learning_rate": 0.2, "position": "late", "allow_collapsed": True}
    changes["protocols"] = [{"name": "strict", "splits": 2, "minimum_fit": 2, "minimum_success": 2, "folds": 2}]
    changes["statistics"] = {}
    return Suite.model_validate(changes)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Removed at once: a store with an AlexNet in it takes a quarter of a gigabyte."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("net", ["alexnet", "resnet50"])
def test_a_whole_run_on_real_images(monkeypatch, images, scratch, net):
    parameters: dict[str, Any] = {}
    if net == "alexnet":  # as if torchvision's weights had come: random ones, of a thousand logits
        import torchvision.models as zoo

        torch.manual_seed(0)
        state = zoo.alexnet(weights=None).state_dict()
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
        parameters = {"weights": "IMAGENET1K_V1"}
    suite = small(net, parameters).overridden(classes=",".join(WNIDS))
    context = Context(Store(scratch / "store"), torch.device("cpu"), images)
    result = runner.execute(suite, context, scratch / "out")

    assert result.failures == []
    assert len(result.entries) == len(suite.detectors) == 4
    for entry in result.entries:
        assert entry.dataset.note == "ImageNet subset"
        assert entry.dataset.train_images == 60
        assert entry.dataset.attacked_images == 30
        assert entry.model.parameters.get("rows") == (sorted(WNIDS) if parameters else None)
        assert {cell.fit_on for cell in entry.cells} == set(entry.attacks)
        assert all(cell.auroc is None or 0 <= cell.auroc <= 1 for cell in entry.cells)
    subnets = json.loads((result.folder / "subnets.json").read_text(encoding="utf-8"))
    assert subnets["options"]["position"] == "late"


def variant(file: Path, *changes: tuple[str, str], base: str = "imagenet-alexnet") -> Path:
    text = builtin_suites()[base].read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_dry_run_takes_the_choice_too(images, tmp_path):
    changes = (
        ("\nparameters = { weights", "\n[model.train]\n# "),
        ('"imagenet"\n', '"imagenet"\nparameters = { size = 64 }\n'),
    )
    words = ("--dry-run", "--data-root", images, "--store", tmp_path / "store", "--classes", ",".join(WNIDS[:2]))
    code, out, err = call("run", variant(tmp_path / "mine.toml", *changes), *words)
    assert code == 0, err
    assert "20 images attacked, 40 to fit on" in " ".join(out.split())


@pytest.mark.parametrize(
    ("dataset", "fix"),
    [
        ("train_limit = 10", "Class 0 has 1 training images, and a subnet needs at least 2"),
        ("parameters = { size = 3 }", "dataset.parameters: the data set 'digits' does not take them"),
    ],
)
def test_a_data_set_that_cannot_serve_is_one_sentence(tmp_path, dataset, fix):
    changes = (
        ("epochs = 20", "epochs = 1"),
        ("floor = 0.95", "floor = 0.0"),
        ("limit = 450", "limit = 20"),
        ('name = "digits"\n\n', f'name = "digits"\n{dataset}\n\n'),
    )
    file = variant(tmp_path / "mine.toml", *changes, base="digits")
    assert fix in sentence("run", file, "--store", tmp_path / "store", "--output", tmp_path / "out")
