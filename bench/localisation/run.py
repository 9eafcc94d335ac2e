"""A localisation suite from images to entries and claims: alpha on held-out training images, errors on test images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...subnets.gates import GateOptions
from ..core import registry
from ..core.files import write_json
from ..core.hashing import source_hash
from ..core.places import placed
from ..core.store import Arrays, Meta
from ..data.annotations import Boxed
from ..data.load import check_name
from ..harness.context import Context
from ..harness.factory import refuse_untrained
from ..harness.gates import GateSets
from ..harness.parameters import check_part
from ..harness.plugins import PluginFailed
from ..harness.ready import check_setup
from ..harness.setup import Setup
from ..harness.task import Task
from ..harness.toml import fill
from ..harness.train import Recipe
from .controls import NO_NET, controls
from .describe import Describer, check_method, describe_method, describe_net
from .entry import CONTROL, FOLDER, Entry, NetNote, claims_file
from .images import Images
from .maps import MAPS, write_maps
from .measure import Measured, build, right
from .metrics import claims
from .pictures import pictured_maps
from .statistics import alphas_of
from .suite import NetPart, Suite, Variant
from .tasks import Tasks, maps_title
from .variants import GATED
from .walk import Result

Made = Iterator[tuple[Entry, pd.DataFrame | None]]


class Run:
    """A run of one suite: it checks everything, makes entries net by net, then claims and pictures."""

    def __init__(self, suite: Suite, context: Context) -> None:
        self.suite, self.context = suite, context
        self.images = Images(suite, context)
        self.describer = Describer(suite, self.images)
        self._tasks = Tasks(suite, context, self.images)
        self.failures: list[str] = []
        self._frames: dict[tuple[str, str, str], pd.DataFrame] = {}
        self._gates: dict[str, Meta] = {}
        self._maps: Arrays = {}

    def check(self) -> None:
        """Check everything that needs no computation: names, parameters, recipes and gate options."""
        suite = self.suite
        for number, part in enumerate(suite.models):
            check_setup(Setup(suite.of(part), self.context), ("models", number))
            refuse_untrained(part, f"models.{part.title}")
            fill(Recipe, {"seed": suite.seed, **(part.train or {})}, f"models.{number}.train")
        if suite.subnets is not None:
            fill(GateOptions, {"seed": suite.seed, **suite.subnets}, "subnets")
        for number, saliency in enumerate(suite.saliency):
            check_method(saliency)
            check_part(registry.saliency, saliency.name, saliency.parameters, ("saliency", number, "parameters"))
            try:
                with placed(("saliency", number), saliency.model_dump()):
                    method = build(saliency)
                check_method(saliency, method)
            except PluginFailed as failed:
                self.context.report.warn(f"{saliency.title} cannot be run: {failed}")
            source_hash(registry.saliency.get(saliency.name))  # read now: files may be edited while the run goes on
        check_name(suite.dataset.name, self.context.data_root)

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        """The nets with their methods and variants; the time that they take is not known in advance."""
        suite = self.suite
        rows = [
            {
                "net": part.title,
                "weights": part.origin,
                "methods": ", ".join(saliency.title for saliency in suite.saliency),
                "of": ", ".join(suite.localisation.variants),
            }
            for part in suite.models
        ]
        return f"{suite.name}: {suite.limit or 'all'} test images, seed {suite.seed}", rows

    def steps(self) -> list[float]:
        """A weight for each step of `made`: the time that maps take is not known in advance."""
        variants = len(self.suite.localisation.variants)
        return [1.0] * (len(self.suite.models) * (1 + variants) + 1)

    def tasks(self) -> list[Task]:
        return list(self._tasks.listed())

    def prices(self) -> dict[str, float]:
        return {}

    def stored(self, task: Task) -> bool:
        return self._tasks.stored(task)

    def compute(self, task: Task) -> str:
        self._tasks.compute(task)
        return ""

    def made(self) -> Made:
        """Every method on every variant of every net, then the controls without a net."""
        suite, report = self.suite, self.context.report
        variants = suite.localisation.variants
        _ = self.images.root  # without a data root, nothing is computed
        for part in suite.models:
            report.step(f"{suite.name}: {part.title}")
            measured = self._measured(part)
            for variant in variants:
                report.step(f"{suite.name}: {part.title}, {variant}")
                yield from self._entries(measured, variant)
            self._maps |= pictured_maps(measured, self.images.test)
        report.step(f"{suite.name}: controls without a net")
        yield from self._controls()

    def finish(self, folder: Path) -> None:
        """Write claims, reports on gates and maps for pictures."""
        options = self.suite.localisation
        head = {"suite": self.suite.name, "resamples": options.resamples, "level": options.level}
        content = head | {
            "family": "Holm over all rows",
            "images": len(self.images.test.split),
            "left_out": self.images.left_out,
            "claims": claims(self._frames, self.describer.counts, options.level),
        }
        write_json(claims_file(folder), content)
        write_json(folder / FOLDER / "subnets.json", {"suite": self.suite.name, "nets": self._gates})
        write_maps(folder / MAPS, self._maps)

    def _measured(self, part: NetPart) -> Measured:
        """A net, trained or loaded, with its gates if a variant needs them."""
        gates = GateSets(Setup(self.suite.of(part), self.context, self.images.dataset))
        _ = gates.setup.trained
        if any(variant in GATED for variant in self.suite.localisation.variants):
            gates.check()
            assert gates.options is not None  # a suite without [subnets] has no such variant
            self._gates[part.title] = gates.sets[0].record() | {"options": gates.options.model_dump()}
        return Measured(gates, self.suite, part)

    def _entries(self, measured: Measured, variant: Variant) -> Made:
        """Every method on one variant of one net; one that does not work on it becomes an entry with the reason."""
        suite, part, describer = self.suite, measured.part, self.describer
        heldout = self._statistics(measured, variant, self.images.heldout, full=False)
        tested = self._statistics(measured, variant, self.images.test, full=True)
        correct = right(measured, self.images.test)
        for saliency in suite.saliency:
            held, test = heldout[saliency.title], tested[saliency.title]
            head = describer.head(
                describe_net(measured), describe_method(saliency, measured.method(saliency).parameters), variant
            )
            if isinstance(test, str) or isinstance(held, str):
                reason = test if isinstance(test, str) else str(held)
                self.failures.append(f"{part.title} / {saliency.title} / {variant}: {reason}")
                self.context.report.warn(f"{part.title}, {saliency.title} ({variant}) could not be run: {reason}")
                yield describer.failed(head, reason), None
                continue
            arrays, meta = test
            seconds = meta["seconds"] / max(1, meta["images"])
            entry, frame = describer.entry(head, held[0], arrays, correct, alphas_of(suite.localisation), seconds)
            self._frames[entry.key] = frame
            yield entry, frame

    def _statistics(self, measured: Measured, variant: Variant, images: Boxed, *, full: bool) -> dict[str, Result]:
        """By method title; of a task that has failed elsewhere, its reason for every method."""
        failed = self.context.failed.get(maps_title(measured.part, variant))
        if failed is not None:
            return {saliency.title: failed for saliency in self.suite.saliency}
        return measured.statistics(self.suite.saliency, variant, images, full=full)

    def _controls(self) -> Made:
        none_correct = np.zeros(len(self.images.test.split), bool)
        model = NetNote(label=NO_NET, name="", accuracy=None)
        for control in controls(self.images, self.suite.localisation):
            head = self.describer.head(model, control.method, CONTROL)
            yield self.describer.entry(head, control.heldout, control.tested, none_correct, control.alphas, None)
