"""Passes through a net are counted whoever makes them, whole or in parts, and nothing is left on the net."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted

X = torch.rand(5, 1, 8, 8)


def forward(net: Classifier) -> None:
    with torch.inference_mode():
        net(X)
        net.observe(X, net.taps)
        net.net(X)


def in_two_parts(net: Classifier) -> None:
    hidden = net.advance(X, 0, 3)
    for _ in range(4):
        net.advance(hidden, 3)


def up_to_a_tap(net: Classifier) -> None:
    net.advance(X, 0, 2)


def backward(net: Classifier) -> None:
    x = X.clone().requires_grad_()
    logits = net(x)
    for label in range(3):
        torch.autograd.grad(logits[:, label].sum(), x, retain_graph=True)


def backward_from_a_tap(net: Classifier) -> None:
    x = X.clone().requires_grad_()
    net.observe(x, net.taps[:1])[1][net.taps[0]].sum().backward()
    net(x).sum().backward()


def through_a_copy(net: Classifier) -> None:
    copy.deepcopy(net)(X)
    pickle.dumps(net)


@pytest.mark.parametrize(
    ("work", "passes"),
    [
        (forward, (15, 0)),
        (in_two_parts, (20, 0)),
        (up_to_a_tap, (5, 0)),
        (backward, (5, 15)),
        (backward_from_a_tap, (10, 10)),
        (through_a_copy, (5, 0)),
        (lambda net: None, (0, 0)),
    ],
)
def test_passes_are_counted(work: Callable[[Any], None], passes: tuple[int, int]) -> None:
    net = digits_cnn().eval().requires_grad_(False)
    with counted(net) as seen:
        work(net)
    assert (seen.forward, seen.backward) == passes
    assert not any(module._forward_hooks for module in net.modules())


def test_a_stage_that_stands_twice_counts_once_a_pass() -> None:
    relu = torch.nn.ReLU()
    net = Classifier(
        torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), relu, torch.nn.Conv2d(2, 2, 3), relu),
        mean=(0,), std=(1,), taps=(), gate_positions={}, classes=2, shape=(1, 8, 8),
    )  # fmt: skip
    with counted(net) as seen:
        net(X)
    assert seen.forward == 5
