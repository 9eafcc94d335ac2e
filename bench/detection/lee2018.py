"""The protocol `lee2018`: what the released code of Lee et al. 2018 does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.arrays import Floats, Ints
from ..stats.metrics import auroc
from .protocol import Characteristics, Kind, Material, Outcome, _Rows
from .suite import Lee2018


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
