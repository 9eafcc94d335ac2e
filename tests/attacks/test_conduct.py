"""What an attack does against its own declaration is remarked on; a sound one is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from subnetbench.attacks.conduct import conduct
from subnetbench.attacks.foolbox import DeepFool

from .conftest import Digits
from .test_verify import Strange


def noisy(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    return (x + 0.1 * torch.rand(x.shape, generator=generator)).clamp(0, 1)


def coupled(x: torch.Tensor, _: Any) -> torch.Tensor:
    return (x - x.mean(0) / 2).clamp(0, 1)


def remarks(attack: Any, digits: Digits) -> list[str]:
    return conduct(attack, digits.classifier, digits.images, digits.labels.numpy(), seed=0)


@pytest.mark.parametrize(
    "attack", [DeepFool(), Strange(noisy), Strange(lambda x, _: 1 - x), Strange(lambda x, _: 1 / 0)]
)
def test_a_sound_attack_has_no_remark_and_a_failing_one_is_not_judged(digits: Digits, attack: Any) -> None:
    assert remarks(attack, digits) == []


def test_an_unseeded_attack_is_not_reproducible(digits: Digits) -> None:
    assert "not reproducible" in remarks(Strange(lambda x, _: noisy(x, None)), digits)[0]


def test_neighbours_that_matter_must_be_declared(digits: Digits) -> None:
    attack = Strange(coupled)
    assert "depend on their neighbours" in remarks(attack, digits)[0]
    attack.info = replace(attack.info, batch_coupled=True)
    assert remarks(attack, digits) == []
