"""The tasks of a localisation suite: each net, its gates, and the maps of each of its variants by all methods."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.store import Meta
from ..harness.context import Context
from ..harness.gates import GateSets
from ..harness.setup import Setup
from ..harness.task import ATTACKED, NET, SCORED, Task
from .images import Images
from .measure import Measured, right
from .pictures import pictured_maps
from .suite import NetPart, Suite, Variant
from .variants import GATED


def maps_title(part: NetPart, variant: Variant) -> str:
    """The title of the task that makes the maps of one variant of a net."""
    return f"maps {part.title}/{variant}"


class Tasks:
    """The tasks of one suite; the last net is kept, since its tasks follow one another."""

    def __init__(self, suite: Suite, context: Context, images: Images) -> None:
        self.suite, self.context, self.images = suite, context, images
        self._last: Measured | None = None

    def listed(self) -> Iterator[Task]:
        variants = self.suite.localisation.variants
        for part in self.suite.models:
            yield Task("net", part.title, NET)
        if any(variant in GATED for variant in variants):
            for part in self.suite.models:
                yield Task("gates", part.title, ATTACKED)
        for part in self.suite.models:
            for variant in variants:
                stage, _, cell = maps_title(part, variant).partition(" ")
                yield Task(stage, cell, SCORED)

    def stored(self, task: Task) -> bool:
        store, measured = self.context.store, self._measured(task)
        setup = measured.gates.setup
        if task.stage == "net":
            return store.has("weights", setup.weights_inputs)
        if task.stage == "gates":
            return store.has("gates", measured.gates.inputs(measured.gates.by_seed[0]))
        return store.has("task", self._mark(measured, self._variant(task)))

    def compute(self, task: Task) -> None:
        """A method that does not work on a net is found again, at its first batch, by whoever makes its entry."""
        measured = self._measured(task)
        _ = measured.gates.setup.trained
        if task.stage == "gates":
            measured.gates.check()
            measured.gates.learned(0)
        elif task.stage == "maps":
            variant, methods = self._variant(task), self.suite.saliency
            measured.statistics(methods, variant, self.images.heldout, full=False)
            measured.statistics(methods, variant, self.images.test, full=True)
            right(measured, self.images.test)
            pictured_maps(measured, self.images.test, (variant,))
            self.context.store.get("task", self._mark(measured, variant), lambda: ({}, {}))

    def _measured(self, task: Task) -> Measured:
        title = task.cell.partition("/")[0]
        if self._last is None or self._last.part.title != title:
            part = next(part for part in self.suite.models if part.title == title)
            setup = Setup(self.suite.of(part), self.context, self.images.dataset)
            self._last = Measured(GateSets(setup), self.suite, part)
        return self._last

    def _variant(self, task: Task) -> Variant:
        name = task.cell.partition("/")[2]
        return next(variant for variant in self.suite.localisation.variants if variant == name)

    def _mark(self, measured: Measured, variant: Variant) -> Meta:
        sets = ((self.images.heldout, False), (self.images.test, True))
        inputs = [measured.inputs(part, variant, *each) for part in self.suite.saliency for each in sets]
        return {"task": "maps", "maps": inputs}
