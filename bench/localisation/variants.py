"""The nets that saliency maps explain: whole nets, the subnets of their classes, and controls."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ...subnets import chain, cut, frozen
from ...subnets import gates as gate_code
from ...subnets.gates import random_gates
from ..core.arrays import ClassGates, Ints
from ..core.hashing import code_hash
from ..core.store import Meta
from ..harness.gates import GateSets
from ..models import classifier as classifiers
from ..models.classifier import Classifier
from . import net as attribution_nets
from .net import AttributionNet, attribution_net
from .suite import Variant

GATED: tuple[Variant, ...] = ("subnet", "random-gates", "wrong-class")


class Variants:
    """The nets that maps explain: a whole classifier, its classes' subnets, and controls."""

    def __init__(self, gates: GateSets, seed: int) -> None:
        self._sets, self._seed = gates, seed
        self._gates: dict[Variant, ClassGates] = {}
        self._last: tuple[Variant, int | None, AttributionNet] | None = None

    def gates(self, variant: Variant) -> ClassGates | None:
        """Rows of gates by the image's own class; None for a whole net."""
        if variant not in GATED:
            return None
        if variant not in self._gates:
            gates = self._sets.sets[0].gates
            if variant == "random-gates":
                gates = random_gates(gates, self._seed)
            elif variant == "wrong-class":
                order = wrong_classes(self._sets.setup.trained.net.classes, self._seed)
                gates = {path: gate[order] for path, gate in gates.items()}
            self._gates[variant] = gates
        return self._gates[variant]

    def identity(self, variant: Variant) -> Meta:
        """The inputs, besides the images, that a variant's maps depend on."""
        gates = self._sets.sets[0].fingerprint if variant in GATED else ""
        return {
            "model": self._sets.setup.trained.sha256,
            "variant": variant,
            "gates": gates,
            "seed": self._seed,
            "source": code_hash(attribution_nets, chain, cut, frozen, gate_code, classifiers),
        }

    def batches(self, variant: Variant, labels: Ints, size: int) -> list[tuple[int | None, Ints]]:
        """Positions of images that share one net, with its class: a subnet only gets images of its class."""
        if variant not in GATED:
            return [(None, index) for index in _pieces(np.arange(len(labels)), size)]
        return [
            (int(label), index)
            for label in np.unique(labels)
            for index in _pieces(np.flatnonzero(labels == label), size)
        ]

    def net(self, variant: Variant, label: int | None) -> AttributionNet:
        """The net of a batch. The last one is kept, since the batches of a class follow one another."""
        if self._last is None or self._last[:2] != (variant, label):
            self._last = None  # release one before the next is made
            self._last = (variant, label, self._built(variant, label))
        return self._last[2]

    def _built(self, variant: Variant, label: int | None) -> AttributionNet:
        classifier, gates = self._sets.setup.trained.net, self.gates(variant)
        if gates is None or label is None:
            return attribution_net(redrawn(classifier, self._seed) if variant == "random-weights" else classifier, None)
        return attribution_net(classifier, {path: gate[label] for path, gate in gates.items()})


def _pieces(index: Ints, size: int) -> Iterator[Ints]:
    return (index[begin : begin + size] for begin in range(0, len(index), size))


def wrong_classes(classes: int, seed: int) -> Ints:
    """For each class a different one, no two the same: a cyclic step through a random order."""
    order = np.random.default_rng((seed, 11)).permutation(classes)
    wrong = np.empty(classes, np.int64)
    wrong[order] = np.roll(order, 1)
    return wrong


def redrawn(classifier: Classifier, seed: int) -> Classifier:
    """The same net with all its weights drawn again, untrained (the sanity check of Adebayo et al. 2018)."""
    net = copy.deepcopy(classifier)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in net.net.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return net.eval()
