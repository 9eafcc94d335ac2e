"""What gates are, apart from how they are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.classifier import Classifier
from subnetbench.subnets.extract import Extraction
from subnetbench.subnets.gates import (
    GateOptions,
    active_fraction,
    binarise,
    gates_from_arrays,
    gates_to_arrays,
    identity_gates,
    random_gates,
    total_active_fraction,
)

GATES = {"a": torch.tensor([[0.0, 0.5, 2.0], [0.0, 0.0, 1.0]]), "b": torch.tensor([[1.0], [0.0]])}


@pytest.mark.parametrize("position", ["units", "stages", "late"])
def test_identity_gates_leave_the_logits_exactly_as_they_are(net: Classifier, images: Split, position: str) -> None:
    gates = identity_gates(net, position)
    x = images.tensor(slice(0, 20))
    for label in range(net.classes):
        row = {path: gate[label : label + 1] for path, gate in gates.items()}
        assert torch.equal(net.observe(x, (), row)[0], net(x))


def test_random_gates_keep_the_values_of_each_layer_and_class_and_move_them(extraction: Extraction) -> None:
    shuffled = random_gates(extraction.gates, seed=0)
    for path, gate in extraction.gates.items():
        assert torch.equal(shuffled[path].sort(1).values, gate.sort(1).values)
        assert not torch.equal(shuffled[path], gate)
    assert list(shuffled) == list(extraction.gates)


def test_random_gates_are_drawn_from_any_seed() -> None:
    wide = {"a": torch.arange(40.0).reshape(2, 20)}
    assert not torch.equal(random_gates(wide, 2**70)["a"], random_gates(wide, 2**70 + 1)["a"])


def test_random_gates_differ_between_seeds_and_not_within_one(extraction: Extraction) -> None:
    first, again, other = (random_gates(extraction.gates, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[path], again[path]) for path in first)
    assert not all(torch.equal(first[path], other[path]) for path in first)


def test_active_fractions_count_gates_above_the_threshold() -> None:
    assert active_fraction(GATES)["a"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert active_fraction(GATES, 0.5)["a"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert total_active_fraction(GATES).tolist() == [0.75, 0.25]


def test_binary_gates_are_0_or_1() -> None:
    assert binarise(GATES, 0.5)["a"].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_gates_survive_being_stored_as_arrays() -> None:
    back = gates_from_arrays({"scores": np.zeros(3), **gates_to_arrays(GATES)})
    assert list(back) == ["a", "b"]
    assert all(torch.equal(back[path], GATES[path]) for path in GATES)


@pytest.mark.parametrize(
    "arrays",
    [
        {"scores": np.zeros(3)},
        {"gates/a": np.zeros(3)},
        {"gates/a": -np.ones((2, 3))},
        {"gates/a": np.full((2, 3), np.nan)},
        {"gates/a": np.ones((2, 3)), "gates/b": np.ones((3, 3))},
    ],
)
def test_arrays_that_are_no_gates_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="gates"):
        gates_from_arrays(arrays)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"l1": "max"}, "layersum"),
        ({"gamma": -1}, "greater than or equal to 0"),
        ({"tau": 0}, "greater than 0"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"fallback": "none"}, "sparsest"),
        ({"gama": 0.1}, "Extra inputs"),
        ({"init": 6}, "lower init or raise clamp"),
        ({"threshold": 1}, "every gate starts dead; lower it"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence(option: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        GateOptions(**option)
    assert caught.value.error_count() == 1


def test_every_option_is_documented_where_its_name_does_not_say_it_all() -> None:
    plain = {"epochs", "seed"}
    assert {name for name, field in GateOptions.model_fields.items() if not field.description} == plain
