"""A suite's sets of class gates: one per seed, kept in the store, refused where they would be meaningless."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...subnets import calibration, frozen, gated, learn
from ...subnets import extract as extraction
from ...subnets import gates as gates_module
from ...subnets.extract import extract, refuse_collapsed
from ...subnets.gates import GateOptions, fingerprint, gates_from_arrays, gates_to_arrays
from ..core.arrays import ClassGates
from ..core.errors import UserError
from ..core.hashing import code_hash
from ..core.meter import spent
from ..core.store import Arrays, Meta
from ..models import cifar, classifier
from .setup import Setup
from .toml import fill


@dataclass(frozen=True)
class GateSet:
    """The class gates of one seed, with the report on every class's subnet."""

    gates: ClassGates
    seed: int
    fingerprint: str
    meta: Meta

    @property
    def report(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.meta["report"]
        return rows

    def record(self) -> Meta:
        """Everything that is kept of a set besides the gates themselves."""
        return self.meta | {"seed": self.seed, "fingerprint": self.fingerprint}


def which_set(number: int, sets: int) -> str:
    """Words for one of several sets of gates; none for the only one."""
    return f", set {number + 1} of {sets}" if sets > 1 else ""


class GateSets:
    """A suite's sets of class gates, which differ in their seed; none if the suite has no subnets."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @cached_property
    def options(self) -> GateOptions | None:
        suite = self.setup.suite
        if suite.subnets is None:
            return None
        options: GateOptions = fill(GateOptions, {"seed": suite.seed, **suite.subnets}, "subnets")
        return options

    @cached_property
    def by_seed(self) -> list[GateOptions]:
        """The options of each set."""
        options = self.options
        if options is None:
            return []
        return [options.model_copy(update={"seed": options.seed + index}) for index in range(options.seeds)]

    @cached_property
    def sets(self) -> list[GateSet]:
        return [self._learned(options) for options in self.by_seed]

    def learned(self, place: int) -> GateSet:
        """One of the sets alone."""
        return self._learned(self.by_seed[place])

    def inputs(self, options: GateOptions) -> Meta:
        """The inputs that determine a set of gates."""
        return {
            "model": self.setup.trained.sha256,
            "images": self.setup.split_key(self.setup.train_split),
            "options": options.model_dump(exclude={"chunk", "prefix_mib", "seeds", "allow_collapsed"}),
            "source": code_hash(calibration, extraction, frozen, gated, gates_module, learn, classifier, cifar),
        }

    def _learned(self, options: GateOptions) -> GateSet:
        """Class gates of one seed; stored even if they are refused as collapsed."""
        setup = self.setup

        def compute() -> tuple[Arrays, Meta]:
            lenient = options.model_copy(update={"allow_collapsed": True})
            number, sets = self.by_seed.index(options), len(self.by_seed)
            text = f"learn class gates{which_set(number, sets)}"
            with spent() as taken, setup.context.report.stage(text, (number, sets)) as tick:
                extracted = extract(setup.trained.net, setup.train_split, lenient, progress=tick)
            meta = {
                "report": extracted.report,
                "calibration": vars(extracted.calibration),
                "seconds": taken.seconds,
                "peak_mb": taken.highest,
            }
            return gates_to_arrays(extracted.gates), _jsonable(meta)

        arrays, meta = setup.context.store.get("gates", self.inputs(options), compute)
        if not options.allow_collapsed:
            refuse_collapsed(meta["report"], options)
        gates = gates_from_arrays(arrays)
        return GateSet(gates, options.seed, fingerprint(gates), meta)

    def check(self) -> None:
        """Refuse training too short for a gate to fall from ``init`` to ``threshold``: subnets would be the full net.

        Adam moves a gate by at most about ``learning_rate`` per step (Kingma and Ba 2015, section 2.1).
        """
        options = self.options
        if options is None:
            return
        smallest = int(np.bincount(self.setup.train_split.labels).min())
        images = min(options.images_per_class or smallest, smallest - max(1, round(smallest * options.holdout)))
        steps = options.epochs * math.ceil(2 * images / options.batch_size)
        # Too few images of a class have their own error message, where they are drawn.
        if smallest >= 2 and steps * options.learning_rate < options.init - options.threshold:
            raise UserError(
                f"subnets: {steps} steps of {options.learning_rate:g} cannot take a gate from {options.init:g} to "
                f"{options.threshold:g}, so every subnet would be the full net; raise images_per_class or epochs, or "
                "lower batch_size."
            )


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
