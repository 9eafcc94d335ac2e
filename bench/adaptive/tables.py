"""Tables of attackers who know the detector, made from entries and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..harness.stale import table_files
from ..harness.tables import Report, Section, percent
from .entry import FEWEST, Cell, Entry, ProofNote, Tried, budget, read_entries, tidy
from .published import implausible, published_adaptive

#: All that a report may write.
FILES = table_files(
    "adaptive-report",
    ("adaptive", *(f"adaptive-{name}" for name in ("curve", "static", "arms", "proof", "published"))),
    frames=("adaptive-cells",),
)


def report(folder: Path) -> Report:
    """Every table that the adaptive entries under a results folder give."""
    entries = read_entries(folder)
    names = ", ".join(sorted({entry.suite.name for entry in entries}))
    sections = [
        Section(
            "adaptive",
            "Robust accuracy under attackers who know the detector",
            lambda: robust(entries),
            _ROBUST,
            marks=_MARKS,
        ),
        Section("adaptive-curve", "Budget by budget", lambda: curve(entries), _CURVE, marks=_MARKS),
        Section("adaptive-static", "What knowing the detector takes off", lambda: static(entries), _STATIC),
        Section("adaptive-arms", "The arms", lambda: arms(entries), _ARMS),
        Section("adaptive-proof", "Were the attacks strong enough?", lambda: proof(entries), _PROOF),
        Section("adaptive-published", "Beside published adaptive figures", lambda: published(entries), _PUBLISHED),
    ]
    frames = {"adaptive-cells": frame(entries)}
    title = f"{names}: attackers who know the detector"
    return Report(title, _preamble(entries), sections, _remarks(entries), frames, name="adaptive-report")


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per detector and budget."""
    return tidy(entries)


def _preamble(entries: Sequence[Entry]) -> list[str]:
    lines = []
    for name in dict.fromkeys(entry.suite.name for entry in entries):
        of_suite = [entry for entry in entries if entry.suite.name == name and entry.cells]
        if not of_suite:
            continue
        first = of_suite[0]
        assert first.fit is not None  # entries with cells have both
        assert first.threshold is not None
        lines.append(
            f"- **{name}**: {first.dataset.name}, net {first.model.name} ({first.model.accuracy:.2%} of the test "
            f"images correctly classified); {first.cells[0].images} correctly classified images attacked in an L-inf "
            f"ball, with the fit of split {first.fit.split} on {first.fit.fit_on}; thresholds at a false-positive rate "
            f"of {first.threshold.rate:.0%} on {first.threshold.calibration_images} other clean images, fixed before "
            f"any attack; seed {first.seed}."
        )
    return [*lines, ""]


_ROBUST = (
    "RA@FPR: percent of the accepted clean images on which every arm fails, with its 95% interval over images and "
    "calibration; 0 means that each of them has an adversarial version that the detector accepts. FPR: "
    "realised rate of false alarms on the attacked clean images. Sorted by the largest budget."
)
_MARKS = {
    "‡": "‡ *not tested hard enough*: the same arms missed adversarial examples that are known to exist (see below), "
    "so a high figure says nothing.",
    "§": "§ attacked without its gradient, which it does not offer.",
}


