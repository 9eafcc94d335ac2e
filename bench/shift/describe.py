"""The entries of a run under benign shift: everything behind the figures of one detector."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..detection.describe import head
from ..detection.one_fit import GATE, SPLIT, OneFit
from ..detection.scoring import Scoring
from ..detection.shift import Shift
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from .entry import CALIBRATION, Cell, Entry, FitNote, Mean, Rate
from .figures import all_figures


class Describer:
    """Builds the entries of one suite."""

    def __init__(self, scoring: Scoring, wanted: Shift, protocol: Strict) -> None:
        self._scoring, self._wanted, self._protocol = scoring, wanted, protocol

    def without(self, part: DetectorPart, reason: str) -> Entry:
        """The entry of a detector that could not be tried."""
        return Entry(**head(self._scoring, part, self._protocol), reason=reason)

    def entry(self, part: DetectorPart, fit: OneFit, fit_on: str, rows: pd.DataFrame) -> Entry:
        known, wanted = head(self._scoring, part, self._protocol), self._wanted
        figures = all_figures(rows, wanted.rate, known["statistics"].level, self._scoring.suite.seed)
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
        return Entry(**known, fit=note, clean=Rate(**figures["clean"]), means=means, cells=cells)


def _parts(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    place = {name: cell[name] for name in ("kind", "severity", "images")}
    return place, cell["alarms"], cell["flagged_wrong"]
