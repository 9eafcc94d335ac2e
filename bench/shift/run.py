"""Runs the benign-shift part of a detection suite: clean images, changed, scored by one fit of every detector."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.arrays import Ints
from ..core.hashing import code_hash, key_of
from ..core.store import Meta
from ..data.dataset import Split
from ..detection.estimate import speed_for
from ..detection.failing import why
from ..detection.one_fit import GATE, Chosen, calibration_for, held_out, one_fit
from ..detection.protocol import Material, check_finite
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart, Suite
from ..detection.tasks import basis
from ..harness.context import Context
from ..harness.task import LAST, Task
from ..views import View
from . import corruptions
from .corruptions import corrupted, kinds_for, refuse_unknown
from .describe import Describer
from .entry import CALIBRATION, CLEAN, Entry


class Run:
    """The run of one suite, after its detection track has attacked the test images and learned the gates."""

    def __init__(self, suite: Suite, context: Context) -> None:
        assert suite.shift is not None  # `harness.track.Track.is_asked_by` has looked
        self.suite, self.context, self.wanted = suite, context, suite.shift
        self.protocol = next(p for p in suite.protocols if isinstance(p, Strict))
        self.scoring = Scoring(suite, context)
        self.failures: list[str] = []
        labels = self.wanted.detectors
        self.parts = [part for part in suite.detectors if not labels or part.title in labels]

    # -- before anything is computed ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Every corruption is known; whether the images can have it is seen once they are there."""
        refuse_unknown(self.wanted.kinds)

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        """Images that every detector scores."""
        kinds = self.wanted.kinds or list(corruptions.CORRUPTIONS)
        images = self.wanted.images * len(kinds) * len(self.wanted.severities)
        title = f"{self.suite.name}, benign shift: {len(self.parts)} detectors, {len(kinds)} corruptions"
        return title, [{"detector": part.title, "images scored, at most": f"{images:,}"} for part in self.parts]

    def steps(self) -> list[float]:
        """About how many seconds each step of `made` takes: forward passes through the net."""
        kinds = self.wanted.kinds or list(corruptions.CORRUPTIONS)
        images = self.wanted.images * len(kinds) * len(self.wanted.severities)
        return [images * speed_for(self.scoring).forward] * len(self.parts)

    # -- what processes of their own can do ---------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        return [Task("shift", part.title, LAST) for part in self.parts]

    def prices(self) -> dict[str, float]:
        return {}

    def stored(self, task: Task) -> bool:
        return self.context.store.has("task", self._mark(task))

    def compute(self, task: Task) -> str:
        part = self._part(task)
        _ = self._shifted  # too few images are a mistake in the suite, not a detector's
        try:
            self._rows(part)
        except Exception as error:
            return why(part, error, self.context)
        self.context.store.get("task", self._mark(task), lambda: ({}, {}))
        return ""

    def _mark(self, task: Task) -> Meta:
        wanted = {"task": "shift", "wanted": self.wanted.model_dump(), "source": _source()}
        return wanted | basis(self.scoring, self._part(task), self.protocol)

    def _part(self, task: Task) -> DetectorPart:
        return next(part for part in self.parts if part.title == task.cell)

    # -- entries ------------------------------------------------------------------------------------------------------

    @cached_property
    def _material(self) -> Material:
        return self.scoring.images.material(self.protocol)

    @cached_property
    def _shifted(self) -> Shifted:
        return Shifted(self.scoring, self.protocol, self._material)

    def _rows(self, part: DetectorPart) -> tuple[Chosen, pd.DataFrame]:
        self.context.refuse_failed(f"shift {part.title}")
        chosen = one_fit(self.scoring, self.protocol, part, self._material, self.wanted.fit_on)
        return chosen, self._shifted.rows(part, chosen)

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame | None]]:
        """Every detector on all corruptions; one that cannot be tried states the reason."""
        scoring, report = self.scoring, self.context.report
        material, _ = self._material, self._shifted  # a mistake that these find ends the run
        describer = Describer(scoring, self.wanted, self.protocol)
        for part in self.parts:
            report.step(f"{self.suite.name}: benign shift, {part.title}")
            try:
                chosen, rows = self._rows(part)
            except Exception as error:
                reason = why(part, error, self.context)
                self.failures.append(f"shift / {part.title}: {reason}")
                report.warn(f"{part.title} could not be tried on changed images: {reason}")
                yield describer.without(part, reason), None
                continue
            learned = material.attacks[0] if len(material.attacks) == 1 else self.wanted.fit_on
            yield describer.entry(part, chosen.fit, learned, rows), rows

    def finish(self, folder: Path) -> None:
        """Nothing lies beside the entries."""


