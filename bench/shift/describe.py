"""The entries of a run under benign shift: everything behind the figures of one detector."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..core import registry
from ..core.versions import versions
from ..detection.describe import detector_note, images_note, model_note
from ..detection.entry import StatisticsNote
from ..detection.one_fit import GATE, SPLIT, OneFit
from ..detection.scoring import Scoring
from ..detection.shift import Shift
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from ..harness.entry import SCHEMA, SuiteNote
from .entry import CALIBRATION, Cell, Entry, FitNote, Mean, Rate
from .figures import all_figures


class Describer:
    """Builds the entries of one suite."""

    def __init__(self, scoring: Scoring, wanted: Shift, protocol: Strict) -> None:
        self._scoring, self._wanted, self._protocol = scoring, wanted, protocol

    def without(self, part: DetectorPart, reason: str) -> Entry:
        """The entry of a detector that could not be tried."""
        return Entry(**self._head(part), reason=reason)

    def entry(self, part: DetectorPart, fit: OneFit, fit_on: str, rows: pd.DataFrame) -> Entry:
        head, wanted = self._head(part), self._wanted
        figures = all_figures(rows, wanted.rate, head["statistics"].level, self._scoring.suite.seed)
        note = FitNote(
            split=SPLIT,
            gate=GATE,
            fit_on=fit_on,
            n_fit=fit.n_fit,
            candidate=fit.candidate,
            rate=wanted.rate,
            tau=figures["tau"],
            calibration_images=int((rows["kind"] == CALIBRATION).sum()),
            remark=fit.remark,
        )
        cells = [
            Cell(**place, alarms=Rate(**alarms), flagged_wrong=Rate(**wrong))
            for place, alarms, wrong in map(_parts, figures["cells"])
        ]
        means = [Mean(**mean) for mean in figures["means"]]
        return Entry(**head, fit=note, clean=Rate(**figures["clean"]), means=means, cells=cells)

    def _head(self, part: DetectorPart) -> dict[str, Any]:
        scoring, suite = self._scoring, self._scoring.suite
        info = registry.detectors.get(part.name).info
        candidates = scoring.candidates(part, self._protocol)
        return {
            "schema_": SCHEMA,
            "suite": SuiteNote(name=suite.name, title=suite.title, limit=suite.limit),
            "dataset": images_note(scoring.setup, self._protocol),
            "model": model_note(scoring.setup),
            "detector": detector_note(info, part.title, part.name, candidates, ""),
            "seed": suite.seed,
            "statistics": StatisticsNote(level=suite.statistics.level),
            "versions": dict(versions()),
        }


def _parts(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    place = {name: cell[name] for name in ("kind", "severity", "images")}
    return place, cell["alarms"], cell["flagged_wrong"]
