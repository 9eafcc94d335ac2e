"""Our own attacks in active-set batches against Foolbox's, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.attacks.presets import PRESETS, build, full_name
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.models.iterates import watched
from subnetbench.bench.models.passes import counted

from .conftest import Digits

CW = {"steps": 30, "step_size": 0.1, "binary_search_steps": 4, "initial_const": 0.1}


def made(library: str, name: str, parameters: dict[str, Any], digits: Digits, count: int = 24) -> torch.Tensor:
    attack = build(name, library, "quick", parameters)
    return craft(attack, digits.classifier, digits.images[:count], digits.labels[:count], seed=3)


def both(name: str, parameters: dict[str, Any], digits: Digits) -> list[dict[str, Any]]:
    """Facts of Foolbox's images and of ours."""
    return [
        verify(digits.classifier, digits.images, made(library, name, parameters, digits), digits.labels)
        for library in ("foolbox", "subnetbench")
    ]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fgsm", {"epsilon": 0.1}),
        ("bim", {"epsilon": 0.1, "step_size": 0.02}),
        ("deepfool", {}),
        ("deepfool", {"steps": 2, "candidates": 2, "overshoot": 0.0}),
        ("deepfool", {"steps": 50, "candidates": 10}),
        ("pgd-linf", {"epsilon": 0.1, "step_size": 0.02, "restarts": 1}),
        ("pgd-linf", {"epsilon": 0.1, "step_size": 0.02, "restarts": 3}),
        ("pgd-l2", {"epsilon": 0.8, "step_size": 0.2, "restarts": 1}),
        ("pgd-l2", {"epsilon": 0.8, "step_size": 0.2, "restarts": 3}),
    ],
)
def test_images_are_foolboxs(name: str, parameters: dict[str, Any], digits: Digits) -> None:
    ours, theirs = (made(library, name, parameters, digits) for library in ("subnetbench", "foolbox"))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("parameters", [CW, CW | {"binary_search_steps": 1, "initial_const": 10.0}])
def test_cw_succeeds_where_foolbox_does_with_the_same_norm(parameters: dict[str, Any], digits: Digits) -> None:
    theirs, ours = (
        verify(digits.classifier, digits.images, made(library, "cw", parameters, digits), digits.labels)
        for library in ("foolbox", "subnetbench")
    )
    np.testing.assert_array_equal(ours["success"], theirs["success"])
    assert theirs["success"].mean() > 0.9
    ratio = ours["l2"][ours["success"]] / theirs["l2"][ours["success"]]
    assert (abs(ratio - 1) < 0.01).mean() >= 0.9
    assert ratio.max() < 1.1
    assert np.median(ratio) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "share"),
    [
        ("deepfool", {"candidates": 4, "steps": 20}, 0.5),
        ("cw", CW | {"binary_search_steps": 6, "initial_const": 100.0}, 0.7),
        ("pgd-linf", {"epsilon": 0.3, "step_size": 0.1, "restarts": 4}, 0.3),
    ],
)
def test_images_that_are_done_cost_no_more_passes(
    name: str, parameters: dict[str, Any], share: float, digits: Digits
) -> None:
    spent = {}
    for library in ("foolbox", "subnetbench"):
        with counted(digits.classifier) as passes:
            made(library, name, parameters, digits)
        spent[library] = passes.forward + passes.backward
    assert spent["subnetbench"] < share * spent["foolbox"]


@pytest.mark.parametrize("name", ["deepfool", "cw", "cw-continued"])
def test_images_that_are_wrong_already_are_left_alone(name: str, digits: Digits) -> None:
    labels = digits.labels[:6].clone()
    labels[1] = (labels[1] + 1) % 10
    found = craft(build(name, "subnetbench", "quick", {}), digits.classifier, digits.images[:6], labels, seed=0)
    torch.testing.assert_close(found[1], digits.images[1], atol=1e-6, rtol=0)
    assert not torch.equal(found[0], digits.images[0])


@pytest.mark.parametrize("name", ["cw", "cw-continued"])
@pytest.mark.parametrize("search", [1, 2])
def test_cw_that_finds_nothing_gives_the_clean_image(name: str, search: int, digits: Digits) -> None:
    hopeless = {"steps": 1, "step_size": 1e-9, "binary_search_steps": search, "initial_const": 1e-9}
    assert torch.equal(made("subnetbench", name, hopeless, digits, 4), digits.images[:4])


@pytest.mark.parametrize("name", ["deepfool", "cw", "cw-continued", "pgd-l2"])
def test_the_nearest_image_on_the_way_is_known_though_images_leave(name: str, digits: Digits) -> None:
    attack = build(name, "subnetbench", "quick", CW if name.startswith("cw") else {})
    epsilon = attack.info.epsilon
    with watched(digits.classifier, digits.images, digits.labels, "L2", epsilon) as seen:
        found = craft(attack, digits.classifier, digits.images, digits.labels, seed=0)
    facts = verify(digits.classifier, digits.images, found, digits.labels)
    assert seen.known
    looked = facts["success"] & name.startswith("cw")  # the others return what they do not look at again, or go further
    np.testing.assert_allclose(seen.nearest[looked], facts["l2"][looked], rtol=1e-4)
    assert (seen.nearest[facts["success"]] < np.inf).all() or name == "pgd-l2"


def test_a_bare_name_means_what_it_meant() -> None:
    assert full_name("deepfool", "foolbox") == "foolbox/deepfool"
    assert full_name("pgd-linf", "art") == "foolbox/pgd-linf"  # Foolbox alone had it when such suites were written
    assert full_name("pgd-linf", "subnetbench") == "subnetbench/pgd-linf"
    for table in (PRESETS["quick"], PRESETS["standard"]):
        for name in ("pgd-linf", "pgd-l2"):
            assert table[f"subnetbench/{name}"] == table[f"foolbox/{name}"]
