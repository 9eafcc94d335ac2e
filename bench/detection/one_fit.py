"""One fit of a detector under the protocol `strict`, for tracks that try further images on it, and those images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..core.hashing import hash_arrays
from ..core.store import Meta
from ..data.dataset import Split
from ..stats.column import FirstColumn
from ..stats.combiner import Combiner
from .protocol import Material, Table
from .scoring import Scoring, Shown
from .strict import Strict
from .suite import DetectorPart

#: The split whose fit it is, and the set of gates that its detectors use.
SPLIT, GATE = 0, 0


@dataclass(frozen=True)
class OneFit:
    """A fitted detector, the candidate that was chosen, and what combines its columns.

    A single column without candidates is the score itself.
    """

    detector: Any
    candidate: dict[str, Any]
    combiner: Combiner | FirstColumn
    n_fit: int
    remark: str = ""

    def scores(self, characteristics: Floats) -> Floats:
        """Scores ``(N,)`` of characteristics ``(N, K)``."""
        return self.combiner(characteristics)

    @property
    def digest(self) -> str:
        """A text that differs where the combiner does."""
        if isinstance(self.combiner, FirstColumn):
            return "first column"
        parts = (self.combiner.power, self.combiner.mean, self.combiner.deviation, self.combiner.weights)
        arrays = [np.asarray(part, np.float64) for part in (*parts, [self.combiner.intercept])]
        return hashlib.sha256("".join(map(hash_arrays, arrays)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chosen:
    """A fit with what it was made of: the number of its candidate, all characteristics, and the store's inputs."""

    fit: OneFit
    number: int
    table: Table
    inputs: Meta


def one_fit(scoring: Scoring, protocol: Strict, part: DetectorPart, material: Material, fit_on: str) -> Chosen:
    """The fit of a suite's detector in the first split, on ``fit_on`` (an attack's label, or all attacks).

    UserError where it cannot be fitted, and for a detector whose scores depend on other images.
    """
    scoring._fitted.clear()
    built, candidates = scoring.build(part, protocol, GATE), scoring.candidates(part, protocol)
    shown = Shown(part, protocol, GATE, material, built, candidates)
    if shown.coupled:
        raise UserError("its scores depend on other images of its batch, which further images do not have")
    table, _ = scoring.table(shown)
    # All attacks together need two: one alone is the attack itself.
    learned = material.attacks[0] if len(material.attacks) == 1 else fit_on
    fitted = protocol.fitted(material, table, scoring.suite.seed, SPLIT, learned)
    record, number = fitted.record, fitted.candidate
    if fitted.score is None:
        raise UserError(record["remark"])
    detector = scoring._fit(built[number], GATE)
    fit = OneFit(detector, candidates[number], fitted.score, record["n_fit"], record["remark"])
    return Chosen(fit, number, table, scoring.detector_inputs(part, protocol, GATE) | {"candidate": number})


def held_out(protocol: Strict, material: Material, count: int, seed: int) -> Ints:
    """At most ``count`` of the images that the first split evaluates, drawn by the suite's seed; in order."""
    evaluated = protocol.split_indices(material, seed, SPLIT)[1]
    return np.sort(np.random.default_rng((seed, 3)).permutation(evaluated)[:count])


def calibration_for(scoring: Scoring, protocol: Strict, rate: float, part: str) -> Split:
    """The correctly classified images that nobody attacks.

    UserError, which names the ``part`` of the suite, where they are too few to fix a threshold at this rate.
    """
    chosen = scoring.setup.calibration(protocol.calibrating)
    if len(chosen) < 1 / rate:
        raise UserError(
            f"[{part}] fixes thresholds at a false-positive rate of {rate:.1%}, for which {len(chosen)} correctly "
            f"classified test images that are not attacked are too few (at least {int(np.ceil(1 / rate))}); lower the "
            "suite's limit or raise calibration of the protocol strict."
        )
    return chosen
