"""CW as one descent beside Foolbox's search, on the same images with the same parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from subnetbench.attacks.presets import PRESETS, build
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.models.passes import counted

from .conftest import Digits

CW = {"steps": 30, "step_size": 0.1, "binary_search_steps": 4, "initial_const": 0.1}


def measured(library: str, name: str, parameters: dict[str, Any], digits: Digits) -> tuple[dict[str, Any], float]:
    """Facts of an attack's images, and its gradients of an image."""
    attack = build(name, library, "quick", parameters)
    with counted(digits.classifier) as passes:
        made = craft(attack, digits.classifier, digits.images, digits.labels, seed=3)
    return verify(digits.classifier, digits.images, made, digits.labels), passes.backward / len(made)


@pytest.mark.parametrize(
    ("parameters", "share"),
    [
        (CW, 0.5),
        ({}, 0.6),  # of preset quick, whose first constant is too small for these images
        (CW | {"initial_const": 100.0}, 0.5),
        (CW | {"initial_const": 1e-4, "binary_search_steps": 6}, 0.65),
    ],
)
def test_it_comes_as_near_as_foolbox_in_fewer_gradients(
    parameters: dict[str, Any], share: float, digits: Digits
) -> None:
    theirs, dear = measured("foolbox", "cw", parameters, digits)
    ours, cheap = measured("subnetbench", "cw-continued", parameters, digits)
    assert cheap < share * dear
    assert (ours["success"] >= theirs["success"]).all()
    ratio = ours["l2"][theirs["success"]] / theirs["l2"][theirs["success"]]
    assert np.median(ratio) < 1.005
    assert np.quantile(ratio, 0.9) < 1.1


def test_one_constant_is_foolboxs_descent(digits: Digits) -> None:
    once = CW | {"binary_search_steps": 1, "initial_const": 10.0}
    (theirs, _), (ours, steps) = (
        measured("foolbox", "cw", once, digits),
        measured("subnetbench", "cw-continued", once, digits),
    )
    np.testing.assert_allclose(ours["l2"], theirs["l2"], rtol=1e-3)
    assert steps == 30


def test_images_leave_one_by_one(digits: Digits) -> None:
    attack = build("cw-continued", "subnetbench", "quick", CW)
    sizes: list[int] = []
    hook = digits.classifier.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    try:
        craft(attack, digits.classifier, digits.images, digits.labels, seed=3)
    finally:
        hook.remove()
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_its_presets_are_cws(preset: str) -> None:
    assert PRESETS[preset]["subnetbench/cw-continued"] == PRESETS[preset]["cw"]
    search, descent = (build(name, "subnetbench", preset, {}) for name in ("cw", "cw-continued"))
    assert descent.parameters == search.parameters
    assert descent.passes(10) < search.passes(10)


def test_it_says_that_it_is_carlini_and_wagners() -> None:
    assert build("cw-continued", "subnetbench", "quick", {}).info.url == "https://arxiv.org/abs/1608.04644"
