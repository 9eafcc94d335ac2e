"""What every registered attack must do, ours or a plugin's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from subnetbench.attacks.contract import Attack, AttackInfo
from subnetbench.attacks.verify import verify
from subnetbench.bench.core.registry import attacks

from .conftest import Digits

NAMES = list(attacks)
FAST: dict[str, dict[str, Any]] = {
    "foolbox/cw": {"steps": 10, "step_size": 0.2, "binary_search_steps": 2, "initial_const": 1.0},
    "art/cw": {"steps": 4, "step_size": 0.1, "binary_search_steps": 2, "initial_const": 1.0},
    "subnetbench/cw": {"steps": 10, "step_size": 0.2, "binary_search_steps": 2, "initial_const": 1.0},
    "subnetbench/cw-continued": {"steps": 10, "step_size": 0.2, "binary_search_steps": 2, "initial_const": 1.0},
    "lee2018/cw": {"steps": 20},
    "foolbox/pgd-linf": {"epsilon": 0.2, "step_size": 0.05, "steps": 8, "restarts": 2},
    "foolbox/pgd-l2": {"epsilon": 1.0, "step_size": 0.2, "steps": 8, "restarts": 2},
    "subnetbench/pgd-linf": {"epsilon": 0.2, "step_size": 0.05, "steps": 8, "restarts": 2},
    "subnetbench/pgd-l2": {"epsilon": 1.0, "step_size": 0.2, "steps": 8, "restarts": 2},
    "foolbox/ddn": {"steps": 20},
    **{f"foolbox/fmn-{norm}": {"steps": 20} for norm in ("l0", "l1", "l2", "linf")},
    "foolbox/ead": {"steps": 20, "step_size": 0.1, "binary_search_steps": 2, "initial_const": 1.0},
    "foolbox/hopskipjump": {"steps": 3, "evaluations": 10},
    "art/apgd-ce": {"epsilon": 0.2, "steps": 8, "restarts": 2},
    "art/apgd-dlr": {"epsilon": 0.2, "steps": 8, "restarts": 2},
    "art/square": {"epsilon": 0.2, "queries": 40},
    "art/jsma": {"gamma": 0.5},
    "autoattack-without-fab": {"epsilon": 0.2, "steps": 5, "queries": 20},
}


def make(name: str) -> Attack:
    attack: Attack = attacks.get(name)(**FAST.get(name, {}))
    return attack


def run(name: str, digits: Digits, part: slice = slice(0, 6), seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return make(name)(digits.classifier, digits.images[part], digits.labels[part], generator=generator)


@pytest.fixture(scope="module")
def made(digits: Digits) -> dict[str, torch.Tensor]:
    """Six images through each attack, once for the tests below."""
    return {name: run(name, digits) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    attack = make(name)
    assert isinstance(attack, Attack)
    assert isinstance(attack.info, AttackInfo)
    assert attack.info.title
    assert attack.info.url.startswith("https://")
    assert attack.info.version != "unknown"
    assert (attack.info.threat == "budget") == (attack.info.epsilon is not None)
    assert json.loads(json.dumps(attack.parameters)) == attack.parameters
    assert attacks.get(name)(**attack.parameters).parameters == attack.parameters


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_legal_images_within_its_budget(name: str, digits: Digits, made: dict[str, torch.Tensor]) -> None:
    found, clean = made[name], digits.images[:6]
    assert found.shape == clean.shape
    assert found.dtype == torch.float32
    assert found.device == clean.device
    assert not found.requires_grad
    assert found.min() >= 0
    assert found.max() <= 1
    info, change = make(name).info, (found - clean).flatten(1)
    if info.epsilon is not None:
        assert change.norm(p=float("inf") if info.norm == "Linf" else 2, dim=1).max() <= info.epsilon + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_it_raises_the_margin(name: str, digits: Digits, made: dict[str, torch.Tensor]) -> None:
    clean, labels = digits.images[:6], digits.labels[:6]
    before = verify(digits.classifier, clean, clean, labels)["margin"]
    assert (verify(digits.classifier, clean, made[name], labels)["margin"] > before).mean() > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_it_repeats_itself_under_a_seed(name: str, digits: Digits, made: dict[str, torch.Tensor]) -> None:
    torch.rand(3)  # the global state of the random generator must not matter
    torch.testing.assert_close(run(name, digits), made[name], atol=0, rtol=0)


@pytest.mark.parametrize("name", [n for n in NAMES if not getattr(attacks.get(n), "batch_coupled", False)])
def test_no_image_depends_on_its_neighbours(name: str, digits: Digits, made: dict[str, torch.Tensor]) -> None:
    # Convolutions round differently in batches of different sizes, and iterations amplify that.
    if getattr(attacks.get(name), "draws", False):  # by an image's place in a batch of this size
        index = torch.tensor([0, 1, 2, 13, 12, 11])
        generator = torch.Generator().manual_seed(0)
        beside = make(name)(digits.classifier, digits.images[index], digits.labels[index], generator=generator)
        torch.testing.assert_close(beside[:3], made[name][:3], atol=2e-3, rtol=0)
        return
    apart = torch.cat([run(name, digits, slice(0, 1)), run(name, digits, slice(1, 6))])
    torch.testing.assert_close(apart, made[name], atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_it_works_under_inference_mode_and_on_no_images(name: str, digits: Digits) -> None:
    assert run(name, digits, slice(0, 0)).shape == (0, 1, 8, 8)
    if name.endswith("fgsm"):
        with torch.inference_mode():
            assert run(name, digits).shape == (6, 1, 8, 8)


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_neither_classifier_nor_images(name: str, digits: Digits) -> None:
    images, hashed = digits.images.clone(), digits.classifier.content_hash()
    drawn = torch.get_rng_state()
    run(name, digits, slice(0, 2))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert digits.classifier.content_hash() == hashed
    assert all(parameter.requires_grad and parameter.grad is None for parameter in digits.classifier.parameters())
    assert not digits.classifier.training
    torch.testing.assert_close(digits.images, images, atol=0, rtol=0)
