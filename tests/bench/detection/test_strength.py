"""A minimum-norm attack that another one beats is named, by how much and on which images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from subnetbench.attacks.lee2018 import CW, DeepFool
from subnetbench.bench.detection.aim import remark_of, stated_aim
from subnetbench.bench.detection.entry import AttackNote
from subnetbench.bench.detection.optimality import verdicts
from subnetbench.bench.detection.strength import LEAST, remarks, weaker
from subnetbench.bench.detection.suite import AttackPart

from .test_summary import ATTACK


def facts(norms: list[float], fooled: int) -> dict[str, np.ndarray]:
    """Norms of 20 images, the first ``fooled`` of which are fooled."""
    count, norm = np.arange(20), np.resize(norms, 20)
    return {"l2": norm, "linf": norm.copy(), "success": count < fooled, "clean_correct": count > 0}


def test_the_weaker_attack_is_named_with_its_distance_on_the_images_that_both_fool() -> None:
    strong, weak = facts([0.105], 20), facts([0.187], 15)
    strong["l2"][15:] = 9.0  # images that the weak one does not fool: they are not compared
    found = weaker({"deepfool": strong, "cw": weak}, {"deepfool": "L2", "cw": "L2"})
    assert list(found) == ["cw"]
    assert found["cw"][0].startswith("its median L2 is 0.187 on the 14 images that deepfool fools too, with 0.105 (78%")


def test_the_strongest_of_several_is_the_measure() -> None:
    three = {"a": facts([1.0], 20), "b": facts([1.5], 20), "c": facts([3.0], 20)}
    found = weaker(three, dict.fromkeys(three, "L2"))
    assert set(found) == {"b", "c"}
    assert "that a fools too, with 1 (200% more)" in found["c"][0]


def test_what_cannot_be_compared_is_not() -> None:
    pair = {"a": facts([1.0], 20), "b": facts([1.05], 20)}
    assert weaker(pair, dict.fromkeys(pair, "L2")) == {}  # as good as each other
    pair["b"] = facts([3.0], LEAST)  # one image too few, for the first is not classified correctly
    assert weaker(pair, dict.fromkeys(pair, "L2")) == {}
    pair["b"] = facts([3.0], 20)
    assert weaker(pair, {"a": "L2", "b": "Linf"}) == {}
    pair["a"] = facts([0.0], 20)
    assert weaker(pair, dict.fromkeys(pair, "L2")) == {}


class Bystander(DeepFool):
    """An attack of anybody's that says itself that it looks for no least norm."""

    minimises = False


@pytest.mark.parametrize(
    ("attack", "judged"), [(CW(), False), (CW(norm_weight=1.0), True), (Bystander(), False), (DeepFool(), True)]
)
def test_an_attack_that_looks_for_no_least_norm_is_not_measured_by_one_that_does(attack: Any, judged: bool) -> None:
    attacked = SimpleNamespace(
        attacks={"deepfool": DeepFool(), "other": attack},
        strength=lambda part: facts([0.44 if part.title == "deepfool" else 0.84], 20),
        remarks=lambda part: [],
    )
    found = remarks(cast(Any, attacked), [AttackPart(name="deepfool"), AttackPart(name="cw", label="other")])
    assert list(found) == (["other"] if judged else [])
    assert attack.info.threat == "minimum-norm"  # its images count at any norm all the same


def test_it_may_beat_one_that_does() -> None:
    pair = {"deepfool": facts([2.0], 20), "cw": facts([1.0], 20)}
    assert list(weaker(pair, dict.fromkeys(pair, "L2"), judged=["deepfool"])) == ["deepfool"]


def test_nor_is_it_called_a_minimum_norm_attack_where_it_leaves_images_unfooled() -> None:
    note = AttackNote.model_validate({"name": "cw", **ATTACK, "threat": "minimum-norm"})
    assert verdicts(note, None) == ["a minimum-norm attack that leaves 1 of 40 images unfooled"]
    for stated, kind in ((False, "an attack without a budget"), (True, "a minimum-norm attack")):
        said = note.model_copy(update={"parameters": CW().parameters if stated else {}, "minimises": stated})
        assert verdicts(said, None) == [f"{kind} that leaves 1 of 40 images unfooled"]
    without = note.model_copy(update={"parameters": CW().parameters})
    assert verdicts(without, None) == ["an attack without a budget that leaves 1 of 40 images unfooled"]


def test_a_stored_remark_that_is_untrue_of_such_an_attack_is_not_shown() -> None:
    found = weaker({"a": facts([1.0], 20), "b": facts([3.0], 20)}, {"a": "L2", "b": "L2"})["b"][0]
    both = f"it is too weak: it fools 50.0% of the images; {found}"
    assert remark_of(both, "minimum-norm", {"norm_weight": 1.0}) == both
    assert remark_of(both, "minimum-norm", {"norm_weight": 0.0}) == "it is too weak: it fools 50.0% of the images"
    assert remark_of(found, "minimum-norm", {"norm_weight": 0}) == ""
    assert remark_of(found, "minimum-norm", {"norm_weight": 0}, stated=True) == found
    assert remark_of(found, "minimum-norm", {}, stated=False) == ""
    assert stated_aim(Bystander()) is False
    assert stated_aim(DeepFool()) is None
