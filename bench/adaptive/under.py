"""One detector under attack: the fit that is attacked, with its threshold, and all that was tried on it so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from ..core.arrays import Bools, Ints
from ..core.hashing import code_hash, hash_arrays
from ..core.store import Meta
from ..detection.one_fit import Chosen, one_fit
from ..detection.protocol import Material
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from ..stats.operating import fixed_at
from . import honest
from . import target as targets
from .crafting import Tries, best_of
from .draws import settled
from .entry import STATIC, TRANSFER
from .keys import keys_of
from .rows import Rows
from .target import Ground, Keep, Target, target


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
    chosen = one_fit(scoring, protocol, part, material, wanted.fit_on)
    made = target(part.title, chosen.fit, ground, wanted.rate, fixed_at, _kept(scoring, chosen, ground))
    made = replace(made, score=settled(made.score, ground.images[:16]))
    rows = Rows(ground.index, made)
    _static(rows, chosen, material)
    return UnderAttack(part, chosen.inputs, made, rows, np.zeros(len(ground.index), bool))


def _kept(scoring: Scoring, chosen: Chosen, ground: Ground) -> Keep:
    """What is measured of the detector before anything is tried, through the store."""
    seen = [images.cpu().numpy() for images in (ground.images, ground.calibration)]
    inputs = {
        "detector": chosen.inputs,
        "combiner": chosen.fit.digest,
        "ground": keys_of(scoring, ground),
        "images": hash_arrays(*seen),
        "source": code_hash(honest, targets),
    }
    return partial(scoring.context.store.get, "target", inputs)


def _static(rows: Rows, chosen: Chosen, material: Material) -> None:
    """What the suite's attacks achieve on the same images against the same fit."""
    for attack in material.attacks:
        scores = chosen.fit.scores(chosen.table.of(chosen.number, "adversarial", attack)[rows.index])
        rows.add(STATIC, 0.0, rows.index, material.success[attack][rows.index], scores)


def transfer(under: list[UnderAttack], epsilon: float) -> None:
    """The images that are best against one detector, tried on all others where their own arms failed.

    Last of all, so that what the arms are tried on does not depend on which other detectors a suite has.
    """
    best = [one.best(epsilon) for one in under]
    for number, one in enumerate(under):
        left = ~one.beaten_at(epsilon)
        for other, (places, images) in enumerate(best):
            chosen = left[places] if len(places) else np.zeros(0, bool)
            if other != number and chosen.any():
                scores = one.target.exact(images[chosen])
                one.rows.lowest(TRANSFER, epsilon, one.rows.index[places[chosen]], scores)
