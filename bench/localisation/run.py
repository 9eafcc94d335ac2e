"""Runs a localisation suite: alpha on held-out training images, errors on test images, controls, entries, claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...subnets.gates import GateOptions
from ..core import registry
from ..core.arrays import Bools, Floats
from ..core.errors import UserError
from ..core.files import write_json
from ..core.progress import Reporter, Silent
from ..core.store import Arrays, Meta, NotStored, Store
from ..core.versions import LIBRARIES, versions
from ..data.annotations import Boxed, SplitName, annotated
from ..data.dataset import Dataset, Split, stratified
from ..data.imagenet import geometry, home
from ..data.load import load
from ..harness.setup import Nets
from ..harness.toml import fill
from ..harness.train import Recipe
from ..models.weights import locate
from .boxes import best_iou, choose_alpha, constant_box
from .controls import NO_NET, _control, edges
from .entry import FOLDER, SCHEMA, Entry, others, write_localisation
from .measure import Measured, build
from .metrics import claims, drawn_counts, measured_metrics, scores_frame
from .pictures import MAPS, write_maps
from .statistics import alphas_of, box_statistics
from .suite import NetPart, SaliencyPart, Variant, WsolSuite
from .tables import write_wsol_tables
from .variants import GATED


@dataclass
class WsolResult:
    folder: Path
    entries: list[Entry]
    failures: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0


def check(suite: WsolSuite) -> None:
    """Everything that can be wrong without computing: names, parameters, recipes and gate options."""
    for part in suite.models:
        registry.models.get(part.name)
        if part.weights is not None:
            locate(part.weights)
        fill(Recipe, {"seed": suite.seed, **part.train}, f"models.{part.title}.train")
    if suite.subnets is not None:
        fill(GateOptions, {"seed": suite.seed, **suite.subnets}, "subnets")
    for saliency in suite.saliency:
        build(saliency)
    registry.datasets.get(suite.dataset.name)


def execute(
    suite: WsolSuite,
    *,
    device: torch.device,
    data_root: Path | None,
    store: Store,
    output: Path,
    report: Reporter | None = None,
) -> WsolResult:
    """Run a suite. A method that a net cannot be given is a reported entry; a mistake in the suite ends the run."""
    report = report or Silent()
    store.warn = report.warn
    check(suite)
    if data_root is None or not data_root.is_dir():
        where = "was not given" if data_root is None else f"{data_root} does not exist"
        raise UserError(
            f"Images with boxes are read from disk and the data root {where}; give their folder with --data-root."
        )
    run = _Run(suite, device, data_root, store, output / suite.name, report)
    try:
        return run.all()
    except NotStored as missing:
        raise UserError(
            f"The store {store.root} lacks {missing} of this suite, and --when {store.when} computes nothing; "
            "run once with --when missing."
        ) from None


class _Run:
    def __init__(
        self, suite: WsolSuite, device: torch.device, data_root: Path, store: Store, folder: Path, report: Reporter
    ) -> None:
        self.suite, self.device, self.data_root, self.store = suite, device, data_root, store
        self.folder, self.report = folder, report
        self.frames: dict[tuple[str, str, str], pd.DataFrame] = {}
        self.failures: list[str] = []

    def all(self) -> WsolResult:
        suite = self.suite
        variants = suite.localisation.variants
        self.report.overall(len(suite.models) * len(variants) + 1)
        made: list[tuple[Entry, pd.DataFrame | None]] = []
        maps: Arrays = {}
        gates: dict[str, Any] = {}
        for part in suite.models:
            nets = self.nets(part)
            self.report.step(f"{suite.name}: {part.title}")
            _ = nets.classifier
            measured = Measured(nets, suite, part)
            if any(variant in GATED for variant in variants):
                nets.check_gates()
                gates[part.title] = nets.gates[0][1]
            for variant in variants:
                self.report.step(f"{suite.name}: {part.title}, {variant}")
                made += list(self.entries(measured, variant))
            maps |= self.maps(measured)
        self.report.step(f"{suite.name}: controls without a net")
        made += list(self.controls())
        write_json(self.folder / "suite.json", suite.model_dump(mode="json"))
        written = [write_localisation(self.folder, entry, frame) for entry, frame in made]
        for path in others(written, self.folder):
            path.unlink()  # of an earlier form of this suite: it would stand in tables as if this run had made it
        options = suite.localisation
        write_json(
            self.folder / FOLDER / "claims.json",
            {
                "suite": suite.name,
                "resamples": options.resamples,
                "level": options.level,
                "family": "Holm over all rows",
                "images": len(self.test.split),
                "left_out": self.left_out,
                "claims": claims(self.frames, self.counts, options.level),
            },
        )
        write_json(self.folder / FOLDER / "subnets.json", {"suite": suite.name, "nets": gates})
        write_maps(self.folder / MAPS, maps)
        write_wsol_tables(self.folder)
        return WsolResult(
            self.folder, [entry for entry, _ in made], self.failures, self.store.computed, self.store.reused
        )

    def nets(self, part: NetPart) -> Nets:
        return Nets(
            self.suite.of(part),
            self.store,
            device=self.device,
            data_root=self.data_root,
            report=self.report,
            dataset=self.dataset,
        )

    # -- images -------------------------------------------------------------------------------------------------------

    @cached_property
    def dataset(self) -> Dataset:
        """The images, read once for all nets."""
        part = self.suite.dataset
        return load(part.name, self.data_root, **part.parameters)

    def _boxed(self, split: Split, name: SplitName) -> Boxed:
        part, size = self.suite.dataset, self.dataset.shape[1]
        root = home(part.name, self.data_root)
        found = annotated(
            root,
            self.suite.boxes.source,
            name,
            size,
            geometry(part.name, part.parameters, size),
            part.parameters.get("classes"),
            split.ids,
        )
        boxed = Boxed.of(split, found)
        if not len(boxed.split):
            some = found.left_out[0] if found.left_out else "the boxes name none of its images"
            raise UserError(f"No {name} image of {root} has a usable box ({some}); correct {self.suite.boxes.source}.")
        return boxed

    @cached_property
    def test(self) -> Boxed:
        """The test images that are evaluated: those with a box, evenly over the classes."""
        boxed = self._boxed(self.dataset.test, "test")
        for sentence in boxed.annotations.left_out[:5]:
            self.report.warn(f"left out: {sentence}")
        more = len(boxed.annotations.left_out) - 5
        if more > 0:
            self.report.warn(f"left out: {more} more test images or lines of {self.suite.boxes.source}")
        return self._limited(boxed, self.suite.limit)

    @cached_property
    def heldout(self) -> Boxed:
        """Training images on which alpha is chosen; where test images are limited, half as many at most."""
        boxed = self._boxed(self.dataset.train, "train")
        count = self.suite.boxes.heldout_per_class * self.dataset.classes
        limit = self.suite.limit
        return self._limited(boxed, count if limit is None else min(count, -(-limit // 2)))

    def _limited(self, boxed: Boxed, limit: int | None) -> Boxed:
        kept = stratified(boxed.split, limit, self.suite.seed)
        return boxed.select(np.flatnonzero(np.isin(boxed.split.ids, kept.ids)))

    @property
    def left_out(self) -> dict[str, int]:
        return {"test": len(self.test.annotations.left_out), "train": len(self.heldout.annotations.left_out)}

    @cached_property
    def counts(self) -> Any:
        return drawn_counts(len(self.test.split), self.suite.localisation.resamples, self.suite.seed)

    # -- entries ------------------------------------------------------------------------------------------------------

    def entries(self, measured: Measured, variant: Variant) -> Iterator[tuple[Entry, pd.DataFrame | None]]:
        """Every method on one variant of one net."""
        suite, part = self.suite, measured.part
        heldout = measured.statistics(suite.saliency, variant, self.heldout, full=False)
        tested = measured.statistics(suite.saliency, variant, self.test, full=True)
        correct = self.correct(measured.nets)
        for saliency in suite.saliency:
            found = tested[saliency.title]
            held = heldout[saliency.title]
            head = self.head(self.model(measured), self.method(measured, saliency), variant)
            if isinstance(found, str) or isinstance(held, str):
                reason = found if isinstance(found, str) else str(held)
                self.failures.append(f"{part.title} / {saliency.title} / {variant}: {reason}")
                self.report.warn(f"{part.title}, {saliency.title} ({variant}) could not be run: {reason}")
                yield head | {"reason": reason, "metrics": None}, None
            else:
                entry, frame = self.entry(head, held, found, correct, alphas_of(suite.localisation))
                self.frames[part.title, saliency.title, variant] = frame
                yield entry, frame

    def entry(
        self, head: Entry, held: tuple[Arrays, Meta], found: tuple[Arrays, Meta], correct: Bools, alphas: Floats
    ) -> tuple[Entry, pd.DataFrame]:
        options, test = self.suite.localisation, self.test.split
        index, errors = choose_alpha(held[0]["iou"], alphas, options.iou)
        frame = scores_frame(test.ids, test.labels, correct, found[0], index, options.iou)
        return head | {
            "alpha": float(alphas[index]),
            "alphas": [float(alpha) for alpha in alphas],
            "heldout_errors": [float(error) for error in errors],
            "heldout_images": len(held[0]["iou"]),
            "images": len(frame),
            "unusable_maps": int((~frame["usable"]).sum()),
            "metrics": measured_metrics(frame, self.counts, options.level),
            "statistics": {"resamples": options.resamples, "level": options.level, "iou": options.iou},
            "seconds_per_image": found[1]["seconds"] / max(1, found[1]["images"]) if "seconds" in found[1] else None,
        }, frame

    def head(self, model: Entry, method: Entry, variant: str) -> Entry:
        data = self.dataset
        return {
            "schema": SCHEMA,
            "suite": {"name": self.suite.name},
            "dataset": {
                "name": data.name,
                "note": data.note,
                "sha256": data.content_hash,
                "size": data.shape[1],
                "boxes_sha256": self.test.annotations.content_hash,
                "left_out": self.left_out,
            },
            "model": model,
            "method": method,
            "variant": variant,
            "target": "GT-known",
            "seed": self.suite.seed,
            "versions": dict(versions((*LIBRARIES, "captum"))),
        }

    def model(self, measured: Measured) -> Entry:
        nets, part = measured.nets, measured.part
        return {
            "label": part.title,
            "name": part.name,
            "parameters": part.parameters,
            "sha256": nets.model_hash,
            "accuracy": nets.clean_accuracy,
            "weights": nets.weights_meta,
        }

    def method(self, measured: Measured, part: SaliencyPart) -> Entry:
        info = registry.saliency.get(part.name).info
        return {
            "label": part.title,
            "name": part.name,
            "title": info.title,
            "year": info.year,
            "url": info.url,
            "formula": info.formula,
            "parameters": measured.method(part).parameters,
        }

    def correct(self, nets: Nets) -> Bools:
        """Whether the whole net names each test image right."""

        def compute() -> tuple[Arrays, Meta]:
            split = self.test.split
            found = []
            with torch.inference_mode():
                for begin in range(0, len(split), 250):
                    index = slice(begin, begin + 250)
                    found.append(nets.classifier(split.tensor(index).to(nets.device)).argmax(1).cpu().numpy())
            return {"correct": np.concatenate(found) == split.labels}, {}

        inputs = {"model": nets.model_hash, "images": nets.split_key(self.test.split)}
        return np.asarray(self.store.get("correct", inputs, compute)[0]["correct"], bool)

    # -- controls that no net has a part in ---------------------------------------------------------------------------

    def controls(self) -> Iterator[tuple[Entry, pd.DataFrame]]:
        """Edges of the image as a map, and the box that suits most held-out images."""
        options = self.suite.localisation
        nobody = np.zeros(len(self.test.split), bool)
        model = {"label": NO_NET, "name": "", "accuracy": None}
        found = [
            box_statistics(edges(boxed.split), boxed.truth, options, full=full)
            for boxed, full in ((self.heldout, False), (self.test, True))
        ]
        head = self.head(model, _control("edges", "Sobel's gradient of the grey image"), "control")
        yield self.entry(head, (found[0], {}), (found[1], {}), nobody, alphas_of(options))
        size = self.dataset.shape[1]
        box = constant_box(self.heldout.truth, (size, size), options.iou)
        iou = best_iou(np.tile(box, (len(nobody), 1, 1)), self.test.truth)
        arrays = {"iou": iou, "usable": np.ones(len(nobody), bool)}
        held = {"iou": best_iou(np.tile(box, (len(self.heldout.split), 1, 1)), self.heldout.truth)}
        method = _control("constant-box", f"the same box for every image: {', '.join(f'{x:g}' for x in box)}")
        yield self.entry(self.head(model, method, "control"), (held, {}), (arrays, {}), nobody, np.zeros(1))

    # -- pictures -----------------------------------------------------------------------------------------------------

    def maps(self, measured: Measured) -> Arrays:
        """Maps of a few test images, drawn from the suite's seed among all of them, by the whole net and the subnet."""
        count = self.suite.localisation.pictures
        if not count:
            return {}
        order = np.random.default_rng((self.suite.seed, 29)).permutation(len(self.test.split))[:count]
        chosen = self.test.select(np.sort(order))
        arrays: Arrays = {
            "images": chosen.split.images,
            "ids": chosen.split.ids,
            "labels": chosen.split.labels,
            "boxes": np.stack([truth[0] for truth in chosen.truth]),
        }
        shown: tuple[Variant, ...] = ("normal", "subnet")
        for variant, part in product(shown, self.suite.saliency):
            if variant in self.suite.localisation.variants:
                heat = measured.maps(part, variant, chosen)
                if not isinstance(heat, str):
                    arrays[f"{measured.part.title}/{part.title}/{variant}"] = heat
        return arrays