def robust(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in sorted(entries, key=standing):
        if not entry.cells:
            continue
        alarm = entry.false_alarms
        row: dict[str, Any] = {
            "suite": entry.suite.name,
            "detector": entry.label + (" (control)" if entry.detector.control else ""),
            "FPR": "–" if alarm is None else f"{percent(alarm[0])} [{percent(alarm[1])}, {percent(alarm[2])}]",
        }
        mark = "" if entry.gradient is not None and entry.gradient.offered else " §"
        rows.append(row | {f"RA at {budget(cell.epsilon)}": f"{_robust(cell)}{mark}" for cell in entry.cells})
    return pd.DataFrame(rows)


def standing(entry: Entry) -> tuple[Any, ...]:
    """Order of rows: proven robustness at the largest budget first, then what is unproven, then its label."""
    cell = entry.cells[-1] if entry.cells else None
    share = cell.robust if cell is not None and cell.robust is not None else -1.0
    return entry.suite.name, not (cell is not None and cell.proven), -share, entry.label


def _robust(cell: Cell) -> str:
    if cell.robust is None:
        return "n = 0"
    return f"{_bracket(cell.robust, cell.robust_low, cell.robust_high)}{'' if cell.proven else ' ‡'}"


def _bracket(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{percent(value)} [{percent(low)}, {percent(high)}]"


_CURVE = (
    "RA as above. Accuracy: percent of all test images that are classified correctly, accepted and not beaten, so that "
    "false alarms count too. AUROC: clean images against the lowest-scoring wrong version of each image that is fooled "
    "at all (fooled: how many); an image that is beaten is not attacked further, so that these AUROCs are upper bounds."
)


def curve(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        for cell in entry.cells:
            rows.append(
                {
                    "suite": entry.suite.name,
                    "detector": entry.label,
                    "eps": budget(cell.epsilon),
                    "accepted": f"{cell.accepted} of {cell.images}",
                    "RA": _robust(cell),
                    "accuracy": _bracket(cell.accuracy, cell.accuracy_low, cell.accuracy_high),
                    "fooled": cell.fooled,
                    "AUROC": _bracket(cell.auroc, cell.auroc_low, cell.auroc_high),
                    "verdict": cell.verdict,
                }
            )
    return pd.DataFrame(rows)


_STATIC = (
    "AUROC in percent of the worst case per image, by the same fit on the same images. Static: against the suite's own "
    "attacks, which never heard of the detector (their norms are their own). Adaptive: against the arms at the largest "
    "budget. Difference: static minus adaptive in points, paired on images."
)


def static(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        if entry.static is None or not entry.cells:
            continue
        last, of = entry.cells[-1], entry.static
        rows.append(
            {
                "suite": entry.suite.name,
                "detector": entry.label,
                "static": _bracket(of.auroc, of.low, of.high),
                f"adaptive at {budget(last.epsilon)}": _bracket(last.auroc, last.auroc_low, last.auroc_high),
                "difference": _bracket(of.difference, of.difference_low, of.difference_high),
            }
        )
    return pd.DataFrame(rows)


_ARMS = (
    "Images beaten of those tried, arm by arm at each budget: an image that an earlier arm or a smaller budget has "
    "beaten is not tried again, so that the rows are no contest between arms. Passes: forward + backward an image at "
    "the largest budget. Then six signs that a search failed and not the defence won (Pintor et al. 2022), in percent "
    "of the images tried, at the budget where they are worst: no gradient (zero or not finite), unstable (the result "
    "changes when it is evaluated again), silent (an iterate succeeded, the result does not), rising (not beaten and "
    "still improving in the last ten steps), disagree (beaten by the differentiable score alone), unbounded (not even "
    "beaten without a bound; at the largest budget). R²: of a surrogate on held-out images."
)

#: Columns of the six signs, by their names in entries.
_SIGNS = {
    "gradients_unavailable": "no gradient",
    "unstable": "unstable",
    "silent_success": "silent",
    "incomplete": "rising",
    "transfer_failure": "disagree",
    "unbounded_failure": "unbounded",
}


def arms(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        for label in entry.arms:
            cells = [cell for cell in entry.cells if label in cell.arms]
            if not cells:
                continue
            facts = [cell.arms[label] for cell in cells]
            fits = [fact.surrogate_r2 for fact in facts if fact.surrogate_r2 is not None]
            last = facts[-1]
            row: dict[str, Any] = {"suite": entry.suite.name, "detector": entry.label, "arm": label}
            for cell in entry.cells:
                tried = cell.arms.get(label)
                row[budget(cell.epsilon)] = "–" if tried is None else f"{tried.beaten} of {tried.tried}"
            row["passes"] = f"{last.forward_per_image:.0f} + {last.backward_per_image:.0f}"
            row |= {title: percent(_worst(facts, name), 0) for name, title in _SIGNS.items()}
            rows.append(row | {"R²": f"{min(fits):.2f}" if fits else "–"})
        beaten = {budget(cell.epsilon): str(cell.transferred) for cell in entry.cells}
        if any(cell.transferred for cell in entry.cells):
            blank = dict.fromkeys(("passes", *_SIGNS.values(), "R²"), "–")
            rows.append({"suite": entry.suite.name, "detector": entry.label, "arm": "transfer", **beaten, **blank})
    return pd.DataFrame(rows)


def _worst(facts: Sequence[Tried], name: str) -> float | None:
    shares = [share for fact in facts if (share := fact.signs.get(name)) is not None]
    return max(shares, default=None)


_PROOF = (
    "The binarisation test (Zimmermann et al. 2022): around clean images, a made problem has an undetected adversarial "
    "example by construction, and the same arms look for it. Solved: percent of the problems made that they solve; "
    "random: by random points alone. Passed: at least 95% solved and random points almost none. Inverted: the made "
    "example is one that the detector flags, and its decision is negated. A budget at which every image was beaten "
    "needs no proof."
)


def proof(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        for cell in entry.cells:
            head = {"suite": entry.suite.name, "detector": entry.label, "eps": budget(cell.epsilon)}
            for note in cell.proof:
                rows.append(
                    head
                    | {
                        "form": note.form,
                        "made": f"{note.made} of {note.made + note.refused}",
                        "solved": percent(note.solved),
                        "random": percent(note.random),
                        "passed": _passed(note),
                    }
                )
    return pd.DataFrame(rows)


def _passed(note: ProofNote) -> str:
    if note.made < FEWEST:
        return f"– (fewer than {FEWEST})"
    return "yes" if note.passed else "no"


_PUBLISHED = (
    "Success rates of published adaptive attacks at a false-positive rate of 5% (SR@5) in percent, what the detector's "
    "authors had claimed, and the lowest and highest SR of the detectors above at the budget nearest to theirs (100 "
    "minus RA; the nets differ), where the data are the same. For Mahalanobis and LID no published figure was found."
)


def published(entries: Sequence[Entry]) -> pd.DataFrame:
    """The papers' figures with the range of ours; none where nothing was attacked."""
    rows = []
    for theirs in published_adaptive() if any(entry.cells for entry in entries) else ():
        same = [e for e in entries if not e.detector.control and _plain(e.dataset.name) == _plain(theirs.dataset)]
        cells = [cell for entry in same for cell in entry.cells]
        at = min({cell.epsilon for cell in cells}, key=lambda epsilon: abs(epsilon - theirs.epsilon), default=0.0)
        ours = [1 - cell.robust for cell in cells if cell.epsilon == at and cell.robust is not None]
        span = f"{percent(min(ours))} to {percent(max(ours))} at {budget(at)}" if ours else "–"
        rows.append(
            {
                "detector": theirs.defence,
                "data": theirs.dataset,
                "eps": f"{theirs.epsilon:g}",
                "attack": theirs.attack,
                "SR@5": percent(theirs.value),
                "claimed": percent(theirs.claimed),
                "source": theirs.source,
                "detectors above": span,
            }
        )
    return pd.DataFrame(rows)


def _plain(dataset: str) -> str:
    return dataset.lower().replace("-", "")


def _remarks(entries: Sequence[Entry]) -> list[str]:
    """What a reader must know besides: detectors that were not attacked, or without a gradient; what cannot be."""
    lines = [f"- {entry.label}: not attacked, {entry.reason}." for entry in entries if not entry.cells]
    for entry in entries:
        if entry.cells and entry.gradient is not None and not entry.gradient.offered:
            reason = entry.gradient.reason
            lines.append(f"- {entry.label}: attacked through surrogates, matching and transfer: {reason}.")
        for cell in entry.cells:
            doubt = implausible(cell.accuracy or 0.0, entry.dataset.name, "Linf", cell.epsilon)
            lines += [f"- {entry.label} at {budget(cell.epsilon)}: {doubt}"] if doubt else []
    return ["## Remarks", "", *lines, ""] if lines else []
