"""Data, classifier and class gates: the stages that every track shares, each an artifact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...subnets import calibration, frozen, gated, learn
from ...subnets import extract as extraction
from ...subnets import gates as gates_module
from ...subnets.extract import extract, refuse_collapsed
from ...subnets.gates import GateOptions, fingerprint, gates_from_arrays, gates_to_arrays
from ..core import registry
from ..core.arrays import ClassGates
from ..core.errors import UserError
from ..core.hashing import code_hash, digest, hash_arrays, key_of
from ..core.meter import spent
from ..core.progress import Reporter
from ..core.store import Arrays, Meta, Store
from ..data.dataset import Dataset, Split, stratified
from ..data.load import load
from ..models import classifier as models
from ..models.classifier import Classifier
from ..models.torchvision import SMALLEST
from ..models.weights import load_weights, locate
from .suite import NetSuite
from .toml import fill
from .train import Recipe, accuracy, train


class Nets:
    """Walks through the store to a suite's classifier and its subnets; every property is computed once."""

    def __init__(
        self,
        suite: NetSuite,
        store: Store,
        *,
        device: torch.device,
        data_root: Path | None,
        report: Reporter,
        dataset: Dataset | None = None,
    ) -> None:
        """``dataset``: the suite's, where another walk has it in memory already."""
        self.settings, self.store, self.device, self.report = suite, store, device, report
        self.data_root, self._dataset = data_root, dataset

    # -- data and classifier ------------------------------------------------------------------------------------------

    @cached_property
    def dataset(self) -> Dataset:
        if self._dataset is not None:
            return self._dataset
        part = self.settings.dataset
        return load(part.name, self.data_root, **part.parameters)

    @cached_property
    def test(self) -> Split:
        """The test images that are attacked."""
        return stratified(self.dataset.test, self.settings.limit, self.settings.seed)

    @cached_property
    def train_split(self) -> Split:
        return stratified(self.dataset.train, self.settings.dataset.train_limit, self.settings.seed)

    @cached_property
    def recipe(self) -> Recipe:
        values = {"seed": self.settings.seed, **self.settings.model.train}
        recipe: Recipe = fill(Recipe, values, "model.train")
        return recipe

    @cached_property
    def gate_options(self) -> GateOptions | None:
        if self.settings.subnets is None:
            return None
        options: GateOptions = fill(GateOptions, {"seed": self.settings.seed, **self.settings.subnets}, "subnets")
        return options

    def blank_classifier(self, *, pretrained: bool = True) -> Classifier:
        """The model as its factory gives it; without ``pretrained`` a net of the same shape and nothing fetched."""
        part = self.settings.model
        parameters = part.parameters
        if not pretrained and part.name in SMALLEST:
            parameters = {key: value for key, value in parameters.items() if key not in ("weights", "rows")}
        factory = registry.models.get(part.name)
        try:
            net: Classifier = factory(**{"classes": self.dataset.classes, "shape": self.dataset.shape, **parameters})
        except (TypeError, ValueError, RuntimeError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"model.parameters: the model {part.name!r} does not take them ({said}).") from None
        if net.classes < self.dataset.classes:
            raise UserError(
                f"model.parameters: the model {part.name!r} has {net.classes} classes and "
                f"{self.dataset.name} has {self.dataset.classes}; give it as many."
            )
        return net

    @cached_property
    def weights_inputs(self) -> Meta:
        part = self.settings.model
        if part.weights is not None:
            file = digest(locate(part.weights))
            return {"file": file, "model": part.name, "parameters": part.parameters, "shape": self.dataset.shape}
        recipe = self.recipe.model_dump()
        return {
            "model": part.name,
            "parameters": part.parameters,
            "dataset": self.dataset.content_hash,
            "recipe": recipe,
        }

    @cached_property
    def classifier(self) -> Classifier:
        """Trained or loaded, on the device, in evaluation mode, and above the suite's floor."""
        net = self.blank_classifier(pretrained=not self.store.has("weights", self.weights_inputs))
        arrays, self.weights_meta = self.store.get("weights", self.weights_inputs, lambda: self._weights(net))
        state = net.state_dict()
        net.load_state_dict({n: torch.from_numpy(arrays[n].copy()).to(state[n].dtype) for n in state})
        net.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # faster on CPUs
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        inputs = {"model": net.content_hash(), "dataset": self.dataset.content_hash}
        found = self.store.get("accuracy", inputs, lambda: ({}, {"accuracy": accuracy(net, self.dataset.test)}))[1]
        self.clean_accuracy = float(found["accuracy"])
        floor = self.settings.model.floor
        if self.clean_accuracy < floor:
            raise UserError(
                f"The classifier {self.settings.model.name!r} names {self.clean_accuracy:.1%} of "
                f"{len(self.dataset.test)} test images right, below the suite's floor of {floor:.1%}; train it longer "
                "or lower model.floor."
            )
        return net

    def _weights(self, net: Classifier) -> tuple[Arrays, Meta]:
        if self.settings.model.weights is not None:
            meta = load_weights(net, locate(self.settings.model.weights))
        elif self.settings.model.parameters.get("weights"):
            meta = {"weights": self.settings.model.parameters["weights"]}  # the factory brought them; training resets
        else:
            scratch = self.store.scratch("weights", key_of("weights", self.weights_inputs))
            with self.report.stage(f"train {self.settings.model.name}") as tick:
                try:
                    meta = train(net, self.dataset, self.recipe, device=self.device, checkpoint=scratch, progress=tick)
                except OSError as error:  # of the checkpoint: nothing else is written there
                    raise self.store.refused(error) from None
        return {n: t.detach().cpu().contiguous().numpy() for n, t in net.state_dict().items()}, dict(meta)

    @cached_property
    def model_hash(self) -> str:
        return self.classifier.content_hash()

    # -- gates --------------------------------------------------------------------------------------------------------

    def gates_inputs(self, options: GateOptions) -> Meta:
        return {
            "model": self.model_hash,
            "images": self.split_key(self.train_split),
            "options": options.model_dump(exclude={"chunk", "prefix_mib", "seeds", "allow_collapsed"}),
            "source": code_hash(calibration, extraction, frozen, gated, gates_module, learn, models),
        }

    def learned_gates(self, options: GateOptions) -> tuple[ClassGates, Meta]:
        """Class gates of one seed and the report on them; kept also where they are refused, as collapsed."""

        def compute() -> tuple[Arrays, Meta]:
            lenient = options.model_copy(update={"allow_collapsed": True})
            with spent() as taken, self.report.stage("learn class gates") as tick:
                found = extract(self.classifier, self.train_split, lenient, progress=tick)
            meta = {
                "report": found.report,
                "calibration": vars(found.calibration),
                "seconds": taken.seconds,
                "peak_mb": taken.highest,
            }
            return gates_to_arrays(found.gates), _jsonable(meta)

        arrays, meta = self.store.get("gates", self.gates_inputs(options), compute)
        if not options.allow_collapsed:
            refuse_collapsed(meta["report"], options)
        gates = gates_from_arrays(arrays)
        return gates, meta | {"seed": options.seed, "fingerprint": fingerprint(gates)}

    @cached_property
    def gate_sets(self) -> list[GateOptions]:
        """The options of the run's sets of gates, which differ in their seed; none without subnets."""
        options = self.gate_options
        if options is None:
            return []
        return [options.model_copy(update={"seed": options.seed + index}) for index in range(options.seeds)]

    @cached_property
    def gates(self) -> list[tuple[ClassGates, Meta]]:
        """The run's sets of class gates with their reports."""
        return [self.learned_gates(options) for options in self.gate_sets]

    def check_gates(self) -> None:
        """Refuse a training too short for a gate to fall from ``init`` to ``threshold``: subnets would be the full net.

        Adam moves a gate by about ``learning_rate`` a step at most (Kingma and Ba 2015, section 2.1).
        """
        options = self.gate_options
        if options is None:
            return
        smallest = int(np.bincount(self.train_split.labels).min())
        own = min(options.images_per_class or smallest, smallest - max(1, round(smallest * options.holdout)))
        steps = options.epochs * math.ceil(2 * own / options.batch_size)
        # Too few images of a class have a sentence of their own, where they are drawn.
        if smallest >= 2 and steps * options.learning_rate < options.init - options.threshold:
            raise UserError(
                f"subnets: {steps} steps of {options.learning_rate:g} cannot take a gate from {options.init:g} to "
                f"{options.threshold:g}, so every subnet would be the full net; raise images_per_class or epochs, or "
                "lower batch_size."
            )

    def split_key(self, split: Split) -> str:
        return key_of("images", {"dataset": self.dataset.content_hash, "ids": hash_arrays(split.ids)})


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
