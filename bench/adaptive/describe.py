"""The entries of an adaptive run: everything behind the figures of one detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..detection.adaptive import Adaptive
from ..detection.describe import head
from ..detection.one_fit import GATE, SPLIT
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from .entry import ArmNote, Cell, Entry, FitNote, GradientNote, ProofNote, Static, Threshold, Tried
from .figures import all_figures
from .target import Target


class Describer:
    """Builds the entries of one suite."""

    def __init__(self, scoring: Scoring, wanted: Adaptive, protocol: Strict) -> None:
        self._scoring, self._wanted, self._protocol = scoring, wanted, protocol

    def without(self, part: DetectorPart, reason: str) -> Entry:
        """The entry of a detector that could not be attacked."""
        return Entry(**head(self._scoring, part, self._protocol), reason=reason)

    def entry(
        self,
        part: DetectorPart,
        target: Target,
        rows: pd.DataFrame,
        tries: Mapping[float, Mapping[str, dict[str, Any]]],
        arms: dict[str, ArmNote],
        proofs: Mapping[float, Sequence[ProofNote]],
    ) -> Entry:
        known, wanted = head(self._scoring, part, self._protocol), self._wanted
        accuracy, level = known["model"].accuracy, known["statistics"].level
        figures = all_figures(rows, wanted.epsilons, wanted.rate, accuracy, level, self._scoring.suite.seed)
        cells = [
            Cell(
                epsilon=epsilon,
                **figures["cells"][number],
                arms={label: Tried(**facts) for label, facts in tries.get(epsilon, {}).items()},
                proof=list(proofs.get(epsilon, [])),
            )
            for number, epsilon in enumerate(wanted.epsilons)
        ]
        return Entry(
            **known,
            fit=FitNote(
                protocol=self._protocol.name,
                split=SPLIT,
                gate=GATE,
                fit_on=wanted.fit_on,
                n_fit=target.fit.n_fit,
                candidate=target.fit.candidate,
                remark=target.fit.remark,
            ),
            threshold=Threshold(rate=wanted.rate, tau=figures["tau"], calibration_images=len(target.calibration)),
            gradient=GradientNote(offered=target.score.smooth is not None, reason=target.reason),
            false_alarms=figures["false_alarms"],
            arms=arms,
            cells=cells,
            static=Static(**figures["static"]),
        )
