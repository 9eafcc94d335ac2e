"""The entries of an adaptive run: everything behind the figures of one detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..core import registry
from ..core.versions import versions
from ..detection.adaptive import Adaptive
from ..detection.describe import detector_note, images_note, model_note
from ..detection.entry import StatisticsNote
from ..detection.one_fit import GATE, SPLIT
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from ..harness.entry import SCHEMA, SuiteNote
from ..harness.objects import origin
from .entry import ArmNote, Cell, Entry, FitNote, GradientNote, ProofNote, Static, Threshold, Tried
from .figures import all_figures
from .target import Target


class Describer:
    """Builds the entries of one suite."""

    def __init__(self, scoring: Scoring, wanted: Adaptive, protocol: Strict) -> None:
        self._scoring, self._wanted, self._protocol = scoring, wanted, protocol

    def without(self, part: DetectorPart, reason: str) -> Entry:
        """The entry of a detector that could not be attacked."""
        return Entry(**self._head(part), reason=reason)

    def entry(
        self,
        part: DetectorPart,
        target: Target,
        rows: pd.DataFrame,
        tries: Mapping[float, Mapping[str, dict[str, Any]]],
        arms: dict[str, ArmNote],
        proofs: Mapping[float, Sequence[ProofNote]],
    ) -> Entry:
        head, wanted = self._head(part), self._wanted
        accuracy, level = head["model"].accuracy, head["statistics"].level
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
            **head,
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

    def _head(self, part: DetectorPart) -> dict[str, Any]:
        scoring, suite = self._scoring, self._scoring.suite
        info = registry.detectors.get(part.name).info
        candidates = scoring.candidates(part, self._protocol)
        return {
            "schema_": SCHEMA,
            "suite": SuiteNote(name=suite.name, title=suite.title, limit=suite.limit),
            "dataset": images_note(scoring.setup, self._protocol),
            "model": model_note(scoring.setup),
            "detector": detector_note(
                info, part.title, part.name, candidates, "", **origin(registry.detectors, part.name)
            ),
            "seed": suite.seed,
            "statistics": StatisticsNote(level=suite.statistics.level),
            "versions": dict(versions()),
        }
