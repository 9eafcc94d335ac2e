"""From a net and a saliency method to box statistics of every image: each map is made, measured and let go."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..subnets import gates as gate_code
from ..subnets.gates import random_gates
from . import attribution_nets, boxes, maxbox, registry, saliency
from .attribution_nets import AttributionNet, attribution_net
from .boxed import Annotations
from .boxes import best_iou, pointing, threshold_boxes, usable
from .data import Split
from .maxbox import maxbox_hits
from .models import Classifier
from .nets import Nets, code_hash, source_hash
from .store import Arrays, Meta, StoreError, hash_arrays
from .types import ClassGates, Floats, Ints, UserError
from .wsol_config import NetPart, SaliencyPart, Variant, WsolSuite

GATED: tuple[Variant, ...] = ("subnet", "random-gates", "wrong-class")


@dataclass(frozen=True)
class Boxed:
    """Images with their boxes, in the same order."""

    split: Split
    truth: Sequence[Floats]
    annotations: Annotations

    @classmethod
    def of(cls, split: Split, annotations: Annotations) -> Boxed:
        """Those images of the split that have a usable box."""
        kept = split.select(np.array([int(image) in annotations.boxes for image in split.ids], bool))
        return cls(kept, [annotations.boxes[int(image)] for image in kept.ids], annotations)

    def select(self, index: Ints) -> Boxed:
        return Boxed(self.split.select(index), [self.truth[i] for i in index], self.annotations)

    @cached_property
    def key(self) -> str:
        return hash_arrays(self.split.ids, np.concatenate([*self.truth, np.zeros((1, 4))]))


class Variants:
    """The nets that maps are taken of: a classifier whole, as its classes' subnets, and as controls."""

    def __init__(self, nets: Nets, seed: int) -> None:
        self._nets, self._seed = nets, seed

    @cached_property
    def _gates(self) -> ClassGates:
        return self._nets.gates[0][0]

    def gates(self, variant: Variant) -> ClassGates | None:
        """Rows by the image's own class; None for a whole net."""
        if variant == "random-gates":
            return random_gates(self._gates, self._seed)
        if variant == "wrong-class":
            order = wrong_classes(self._nets.classifier.classes, self._seed)
            return {path: gate[order] for path, gate in self._gates.items()}
        return self._gates if variant == "subnet" else None

    def identity(self, variant: Variant) -> Meta:
        """What a variant's maps depend on, beside the images."""
        gates = self._nets.gates[0][1]["fingerprint"] if variant in GATED else ""
        return {"model": self._nets.model_hash, "variant": variant, "gates": gates, "seed": self._seed,
                "source": code_hash(attribution_nets, gate_code)}  # fmt: skip

    def batches(self, variant: Variant, labels: Ints, size: int) -> Iterator[tuple[AttributionNet, Ints]]:
        """Nets with the places of images whose maps they give; a subnet meets the images of its class alone."""
        gates = self.gates(variant)
        if gates is None:
            classifier = self._nets.classifier
            net = attribution_net(redrawn(classifier, self._seed) if variant == "random-weights" else classifier, None)
            yield from ((net, index) for index in _pieces(np.arange(len(labels)), size))
            return
        for label in np.unique(labels):
            net = attribution_net(self._nets.classifier, {path: gate[int(label)] for path, gate in gates.items()})
            yield from ((net, index) for index in _pieces(np.flatnonzero(labels == label), size))


def _pieces(index: Ints, size: int) -> Iterator[Ints]:
    return (index[begin : begin + size] for begin in range(0, len(index), size))


def wrong_classes(classes: int, seed: int) -> Ints:
    """For each class another one, no two the same: a cyclic step through a random order."""
    order = np.random.default_rng((seed, 11)).permutation(classes)
    wrong = np.empty(classes, np.int64)
    wrong[order] = np.roll(order, 1)
    return wrong


def redrawn(classifier: Classifier, seed: int) -> Classifier:
    """The same net with all its weights drawn anew and untrained (the sanity check of Adebayo et al. 2018)."""
    net = copy.deepcopy(classifier)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in net.net.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return net.eval()


def build(part: SaliencyPart, defaults: Mapping[str, Any] | None = None) -> Any:
    """The method that a suite names, with its parameters; ``defaults`` for those that it leaves out."""
    try:
        return registry.saliency.get(part.name)(**{**(defaults or {}), **part.parameters})
    except TypeError as error:
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
            found[part.title] = done if isinstance(done, str) else store.get(
                "localisation", asked[part.title], _given(done, self, part, variant, images, full)
            )  # fmt: skip
        return found

    def _walk(
        self, parts: Sequence[SaliencyPart], variant: Variant, images: Boxed, full: bool
    ) -> dict[str, tuple[Arrays, Meta] | str]:
        """All methods batch by batch, so that they share one copy of each net and what it remembers of a batch."""
        methods = {part.title: self.method(part) for part in parts}
        rows: dict[str, list[tuple[Ints, Arrays]]] = {title: [] for title in methods}
        seconds = dict.fromkeys(methods, 0.0)
        refused: dict[str, str] = {}
        device, count, done = self.nets.device, len(images.split), 0
        with self.nets.report.stage(f"{self.part.title}, {variant}: maps of {count} images") as tick:
            for net, index in self.variants.batches(variant, images.split.labels, self.suite.localisation.batch_size):
                batch = images.split.tensor(index).to(device)
                targets = torch.from_numpy(images.split.labels[index]).to(device)
                ids = torch.from_numpy(images.split.ids[index])
                truth = [images.truth[i] for i in index]
                for title, method in methods.items():
                    if title in refused:
                        continue
                    began = time.monotonic()
                    try:
                        heat = method(net, batch, targets, ids=ids, seed=self.suite.seed).cpu().numpy()
                    except UserError as error:
                        refused[title] = str(error)
                        continue
                    seconds[title] += time.monotonic() - began
                    rows[title].append((index, self.of_maps(heat, truth, full)))
                done += len(index)
                tick(done, count, "")
        return {title: refused[title] if title in refused else _assembled(rows[title], seconds[title], count)
                for title in methods}  # fmt: skip

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
            for net, index in self.variants.batches(variant, split.labels, len(split)):
                heat[index] = method(
                    net, split.tensor(index).to(device), torch.from_numpy(split.labels[index]).to(device),
                    ids=torch.from_numpy(split.ids[index]), seed=self.suite.seed,
                ).cpu().numpy()  # fmt: skip
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
