"""Channel gates: the options of their training, and operations on existing gates.

The gates of a classifier are a mapping from module path to a float32 tensor ``(classes, channels)``; row c of every
tensor together is the subnet of class c (Wang, Hu and Su, eq. 2: one factor lambda >= 0 per output channel).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..bench.core.arrays import ClassGates, Floats
from ..bench.models.classifier import Classifier
from .stored import PREFIX, checked_gates


class GateOptions(BaseModel):
    """Options for learning class gates, those that the paper fixes and those that it leaves open.

    The paper's own values: gamma .05, tau .5, Adam at .1, 5 epochs, batches of 64, all images of a class and as many
    others. The documentation gives the reason for each default that differs from them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    position: str = Field("units", description="the model's named gate position to gate")
    l1: Literal["sum", "mean", "layersum"] = Field(
        "layersum",
        description="how ||lambda||_1 is computed: plain sum, mean over all gates, or sum of the layers' means",
    )
    gamma: float = Field(0.05, ge=0, description="weight of the L1 term")
    tau: float = Field(0.5, gt=0, le=1, description="largest share of active channels that an epoch may have")
    learning_rate: float = Field(0.02, gt=0, description="Adam's; the paper's .1 overshoots and leaves a worse subnet")
    epochs: int = Field(5, ge=1)
    batch_size: int = Field(
        64, ge=2, description="maximum number of images per class and step, half of them of the class"
    )
    images_per_class: int | None = Field(
        None, ge=2, description="at most this many training images per class, drawn once; none: all, as in the paper"
    )
    holdout: float = Field(0.1, gt=0, lt=1, description="share of each class's images kept for the report only")
    clamp: float = Field(5.0, gt=0, description="upper bound of a gate; the lower one is 0")
    init: float = Field(1.0, gt=0, description="initial value of every gate; 1 is the full net")
    binary: bool = Field(True, description="whether the final gates are 0 or 1 (active or not)")
    threshold: float = Field(0.05, ge=0, description="a gate at or below it is dead")
    calibrate: bool = Field(True, description="whether logits are calibrated (scale, bias) before the sigmoid")
    fallback: Literal["sparsest", "loss"] = Field(
        "sparsest", description="the epoch chosen if none met tau: fewest active channels, or least loss"
    )
    allow_collapsed: bool = Field(False, description="whether to accept useless subnets")
    chunk: int = Field(
        10, ge=1, description="maximum number of classes trained in one pass; bounds memory, changes no result"
    )
    prefix_mib: int = Field(
        2048, ge=0, description="memory for outputs of the un-gated first stages, recomputed beyond it"
    )
    seed: int = Field(0, ge=0, lt=2**32)
    seeds: int = Field(1, ge=1, description="number of sets of gates, from seed on; a run's intervals cover them")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.init > self.clamp:
            raise ValueError(f"init {self.init:g} is above clamp {self.clamp:g}; lower init or raise clamp")
        if self.threshold >= self.init:
            raise ValueError(
                f"threshold {self.threshold:g} is not below init {self.init:g}, so every gate starts dead; lower it"
            )
        return self


def identity_gates(classifier: Classifier, position: str) -> ClassGates:
    """Gates of value 1, ``(classes, channels)`` for each path: every subnet is the full net."""
    channels = classifier.channels(classifier.gated_paths(position))
    return {path: torch.ones(classifier.classes, count) for path, count in channels.items()}


def random_gates(gates: ClassGates, seed: int) -> ClassGates:
    """The same values in random places: each row of each path permuted separately.

    A control for learned gates: sparsity and values per layer and class are kept, only the choice of channels is lost.
    """
    generator = torch.Generator().manual_seed(seed % 2**64)  # torch takes no more bits
    shuffled = {}
    for path in sorted(gates):  # sorted, so that the draw does not depend on the order in the mapping
        order = torch.rand(gates[path].shape, generator=generator).argsort(1)
        shuffled[path] = gates[path].gather(1, order.to(gates[path].device))
    return {path: shuffled[path] for path in gates}


def binarise(gates: ClassGates, threshold: float = 0.0) -> ClassGates:
    """1 where a gate is above ``threshold``, else 0."""
    return {path: (gate > threshold).to(gate.dtype) for path, gate in gates.items()}


def active_fraction(gates: ClassGates, threshold: float = 0.0) -> dict[str, Floats]:
    """Share of channels whose gate is above ``threshold``: path -> ``(classes,)``."""
    return {path: (gate > threshold).double().mean(1).cpu().numpy() for path, gate in gates.items()}


def total_active_fraction(gates: ClassGates, threshold: float = 0.0) -> Floats:
    """Share of active channels over all paths together, ``(classes,)``: the share that tau bounds."""
    return (torch.cat(list(gates.values()), 1) > threshold).double().mean(1).cpu().numpy()


def gates_to_arrays(gates: ClassGates) -> dict[str, Floats]:
    """Flat named float32 arrays, ``gates/<path>``, for a store."""
    return {PREFIX + path: gate.detach().cpu().float().contiguous().numpy() for path, gate in gates.items()}


def gates_from_arrays(arrays: Mapping[str, Floats]) -> ClassGates:
    """The inverse of `gates_to_arrays`; arrays with other names are ignored.

    Raises UserError if an array's shape or values are not those of gates.
    """
    return {path: torch.from_numpy(array) for path, array in checked_gates(arrays).items()}


def fingerprint(gates: ClassGates) -> str:
    digest = hashlib.sha256()
    for path, gate in sorted(gates.items()):
        digest.update(path.encode())
        digest.update(gate.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
