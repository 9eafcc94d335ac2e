"""Runs the adaptive part of a detection suite: every detector, budget by budget, against all arms and each other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import registry
from ..core.errors import reason_of
from ..core.progress import late_stage
from ..core.store import StoreError
from ..detection.adaptive import ArmPart
from ..detection.failing import why
from ..detection.protocol import Material
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart, Suite
from ..harness.context import Context
from ..harness.task import LAST, Task
from .arms import arm_note, arm_of
from .bound import bound, most_seconds, step_seconds
from .crafting import Attacker, tried
from .describe import Describer
from .entry import Entry, budget
from .ground import ground_of
from .keys import attacker_of, keys_of, mark
from .prover import Prover
from .target import Ground
from .under import UnderAttack, transfer, under_attack


class Run:
    """The adaptive run of one suite, after its detection track has attacked the test images and learned the gates."""

    def __init__(self, suite: Suite, context: Context) -> None:
        assert suite.adaptive is not None  # `harness.track.Track.asked` has looked
        self.suite, self.context, self.wanted = suite, context, suite.adaptive
        self.protocol = next(p for p in suite.protocols if isinstance(p, Strict))
        self.scoring = Scoring(suite, context)
        self.failures: list[str] = []
        labels = self.wanted.detectors
        self.parts = [part for part in suite.detectors if not labels or part.title in labels]

    # -- before anything is computed ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Every arm can be made at every budget."""
        for part in self.wanted.arms:
            for epsilon in self.wanted.epsilons:
                arm_of(part, self.wanted, epsilon)

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        return bound(self.suite, self.wanted, len(self.parts))

    def steps(self) -> list[float]:
        """About how many seconds each step of `made` takes: thresholds, attacks budget by budget, proofs; at most."""
        return step_seconds(self.scoring, self.wanted, len(self.parts))

    # -- what processes of their own can do ---------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        return [Task("adaptive", part.title, LAST) for part in self.parts]

    def prices(self) -> dict[str, float]:
        return most_seconds(self.scoring, self.wanted, self.tasks())

    def stored(self, task: Task) -> bool:
        return self.context.store.has("task", mark(self.scoring, self.protocol, self._part(task)))

    def compute(self, task: Task) -> str:
        """All arms and the proof of one detector. What takes all detectors, the transfer between them, is cheap."""
        material, ground = self._ground
        under = self._target(self._part(task), material, ground)
        if isinstance(under, str):
            return under
        attacker = attacker_of(self.scoring, self.wanted, ground)
        for epsilon in self.wanted.epsilons:
            self._attack(under, attacker, epsilon)
        prover = Prover(self.context, self.wanted, keys_of(self.scoring, ground), self.suite.seed)
        prover.proofs(under.target, under.inputs, self._able(under), under.rows.frame())
        self.context.store.get("task", mark(self.scoring, self.protocol, self._part(task)), lambda: ({}, {}))
        return ""

    def _part(self, task: Task) -> DetectorPart:
        return next(part for part in self.parts if part.title == task.cell)

    # -- entries ------------------------------------------------------------------------------------------------------

    @cached_property
    def _ground(self) -> tuple[Material, Ground]:
        material = self.scoring.images.material(self.protocol)
        return material, ground_of(self.scoring, self.protocol, material, self.wanted)

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame | None]]:
        """Attack all detectors, then give each one's entry; one that cannot be attacked states the reason."""
        report, scoring = self.context.report, self.scoring
        material, ground = self._ground
        describer = Describer(scoring, self.wanted, self.protocol)
        attacker = attacker_of(scoring, self.wanted, ground)
        under: list[UnderAttack] = []
        for part in self.parts:
            report.step(f"{self.suite.name}: threshold of {part.title}")
            made = self._target(part, material, ground)
            if isinstance(made, str):
                yield describer.without(part, made), None
            else:
                under.append(made)
        for epsilon in self.wanted.epsilons:
            for one in under:
                report.step(f"{self.suite.name}: {one.part.title} at {budget(epsilon)}")
                self._attack(one, attacker, epsilon)
        for epsilon in self.wanted.epsilons:
            transfer(under, epsilon)
        self.context.store.used.share()  # all detectors were attacked together, and each other's images tried on them
        prover = Prover(self.context, self.wanted, keys_of(scoring, ground), self.suite.seed)
        for one in under:
            report.step(f"{self.suite.name}: proof of {one.part.title}")
            yield self._entry(one, describer, prover)

    def finish(self, folder: Path) -> None:
        """Nothing lies beside the entries."""

    def _target(self, part: DetectorPart, material: Material, ground: Ground) -> UnderAttack | str:
        """The detector's one fit with its threshold, or why there is none."""
        try:
            self.context.refuse_failed(f"adaptive {part.title}")
            made = under_attack(self.scoring, self.protocol, part, material, ground)
        except Exception as error:
            reason = why(part, error, self.context)
            self.failures.append(f"adaptive / {part.title}: {reason}")
            self.context.report.warn(f"{part.title} could not be attacked: {reason}")
            return reason
        if made.target.score.smooth is None:
            self.context.report.warn(f"{part.title} is attacked without its gradient: {made.target.reason}.")
        return made

    def _attack(self, under: UnderAttack, attacker: Attacker, epsilon: float) -> None:
        """All arms, one after the other, on the images that none has beaten yet."""
        results = under.results.setdefault(epsilon, {})
        for place, part in enumerate(self.wanted.arms):
            left = np.flatnonzero(~under.beaten)
            if not len(left) or not self._fits(part, under):
                continue
            try:
                arm, largest = arm_of(part, self.wanted, epsilon), epsilon == self.wanted.epsilons[-1]
                text = f"attack {under.part.title} with {part.title}, at {budget(epsilon)}"
                with late_stage(self.context.report, text, (place, len(self.wanted.arms))) as tick:
                    tries = attacker.tries(under.target, under.inputs, arm, left, unbounded=largest, tick=tick)
            except StoreError:
                raise
            except Exception as error:
                if registry.arms.is_ours(part.name) or self.context.debug:
                    raise
                under.remarks[part.title] = f"it raised {reason_of(error, typed=True)}"
                self.context.report.warn(f"The arm {part.title} {under.remarks[part.title]}.")
                continue
            results[part.title] = tries
            under.rows.add(part.title, epsilon, under.rows.index[left], tries.wrong, tries.score)
            under.beaten[left] |= tries.beaten(under.target.tau)

    def _entry(self, under: UnderAttack, describer: Describer, prover: Prover) -> tuple[Entry, pd.DataFrame]:
        tau, rows = under.target.tau, under.rows.frame()
        tries = {
            epsilon: {label: tried(each, tau) for label, each in results.items()}
            for epsilon, results in under.results.items()
        }
        proofs = prover.proofs(under.target, under.inputs, self._able(under), rows)
        notes = {
            part.title: arm_note(part, self.wanted, under.remarks.get(part.title, "")) for part in self.wanted.arms
        }
        return describer.entry(under.part, under.target, rows, tries, notes, proofs), rows

    def _able(self, under: UnderAttack) -> list[ArmPart]:
        return [part for part in self.wanted.arms if self._fits(part, under)]

    def _fits(self, part: ArmPart, under: UnderAttack) -> bool:
        """Whether an arm is one for this detector: it has the gradient that it needs, or takes the place of one."""
        arm = arm_of(part, self.wanted, self.wanted.epsilons[-1])
        blind = under.target.score.smooth is None
        return part.title not in under.remarks and not (arm.needs_gradient if blind else arm.stands_in)
