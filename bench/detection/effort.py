"""How good an attack's images are for what it spent: passes, norms, its best iterate, the envelope of all attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.store import Arrays, Meta
from ..stats.inference import interval
from .entry import BestNote, EffortNote, EnvelopeNote, NormNote

#: Norms this close are the same: two attacks that return one image are both the best on it.
SAME = 1e-4

RESAMPLES = 1000

#: Why there is no best iterate.
UNSEEN = "it passes parts of a batch through the net, or none of its images, so that no image can be followed"
NOT_STORED = "its images come from a store or an archive that does not tell"


def good_of(facts: Arrays) -> npt.NDArray[np.bool_]:
    """Which of the correctly classified images the attack fools."""
    good: npt.NDArray[np.bool_] = facts["success"].astype(bool) & facts["clean_correct"].astype(bool)
    return good


def effort(
    title: str, facts: Mapping[str, Arrays], norms: Mapping[str, str], meta: Meta, floor: float | None, level: float
) -> EffortNote:
    """The note of one attack; ``facts`` and ``norms`` are of all attacks of the suite, by label."""
    own = facts[title]
    good = good_of(own)
    note: dict[str, Any] = {"norms": _norms(own, good)}
    for name in ("forward", "backward"):
        if meta.get(name) is not None:
            note[f"{name}_per_image"] = meta[name] / max(1, len(good))
    if "nearest_iterate" in own:
        note["best_iterate"] = best_iterate(own, good, norms[title])
    else:
        note["best_unknown"] = UNSEEN if meta.get("forward") is not None else NOT_STORED
    if floor is not None:
        note["floor"] = floor
    around = envelope(title, facts, norms, level)
    if around is not None:
        note["envelope"] = around
    return EffortNote(**note)


def _norms(facts: Arrays, good: npt.NDArray[np.bool_]) -> dict[str, NormNote]:
    """Median and 90th percentile over successes, of each norm that was measured."""
    known = [name for name in ("L0", "L1", "L2", "Linf") if name.lower() in facts]
    return {
        name: NormNote(median=float(np.median(values)), p90=float(np.quantile(values, 0.9)))
        for name in known
        if len(values := facts[name.lower()][good])
    }


def best_iterate(facts: Arrays, good: npt.NDArray[np.bool_], norm: str) -> BestNote:
    """Images that some iterate fooled, and the norm of what was returned as a multiple of the nearest iterate's."""
    nearest, correct = facts["nearest_iterate"], facts["clean_correct"].astype(bool)
    seen = np.isfinite(nearest) & correct
    both = seen & good & (nearest > 0)
    ratios = np.maximum(facts[norm.lower()][both], nearest[both]) / nearest[both]
    # What was returned is an iterate too, passed or not.
    return BestNote(successes=int((seen | good).sum()), ratio=float(np.median(ratios)) if len(ratios) else None)


def envelope(title: str, facts: Mapping[str, Arrays], norms: Mapping[str, str], level: float) -> EnvelopeNote | None:
    """The least norm that any attack of the same norm needs on an image, and how far above it this attack is.

    ``ratio``: median over the images that this attack fools; ``best``: share, of the images that any of them fools, on
    which it is the least. Percentile intervals over images. None where the suite has no other attack of the norm.
    """
    rivals = [name for name in facts if norms[name] == norms[title]]
    if len(rivals) < 2 or any(norms[title].lower() not in facts[name] for name in rivals):
        return None
    lengths = {name: np.where(good_of(facts[name]), facts[name][norms[name].lower()], np.inf) for name in rivals}
    least, own = np.min(list(lengths.values()), axis=0), lengths[title]
    fooled = np.isfinite(least)
    own, least = own[fooled], least[fooled]
    if not len(least):
        return None
    best = own <= least * (1 + SAME)
    ratios = np.where(np.isfinite(own) & (least > 0), own / np.where(least > 0, least, 1), np.nan)
    drawn = np.random.default_rng(0).integers(0, len(best), (RESAMPLES, len(best)))
    low, high = interval(best[drawn].mean(1), level)
    note: dict[str, Any] = {"attacks": len(rivals), "images": len(best), "best": float(best.mean())}
    note |= {"best_low": low, "best_high": high}
    kept = ratios[~np.isnan(ratios)]
    if len(kept):
        medians = np.median(kept[np.random.default_rng(0).integers(0, len(kept), (RESAMPLES, len(kept)))], axis=1)
        low, high = interval(medians, level)
        note |= {"ratio": float(np.median(kept)), "ratio_low": low, "ratio_high": high}
    return EnvelopeNote(**note)
