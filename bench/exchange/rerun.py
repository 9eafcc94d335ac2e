"""A random sample of the cells of entries, run again and compared image by image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..adaptive.again import again
from ..adaptive.entry import ADAPTIVE, budget
from ..adaptive.entry import Entry as AdaptiveEntry
from ..core import registry
from ..core.arrays import EVERY
from ..core.errors import UserError, reason_of
from ..core.hashing import canonical
from ..core.store import NotStored
from ..detection.cell import Cell
from ..detection.cells import measure
from ..detection.compare import measuring
from ..detection.describe import describe_attack
from ..detection.entry import AttackNote, Entry
from ..detection.suite import Pair, Suite
from ..harness.audit import Audit, Line, Verdict
from ..harness.of_session import needed
from ..stats.metrics import auroc
from .at_hand import AtHand, parts_of, same_net

#: Largest allowed gap between scores, as a share of their column's standard deviation: batches and rounding differ.
SCORE_TOLERANCE = 1e-3

#: Largest allowed gap between AUROCs of a split: scores that differ by rounding may swap a few ranks.
AUROC_TOLERANCE = 1e-3


def run_again(at_hand: AtHand, audit: Audit, pairs: Sequence[Pair]) -> list[Line]:
    """Score some cells of an entry again and compare image by image; one that cannot be run gives the reason."""
    suite, entry = audit.suite, audit.entry
    what = f"again {', '.join(f'{fit_on} -> {test_on}' for fit_on, test_on in pairs)}"
    if not isinstance(suite, Suite):
        return [Line(what, "not checked", "its suite.json does not state how")]
    if needed(entry):
        return [Line(what, "not checked", needed(entry))]
    if entry.detector.name not in registry.detectors:
        return [Line(what, "not checked", f"the detector {entry.detector.name!r} is not installed here")]
    if not at_hand.has_data(suite):
        return [Line(what, "not checked", f"{suite.dataset.name} is not at hand; give --data-root")]
    try:
        assert audit.scores is not None  # an entry that is drawn has scores
        if isinstance(entry, AdaptiveEntry):
            return list(_attacked_again(at_hand, suite, entry, audit.scores))
        return list(_again(at_hand, suite, entry, audit.scores, pairs))
    except NotStored as missing:
        advice = f"the store lacks {missing}; give --store a run's store, or import the attacks into it"
        return [Line(what, "not checked", advice)]
    except UserError as error:
        return [Line(what, "not checked", str(error))]
    except Exception as error:  # a third-party detector
        return [Line(what, "mismatch", f"it raised {reason_of(error, typed=True)}")]


def _again(at_hand: AtHand, suite: Suite, entry: Entry, scores: pd.DataFrame, pairs: Sequence[Pair]) -> Iterator[Line]:
    scoring = at_hand.scoring(suite)
    model = same_net(scoring.setup.trained, entry)
    yield Line("model again", model.verdict, model.detail)
    if model.verdict != "match":
        yield Line("cells again", "not checked", "they would be those of another net")
        return
    part, protocol = parts_of(suite, entry)
    for attack in suite.attacks:
        if any(attack.title in pair for pair in pairs):
            yield _facts(attack.title, entry.attacks[attack.title], describe_attack(scoring.attacked, attack))
    if entry.subnets is not None:
        stated = [gates.fingerprint for gates in entry.subnets.sets]
        learned = [scoring.gates.sets[place].fingerprint for place in scoring.gate_places(part)]
        same = stated == learned
        detail = f"{len(learned)} sets" if same else "the gates learned here differ"
        yield Line("gates again", "match" if same else "mismatch", detail)
    outcome, _ = scoring.outcomes(part, protocol)
    again = outcome.scores.astype({"fit_on": "str", "test_on": "str", "kind": "str"})
    cells = {
        (c["fit_on"], c["test_on"]): c for c in measure(again, outcome.fits, list(entry.attacks), measuring(entry))
    }
    for pair in pairs:
        if ((scores["fit_on"] == pair[0]) & (scores["test_on"] == pair[1])).any():
            yield _compared(pair, scores, again)
        yield _splits(pair, entry.by_pair()[pair], cells[pair])


def _attacked_again(at_hand: AtHand, suite: Suite, entry: AdaptiveEntry, rows: pd.DataFrame) -> Iterator[Line]:
    scoring = at_hand.scoring(suite)
    model = same_net(scoring.setup.trained, entry)
    yield Line("model again", model.verdict, model.detail)
    if model.verdict != "match":
        yield Line("arm again", "not checked", "it would attack another net")
        return
    yield from again(suite, scoring.context, entry, rows)


def draw(audits: Sequence[Audit], count: int, seed: int) -> dict[int, list[Pair]]:
    """``count`` random cells among those that have a figure: index of the audit -> its cells.

    An entry of attackers who know the detector counts as one cell.
    """
    cells = [
        (place, cell.pair)
        for place, audit in enumerate(audits)
        if isinstance(audit.entry, Entry) and audit.scores is not None
        for cell in audit.entry.cells
        if cell.auroc is not None
    ]
    cells += [
        (place, (ADAPTIVE, budget(audit.entry.cells[0].epsilon)))
        for place, audit in enumerate(audits)
        if isinstance(audit.entry, AdaptiveEntry) and audit.entry.cells
    ]
    chosen = np.random.default_rng(seed).permutation(len(cells))[:count]
    drawn: dict[int, list[Pair]] = {}
    for index in sorted(chosen):
        place, pair = cells[index]
        drawn.setdefault(place, []).append(pair)
    return drawn


def _facts(title: str, stated: AttackNote, again: AttackNote) -> Line:
    """Compare attack statistics, which must agree; the bits of the images may differ between machines."""
    loose = ("seconds_per_image", "images_sha256", "remark", "effort")
    for name, value in again:
        if name not in loose and not _close(getattr(stated, name), value):
            return Line(f"attack {title} again", "mismatch", f"{name} was {getattr(stated, name)}, is {value}")
    bits = ", the same images to the last bit" if stated.images_sha256 == again.images_sha256 else ""
    detail = f"{again.successes} of {again.clean_correct} fooled, same norms{bits}"
    return Line(f"attack {title} again", "match", detail)


def _close(stated: Any, again: Any) -> bool:
    if isinstance(stated, float) and isinstance(again, float):
        return math.isclose(stated, again, rel_tol=1e-4, abs_tol=1e-9)
    return bool(stated == json.loads(canonical(again)))


def _splits(pair: Pair, stated: Cell, again: Mapping[str, Any]) -> Line:
    """Compare the AUROCs of all splits, those without stored scores too."""
    what = f"again {pair[0]} -> {pair[1]}, all splits"
    new = again.get("auroc_by_split") or []
    if len(new) != len(stated.auroc_by_split):
        return Line(what, "mismatch", f"{len(stated.auroc_by_split)} splits were stated, {len(new)} are made")
    gaps = [abs((a or 0.0) - (b or 0.0)) for a, b in zip(stated.auroc_by_split, new, strict=True)]
    verdict: Verdict = "match" if max(gaps) <= AUROC_TOLERANCE else "mismatch"
    return Line(what, verdict, f"{len(gaps)} AUROCs, largest difference {100 * max(gaps):.3f} points")


def _compared(pair: Pair, stated: pd.DataFrame, again: pd.DataFrame) -> Line:
    """Compare a cell's scores image by image."""
    what, keys = f"again {pair[0]} -> {pair[1]}", ["gate", "split", "test_on", "kind", "image"]
    old, new = (
        f[(f["fit_on"] == pair[0]) & f["test_on"].isin([pair[1], EVERY])].set_index(keys)["score"].sort_index()
        for f in (stated, again)
    )
    if not old.index.isin(new.index).all():
        return Line(what, "mismatch", f"{len(old)} scores were of other images than the {len(new)} of this run")
    new = new.loc[old.index]
    before, after = old.to_numpy(np.float64), new.to_numpy(np.float64)
    size = float(np.abs(before).max(initial=0)) or 1.0  # first, since squares of 1e200 overflow and of 1e-200 vanish
    scale = float((before / size).std()) or 1.0
    largest = float(np.abs(before / size - after / size).max(initial=0)) / scale
    if np.array_equal(before, after):
        return Line(what, "match", f"{len(old)} scores, all equal")
    if largest <= SCORE_TOLERANCE:
        return Line(what, "match", f"{len(old)} scores, largest difference {largest:.1e} of their deviation")
    kinds = old.index.get_level_values("kind")
    values = [
        100 * auroc(side[kinds == "adversarial"], side[(kinds == "clean") | (kinds == "noisy")])
        for side in (before, after)
    ]
    return Line(
        what,
        "mismatch",
        f"scores differ by up to {largest:.2g} of their deviation; AUROC {values[0]:.2f} was "
        f"stated, {values[1]:.2f} is recomputed",
    )
