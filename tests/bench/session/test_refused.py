"""Bad input to `run` with objects: one sentence each, which says what, where and the fix; never a traceback."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench import Dataset, Split, UserError, run
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.detectors.mahalanobis import Mahalanobis
from torch import nn

from ...conftest import TrainedDigits
from .conftest import CELLS, Notebook, Place

CELL = """
class NoFit:
    info = MyDetector.info
    def characteristics(self, x): ...


class NoScores:
    info = MyDetector.info
    def fit(self, train): ...


class NoInfo:
    def fit(self, train): ...
    def characteristics(self, x): ...


class OtherInfo(MyDetector):
    info = "a text"


class Needs(MyDetector):
    def __init__(self, weights):
        super().__init__()


class Hides(MyDetector):
    def __init__(self, size=3):
        super().__init__()
        self._size = size


class Many(MyDetector):
    def __init__(self, **options):
        super().__init__()


class Turns(MyDetector):
    def __init__(self, size=3):
        super().__init__()
        self.size = size + 1


class Holds(MyDetector):
    def __init__(self, table):
        super().__init__()
        self.table = table


class NoCall:
    info = parameters = None


def wants(x):
    return MyDetector()


def makes_none():
    return 3
"""

MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no fit": (lambda n: n["NoFit"], "The class NoFit has no method fit, so it is no detector"),
    "no characteristics": (lambda n: n["NoScores"](), "The class NoScores has no method characteristics"),
    "no info": (lambda n: n["NoInfo"], "The class NoInfo has no info; declare info = DetectorInfo"),
    "another info": (lambda n: n["OtherInfo"], "detectors.other-info: its info is not of the class DetectorInfo"),
    "arguments missing": (lambda n: n["Needs"], r"The class Needs cannot be made without 'weights'; give an instance"),
    "hidden": (lambda n: n["Hides"](4), "The parameters of this Hides cannot be known: it keeps no attribute 'size'"),
    "any options": (lambda n: n["Many"](a=1), "The parameters of this Many cannot be known: it keeps no .* 'options'"),
    "changed": (lambda n: n["Turns"](3), "Turns was made with size=4 and, made again with it, has 5; keep"),
    "not plain": (lambda n: n["Holds"](np.ones(3)), r"parameter 'table' that no entry can state \(ndarray\)"),
    "partial": (lambda n: functools.partial(n["Holds"], table=np.ones(3)), "parameter 'table' that no entry can state"),
    "lambda with an argument": (lambda n: lambda x: x, "A lambda makes no detector when it is called without"),
    "lambda of what hides": (lambda n: lambda: n["Hides"](4), "The parameters of this Hides cannot be known"),
    "function with an argument": (lambda n: n["wants"], "The function wants makes no detector when it is called"),
    "function of nothing": (lambda n: n["makes_none"], "3 is no detector; give a class with fit and characteristics"),
    "number": (lambda n: 3, "3 is no detector"),
    "unknown name": (lambda n: "enrgy", "no detector named 'enrgy'. Did you mean 'energy'"),
    "there already": (lambda n: Mahalanobis, "has a detector 'mahalanobis' already, with other settings; leave it out"),
}


@pytest.fixture
def names() -> dict[str, Any]:
    return Notebook().run(*CELLS, CELL)


@pytest.mark.parametrize("case", MISTAKES)
def test_what_is_no_detector_is_refused(place: Place, names: dict[str, Any], case: str) -> None:
    make, message = MISTAKES[case]
    with pytest.raises(UserError, match=message) as refused:
        place.run(detectors=[make(names)])
    assert "\n" not in str(refused.value)


def test_two_of_one_name_and_the_same_parameters_are_refused(place: Place, names: dict[str, Any]) -> None:
    mine = names["MyDetector"]
    for pair in ([mine, mine], [mine(k=3), mine(k=3)], [mine, mine()], ["energy", "energy"]):
        with pytest.raises(UserError, match=r"Two detectors are called '.*': they have the same name"):
            place.run(detectors=pair)
    with pytest.raises(UserError, match="Two attacks are called 'my-attack'"):
        place.run(attacks=[names["MyAttack"], names["MyAttack"]])


def test_what_is_no_attack_is_refused(place: Place, names: dict[str, Any]) -> None:
    for thing, message in (
        (names["NoCall"], "The class NoCall has no method __call__, so it is no attack"),
        (names["MyDetector"], "The class MyDetector has no method __call__"),
        ("foolbox/fgms", "no attack named 'foolbox/fgms'. Did you mean"),
        (7, "7 is no attack"),
    ):
        with pytest.raises(UserError, match=message):
            place.run(attacks=[thing])


def test_other_suites_and_empty_ones_are_refused(place: Place, names: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="go with suites of detectors; 'wsol-tiny' is not one"):
        run("wsol-tiny", detectors=[names["MyDetector"]], store=place.folder / "store", output=place.output)
    with pytest.raises(UserError, match="only=True leaves out the suite's own detectors, and none are given"):
        place.run(only=True)
    with pytest.raises(UserError, match="detectors is a dict; give a list"):
        place.run(detectors={"mine": names["MyDetector"]})


# -- data -----------------------------------------------------------------------------------------------------------

IMAGES = np.zeros((40, 8, 8, 1), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(40) + 10
LABELS = np.arange(40) % 10
FLOATS = IMAGES.transpose(0, 3, 1, 2) / 255

ARRAYS: dict[str, tuple[Any, str]] = {
    "three": (
        (IMAGES, LABELS, IMAGES),
        "dataset is of type tuple and length 3; give a registered",
    ),
    "no column": ({"train_images": IMAGES}, "dataset has no 'train_labels'; it needs train_images"),
    "int64": ((IMAGES.astype(int), LABELS, IMAGES, LABELS), "train_images is int64 with values in"),
    "shape": ((IMAGES[..., 0], LABELS, IMAGES, LABELS), r"train_images has shape \(40, 8, 8\)"),
    "float NHWC": (
        (IMAGES / 255, LABELS, IMAGES, LABELS),
        r"float64 of shape \(40, 8, 8, 1\); images in",
    ),
    "range": ((FLOATS * 255, LABELS, IMAGES, LABELS), r"train_images has values in \[0, 49\]; give images in \[0, 1\]"),
    "normalised": ((FLOATS - 1, LABELS, IMAGES, LABELS), r"train_images has values in \[-1, "),
    "NaN": ((FLOATS * np.nan, LABELS, IMAGES, LABELS), "train_images holds NaN"),
    "scaled": ((IMAGES // 255 + 1, LABELS, IMAGES, LABELS), "no pixel above 1"),
    "sizes": ((IMAGES, LABELS, IMAGES[:, :4], LABELS), "differ in size"),
    "label count": ((IMAGES, LABELS[:9], IMAGES, LABELS), "train_labels is int64 of shape"),
    "float labels": ((IMAGES, LABELS / 1, IMAGES, LABELS), "train_labels is float64"),
    "one-hot": ((IMAGES, np.eye(10)[LABELS], IMAGES, LABELS), "train_labels is float64 of shape"),
    "no class 3": ((IMAGES, LABELS + (LABELS == 3), IMAGES, LABELS), "10 classes and class 3 has no training image"),
    "class of the test": ((IMAGES, LABELS, IMAGES, LABELS + 1), "11 classes and class 10 has no training image"),
    "negative": ((IMAGES, LABELS - 1, IMAGES, LABELS), "train_labels must be 0 or greater"),
    "ragged": (([[1], [1, 2]], LABELS, IMAGES, LABELS), "train_images is no array"),
    "object": (Dataset("mine", Split(IMAGES, LABELS), Split(IMAGES, LABELS), 12), "12 classes and class 10 has no"),
    "name": ("digitz", "no data set named 'digitz'. Did you mean 'digits'"),
    "number": (4, "dataset is of type int; give a registered name"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_no_data_set_is_refused(place: Place, case: str) -> None:
    given, message = ARRAYS[case]
    with pytest.raises(UserError, match=message) as refused:
        place.run(dataset=given)
    assert "\n" not in str(refused.value)


def test_data_are_given_once(place: Place) -> None:
    with pytest.raises(UserError, match="dataset= hands over the images, and data_root= names others"):
        place.run(dataset=(IMAGES, LABELS, IMAGES, LABELS), data_root=place.folder)


# -- nets -----------------------------------------------------------------------------------------------------------


def test_a_net_of_other_classes_or_another_shape_is_refused(place: Place) -> None:
    with pytest.raises(UserError, match="'my-net' has 7 classes and the data have 10"):
        place.run(model=digits_cnn(classes=7))
    with pytest.raises(UserError, match="'my-net' is made for images of 16 x 16 pixels with 3 channels"):
        place.run(model=digits_cnn(shape=(3, 16, 16)))


def test_what_is_no_net_is_refused(place: Place) -> None:
    for thing, message in (
        (nn.Linear, "model is the class Linear; make an instance of it"),
        (3, "model is of type int; give a registered name, a table with one, a torch module or a Classifier"),
        ("wide77", "no model named 'wide77'. Did you mean 'wide7'"),
        (digits_cnn().half(), "give a net in float32"),
    ):
        with pytest.raises(UserError, match=message):
            place.run(model=thing)


def test_a_net_whose_logits_are_not_finite_is_refused(place: Place) -> None:
    net = digits_cnn()
    net.head.bias.data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"not finite|NaN"):
        place.run(model=net)


def test_a_module_with_other_logits_is_refused(place: Place) -> None:
    with pytest.raises(UserError):
        place.run(model=nn.Sequential(nn.Flatten(), nn.Linear(64, 7)))


@pytest.fixture
def gated(place: Place) -> Path:
    """The suite with subnets and one detector that needs them."""
    subnets = '\n[subnets]\nposition = "units"\nbatch_size = 16\n\n[[detectors]]\nname = "subnet-mahalanobis"\n'
    file = place.folder / "gated.toml"
    file.write_text(place.suite.read_text().replace('name = "small"', 'name = "gated"', 1) + subnets)
    return file


def test_a_net_without_gates_runs_without_the_detectors_that_need_subnets(
    place: Place, gated: Path, trained_digits: TrainedDigits, capsys: pytest.CaptureFixture[str]
) -> None:
    net = copy.deepcopy(trained_digits.classifier)
    net.gate_positions = {}
    frame = run(gated, model=net, store=place.folder / "store", output=place.output)
    assert set(frame["detector"]) == {"mahalanobis", "max-softmax"}
    assert "subnet-mahalanobis need subnets and are left out" in capsys.readouterr().err


def test_subnets_are_learned_where_the_net_has_gates(
    place: Place, gated: Path, trained_digits: TrainedDigits, capsys: pytest.CaptureFixture[str]
) -> None:
    net = copy.deepcopy(trained_digits.classifier)
    net.gate_positions = {"elsewhere": net.gate_positions["units"]}
    frame = run(gated, model=net, store=place.folder / "store", output=place.output)
    assert frame.query("detector == 'subnet-mahalanobis'")["auroc"].notna().all()
    assert "The net has no gate position 'units', at which gated learns subnets; they are learned at 'elsewhere'" in (
        capsys.readouterr().err
    )
