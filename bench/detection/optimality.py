"""The table of cost and optimality: what each attack spent, and how near it came to the best of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..harness.tables import percent
from .aim import seeks_least_norm
from .entry import AttackNote, EffortNote, Entry

OPTIMALITY_NOTE = (
    "Passes: forward + backward passes an image, counted by the net. Norm: median (90th percentile) over successes, in "
    "the attack's own norm, pixels in [0, 1]. Best iterate: for a minimum-norm attack, the norm of what it returned as "
    "a multiple of the nearest image that fooled the net on its way (1: it returned its best); for a budget attack, "
    "the success in percent if the best iterate had been returned. Envelope: the least norm that any attack of the "
    "same norm in the suite needs on an image; the median multiple of it over the attack's successes, and the share of "
    "the images that any of them fools on which this one is the least, both with 95% intervals over images. –: not "
    "known, or not defined; the lines below the table say why."
)


def optimality(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row per suite and attack whose passes were counted."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for suite, label, note, effort in _counted(entries):
        rows[suite, label] = {
            "suite": suite,
            "attack": label,
            "threat": note.threat,
            "norm": note.norm,
            "success %": percent(note.successes / note.clean_correct if note.clean_correct else None),
            "floor %": "–" if effort.floor is None else percent(effort.floor),
            "median norm": _norm(note, effort),
            "passes": f"{effort.forward_per_image:.1f} + {effort.backward_per_image or 0:.1f}",
            "best iterate": _best(note, effort),
            "x envelope": _ratio(effort),
            "best of all %": _share(effort),
        }
        rows[suite, label]["remark"] = "; ".join(verdicts(note, effort))
    return pd.DataFrame(rows.values())


def footnotes(entries: Sequence[Entry]) -> list[str]:
    """Why a dash is one: an attack whose iterates could not be followed, a norm with one attack."""
    lines: dict[str, list[str]] = {}
    for _, label, note, effort in _counted(entries):
        if effort.best_iterate is None:
            lines.setdefault(effort.best_unknown or "it was not measured", []).append(f"no best iterate of {label}")
        if effort.envelope is None:
            why = f"no other attack of the suite is one of {note.norm}"
            lines.setdefault(why, []).append(f"no envelope for {label}")
    return [f"- {', '.join(dict.fromkeys(labels))}: {why}" for why, labels in lines.items()]


def verdicts(note: AttackNote, effort: EffortNote | None) -> list[str]:
    """What is wrong with an attack's success, in words."""
    share = note.successes / note.clean_correct if note.clean_correct else None
    if share is None:
        return []
    texts = []
    if effort is not None and effort.floor is not None and share < effort.floor:
        texts.append(f"too weak: it fools {percent(share)}% of the images, and its floor is {percent(effort.floor)}%")
    left = note.clean_correct - note.successes
    if note.threat == "minimum-norm" and left:
        seeks = seeks_least_norm(note.threat, note.parameters, note.minimises)
        kind = "a minimum-norm attack" if seeks else "an attack without a budget"
        texts.append(f"{kind} that leaves {left} of {note.clean_correct} images unfooled")
    return texts


def _counted(entries: Sequence[Entry]) -> list[tuple[str, str, AttackNote, EffortNote]]:
    noted = {(e.suite.name, label): note for e in entries for label, note in e.attacks.items()}
    return [
        (suite, label, note, note.effort)
        for (suite, label), note in noted.items()
        if note.effort is not None and note.effort.forward_per_image is not None
    ]


def _norm(note: AttackNote, effort: EffortNote) -> str:
    measured = {str(norm): values for norm, values in effort.norms.items()}.get(note.norm)
    return "–" if measured is None else f"{measured.median:.3g} ({measured.p90:.3g})"


def _best(note: AttackNote, effort: EffortNote) -> str:
    best = effort.best_iterate
    if best is None or not note.clean_correct:
        return "–"
    if note.threat == "budget":
        return f"{percent(best.successes / note.clean_correct)} %"
    return "–" if best.ratio is None else f"x {best.ratio:.3f}"


def _ratio(effort: EffortNote) -> str:
    around = effort.envelope
    if around is None or around.ratio is None:
        return "–"
    return f"{around.ratio:.2f} [{around.ratio_low:.2f}, {around.ratio_high:.2f}]"


def _share(effort: EffortNote) -> str:
    around = effort.envelope
    if around is None:
        return "–"
    return f"{percent(around.best)} [{percent(around.best_low)}, {percent(around.best_high)}]"
