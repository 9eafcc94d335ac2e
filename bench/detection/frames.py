"""Frames of scores: how the store keeps them, and those of several sets of gates as one, by code and never by text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from ..core.arrays import Ints
from ..core.store import Arrays, Meta
from .protocol import Outcome

COLUMNS = ["gate", "split", "fit_on", "test_on", "kind", "image", "score"]
TEXT = ("fit_on", "test_on", "kind")


def pack(outcome: Outcome, cost: Meta, gate: int) -> tuple[Arrays, Meta]:
    """Scores, fits and cost as the store keeps them, with the hash of the scores as those of this set of gates."""
    arrays: Arrays = {}
    meta: Meta = {"fits": outcome.fits, "cost": cost}
    for name in outcome.scores.columns:
        column = outcome.scores[name]
        if name in TEXT:
            codes, values = pd.factorize(column)
            arrays[name], meta[name] = codes.astype(np.int16), [str(v) for v in values]
        else:
            arrays[name] = column.to_numpy(np.float64 if name == "score" else np.int32)
    return arrays, meta | {"sha256": {str(gate): unpack(arrays, meta, gate)[0].digest}}


def unpack(arrays: Arrays, meta: Meta, gate: int) -> tuple[Outcome, Meta]:
    """What was packed, as that of one set of gates."""
    columns: dict[str, Any] = {n: _texts(meta[n], a) if n in TEXT else a for n, a in arrays.items()}
    columns["gate"] = np.full(len(columns["score"]), gate, np.int16)
    frame = pd.DataFrame({name: columns[name] for name in COLUMNS})
    # In a store of an earlier version the hash is not stated.
    sha256 = meta.get("sha256", {}).get(str(gate), "")
    return Outcome(frame, [record | {"gate": gate} for record in meta["fits"]], sha256), meta["cost"]


def _texts(values: Sequence[str], codes: Ints) -> Any:
    """The text of each row, of which there are few: sorted categories, as `astype("category")` makes them."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return pd.Categorical.from_codes(np.argsort(order)[codes], pd.Index([values[k] for k in order]))


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of several sets of gates as one."""
    if len(outcomes) == 1:
        return outcomes[0]
    frames = [outcome.scores for outcome in outcomes]
    texts = {n: union_categoricals([frame[n] for frame in frames], sort_categories=True) for n in TEXT}
    frame = pd.concat([frame.drop(columns=list(TEXT)) for frame in frames], ignore_index=True)
    frame = frame.assign(**texts)[COLUMNS]
    return Outcome(frame, [record for outcome in outcomes for record in outcome.fits])
