"""Names of curves beside their ends, so that nobody has to match colours with a legend."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Characters of a line of a label: a name breaks at a hyphen before it would take the room of the curves.
WIDEST = 17


@dataclass(frozen=True)
class Label:
    """A text that belongs to the end of a curve, at this height in [0, 1] of its axes; of curves that end together, the
    one of the higher ``rank`` comes first."""

    text: str
    height: float
    colour: str
    rank: float = 0.0

    @property
    def lines(self) -> list[str]:
        return textwrap.wrap(self.text, WIDEST, break_long_words=False) or [""]


def spaced(wanted: Sequence[float], sizes: Sequence[float], top: float = 1.0) -> list[float]:
    """Middles of labels of these ``sizes`` in one column, as near the ``wanted`` heights as they fit without overlap.

    All in shares of the axes' height; the first wanted is the highest. None passes ``top``; where the column is full,
    the lowest hang below 0.
    """
    middles: list[float] = []
    edge = top
    for want, size in zip(wanted, sizes, strict=True):
        middles.append(min(want, edge - size / 2))
        edge = middles[-1] - size / 2
    # What was pushed below the axes is pushed back up as far as there is room.
    edge = 0.0
    for place in reversed(range(len(middles))):
        raised = max(middles[place], edge + sizes[place] / 2)
        room = top - sum(sizes[:place]) - sizes[place] / 2
        middles[place] = min(raised, room)
        edge = middles[place] + sizes[place] / 2
    return middles


def label_ends(axes: Any, labels: Sequence[Label], inches: float, points: float) -> None:
    """Write labels to the right of axes that are ``inches`` high, in type of ``points``, each joined to its curve."""
    ordered = sorted(labels, key=lambda label: (-round(label.height, 2), -label.rank))
    line = 1.2 * points / 72 / inches
    middles = spaced([label.height for label in ordered], [line * len(label.lines) for label in ordered])
    for label, middle in zip(ordered, middles, strict=True):
        ends, heights = (1.0, 1.06), (label.height, middle)
        axes.plot(ends, heights, color=label.colour, linewidth=0.6, clip_on=False, transform=axes.transAxes)
        axes.text(
            1.08,
            middle,
            "\n".join(label.lines),
            color=label.colour,
            fontsize=points,
            va="center",
            linespacing=1.0,
            transform=axes.transAxes,
        )