class Shifted:
    """The sets of images that all detectors score; each is made once, and its scores are kept in the store."""

    def __init__(self, scoring: Scoring, protocol: Strict, material: Material) -> None:
        suite = scoring.suite
        assert suite.shift is not None
        self._scoring, self._seed, self._wanted = scoring, suite.seed, suite.shift
        self._index = held_out(protocol, material, suite.shift.images, suite.seed)
        self._clean = scoring.setup.test.select(self._index)
        self._calibration = calibration_for(scoring, protocol, suite.shift.rate, "shift")
        self.kinds = kinds_for(scoring.setup.dataset.shape[0], suite.shift.kinds)
        self._views: dict[tuple[str, int], View] = {}

    def rows(self, part: DetectorPart, chosen: Chosen) -> pd.DataFrame:
        """``kind, severity, image, correct, score`` of clean, calibration and changed images."""
        places = [(CLEAN, 0), (CALIBRATION, 0)]
        places += [(kind, severity) for kind in self.kinds for severity in self._wanted.severities]
        parts = []
        with self._scoring.context.report.stage(f"score with {part.title}") as tick:
            for done, (kind, severity) in enumerate(places):
                tick(done, len(places), kind)
                parts.append(self._scored(part, chosen, kind, severity))
        return pd.concat(parts, ignore_index=True)

    def _scored(self, part: DetectorPart, chosen: Chosen, kind: str, severity: int) -> pd.DataFrame:
        split, numbers = self._split(kind)
        inputs: Meta = {
            "detector": chosen.inputs,
            "fit": chosen.fit.digest,
            "view": self._key(kind, severity, split),
        }

        def compute() -> tuple[dict[str, Any], Meta]:
            view = self._view(kind, severity, split)
            with np.errstate(all="ignore"):
                values = chosen.fit.detector.characteristics(view)
            scores = chosen.fit.scores(check_finite(values, part.title, f"images changed by {kind}"))
            correct = view.predicted == split.labels
            view.forget()
            return {"score": np.asarray(scores, np.float64), "correct": correct}, {}

        arrays, _ = self._scoring.context.store.get("shifted", inputs, compute)
        columns = {"kind": kind, "severity": severity, "image": numbers}
        return pd.DataFrame(columns | {"correct": arrays["correct"].astype(bool), "score": arrays["score"]})

    def _split(self, kind: str) -> tuple[Split, Ints]:
        """The images before they are changed, and their numbers: places among the test images that are attacked."""
        if kind == CALIBRATION:
            return self._calibration, np.arange(len(self._calibration))
        return self._clean, self._index

    def _key(self, kind: str, severity: int, split: Split) -> str:
        setup = self._scoring.setup
        inputs: Meta = {"model": setup.trained.sha256, "images": setup.split_key(split)}
        if kind not in (CLEAN, CALIBRATION):
            inputs |= {"kind": kind, "severity": severity, "seed": self._seed, "source": _source()}
        return key_of("shifted view", inputs)

    def _view(self, kind: str, severity: int, split: Split) -> View:
        place = kind, severity
        if place not in self._views:
            images = split.tensor()
            if kind not in (CLEAN, CALIBRATION):
                images = corrupted(images, kind, severity, self._seed)
            sets, setup = self._scoring.gates.sets, self._scoring.setup
            gates = {"learned": sets[GATE].gates} if sets else {}
            key = self._key(kind, severity, split)
            self._views[place] = View(setup.trained.net, images, key=key, gates=gates, store=setup.context.store)
        return self._views[place]


@cache
def _source() -> str:
    return code_hash(corruptions)
