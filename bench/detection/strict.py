"""The protocol `strict`: fitting and evaluation share no image."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from threadpoolctl import threadpool_limits

from ..core.arrays import EVERY, Bools, Ints
from ..core.errors import UserError
from ..stats.splits import Design
from .fits import Plan, plans
from .fitting import Fit, Fitter, Pool
from .protocol import Kind, Material, Outcome, Protocol, Rows, Table


class Strict(Protocol):
    """Free of the reference code's leaks: fitting and evaluation share no image, one common index set over attacks."""

    kinds: ClassVar[tuple[Kind, ...]] = ("clean", "adversarial", "noise")
    calibrates: ClassVar[bool] = True

    name: Literal["strict"] = "strict"
    splits: int = Field(30, ge=2, description="two a random halving, of which each half fits once and evaluates once")
    fit_share: float = Field(0.5, gt=0, lt=1, description="other than a half: every split is drawn anew")
    folds: int = Field(3, ge=2, description="cross-validation on the fitting part chooses among candidates")
    negatives: Literal["clean", "clean+noise"] = "clean"
    minimum_fit: int = Field(500, ge=2, description="cells fitted on fewer successful adversarials are marked")
    minimum_success: int = Field(20, ge=2, description="attacks with fewer successes leave the common index set")
    ties: Literal["half", "pessimistic"] = "half"
    calibration: int = Field(
        1000, ge=0, description="at most this many correctly classified test images, not attacked, set thresholds"
    )

    @property
    def repeats(self) -> int:
        return self.splits

    @property
    def design(self) -> Design:
        return Design(self.fit_share, 2 if self.fit_share == 0.5 else 1)

    @property
    def stored_splits(self) -> int:
        return self.design.blocks

    @model_validator(mode="after")
    def _halves_in_pairs(self) -> Strict:
        if self.design.blocks == 2 and self.splits % 2:
            raise ValueError(f"splits is {self.splits}; halves take turns, so give an even number")
        return self

    @property
    def calibrating(self) -> int:
        return self.calibration

    def able(self, material: Material) -> list[str]:
        return list(material.attacks)

    def evaluate(self, material: Material, table: Table, seed: int) -> Outcome:
        rows = Rows()
        fits: list[dict[str, Any]] = []
        with threadpool_limits(1):  # regressions on a few columns: threads would only wait for each other
            for split in range(self.splits):
                fitting, held_out = self.split_indices(material, seed, split)
                for plan in plans(material.attacks):
                    fit = self._fit(material, table, plan, fitting, (seed, split))
                    fits.append(fit.record)
                    if fit.score is not None:
                        self._score(rows, fit, plan, material, table, held_out)
        frame = rows.frame()
        if self.negatives == "clean+noise":
            # The column's noise is then a negative too; as a control it would only repeat the combiner's training.
            frame["kind"] = frame["kind"].cat.rename_categories({"noise": "noisy"})
        return Outcome(frame, fits)

    def split_indices(self, material: Material, seed: int, split: int) -> tuple[Ints, Ints]:
        """Fitting and evaluation images, stratified by class, among those correctly classified.

        Halves come in pairs: the odd split fits on what the even one before it evaluates.
        """
        generator = np.random.default_rng((seed, split // self.design.blocks))
        pool = np.flatnonzero(material.clean_correct)
        fitting: list[Ints] = []
        for label in np.unique(material.labels[pool]):
            members = generator.permutation(pool[material.labels[pool] == label])
            fitting.append(members[: round(self.fit_share * len(members) + generator.uniform(-0.5, 0.5))])
        fit = np.sort(np.concatenate(fitting)) if fitting else pool[:0]
        rest = np.setdiff1d(pool, fit)
        return (rest, fit) if self.design.blocks == 2 and split % 2 else (fit, rest)

    def is_common(self, material: Material, attack: str) -> bool:
        """Whether an attack succeeds often enough to count in the common index set."""
        fooled = material.success[attack] & material.clean_correct  # fooling a misclassified image is no success
        return bool(np.sum(fooled) >= self.minimum_success)

    def evaluated_images(self, material: Material, held_out: Ints, attack: str) -> Ints:
        """The common index set; an attack that hardly ever succeeds is left out of it and has its own set."""
        if not self.is_common(material, attack):
            return held_out[material.success[attack][held_out]]
        common: list[Bools] = [material.success[a] for a in material.attacks if self.is_common(material, a)]
        return held_out[np.all([success[held_out] for success in common], axis=0)]

    def fitted(self, material: Material, table: Table, seed: int, split: int, fit_on: str) -> Fit:
        """One fit of `evaluate` again, with the same result: ``fit_on`` is an attack's label or a name of `fits`.

        UserError where there is no such fit.
        """
        plan = next((plan for plan in plans(material.attacks) if plan.fit_on == fit_on), None)
        if plan is None or not 0 <= split < self.splits:
            raise UserError(
                f"There is no fit on {fit_on!r} in split {split}: the fits are on "
                f"{', '.join(plan.fit_on for plan in plans(material.attacks))}, the splits 0 to {self.splits - 1}."
            )
        with threadpool_limits(1):
            return self._fit(material, table, plan, self.split_indices(material, seed, split)[0], (seed, split))

    def _fit(self, material: Material, table: Table, plan: Plan, fitting: Ints, place: tuple[int, int]) -> Fit:
        negatives: tuple[Kind, ...] = ("clean", "noise") if self.negatives == "clean+noise" else ("clean",)
        fooled = tuple(fitting[material.success[attack][fitting]] for attack in plan.learned)
        fitter = Fitter(table, self.folds, self.minimum_fit, negatives, self.ties)
        return fitter.fit(plan.fit_on, Pool(plan.learned, fooled), place)

    def _score(self, rows: Rows, fit: Fit, plan: Plan, material: Material, table: Table, held_out: Ints) -> None:
        """Score the held-out images of every attack; the common set's clean images are kept once for all columns.

        Images that set thresholds are numbered from where the attacked ones end.
        """
        score, chosen, shared = fit.score, fit.candidate, False
        assert score is not None
        for test_on in plan.tested:
            images = self.evaluated_images(material, held_out, test_on)
            if len(images) == 0:
                continue  # an attack without a success: its cell has n = 0
            kinds: list[Kind] = ["adversarial"]
            if test_on == fit.fit_on or self.negatives == "clean+noise":
                kinds.append("noise")
            for kind in kinds:
                rows.add(fit.split, fit.fit_on, test_on, kind, images, score(table.of(chosen, kind, test_on)[images]))
            common = self.is_common(material, test_on)
            if not (common and shared):
                scores = score(table.of(chosen, "clean", "")[images])
                rows.add(fit.split, fit.fit_on, EVERY if common else test_on, "clean", images, scores)
                shared = shared or common
        if material.calibration:
            numbers = len(material.labels) + np.arange(material.calibration)
            scores = score(table.of(chosen, "calibration", ""))
            rows.add(fit.split, fit.fit_on, EVERY, "calibration", numbers, scores)
