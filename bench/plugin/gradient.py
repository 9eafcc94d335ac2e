"""The gradient that a detector may offer, checked as one part of its contract."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..adaptive.honest import CHECKS, Dishonest, Trial, offered
from .claims import Claim
from .material import Broken, Material, fresh

#: The name of the one check of a detector that offers none.
OFFERED = "it offers its gradient"
#: Number of images that the checks take, spread over the test images.
IMAGES = 64


def offer(material: Material) -> tuple[Trial | None, str]:
    """What the fitted detector offers, to be tried on test images; or None and why. `Broken` where it raises."""
    detector = material.fitted()
    try:
        smooth, reason = offered(detector, material.net)
    except Dishonest as fault:
        raise Broken(str(fault)) from None
    if smooth is None:
        return None, reason
    count = len(material.test)
    view = fresh(material.test, np.unique(np.linspace(0, count - 1, min(IMAGES, count)).astype(np.int64)))
    return Trial(detector, smooth, material.net, view.images, view.gates), ""


def gradient_claims(trial: Trial) -> dict[str, Claim]:
    """The checks of `bench.adaptive.honest`, each of which also has to leave the classifier as it was."""

    def claim(check: Callable[[Trial], str]) -> Claim:
        def run(material: Material) -> str:
            try:
                measured = check(trial)
            except Dishonest as fault:
                raise Broken(str(fault)) from None
            material.before.refuse_changes()
            return measured

        return run

    return {name: claim(check) for name, check in CHECKS.items()}
