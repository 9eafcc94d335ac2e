"""What is stored of a detector's scores, as arrays and facts, and what several sets of gates give together."""

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
_TEXT = ("fit_on", "test_on", "kind")


def pack(outcome: Outcome, cost: Meta) -> tuple[Arrays, Meta]:
    arrays: Arrays = {}
    meta: Meta = {"fits": outcome.fits, "cost": cost}
    for name in outcome.scores.columns:
        column = outcome.scores[name]
        if name in _TEXT:
            codes, values = pd.factorize(column)
            arrays[name], meta[name] = codes.astype(np.int16), [str(v) for v in values]
        else:
            arrays[name] = column.to_numpy(np.float64 if name == "score" else np.int32)
    return arrays, meta


def unpack(arrays: Arrays, meta: Meta, gate: int) -> tuple[Outcome, Meta]:
    columns: dict[str, Any] = {n: _texts(meta[n], a) if n in _TEXT else a for n, a in arrays.items()}
    columns["gate"] = np.full(len(columns["score"]), gate, np.int16)
    frame = pd.DataFrame(columns)[COLUMNS]
    return Outcome(frame, [record | {"gate": gate} for record in meta["fits"]]), meta["cost"]


def _texts(values: Sequence[str], codes: Ints) -> pd.Categorical[Any]:
    """The text of each row, of which there are few: sorted categories, as `astype("category")` makes them."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return pd.Categorical.from_codes(np.argsort(order)[codes], pd.Index([values[k] for k in order]))


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of several sets of gates as one."""
    if len(outcomes) == 1:
        return outcomes[0]
    frames = [outcome.scores for outcome in outcomes]
    texts = {n: union_categoricals([frame[n] for frame in frames], sort_categories=True) for n in _TEXT}
    frame = pd.concat([frame.drop(columns=list(_TEXT)) for frame in frames], ignore_index=True)
    frame = frame.assign(**texts)[COLUMNS]
    return Outcome(frame, [record for outcome in outcomes for record in outcome.fits])


def per_image(costs: Sequence[Meta]) -> Meta:
    """Mean cost of an image over all sets of images that were scored."""
    images, names = max(1, sum(cost["images"] for cost in costs)), ("seconds", "forward", "backward")
    return {f"{name}_per_image": sum(cost[name] for cost in costs) / images for name in names}


def cost_of_all(costs: Sequence[Meta]) -> Meta:
    """Cost over several sets of gates: mean cost per image, total seconds, peak memory."""
    numbers = [name for name in costs[0] if name.endswith("_per_image")]
    whole = costs[0] | {name: sum(cost[name] for cost in costs) / len(costs) for name in numbers}
    if "seconds" in whole:  # not in a store of an earlier version
        whole["seconds"] = sum(cost["seconds"] for cost in costs)
        whole["peak_mb"] = max(cost["peak_mb"] or 0 for cost in costs) or None
    return whole
