"""Who is clean, noisy and adversarial; who fits, who chooses, who is evaluated. Scores of single images come out.

``strict``  Fitting and evaluation share no image. Evaluation uses one index set for all attacks: images that the
            classifier names right and that every attack fools. Candidates are chosen by cross-validation on the
            fitting part. Negatives are clean images (option: noisy ones too). Several seeds of the split.
``lee2018`` The released code of Lee et al. 2018: every attack keeps its own images (clean right, noisy right,
            adversarial wrong), in file order, whole batches only; noisy images are negatives; the first tenth of them
            fits (its first half) and tunes (its second half); unscaled logistic regression; P(adversarial) as score.
            For an unknown attack, which that code does not have: fitted and tuned on A, scored on B's other nine
            tenths without the images that fitted A.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ..core.arrays import EVERY, Bools, Floats, Ints, UserError
from ..harness.suite import Lee2018, Strict
from ..stats.metrics import auroc

Kind = Literal["clean", "noisy", "adversarial", "noise"]

#: ``(candidate, kind, attack) -> (N, K)``; rows that a protocol does not use may be NaN.
Characteristics = Callable[[int, Kind, str], Floats]


@dataclass(frozen=True)
class Material:
    """What is known of the N images before any detector is asked."""

    labels: Ints
    clean_correct: Bools
    attacks: tuple[str, ...]
    success: dict[str, Bools]
    noisy_correct: dict[str, Bools] = field(default_factory=dict)

    def kept(self, attack: str, options: Lee2018) -> Ints:
        """Indices of Lee's triples: clean right, noisy right, adversarial wrong; whole batches, file order."""
        keep = np.flatnonzero(self.clean_correct & self.noisy_correct[attack] & self.success[attack])
        return keep[: len(keep) // options.batch_size * options.batch_size]


@dataclass
class Outcome:
    """Scores of single images ``split, fit_on, test_on, kind, image, score`` and what each fit rested on.

    ``test_on`` is `EVERY` for clean images that serve every test column of their ``fit_on`` with none of its own.
    """

    scores: pd.DataFrame
    fits: list[dict[str, Any]]


class _Rows:
    """Collects columns and makes one frame of them: a frame for every few hundred rows costs more than the fits."""

    _TEXT = ("fit_on", "test_on", "kind")

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {n: [] for n in ("split", *self._TEXT, "image", "score", "count")}

    def add(self, split: int, fit_on: str, test_on: str, kind: str, images: Ints, scores: Floats) -> None:
        for name, value in zip(self._columns, (split, fit_on, test_on, kind, images, scores, len(images)), strict=True):
            self._columns[name].append(value)

    def frame(self) -> pd.DataFrame:
        columns = dict(self._columns)
        count = columns.pop("count")
        frame = pd.DataFrame({"split": np.repeat(np.array(columns["split"], np.int16), count)})
        for name in self._TEXT:
            frame[name] = pd.Categorical(columns[name])[np.repeat(np.arange(len(count)), count)]
        frame["image"] = np.concatenate([np.empty(0, np.int32), *columns["image"]]).astype(np.int32)
        frame["score"] = np.concatenate([np.empty(0), *columns["score"]]).astype(np.float64)
        return frame


def evaluate(
    options: Strict | Lee2018, material: Material, characteristics: Characteristics, candidates: int, seed: int
) -> Outcome:
    """Run one detector, given by its characteristics under each of its candidates, through a protocol."""
    with threadpool_limits(1):  # regressions on a few columns: threads would only wait for each other
        if isinstance(options, Strict):
            return _strict(options, material, characteristics, candidates, seed)
        return _lee2018(options, material, characteristics, candidates)


def split_indices(options: Strict, material: Material, seed: int, split: int) -> tuple[Ints, Ints]:
    """Fitting and evaluation images, stratified by class, among those that the classifier names right."""
    generator = np.random.default_rng((seed, split))
    pool = np.flatnonzero(material.clean_correct)
    fitting: list[Ints] = []
    for label in np.unique(material.labels[pool]):
        members = generator.permutation(pool[material.labels[pool] == label])
        fitting.append(members[: round(options.fit_share * len(members))])
    fit = np.sort(np.concatenate(fitting)) if fitting else pool[:0]
    return fit, np.setdiff1d(pool, fit)


def is_able(options: Strict, material: Material, attack: str) -> bool:
    """Whether an attack succeeds often enough to have a say in the common index set."""
    fooled = material.success[attack] & material.clean_correct  # "success" on a misnamed image is none
    return bool(np.sum(fooled) >= options.minimum_success)


def evaluated_images(options: Strict, material: Material, held_out: Ints, attack: str) -> Ints:
    """The common index set; an attack that hardly ever succeeds is left out of it and has a set of its own."""
    if not is_able(options, material, attack):
        return held_out[material.success[attack][held_out]]
    able = [a for a in material.attacks if is_able(options, material, a)]
    return held_out[np.all([material.success[a][held_out] for a in able], axis=0)]


def _strict(
    options: Strict, material: Material, characteristics: Characteristics, candidates: int, seed: int
) -> Outcome:
    rows, fits = _Rows(), []
    for split in range(options.splits):
        fitting, held_out = split_indices(options, material, seed, split)
        for fit_on in material.attacks:
            used = fitting[material.success[fit_on][fitting]]
            record: dict[str, Any] = {
                "split": split,
                "fit_on": fit_on,
                "n_fit": len(used),
                "candidate": 0,
                "remark": "",
            }
            fits.append(record)
            trivial = candidates == 1 and characteristics(0, "clean", fit_on).shape[1] == 1
            if not trivial and len(used) < 2 * options.folds:
                record["remark"] = f"{len(used)} successful adversarials to fit on, fewer than {2 * options.folds}"
                continue
            if not trivial and len(used) < options.minimum_fit:
                record["remark"] = f"fitted on {len(used)} successful adversarials, fewer than {options.minimum_fit}"
            kinds: tuple[Kind, ...] = ("clean", "noise") if options.negatives == "clean+noise" else ("clean",)

            def stacked(
                candidate: int, images: Ints, fit_on: str = fit_on, kinds: tuple[Kind, ...] = kinds
            ) -> tuple[Floats, Ints]:
                parts = [characteristics(candidate, kind, fit_on)[images] for kind in (*kinds, "adversarial")]
                target = np.repeat([0] * len(kinds) + [1], len(images))
                return np.concatenate(parts), target

            chosen = 0
            if candidates > 1:
                folds = _folds(len(used), options.folds, np.random.default_rng((seed, split, 1)))
                quality = [
                    _cross_validated(partial(stacked, candidate), used, folds, options)
                    for candidate in range(candidates)
                ]
                chosen = int(np.argmax(quality))  # the first of equals, as Lee's code
            record["candidate"] = chosen
            score = combine(*stacked(chosen, used)) if not trivial else _first_column
            shared = False
            for test_on in material.attacks:
                images = evaluated_images(options, material, held_out, test_on)
                if len(images) == 0:
                    continue  # an attack without a success: its cell says n = 0
                kinds_here: list[Kind] = ["adversarial"]
                if test_on == fit_on or options.negatives == "clean+noise":
                    kinds_here.append("noise")
                for kind in kinds_here:
                    rows.add(
                        split, fit_on, test_on, kind, images, score(characteristics(chosen, kind, test_on)[images])
                    )
                common = is_able(options, material, test_on)
                if not (common and shared):  # the clean images of the common set are kept once for all columns
                    place = EVERY if common else test_on
                    rows.add(split, fit_on, place, "clean", images, score(characteristics(chosen, "clean", "")[images]))
                    shared = shared or common
    frame = rows.frame()
    if options.negatives == "clean+noise":
        # The noise of the column is then a negative too; the noise control would ask the combiner what it was taught.
        frame["kind"] = frame["kind"].cat.rename_categories({"noise": "noisy"})
    return Outcome(frame, fits)


def _folds(count: int, folds: int, generator: np.random.Generator) -> list[tuple[Ints, Ints]]:
    """Folds over images: a clean image and its adversarial version are always on the same side."""
    order = generator.permutation(count)
    return [(np.setdiff1d(order, part), np.sort(part)) for part in np.array_split(order, folds)]


def _cross_validated(
    stacked: Callable[[Ints], tuple[Floats, Ints]], used: Ints, folds: list[tuple[Ints, Ints]], options: Strict
) -> float:
    quality = []
    for train, test in folds:
        score = combine(*stacked(used[train]))
        values, target = stacked(used[test])
        found = score(values)
        quality.append(auroc(found[target == 1], found[target == 0], ties=options.ties))
    return float(np.mean(quality))


def _first_column(values: Floats) -> Floats:
    return values[:, 0]


def combine(values: Floats, target: Ints) -> Callable[[Floats], Floats]:
    """Logistic regression over standardised columns; gives the log odds, which never saturate into ties.

    They are rounded to float32: far finer than any ranking rests on, and half the bytes of the scores that are kept.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separable classes: the fit stops at max_iter, the ranking stands
        model.fit(values, target)
    return lambda x: np.asarray(model.decision_function(x), np.float32).astype(np.float64)


def lee_regression(values: Floats, target: Ints, folds: int) -> Callable[[Floats], Floats]:
    """P(adversarial) by LogisticRegressionCV as of 2018 (trap 16): 10 Cs, lbfgs, 100 iterations, columns unscaled."""
    from sklearn.linear_model import LogisticRegressionCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unscaled squared distances reach max_iter, as they did then
        model = LogisticRegressionCV(Cs=10, cv=folds, max_iter=100, scoring="accuracy")
        model.fit(values, target)
    return lambda x: np.asarray(model.predict_proba(x)[:, 1], np.float64)


def _lee2018(options: Lee2018, material: Material, characteristics: Characteristics, candidates: int) -> Outcome:
    rows, fits = _Rows(), []
    kinds: tuple[Kind, ...] = ("adversarial", "clean", "noisy")  # trap 15: the order of the three thirds
    target = {"adversarial": 1, "clean": 0, "noisy": 0}  # trap 2: noisy images are negatives

    def stacked(candidate: int, images: Ints, attack: str) -> tuple[Floats, Ints]:
        values = np.concatenate([characteristics(candidate, kind, attack)[images] for kind in kinds])
        return values, np.repeat([target[kind] for kind in kinds], len(images))

    for fit_on in material.attacks:
        kept = material.kept(fit_on, options)
        first = int(options.fit_share * len(kept))
        train, tune = kept[: first // 2], kept[first // 2 : first]
        record: dict[str, Any] = {"split": 0, "fit_on": fit_on, "n_fit": len(train), "candidate": 0, "remark": ""}
        fits.append(record)
        if len(train) < options.folds or len(tune) == 0:
            record["remark"] = (
                f"{len(kept)} triples were kept, too few to fit on the first {options.fit_share:.0%} of them"
            )
            continue
        if len(train) < options.minimum_fit:
            record["remark"] = f"fitted on {len(train)} successful adversarials, fewer than {options.minimum_fit}"
        models = [lee_regression(*stacked(c, train, fit_on), options.folds) for c in range(candidates)]
        chosen = 0
        if (
            candidates > 1
        ):  # trap 17: chosen on the fitted attack; trap 18: ties count against; the first of equals wins
            quality = []
            for candidate, model in enumerate(models):
                values, is_adversarial = stacked(candidate, tune, fit_on)
                found = model(values)
                quality.append(auroc(found[is_adversarial == 1], found[is_adversarial == 0], ties=options.ties))
            chosen = int(np.argmax(quality))
        record["candidate"] = chosen
        for test_on in material.attacks:
            other = material.kept(test_on, options)
            images = np.setdiff1d(other[int(options.fit_share * len(other)) :], kept[:first])
            if len(images) == 0:
                continue
            for kind in kinds:
                values = characteristics(chosen, kind, test_on)[images]
                rows.add(0, fit_on, test_on, kind, images, models[chosen](values))
    return Outcome(rows.frame(), fits)


def check_finite(values: Floats, detector: str, where: str) -> Floats:
    """Characteristics as float64 ``(N, K)``, or one sentence that names the detector."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise UserError(f"The detector {detector!r} gave characteristics of shape {values.shape} on {where}; "
                        "they must be (N, K).")  # fmt: skip
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise UserError(f"The detector {detector!r} gave NaN or infinite characteristics for {bad.sum()} of "
                        f"{len(values)} images on {where}; every characteristic must be finite.")  # fmt: skip
    return values
