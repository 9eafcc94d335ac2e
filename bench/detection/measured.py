"""Cells measured from scores, and the scores that are kept beside an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..core.arrays import EVERY, Bools
from ..core.hashing import code_hash, key_of
from ..core.store import Arrays, Meta, Store
from ..stats import inference, metrics, operating, splits
from . import cells as cell_code
from . import fits, points, worst
from . import scores as score_code
from .cells import Columns, Measuring, columns, measure
from .fits import ALL_ATTACKS
from .protocol import Outcome
from .suite import AnyProtocol, Pair, Suite, columns_of


def measured_cells(
    suite: Suite, protocol: AnyProtocol, outcome: Outcome, store: Store
) -> tuple[list[dict[str, Any]], Columns]:
    """Cells of an outcome and their columns for comparisons, from the store or computed."""
    attacks = [part.title for part in suite.attacks]

    def compute() -> tuple[Arrays, Meta]:
        how = Measuring.of(protocol, suite.statistics.level)
        return {}, {"cells": measure(outcome.scores, outcome.fits, attacks, how)}

    inputs = {
        "outcome": key_of("outcome", {"fits": outcome.fits, "scores": outcome.digest}),
        "level": suite.statistics.level,
        "protocol": protocol.model_dump(),
        "source": code_hash(cell_code, score_code, fits, points, worst, metrics, inference, operating, splits),
        "attacks": attacks,
    }
    cells = store.get("cells", inputs, compute)[1]["cells"]
    places = list(dict.fromkeys((int(record["gate"]), int(record["split"])) for record in outcome.fits))
    return cells, columns(cells, places)


def stored_scores(scores: pd.DataFrame, protocol: AnyProtocol, attacks: Sequence[str]) -> pd.DataFrame:
    """The scores of the first splits in the columns of Table 2: each image once (`strict`), or in the file's own order.

    With them those of the fit on all attacks, of which a worst case follows; of the images that set thresholds, those
    of this fit and of the first. Of several sets of gates the first. All splits, sets and columns would be some hundred
    times as large; the entry has their figures, and a run makes them again.
    """
    gates = scores["gate"].to_numpy()
    scores = scores[(scores["split"].to_numpy() < protocol.stored_splits) & (gates == gates.min(initial=0))]
    kept = [*columns_of(attacks), *((ALL_ATTACKS, attack) for attack in attacks)]
    kept += [(fit_on, EVERY) for fit_on in (*attacks, ALL_ATTACKS)]
    spared = (scores["kind"] == "calibration") & ~scores["fit_on"].isin([attacks[0], ALL_ATTACKS])
    stored: pd.DataFrame = scores[_is_one_of(scores, set(kept)) & ~spared].reset_index(drop=True)
    return stored


def _is_one_of(scores: pd.DataFrame, pairs: set[Pair]) -> Bools:
    """Which rows are of these columns, looked up by code: a text for each of a million rows takes seconds."""
    fit_on, test_on = (scores[name].astype("category").cat for name in ("fit_on", "test_on"))
    table = np.array([[(a, b) in pairs for b in test_on.categories] for a in fit_on.categories], bool)
    if len(scores) == 0:
        return np.zeros(0, bool)
    return np.asarray(table[fit_on.codes, test_on.codes])
