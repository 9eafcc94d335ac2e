"""The protocol `lee2018`: the behaviour of the code released with Lee et al. 2018."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import special
from threadpoolctl import threadpool_limits

from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..stats.logistic import fit_cross_validated
from ..stats.metrics import auroc, lee_metrics
from ..stats.splits import Design
from .protocol import Kind, Material, Outcome, Protocol, Rows, Table, fit_record

#: Trap 15: the order of the three thirds, as in `block_split_adv`; unshuffled folds depend on it. Trap 2: noisy images
#: are negatives.
TARGET: dict[Kind, int] = {"clean": 0, "noisy": 0, "adversarial": 1}


class Lee2018(Protocol):
    """The evaluation in the code of Lee et al. 2018, unshuffled, leaks included; see the protocol's documentation."""

    kinds: ClassVar[tuple[Kind, ...]] = ("clean", "adversarial", "noisy")

    name: Literal["lee2018"] = "lee2018"
    fit_share: float = Field(0.1, gt=0, le=0.5, description="each such share of the file takes its turn in fitting")
    batch_size: int = Field(100, ge=2, description="the last incomplete batch of kept images is dropped")
    noise_sigma: dict[str, float] = Field(
        {"fgsm": 0.25 / 4, "bim": 0.13 / 2, "deepfool": 0.25 / 4, "cw": 0.05 / 2},
        description="standard deviation of the noise in normalised units; default: ResNet-34 on CIFAR-10",
    )
    folds: int = Field(3, ge=2)
    minimum_fit: int = Field(500, ge=2)
    ties: Literal["half", "pessimistic"] = "pessimistic"

    @property
    def repeats(self) -> int:
        return max(2, int(1 / self.fit_share + 1e-9))

    @property
    def stored_splits(self) -> int:
        return 1

    @property
    def design(self) -> Design:
        return Design(self.fit_share, self.repeats)

    def able(self, material: Material) -> list[str]:
        return [attack for attack in material.attacks if len(self.kept(material, attack))]

    def kept(self, material: Material, attack: str) -> Ints:
        """Lee's triples, in file order and whole batches: clean and noisy correct, adversarial misclassified."""
        keep = np.flatnonzero(material.clean_correct & material.noisy_correct[attack] & material.success[attack])
        return keep[: len(keep) // self.batch_size * self.batch_size]

    def sigma(self, label: str, attack: str) -> float:
        name = label if label in self.noise_sigma else attack
        if name not in self.noise_sigma:
            raise UserError(
                f"protocols.lee2018.noise_sigma has no value for the attack {label!r}; add one (normalised units)."
            )
        return self.noise_sigma[name]

    def further_metrics(self, positive: Floats, negative: Floats) -> dict[str, float]:
        return {f"lee_{name}": value for name, value in lee_metrics(positive, negative).items()}

    def evaluate(self, material: Material, table: Table, seed: int) -> Outcome:
        rows = Rows()
        fits: list[dict[str, Any]] = []
        with threadpool_limits(1):  # regressions on a few columns: threads would only wait for each other
            for order in range(self.repeats):
                for attack in material.attacks:
                    kept = self.kept(material, attack)
                    fitting = self.first(kept, order)
                    record = fit_record(order, attack, len(fitting) // 2)
                    fits.append(record)
                    score = self._fit(table, attack, kept, fitting, record)
                    if score is not None:
                        self._score(rows, record, score, material, table, fitting)
        return Outcome(rows.frame(), fits)

    def first(self, kept: Ints, order: int) -> Ints:
        """The images that fit and tune: the first share in the file's own order (0), a later one in the others."""
        count = int(self.fit_share * len(kept))
        start = order * len(kept) // self.repeats
        return kept[start : start + count]

    def _fit(
        self, table: Table, attack: str, kept: Ints, fitting: Ints, record: dict[str, Any]
    ) -> Callable[[Floats], Floats] | None:
        """Fit every candidate on the first half, choose on the second; None where there are too few images."""
        train, tune = fitting[: len(fitting) // 2], fitting[len(fitting) // 2 :]
        if len(train) < self.folds or len(tune) == 0:
            record["remark"] = (
                f"{len(kept)} triples were kept, in whole batches of {self.batch_size}, too few to fit on the first "
                f"{self.fit_share:.0%} of them"
            )
            return None
        if len(train) < self.minimum_fit:
            record["remark"] = f"fitted on {len(train)} successful adversarials, fewer than {self.minimum_fit}"
        record["remark"] = _out_of_reach(table, attack, train) or record["remark"]
        models = [lee_regression(*_stacked(table, c, train, attack), self.folds) for c in range(table.candidates)]
        if len(models) > 1:
            # Trap 17: chosen on the fitted attack. Trap 18: ties count against the detector; the first of equals wins.
            quality = []
            for candidate, model in enumerate(models):
                values, is_adversarial = _stacked(table, candidate, tune, attack)
                scores = model(values)
                quality.append(auroc(scores[is_adversarial == 1], scores[is_adversarial == 0], ties=self.ties))
            record["candidate"] = int(np.argmax(quality))
        chosen: Callable[[Floats], Floats] = models[record["candidate"]]
        return chosen

    def _score(
        self,
        rows: Rows,
        fit: Mapping[str, Any],
        score: Callable[[Floats], Floats],
        material: Material,
        table: Table,
        fitting: Ints,
    ) -> None:
        """Score every attack's images but its first tenth, without those used to fit and tune."""
        for test_on in material.attacks:
            kept = self.kept(material, test_on)
            images = np.setdiff1d(kept, np.union1d(self.first(kept, fit["split"]), fitting))
            if len(images) == 0:
                continue
            for kind in TARGET:
                scores = log_odds(score(table.of(fit["candidate"], kind, test_on)[images]))
                rows.add(fit["split"], fit["fit_on"], test_on, kind, images, scores)


def _stacked(table: Table, candidate: int, images: Ints, attack: str) -> tuple[Floats, Ints]:
    values = np.concatenate([table.of(candidate, kind, attack)[images] for kind in TARGET])
    return values, np.repeat(list(TARGET.values()), len(images))


#: In place of the log odds of 0 and of 1, which are infinite: beyond those of all other float64 numbers, -744 to 37.
CERTAIN = (-1000.0, 40.0)


def log_odds(probability: Floats) -> Floats:
    """Of P(adversarial): the order of the images stays, and equal ones, as of P = 1, stay equal.

    Most P lie next to 0 or 1, where only float64 tells them apart; their log odds bear to be rounded in a file.
    """
    return np.clip(special.logit(np.asarray(probability, np.float64)), *CERTAIN)


#: Largest magnitudes of a column that the unscaled regression can use: it does not move for less, and stalls at more.
REACH = (1e-6, 1e20)


def _out_of_reach(table: Table, attack: str, images: Ints) -> str:
    """A remark where a column is so small or so large that the released, unscaled regression passes it over."""
    for candidate in range(table.candidates):
        sizes = np.abs(_stacked(table, candidate, images, attack)[0]).max(0)
        for column, size in enumerate(sizes, start=1):
            if size != 0 and not REACH[0] <= size <= REACH[1]:
                return (
                    f"characteristic {column} is at most {size:.0e} in size, of no use to this protocol's regression, "
                    f"which is unscaled; multiply it by a constant, to lie within {REACH[0]:g} to {REACH[1]:g}"
                )
    return ""


def lee_regression(values: Floats, target: Ints, folds: int) -> Callable[[Floats], Floats]:
    """P(adversarial) by LogisticRegressionCV as of 2018 (trap 16): 10 Cs, lbfgs, 100 iterations, columns unscaled."""
    weights, intercept = fit_cross_validated(values, target, folds)
    return lambda x: np.asarray(special.expit(x @ weights + intercept), np.float64)
