"""A minimum-norm attack that another one beats is named, by how much and on which images."""

from __future__ import annotations

import numpy as np
from subnetbench.bench.detection.strength import LEAST, weaker


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
