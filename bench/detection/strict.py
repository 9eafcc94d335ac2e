"""The protocol `strict`: fitting and evaluation share no image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..core.arrays import EVERY, Floats, Ints
from ..stats.metrics import auroc
from .protocol import Characteristics, Kind, Material, Outcome, _Rows, combine
from .suite import Strict


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
