"""Suggestions: a slip of the fingers is seen through, and another word is not guessed at."""

from __future__ import annotations

import pytest
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.near import did_you_mean

NAMES = ("mahalanobis", "mahalanobis-predicted", "ood-she", "max-softmax", "lid", "odds", "foolbox/fgsm", "art/fgsm")


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("lidd", " Did you mean 'lid'?"),
        ("mahalanobiss", " Did you mean 'mahalanobis'?"),
        ("mahalnobis-predicted", " Did you mean 'mahalanobis-predicted'?"),
        ("MAX-SOFTMX", " Did you mean 'max-softmax'?"),
        ("mahal", " Did you mean 'mahalanobis' or 'mahalanobis-predicted'?"),
        ("softmax", " Did you mean 'max-softmax'?"),
        ("fgsm", " Did you mean 'art/fgsm' or 'foolbox/fgsm'?"),
        ("classdits", ""),
        ("nosuch", ""),
        ("margin", ""),
        ("", ""),
    ],
)
def test_only_near_names_are_suggested(word: str, near: str) -> None:
    assert did_you_mean(word, NAMES) == near


@pytest.mark.parametrize("name", ["classdits", "nosuch"])
def test_without_a_near_name_a_package_may_be_missing(name: str) -> None:
    with pytest.raises(UserError) as error:
        registry.detectors.get(name)
    assert f"no detector named {name!r}. Is the package that brings it installed? `subnetbench ls det" in str(
        error.value
    )
