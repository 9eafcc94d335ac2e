"""What arms may cost at most: as if every one had to try every image at every budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..detection.adaptive import Adaptive, ArmPart
from ..detection.estimate import speed_for, undownloaded
from ..detection.scoring import Scoring
from ..detection.suite import Suite
from ..harness.task import Task
from .arms import arm_of
from .crafting import arm_passes


def most_passes(part: ArmPart, wanted: Adaptive) -> float:
    """Forward passes of an arm against one detector, a backward pass as two."""
    return wanted.images * len(wanted.epsilons) * arm_passes(arm_of(part, wanted, wanted.epsilons[-1]))


def bound(suite: Suite, wanted: Adaptive, detectors: int) -> tuple[str, list[dict[str, Any]]]:
    """A title, and a row for each arm: beaten images are not tried again, so that a run takes fewer passes."""
    rows = [
        {"arm": part.title, "forward passes, at most": f"{detectors * most_passes(part, wanted):,.0f}"}
        for part in wanted.arms
    ]
    title = f"{suite.name}, adaptive: {detectors} detectors, {len(wanted.epsilons)} budgets, {wanted.images} images"
    return title, rows


def most_seconds(scoring: Scoring, wanted: Adaptive, tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds of every task, at most and by title; the proof is not in them."""
    passes = sum(most_passes(part, wanted) for part in wanted.arms)
    speed = speed_for(undownloaded(scoring)[0])
    return {task.title: speed.seconds(passes, gradients=True) for task in tasks}


def step_seconds(scoring: Scoring, wanted: Adaptive, detectors: int) -> list[float]:
    """Seconds of each step of a run, at most: thresholds, attacks budget by budget, proofs.

    Proofs run the arms on as many images as they have, in both forms at each budget.
    """
    passes = sum(arm_passes(arm_of(part, wanted, wanted.epsilons[-1])) for part in wanted.arms)
    image, budgets = speed_for(scoring).seconds(passes, gradients=True), len(wanted.epsilons)
    attack, proof = wanted.images * image, 2 * budgets * wanted.proof.images * image
    return [attack / 10] * detectors + [attack] * (detectors * budgets) + [proof] * detectors
