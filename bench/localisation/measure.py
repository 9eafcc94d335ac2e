"""From a net and a saliency method to box statistics of every image: each map is made, measured and let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core import registry
from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..core.hashing import code_hash, hash_arrays, key_of, source_hash
from ..core.store import Arrays, Meta, StoreError
from ..data.annotations import Boxed
from ..harness.setup import Nets
from . import boxes, maxbox, saliency
from .boxes import best_iou, pointing, threshold_boxes, usable
from .maxbox import maxbox_hits
from .net import AttributionNet
from .suite import NetPart, SaliencyPart, Variant, WsolSuite
from .variants import Variants

#: Images whose statistics are put into the store together: as many can be lost when a run is stopped.
PORTION = 250

#: Batches: the class of the net (None: a whole one) and the places of images.
Portion = list[tuple[int | None, Ints]]


def _portions(batches: Sequence[tuple[int | None, Ints]]) -> Iterator[Portion]:
    """Batches one after the other, `PORTION` images or the last of them together."""
    portion: Portion = []
    for batch in batches:
        portion.append(batch)
        if sum(len(index) for _, index in portion) >= PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


def build(part: SaliencyPart, defaults: Mapping[str, Any] | None = None) -> Any:
    """The method that a suite names, with its parameters; ``defaults`` for those that it leaves out."""
    try:
        return registry.saliency.get(part.name)(**{**(defaults or {}), **part.parameters})
    except (TypeError, ValueError) as error:
        raise UserError(f"saliency.{part.title}.parameters: {part.name!r} does not take them ({error}).") from None


class Measured:
    """Box statistics of one net's maps, from the store or computed for several methods in one walk over the images."""

    def __init__(self, nets: Nets, suite: WsolSuite, part: NetPart) -> None:
        self.nets, self.suite, self.part = nets, suite, part
        self.variants = Variants(nets, suite.seed)
        self.alphas = 0.5 * np.arange(suite.localisation.alphas)

    def method(self, part: SaliencyPart) -> Any:
        """The suite's, on the layer that its net names for Grad-CAM."""
        layered = self.part.gradcam_layer is not None and part.name == "grad-cam"
        return build(part, {"layer": self.part.gradcam_layer} if layered else {})

    def inputs(self, part: SaliencyPart, variant: Variant, images: Boxed, full: bool) -> Meta:
        cls = registry.saliency.get(part.name)
        ours = registry.saliency.is_ours(part.name)
        options = self.suite.localisation
        return self.variants.identity(variant) | {
            "method": part.name,
            "parameters": part.parameters,
            "layer": self.part.gradcam_layer if part.name == "grad-cam" else None,
            "method_source": code_hash(saliency) if ours else source_hash(cls),
            "statistics": code_hash(boxes, maxbox),
            "images": images.key,
            "dataset": self.nets.dataset.content_hash,
            "alphas": options.alphas,
            "full": [options.tolerance, options.maxbox_interval] if full else None,
        }

    def statistics(
        self, parts: Sequence[SaliencyPart], variant: Variant, images: Boxed, *, full: bool
    ) -> dict[str, tuple[Arrays, Meta] | str]:
        """For each method's title ``iou (N, alphas)``, ``usable (N,)`` and, if ``full``, ``pointing``, ``v1``, ``v2``.

        A method that this net cannot be given has its sentence instead.
        """
        store = self.nets.store
        asked = {part.title: self.inputs(part, variant, images, full) for part in parts}
        missing = [p for p in parts if store.when == "always" or not store.has("localisation", asked[p.title])]
        made: dict[str, tuple[Arrays, Meta] | str] = {}
        if missing and store.when in ("missing", "always"):
            made = self._walk(missing, variant, images, full)
        found: dict[str, tuple[Arrays, Meta] | str] = {}
        for part in parts:
            done = made.get(part.title)
            found[part.title] = (
                done
                if isinstance(done, str)
                else store.get("localisation", asked[part.title], _given(done, self, part, variant, images, full))
            )
        return found

    def _walk(
        self, parts: Sequence[SaliencyPart], variant: Variant, images: Boxed, full: bool
    ) -> dict[str, tuple[Arrays, Meta] | str]:
        """All methods batch by batch, so that they share one copy of each net and what it remembers of a batch.

        What `PORTION` images gave is kept in the store at once: a run that is stopped goes on behind it.
        """
        store, count, done = self.nets.store, len(images.split), 0
        methods = {part.title: self.method(part) for part in parts}
        asked = {part.title: self.inputs(part, variant, images, full) for part in parts}
        rows: dict[str, list[tuple[Ints, Arrays]]] = {title: [] for title in methods}
        seconds = dict.fromkeys(methods, 0.0)
        refused: dict[str, str] = {}
        batches = self.variants.batches(variant, images.split.labels, self.suite.localisation.batch_size)
        with self.nets.report.stage(f"{self.part.title}, {variant}: maps of {count} images") as tick:
            for portion in _portions(batches):
                index = np.concatenate([index for _, index in portion])
                of = hash_arrays(images.split.ids[index])
                keys = {title: key_of("portion", inputs | {"of": of}) for title, inputs in asked.items()}
                kept = (
                    {}
                    if store.when == "always"
                    else {
                        title: found for title, key in keys.items() if (found := store.read("portion", key)) is not None
                    }
                )
                fresh = self._portion(
                    {t: m for t, m in methods.items() if t not in kept and t not in refused},
                    variant,
                    portion,
                    images,
                    full,
                )
                for title, made in fresh.items():
                    if isinstance(made, str):
                        refused[title] = made
                    else:
                        store.write("portion", keys[title], *made)
                        kept[title] = made
                for title, (arrays, meta) in kept.items():
                    rows[title].append((index, arrays))
                    seconds[title] += meta["seconds"]
                done += len(index)
                tick(done, count, "")
        return {
            title: refused[title] if title in refused else _assembled(rows[title], seconds[title], count)
            for title in methods
        }

    def _portion(
        self, methods: Mapping[str, Any], variant: Variant, portion: Portion, images: Boxed, full: bool
    ) -> dict[str, tuple[Arrays, Meta] | str]:
        """Of each method the statistics of these images, one batch after the other, or why it cannot be given them."""
        rows: dict[str, list[Arrays]] = {title: [] for title in methods}
        seconds = dict.fromkeys(methods, 0.0)
        refused: dict[str, str] = {}
        for label, index in portion if methods else ():
            net = self.variants.net(variant, label)
            batch = images.split.tensor(index).to(self.nets.device)
            targets = torch.from_numpy(images.split.labels[index]).to(self.nets.device)
            ids = torch.from_numpy(images.split.ids[index])
            truth = [images.truth[i] for i in index]
            for title, method in methods.items():
                if title in refused:
                    continue
                began = time.monotonic()
                heat = self._map(title, method, net, batch, targets, ids)
                if isinstance(heat, str):
                    refused[title] = heat
                    continue
                seconds[title] += time.monotonic() - began
                rows[title].append(self.of_maps(heat, truth, full))
        return {
            title: refused[title]
            if title in refused
            else (
                {name: np.concatenate([each[name] for each in rows[title]]) for name in rows[title][0]},
                {"seconds": seconds[title]},
            )
            for title in methods
        }

    def _map(
        self,
        title: str,
        method: Any,
        net: AttributionNet,
        batch: torch.Tensor,
        targets: torch.Tensor,
        ids: torch.Tensor,
    ) -> Floats | str:
        """Maps ``(N, H, W)``, or the sentence that says why there are none; a stranger's method may raise anything."""
        try:
            heat: Floats = method(net, batch, targets, ids=ids, seed=self.suite.seed).cpu().numpy()
        except UserError as error:
            return str(error)
        except Exception as error:
            part = next(part for part in self.suite.saliency if part.title == title)
            if registry.saliency.is_ours(part.name):
                raise
            return f"raised {type(error).__name__}: {error}"
        wanted = (len(batch), *batch.shape[2:])
        if heat.shape != wanted:
            return f"gave maps of shape {heat.shape} for images of {tuple(batch.shape)}; a map has shape {wanted}."
        return heat

    def of_maps(self, heat: Floats, truth: Sequence[Floats], full: bool) -> Arrays:
        """Maps ``(N, H, W)`` as box statistics; a constant map or one with NaN overlaps with nothing at any alpha."""
        options = self.suite.localisation
        good = usable(heat)
        safe = np.where(good[:, None, None], heat, 0)
        iou = np.where(good[:, None], best_iou(threshold_boxes(safe, self.alphas), truth), 0)
        arrays: Arrays = {"iou": iou.astype(np.float32), "usable": good}
        if full:
            arrays["pointing"] = pointing(safe, truth, options.tolerance) & good
            arrays["v1"], arrays["v2"] = maxbox_hits(safe, truth, options.maxbox_interval)
        return arrays

    def maps(self, part: SaliencyPart, variant: Variant, images: Boxed) -> Floats | str:
        """The maps themselves ``(N, H, W)`` of a few images, float16 and at most 1 each, for pictures; or why not."""

        def compute() -> tuple[Arrays, Meta]:
            split, device, method = images.split, self.nets.device, self.method(part)
            heat = np.zeros((len(split), *split.images.shape[1:3]), np.float32)
            for label, index in self.variants.batches(variant, split.labels, len(split)):
                found = self._map(
                    part.title,
                    method,
                    self.variants.net(variant, label),
                    split.tensor(index).to(device),
                    torch.from_numpy(split.labels[index]).to(device),
                    torch.from_numpy(split.ids[index]),
                )
                if isinstance(found, str):
                    raise UserError(found)
                heat[index] = found
            top = np.maximum(heat.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
            return {"heat": (heat / top).astype(np.float16)}, {}

        try:
            found: Floats = self.nets.store.get("maps", self.inputs(part, variant, images, False), compute)[0]["heat"]
        except StoreError:
            raise  # a full disk is no method's fault
        except UserError as error:
            return str(error)
        return found


def _given(
    done: tuple[Arrays, Meta] | None,
    measured: Measured,
    part: SaliencyPart,
    variant: Variant,
    images: Boxed,
    full: bool,
) -> Callable[[], tuple[Arrays, Meta]]:
    """What the store asks for when it lacks an artifact: what the walk made, or (it was damaged since) made now."""

    def compute() -> tuple[Arrays, Meta]:
        if done is not None:
            return done
        again = measured._walk([part], variant, images, full)[part.title]
        if isinstance(again, str):
            raise UserError(again)
        return again

    return compute


def _assembled(rows: Sequence[tuple[Ints, Arrays]], seconds: float, count: int) -> tuple[Arrays, Meta]:
    order = np.argsort(np.concatenate([index for index, _ in rows]))
    arrays = {name: np.concatenate([arrays[name] for _, arrays in rows])[order] for name in rows[0][1]}
    return arrays, {"seconds": seconds, "images": count}
