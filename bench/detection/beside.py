"""Files that a run writes beside its entries: comparisons, gate reports, figure arrays and the sensitivity sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...subnets import gated
from ...subnets import gates as gate_code
from ...subnets.gates import random_gates
from .. import views
from ..analysis import features
from ..analysis.arrays import FEATURES, GATES, PLAIN_FEATURES, write_arrays
from ..analysis.features import figure_arrays, gate_arrays
from ..core.errors import UserError
from ..core.files import write_json
from ..core.hashing import code_hash
from ..core.store import Arrays, Meta, NotStored, StoreError
from ..harness.plugins import PluginFailed
from ..models import cifar, classifier
from .cells import Columns, Measuring, adjust, compare, leaders
from .measured import measured_cells
from .scoring import Scoring
from .sensitivity import Scored, sweep, variants
from .suite import AnyProtocol, Suite, columns_of
from .titles import choice_title


def comparisons(suite: Suite, protocol: AnyProtocol, detectors: Mapping[str, Columns]) -> dict[str, Any]:
    """Tests of whether the first beats the second, and the detectors not separable from the best of each column."""
    how = Measuring.of(protocol, suite.statistics.level)
    pairs = columns_of([part.title for part in suite.attacks])
    tested: list[dict[str, Any]] = []
    for first, second in suite.statistics.comparisons:
        if first in detectors and second in detectors:
            tested += compare(detectors[first], detectors[second], pairs, (first, second), how)
    return {
        "suite": suite.name,
        "protocol": protocol.name,
        "level": how.level,
        "family": "Holm over all rows",
        "comparisons": adjust(tested),
        "best": leaders(detectors, pairs, how),
    }


def write_gates(scoring: Scoring, folder: Path) -> None:
    """Write the reports on the sets of gates."""
    gates, path = scoring.gates, folder / "subnets.json"
    path.unlink(missing_ok=True)
    if gates.options is not None and gates.sets:
        sets = [gate_set.record() for gate_set in gates.sets]
        head = {"suite": scoring.suite.name, "seed": scoring.suite.seed, "options": gates.options.model_dump()}
        write_json(path, head | {"sets": sets})


def write_figures(scoring: Scoring, folder: Path) -> None:
    """Write the arrays of figures 2 and 3: one set of gates, and penultimate features under the suite's last attack."""
    for path in (FEATURES, PLAIN_FEATURES, GATES):
        (folder / path).unlink(missing_ok=True)
    if not scoring.gates.sets:
        return
    suite, first = scoring.suite, scoring.gates.sets[0]
    about = {"dataset": suite.dataset.title, "suite": suite.name, "gate_seed": str(first.seed)}
    write_arrays(folder / GATES, gate_arrays(first.gates), about)
    try:
        arrays = _features(scoring)
    except (UserError, NotStored) as error:
        if isinstance(error, StoreError):
            raise
        scoring.context.report.warn(f"The arrays of figure 2 are left out: {error}")
        return
    write_arrays(folder / FEATURES, arrays, about | {"attack": suite.attacks[-1].title})


def keep_figures(scoring: Scoring) -> None:
    """Put the arrays of figure 2 into the store; where there are none, whoever writes them says why."""
    try:
        _features(scoring)
    except StoreError:
        raise
    except UserError:
        return
    scoring.context.store.get("task", figures_mark(scoring), lambda: ({}, {}))


def figures_mark(scoring: Scoring) -> Meta:
    """What the mark of the finished task says it was made of."""
    attacked = scoring.attacked.key(scoring.suite.attacks[-1])
    inputs = {
        "attack": attacked,
        "gates": scoring.gates.inputs(scoring.gates.by_seed[0]),
        "source": code_hash(features),
    }
    return {"task": "figures", **inputs}


def _features(scoring: Scoring) -> Arrays:
    suite, first = scoring.suite, scoring.gates.sets[0]
    attack, protocol = suite.attacks[-1], suite.protocols[0]
    facts = scoring.attacked.strength(attack)
    usable = np.flatnonzero(facts["clean_correct"].astype(bool) & facts["success"].astype(bool))
    clean = scoring.images.view("clean", attack.title, protocol)
    moved = scoring.images.view("adversarial", attack.title, protocol)
    inputs = {
        "views": [clean.key, moved.key],
        "gates": first.fingerprint,
        "source": code_hash(features, gate_code, gated, classifier, cifar, views),
        "seed": suite.seed,
    }

    def compute() -> tuple[Arrays, Meta]:
        control = random_gates(first.gates, 0)
        return figure_arrays(clean, moved, first.gates, usable, seed=suite.seed, control=control), {}

    return scoring.context.store.get("figures", inputs, compute)[0]


def write_sensitivity(scoring: Scoring, folder: Path) -> None:
    """Write the sweep over forms of gates, where the suite asks for one."""
    suite, path = scoring.suite, folder / "sensitivity.json"
    path.unlink(missing_ok=True)
    if suite.sensitivity is None:
        return
    try:
        for number in range(len(list(variants(suite)))):
            scoring.context.refuse_failed(choice_title(number))
    except UserError as failed:
        scoring.context.report.warn(f"The sensitivity is left out: {failed}")
        return
    try:
        write_json(path, sweep(suite, suite.sensitivity, lambda variant, text: score_variant(scoring, variant, text)))
    except NotStored as missing:
        scoring.context.report.warn(f"The sensitivity is left out: the store lacks {missing}; run with --when missing.")
    except PluginFailed as failed:
        scoring.context.report.warn(f"The sensitivity is left out: {failed}")


def score_variant(scoring: Scoring, variant: Suite, text: str) -> Scored:
    """Score a variant of the suite under its one protocol, without entries; the data set is already in memory."""
    context, protocol = scoring.context, variant.protocols[0]
    inner = Scoring(variant, context, scoring.setup.dataset)
    columns: dict[str, Columns] = {}
    for part in variant.detectors:
        context.report.step(f"{variant.name}: {text}, {part.title}")
        columns[part.title] = measured_cells(variant, protocol, inner.outcomes(part, protocol)[0], context.store)[1]
    return Scored(columns, [gate_set.report for gate_set in inner.gates.sets])
