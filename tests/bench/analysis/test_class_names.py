from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from subnetbench.bench.analysis.class_names import CIFAR100_SUPERCLASSES, class_names, superclasses

#: Real labels lie beside the checkout where the suite is developed, and are not part of it.
DATA = Path(__file__).parents[4] / "shared" / "data"


def test_names_stand_in_the_official_order():
    assert class_names("cifar10") == (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    hundred = class_names("cifar100")
    assert hundred is not None
    assert len(set(hundred)) == 100
    official = {
        0: "apple",
        1: "aquarium fish",
        26: "crab",
        27: "crocodile",
        41: "lawn mower",
        43: "lion",
        52: "oak tree",
        58: "pickup truck",
        83: "sweet pepper",
        98: "woman",
        99: "worm",
    }
    assert {label: hundred[label] for label in official} == official
    for digits in ("digits", "svhn", "svhn10k"):
        assert class_names(digits) == tuple("0123456789")


def test_superclasses_have_their_sizes():
    assert set(Counter(superclasses("cifar100")).values()) == {5}
    assert Counter(superclasses("cifar10")) == {"animals": 6, "vehicles": 4}


def test_what_is_not_known_is_none():
    assert class_names("my-own") is None
    assert superclasses("my-own") is None
    assert superclasses("digits") is None


@pytest.mark.parametrize("split", ["train", "test"])
def test_superclasses_are_those_of_the_real_labels(split):
    path = DATA / "cifar100" / f"{split}-arrays.npz"
    if not path.is_file():
        pytest.skip(f"the real CIFAR-100 labels are not here: {path.name} lies outside of the project")
    with np.load(path) as columns:
        fine, coarse = columns["label"], columns["coarse"]
    order = list(CIFAR100_SUPERCLASSES)
    ours = np.array([order.index(name) for name in superclasses("cifar100")])
    np.testing.assert_array_equal(ours[fine], coarse)
