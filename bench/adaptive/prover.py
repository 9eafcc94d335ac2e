"""Proof of an attack's strength for each cell that it did not beat outright, through the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...attacks.arms import best, contract
from ...attacks.verify import batch_generator
from ..core.arrays import Ints
from ..core.hashing import code_hash, hash_arrays, source_hash
from ..core.store import Arrays, Meta
from ..detection.adaptive import Adaptive, ArmPart
from ..harness.context import Context
from ..models.heard import heard
from ..models.passes import counted
from . import balls, heads, honest
from . import binarise as binarisation
from . import target as targets
from .arms import arm_of
from .binarise import binarise
from .crafting import arm_passes
from .entry import ProofNote, budget
from .figures import images_of
from .target import Target

FORMS = ("normal", "inverted")


class Prover:
    """Makes the binarisation test of every cell with a robust image; ``inputs`` are what keys say of net and data."""

    def __init__(self, context: Context, wanted: Adaptive, inputs: Meta, seed: int) -> None:
        self._context, self._wanted, self._inputs, self._seed = context, wanted, inputs, seed

    def proofs(
        self, target: Target, detector: Meta, arms: Sequence[ArmPart], rows: pd.DataFrame
    ) -> dict[float, list[ProofNote]]:
        """For each budget the notes of both forms; none where every accepted image was beaten."""
        wanted, images = self._wanted, images_of(rows)
        chosen = np.flatnonzero(target.accepted)[: wanted.proof.images]
        if not len(chosen):
            return {}
        result: dict[float, list[ProofNote]] = {}
        for epsilon in wanted.epsilons:
            robust = (images.clean <= target.tau) & ~(images.lowest(epsilon) <= target.tau)
            if robust.any():
                result[epsilon] = [self._note(target, detector, arms, chosen, epsilon, form) for form in FORMS]
        return result

    def _note(
        self, target: Target, detector: Meta, arms: Sequence[ArmPart], chosen: Ints, epsilon: float, form: str
    ) -> ProofNote:
        wanted = self._wanted
        # A made problem has two classes of its own, for which no training image can be a guide.
        made = {part.title: arm_of(part, wanted, epsilon) for part in arms}
        made = {label: arm for label, arm in made.items() if not arm.needs_guides}
        inputs = {
            **self._inputs,
            "images": hash_arrays(target.ground.index[chosen]),
            "detector": detector,
            "fit": target.fit.digest,
            "tau": target.tau,
            "arms": {label: [source_hash(arm), arm.parameters] for label, arm in made.items()},
            "proof": wanted.proof.model_dump(),
            "form": form,
            "source": code_hash(best, contract, honest, targets, balls, heads, binarisation),
            "seed": self._seed,
        }

        def compute() -> tuple[Arrays, Meta]:
            part = wanted.epsilons.index(epsilon) * len(FORMS) + FORMS.index(form), len(wanted.epsilons) * len(FORMS)
            expected = len(chosen) * (wanted.proof.inner + wanted.proof.draws + sum(map(arm_passes, made.values())))
            net, count = target.ground.net, len(chosen)
            with (
                self._context.report.stage(f"proof at {budget(epsilon)}, {form}", part) as tick,
                counted(net) as passes,
                heard(net, passes, expected, lambda share: tick(int(share * count), count, "")),
            ):
                return {}, self._made(target, made, chosen, epsilon, form)

        return ProofNote(**self._context.store.get("proof", inputs, compute)[1])

    def _made(self, target: Target, arms: dict[str, Any], chosen: Ints, epsilon: float, form: str) -> Meta:
        wanted = self._wanted.proof
        proof = binarise(
            target.ground.net,
            target.score,
            target.tau,
            target.ground.images[chosen],
            epsilon=epsilon,
            norm="Linf",
            arms=arms,
            inner=wanted.inner,
            draws=wanted.draws,
            inverted=form == "inverted",
            generator=batch_generator(self._seed, 0),
        )
        return {
            "form": form,
            "made": proof.tested,
            "refused": proof.images - proof.tested,
            "solved": proof.asr,
            "random": proof.random_asr,
            "passed": proof.passed,
        }
