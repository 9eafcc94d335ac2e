"""One detector under attack: the fit that is attacked, with its threshold, and all that was tried on it so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..core.arrays import Bools, Ints
from ..core.errors import UserError
from ..core.store import Meta
from ..detection.protocol import Material, Table
from ..detection.scoring import Scoring, Shown
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from .crafting import Tries, best_of
from .draws import settled
from .entry import STATIC
from .figures import threshold
from .ground import GATE, SPLIT
from .rows import Rows
from .target import Fit, Ground, Target, target


@dataclass
class UnderAttack:
    """One detector under attack: what was tried so far, and which images are beaten."""

    part: DetectorPart
    inputs: Meta
    target: Target
    rows: Rows
    beaten: Bools
    results: dict[float, dict[str, Tries]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def beaten_at(self, epsilon: float) -> Bools:
        """Which images an arm has beaten within the budget."""
        beaten = np.zeros(len(self.beaten), bool)
        for tries in (tries for made, of in self.results.items() if made <= epsilon for tries in of.values()):
            beaten[tries.places] |= tries.beaten(self.target.tau)
        return beaten

    def best(self, epsilon: float) -> tuple[Ints, torch.Tensor]:
        """Places and images of the best wrong version within the budget."""
        results = [tries for made, of in self.results.items() if made <= epsilon for tries in of.values()]
        return best_of(len(self.beaten), results)


def under_attack(
    scoring: Scoring, protocol: Strict, part: DetectorPart, material: Material, ground: Ground
) -> UnderAttack:
    """A detector of the suite before anything is tried. UserError where it cannot be attacked, or not be fitted."""
    wanted = scoring.suite.adaptive
    assert wanted is not None
    scoring._fitted.clear()
    built, candidates = scoring.build(part, protocol, GATE), scoring.candidates(part, protocol)
    shown = Shown(part, protocol, GATE, material, built, candidates)
    if shown.coupled:
        raise UserError("its scores depend on other images of its batch, which an attacker does not have")
    table, _ = scoring.table(shown)
    # All attacks together need two: one alone is the attack itself.
    fit_on = material.attacks[0] if len(material.attacks) == 1 else wanted.fit_on
    fitted = protocol.fitted(material, table, scoring.suite.seed, SPLIT, fit_on)
    if fitted.score is None:
        raise UserError(fitted.record["remark"])
    detector = scoring._fit(built[fitted.candidate], GATE)
    record = fitted.record
    fit = Fit(detector, candidates[fitted.candidate], fitted.score, record["n_fit"], record["remark"])
    made = target(part.title, fit, ground, wanted.rate, threshold)
    made = replace(made, score=settled(made.score, ground.images[:16]))
    rows = Rows(ground.index, made)
    _static(rows, fitted.candidate, fit, material, table)
    inputs = scoring.detector_inputs(part, protocol, GATE) | {"candidate": fitted.candidate}
    return UnderAttack(part, inputs, made, rows, np.zeros(len(ground.index), bool))


def _static(rows: Rows, candidate: int, fit: Fit, material: Material, table: Table) -> None:
    """What the suite's attacks achieve on the same images against the same fit."""
    for attack in material.attacks:
        scores = fit.scores(table.of(candidate, "adversarial", attack)[rows.index])
        rows.add(STATIC, 0.0, rows.index, material.success[attack][rows.index], scores)
