"""A part of an adaptive entry run again: its first arm at its smallest budget, compared image by image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..harness.audit import Line, Verdict
from ..harness.context import Context
from .arms import arm_of
from .entry import Entry, budget
from .figures import tried_by
from .ground import ground_of
from .keys import attacker_of
from .suite import Suite
from .under import under_attack

#: Largest allowed difference of the share beaten: a step by sign turns with the last bit of a gradient, so that another
#: machine finds other images, though hardly fewer or more.
TOLERANCE = 0.05


def again(suite: Suite, context: Context, entry: Entry, rows: pd.DataFrame) -> Iterator[Line]:
    """Lines on the threshold, which must be the same, and on the images that the arm beats."""
    wanted, protocol = suite.adaptive, next(p for p in suite.protocols if isinstance(p, Strict))
    if entry.threshold is None or not entry.cells or wanted is None:
        return
    scoring = Scoring(suite, context)
    material = scoring.images.material(protocol)
    ground = ground_of(scoring, protocol, material, wanted)
    part = next(part for part in suite.detectors if part.title == entry.label)
    under = under_attack(scoring, protocol, part, material, ground)
    stated, tau = entry.threshold.tau, under.target.tau
    close = abs(stated - tau) <= 1e-3 * max(under.target.score.spread, 1e-12)
    yield Line("threshold again", "match" if close else "mismatch", f"{stated:.6g} was stated, {tau:.6g} is made")
    cell = entry.cells[0]
    arm = next((arm for arm in wanted.arms if arm.title in cell.arms), None)
    if arm is None:
        raise UserError("No arm tried anything at the smallest budget.")
    label, every, attacker = arm.title, np.arange(len(under.beaten)), attacker_of(scoring, wanted, ground)
    largest = cell.epsilon == wanted.epsilons[-1]
    made = arm_of(arm, wanted, cell.epsilon)
    tries = attacker.tries(under.target, under.inputs, made, every, unbounded=largest)
    index = under.rows.index[tries.places]
    old = tried_by(rows, label, cell.epsilon).set_index("image")
    what = f"{label} at {budget(cell.epsilon)} again"
    if sorted(old.index) != sorted(index):
        yield Line(what, "mismatch", f"{len(old)} other images were tried")
        return
    before = (old["wrong"].astype(bool) & (old["score"] <= stated)).reindex(index).to_numpy()
    now = tries.beaten(tau)
    verdict: Verdict = "match" if abs(before.mean() - now.mean()) <= TOLERANCE else "mismatch"
    same = int(np.sum(before == now))
    yield Line(what, verdict, f"{int(before.sum())} of {len(now)} beaten then, {int(now.sum())} now, {same} alike")
