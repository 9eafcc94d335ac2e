"""From a net and a saliency method to box statistics of every image, from the store or computed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core import registry
from ..core.arrays import Bools, Floats
from ..core.errors import UserError
from ..core.hashing import code_hash, source_hash
from ..core.store import Arrays, Meta, StoreError
from ..data.annotations import Boxed
from ..harness.gates import GateSets
from ..harness.plugins import PluginFailed, made
from . import boxes, maxbox
from . import statistics as box_statistics
from .heat import Batch, heat_of
from .suite import NetPart, SaliencyPart, Suite, Variant
from .variants import Variants
from .walk import Asked, Result, Walk


def build(part: SaliencyPart, defaults: Mapping[str, Any] | None = None) -> Any:
    """The method that a suite names, with its parameters, and ``defaults`` for those that it omits."""
    parameters = {**(defaults or {}), **part.parameters}
    return made(registry.saliency, part.name, parameters, f"saliency.{part.title}.parameters")


class Unmade:
    """In the place of a method that raised when it was made: raises the reason whenever a map is asked for."""

    def __init__(self, reason: PluginFailed) -> None:
        self.reason, self.parameters = reason, dict[str, Any]()

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise self.reason


class Measured:
    """Box statistics of one net's maps, from the store or computed for several methods in one walk over the images."""

    def __init__(self, gates: GateSets, suite: Suite, part: NetPart) -> None:
        self.gates, self.suite, self.part = gates, suite, part
        self.variants = Variants(gates, suite.seed)

    def method(self, part: SaliencyPart) -> Any:
        """The suite's method, on the layer named for its net if the method takes one."""
        layer = self._layer(part)
        try:
            return build(part, {} if layer is None else {"layer": layer})
        except PluginFailed as failed:
            return Unmade(failed)

    def _layer(self, part: SaliencyPart) -> str | None:
        return self.part.gradcam_layer if registry.saliency.get(part.name).info.takes_layer else None

    def inputs(self, part: SaliencyPart, variant: Variant, images: Boxed, full: bool) -> Meta:
        cls = registry.saliency.get(part.name)
        options = self.suite.localisation
        return self.variants.identity(variant) | {
            "method": part.name,
            "parameters": part.parameters,
            "layer": self._layer(part),
            "method_source": source_hash(cls),
            "statistics": code_hash(boxes, maxbox, box_statistics),
            "images": images.key,
            "dataset": self.gates.setup.dataset.content_hash,
            "alphas": options.alphas,
            "full": [options.tolerance, options.maxbox_interval] if full else None,
        }

    def statistics(
        self, parts: Sequence[SaliencyPart], variant: Variant, images: Boxed, *, full: bool
    ) -> dict[str, Result]:
        """`box_statistics` by method title; a sentence for each method that does not work on this net."""
        store = self.gates.setup.context.store
        asked = {part.title: self.inputs(part, variant, images, full) for part in parts}
        missing = [p for p in parts if store.when == "always" or not store.has("localisation", asked[p.title])]
        made: dict[str, Result] = {}
        if missing and store.when in ("missing", "always"):
            made = self._walk(missing, variant, images, full)
        results: dict[str, Result] = {}
        for part in parts:
            result = made.get(part.title)
            if not isinstance(result, str):
                compute = self._made_or_again(result, part, variant, images, full)
                result = store.get("localisation", asked[part.title], compute)
            results[part.title] = result
        return results

    def _made_or_again(
        self, made: tuple[Arrays, Meta] | None, part: SaliencyPart, variant: Variant, images: Boxed, full: bool
    ) -> Callable[[], tuple[Arrays, Meta]]:
        """A function that computes a missing artifact: the walk's result, or a new one if that was damaged."""

        def compute() -> tuple[Arrays, Meta]:
            if made is not None:
                return made
            again = self._walk([part], variant, images, full)[part.title]
            if isinstance(again, str):
                raise UserError(again)
            return again

        return compute

    def _walk(self, parts: Sequence[SaliencyPart], variant: Variant, images: Boxed, full: bool) -> dict[str, Result]:
        asked = [Asked(part, self.method(part), self.inputs(part, variant, images, full)) for part in parts]
        walk = Walk(self.gates, self.suite, self.variants, variant, images, full=full)
        return walk.results(asked, f"{self.part.title}, {variant}: maps of {len(images.split)} images")

    def maps(self, part: SaliencyPart, variant: Variant, images: Boxed) -> Floats | str:
        """The maps ``(N, H, W)`` of a few images for pictures, float16 and scaled to at most 1; or a reason."""

        def compute() -> tuple[Arrays, Meta]:
            split, method = images.split, self.method(part)
            maps = np.zeros((len(split), *split.images.shape[1:3]), np.float32)
            for label, index in self.variants.batches(variant, split.labels, len(split)):
                net = self.variants.net(variant, label)
                heat = heat_of(
                    part, method, net, Batch.of(split, index, self.gates.setup.context.device), self.suite.seed
                )
                if isinstance(heat, str):
                    raise UserError(heat)
                maps[index] = heat
            top = np.maximum(maps.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
            return {"heat": (maps / top).astype(np.float16)}, {}

        try:
            heat: Floats = self.gates.setup.context.store.get(
                "maps", self.inputs(part, variant, images, False), compute
            )[0]["heat"]
        except StoreError:
            raise  # a full disk is not the method's fault
        except UserError as error:
            return str(error)
        return heat


def right(measured: Measured, images: Boxed) -> Bools:
    """Whether the whole net classifies each image correctly."""
    setup, split = measured.gates.setup, images.split
    net, context = setup.trained.net, setup.context

    def compute() -> tuple[Arrays, Meta]:
        predicted = []
        with torch.no_grad():
            for begin in range(0, len(split), 250):
                batch = split.tensor(slice(begin, begin + 250)).to(context.device)
                predicted.append(net(batch).argmax(1).cpu().numpy())
        return {"correct": np.concatenate(predicted) == split.labels}, {}

    inputs = {"model": setup.trained.sha256, "images": setup.split_key(split)}
    return np.asarray(context.store.get("correct", inputs, compute)[0]["correct"], bool)
