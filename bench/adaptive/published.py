"""What others have published: adaptive figures of detectors, and the robust accuracy that a detector cannot exceed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ..harness.tables import published_table

ADAPTIVE = "adaptive_sr5.csv"
ROBUST = "robust_accuracy.csv"

#: Papers write .031 for 8/255: radii this near are one.
_SAME = 0.02
#: Data sets that have another's test images.
_IMAGES_OF = {"svhn10k": "svhn"}


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of a paper: ``value`` of ``metric`` that ``attack`` reached on ``defence``, ``claimed`` what its authors
    had, both as shares of 1; ``epsilon`` in pixel units of ``norm``."""

    defence: str
    dataset: str
    norm: str
    epsilon: float
    attack: str
    metric: str
    value: float
    claimed: float
    source: str


def published_figures(
    detector: str, epsilon: float | None = None, arm: str | None = None
) -> tuple[PublishedFigure, ...]:
    """What was published of a detector under an adaptive attack, in the file's order; () if nothing was found.

    ``detector`` and ``arm`` are registered names, in any case; ``epsilon`` agrees within 2%, so that a paper's .031 is
    8/255. None stands for any.
    """
    return tuple(
        figure
        for figure in published_adaptive()
        if figure.defence == detector.lower()
        and (arm is None or figure.attack == arm.lower())
        and (epsilon is None or math.isclose(figure.epsilon, epsilon, rel_tol=_SAME))
    )


def published_adaptive() -> tuple[PublishedFigure, ...]:
    """All of them, in the file's order."""
    rows = published_table(ADAPTIVE).rename(columns={"eps": "epsilon"}).to_dict("records")
    return tuple(PublishedFigure(**{str(name): value for name, value in row.items()}) for row in rows)


def implausible(robust_share: float, dataset: str, norm: str, epsilon: float) -> str | None:
    """Why a detector's robustness is hard to believe, in one sentence; None where there is nothing against it.

    A net with a detector that is robust at ``epsilon`` implies a classifier, an inefficient one, that is robust at
    half of it on as many images (Tramer 2022, arXiv 2107.11630), and so at any smaller radius. ``robust_share`` is that
    share of ALL images: classified correctly, accepted, and fooled by no arm without being noticed (accuracy with
    rejection).
    A share of the accepted ones alone is larger and would be flagged wrongly; so would one of a few classes of
    ``dataset``. It is compared with the best published robust accuracy at the largest radius up to ``epsilon / 2``
    that there is one of.
    """
    best = _best_published(dataset, norm, epsilon / 2)
    if best is None or robust_share <= best.accuracy:
        return None
    return (
        f"Robust on {robust_share:.1%} of images at {_radius(epsilon)} of {norm} implies a classifier that is robust "
        f"at {_radius(epsilon / 2)} on as many (Tramer 2022), more than the best published robust accuracy on "
        f"{best.dataset} at {best.written}, {best.accuracy:.1%} ({best.source}): the attack was probably too weak."
    )


@dataclass(frozen=True)
class _Best:
    dataset: str
    radius: float
    written: str
    accuracy: float
    source: str


def _best_published(dataset: str, norm: str, radius: float) -> _Best | None:
    """The table's row with the largest radius up to ``radius``."""
    name = _IMAGES_OF.get(_plain(dataset), _plain(dataset))
    rows = [
        _Best(row["dataset"], float(Fraction(row["eps"])), row["eps"], float(row["robust_accuracy"]), row["source"])
        for row in published_table(ROBUST).astype(str).to_dict("records")
        if _plain(row["dataset"]) == name and row["norm"] == norm
    ]
    return max((row for row in rows if row.radius <= radius * (1 + 1e-9)), key=lambda row: row.radius, default=None)


def _plain(dataset: str) -> str:
    return "".join(letter for letter in dataset.lower() if letter.isalnum())


def _radius(epsilon: float) -> str:
    """A radius as people write it: in 255ths where it is a whole number or a half of them."""
    steps = round(epsilon * 255 * 2) / 2
    return f"{steps:g}/255" if steps and math.isclose(steps / 255, epsilon, rel_tol=1e-6) else f"{epsilon:g}"
