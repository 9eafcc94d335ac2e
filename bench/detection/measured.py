"""Cells measured from scores, kept in the store with the bootstrap samples for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.hashing import code_hash, key_of
from ..core.store import Arrays, Meta, Store
from ..stats import inference, metrics
from . import cells as cell_code
from . import scores as score_code
from .cells import Measuring, Replicates, Samples, columns_of, measure
from .protocol import Outcome
from .suite import AnyProtocol, Pair, Suite


def measured_cells(
    suite: Suite, protocol: AnyProtocol, outcome: Outcome, store: Store
) -> tuple[list[dict[str, Any]], Samples]:
    """Cells of an outcome and the samples of Table 2's columns, from the store or computed."""
    attacks = [part.title for part in suite.attacks]
    pairs = columns_of(attacks)

    def compute() -> tuple[Arrays, Meta]:
        how = Measuring.of(protocol, suite.statistics, suite.seed)
        cells, samples = measure(outcome.scores, outcome.fits, attacks, how)
        return _packed({pair: samples[pair] for pair in pairs if pair in samples}), {"cells": cells}

    inputs = {
        "outcome": key_of("outcome", {"fits": outcome.fits, "scores": outcome.digest()}),
        "statistics": suite.statistics.model_dump(exclude={"comparisons"}),
        "protocol": protocol.name,
        "ties": protocol.ties,
        "source": code_hash(cell_code, score_code, metrics, inference),
        "seed": suite.seed,
        "attacks": attacks,
    }
    arrays, meta = store.get("cells", inputs, compute)
    return meta["cells"], _unpacked(arrays, pairs)


def _packed(samples: Mapping[Pair, Replicates]) -> Arrays:
    kept: Arrays = {}
    for (fit_on, test_on), replicates in samples.items():
        kept |= {
            f"rows|{fit_on}|{test_on}": replicates.rows,
            f"values|{fit_on}|{test_on}": replicates.values,
            f"places|{fit_on}|{test_on}": np.array(replicates.places, np.int64),
        }
    return kept


def _unpacked(arrays: Arrays, pairs: Sequence[Pair]) -> Samples:
    samples: Samples = {}
    for pair in pairs:
        rows = arrays.get("|".join(("rows", *pair)))
        if rows is not None:
            values, places = (arrays["|".join((name, *pair))] for name in ("values", "places"))
            samples[pair] = Replicates(tuple((int(gate), int(split)) for gate, split in places), values, rows)
    return samples
