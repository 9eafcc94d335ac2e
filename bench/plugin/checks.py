"""The contract of a detector, checked by one function that a plug-in's own tests can call too."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..views import View
from .claims import CLAIMS, INDEPENDENCE, ROOTS, Claim, views
from .gradient import OFFERED, gradient_claims, offer
from .material import Broken, Material, copied, fresh, raised

__all__ = ["Check", "Outcome", "check_contract", "copied", "fresh", "raised"]

#: Names of what is no claim: that the detector runs at all, and that time was up.
RUNS, CUT = "it runs", "the other checks"

#: ``measured`` is information and ``warning`` a hint; neither is a failure.
Outcome = Literal["passes", "fails", "warning", "measured"]


@dataclass(frozen=True)
class Check:
    """One claim, whether it holds, and what was measured or what is wrong."""

    name: str
    outcome: Outcome
    message: str

    @property
    def passed(self) -> bool:
        return self.outcome != "fails"


def check_contract(
    factory: Callable[..., Any],
    train: View,
    test: View,
    *,
    coupled: bool = False,
    tolerance: float = 1e-4,
    seconds: float = math.inf,
) -> list[Check]:
    """Check every claim of the contract; nothing is raised.

    Where one of the first claims does not hold (`ROOTS`), the others would fail of the same cause: it is then the last.

    ``factory`` makes a detector and has ``info`` and ``candidates``; ``train`` has labels (and gates where the
    detector needs subnets); ``coupled`` skips the checks that an image's score is independent of others. Scores agree
    where they differ by at most ``tolerance`` of their column's largest, since rounding depends on the batch size.
    After ``seconds`` no further check begins, and the last says so.
    """
    end = time.monotonic() + seconds
    material = Material(factory, train, test, tolerance)
    material.meddles = True  # until it is known
    checks = []
    for name, claim in ROOTS.items():
        checks.append(_check(name, claim, material))
        if not checks[-1].passed:
            return checks
        if time.monotonic() > end:
            return [*checks, _cut(seconds)]
    checks.insert(0, _check("the views are left as they were", views, material))
    material.meddles = not checks[0].passed
    claims = {**CLAIMS, **({} if coupled else INDEPENDENCE)}
    for name, claim in claims.items():
        if time.monotonic() > end:
            return [*checks, _cut(seconds)]
        checks.append(_check(name, claim, material))
    return checks + ([_cut(seconds)] if time.monotonic() > end else _gradient(material))


def _cut(seconds: float) -> Check:
    return Check(CUT, "measured", f"left out after {seconds:g} s")


def _gradient(material: Material) -> list[Check]:
    """Whether a gradient that is offered is one; what comes after a check that fails would fail of the same cause."""
    try:
        trial, reason = offer(material)
    except Broken as broken:
        return [Check(OFFERED, "fails", str(broken))]
    if trial is None:
        return [Check(OFFERED, "measured", reason)]
    checks: list[Check] = []
    for name, claim in gradient_claims(trial).items():
        checks.append(_check(name, claim, material))
        if not checks[-1].passed:
            break
    return checks


def _check(name: str, claim: Claim, material: Material) -> Check:
    try:
        return Check(name, "passes", claim(material))
    except Broken as broken:
        return Check(name, "fails", str(broken))
    except Exception as error:  # a detector under test may fail in any way; each is a result
        return Check(name, "fails", raised(error))
