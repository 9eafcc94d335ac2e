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
from subnetbench.subnets.compact import class_subnets
from torch.utils.checkpoint import checkpoint

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


def backward_from_taps_last_first(net: Classifier) -> None:
    x = X.clone().requires_grad_()
    seen = net.observe(x, net.taps)[1]
    for tap in reversed(net.taps[:2]):
        torch.autograd.grad(seen[tap].sum(), x, retain_graph=True)


def twice_differentiated(net: Classifier) -> None:
    x = X.clone().requires_grad_()
    first = torch.autograd.grad(net(x).softmax(1)[:, 0].sum(), x, create_graph=True)[0]
    torch.autograd.grad((first**2).sum(), x)


def under_a_checkpoint(net: Classifier) -> None:
    x = X.clone().requires_grad_()
    checkpoint(net, x, use_reentrant=False).sum().backward()


def gated(net: Classifier) -> None:
    channels = net.channels(net.gated_paths("stages"))
    gates = {path: torch.ones(net.classes, count) for path, count in channels.items()}
    subnets = class_subnets(net, gates, net.taps)
    hidden = subnets.prefix(X)
    for label in range(4):
        subnets.of(label)(hidden)


def counted_within(net: Classifier) -> None:
    with counted(net) as inner:
        net(X)
    assert inner.forward == 5
    net(X)


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
        (backward_from_taps_last_first, (5, 10)),
        (twice_differentiated, (5, 10)),
        (under_a_checkpoint, (10, 5)),
        (gated, (21, 0)),  # one image tells the channels
        (counted_within, (10, 0)),
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


def test_a_copy_made_in_one_count_is_counted_in_the_next_and_not_between() -> None:
    net = digits_cnn().eval()
    with counted(net):
        other = copy.deepcopy(net)
    other(X)
    with counted(net) as seen:
        other(X)
        net(X)
    assert seen.forward == 10
    with counted(other) as own:
        other(X)
    assert own.forward == 5
