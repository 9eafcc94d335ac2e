"""Prefix and rest together are the classifier under its gates, wherever gates and taps sit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from subnetbench.bench.models.cifar import resnet18
from subnetbench.bench.models.classifier import PENULTIMATE, Classifier
from subnetbench.subnets.gated import Gated

IMAGES = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def net() -> Classifier:
    torch.manual_seed(0)
    return resnet18(shape=(3, 12, 12), width=4).eval().requires_grad_(False)


def gates_of(net: Classifier, paths: Sequence[str], rows: int = len(IMAGES)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {path: torch.rand(rows, count, generator=generator) for path, count in net.channels(paths).items()}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("paths", "taps", "cut"),
    [
        (["layer2"], ["stem", "layer1", "layer2", "layer4"], 3),
        (["layer2"], ["layer2"], 3),
        (["layer2", "layer3.0"], ["layer1.0", "layer3"], 3),
        (["layer2"], ["layer2.0", "layer2"], 2),  # read inside the gated stage
        (["layer2.1"], ["layer2", PENULTIMATE], 2),
        (["layer2.0", "layer2"], ["layer2"], 2),
        (["layer4"], ["stem"], 5),
        (["stem"], [PENULTIMATE], 1),
        (["stem.0"], [], 0),
        (["head"], ["head"], 8),
        (["head"], [PENULTIMATE, "head"], 7),
    ],
)
def test_two_steps_are_the_classifier_under_its_gates(
    net: Classifier, paths: list[str], taps: list[str], cut: int, early: bool
) -> None:
    gated = Gated(net, paths, taps, early=early)
    assert gated.cut == (min(net.stage_of(path) for path in paths) if early else cut)
    for rows in (1, len(IMAGES)):
        gates = gates_of(net, paths, rows)
        out, seen = net.observe(IMAGES, taps, gates)
        hidden, before = gated.prefix(IMAGES)
        last, after = gated.rest(hidden, gates)
        assert not before.keys() & after.keys()
        assert (before | after).keys() == set(taps)
        assert all(torch.equal((before | after)[tap], seen[tap]) for tap in taps)
        assert taps or torch.equal(last, out)


def test_a_path_without_a_gate_is_not_gated(net: Classifier) -> None:
    gated = Gated(net, ["layer2", "layer3"])
    hidden, _ = gated.prefix(IMAGES)
    assert torch.equal(gated.rest(hidden, {})[0], net(IMAGES))
    late = gates_of(net, ["layer3"])
    assert torch.equal(gated.rest(hidden, late)[0], net.observe(IMAGES, gates=late)[0])


def test_gradients_reach_the_gates_on_both_sides_of_the_cut(net: Classifier) -> None:
    gates = {path: gate.requires_grad_() for path, gate in gates_of(net, ["layer2", "layer3"]).items()}
    gated = Gated(net, gates)
    two_steps = gated.rest(gated.prefix(IMAGES)[0], gates)[0].square().sum()
    at_once = net.observe(IMAGES, gates=gates)[0].square().sum()
    for mine, expected in zip(
        torch.autograd.grad(two_steps, list(gates.values())),
        torch.autograd.grad(at_once, list(gates.values())),
        strict=True,
    ):
        assert torch.equal(mine, expected)
        assert float(mine.abs().sum()) > 0
