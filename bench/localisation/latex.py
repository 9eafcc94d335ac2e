"""Table 1 for papers: localisation error of whole net and subnet, and the published figure beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from ..harness.latex import Tex, bold
from ..harness.tables import percent, published_table
from .entry import CONTROL, Entry
from .tables import PUBLISHED_DATASET, PUBLISHED_METHODS, PUBLISHED_NETS, TABLE1

_VARIANTS = {"normal": "whole net", "subnet": "subnet"}
_OURS, _THEIRS = "ours", "publ."

_CAPTION = (
    "Localisation error in percent, GT-known class, with its 95% interval over images; alpha is chosen on training "
    "images, for each cell.{published}"
)
_PUBLISHED = f" {_THEIRS}: Wang, Hu and Su, Table 1."
_BOLD = " Bold: the published figure lies inside our interval."


def table1(entries: Sequence[Entry]) -> list[Tex]:
    """One table with a group of rows for each suite and net; none where nothing was measured."""
    reference = {tuple(key): value for *key, _, value in published_table(TABLE1).itertuples(index=False)}
    groups: dict[str, list[tuple[str, dict[tuple[str, ...], str]]]] = {}
    rows: dict[tuple[str, str], dict[tuple[str, ...], str]] = {}
    for entry in entries:
        metric, title = entry.metric("error"), _VARIANTS.get(entry.variant)
        if entry.variant == CONTROL or metric is None or title is None:
            continue
        heading = f"{entry.suite.name}: {entry.dataset.name}, {entry.model.label}"
        if (heading, entry.method.label) not in rows:
            rows[heading, entry.method.label] = {}
            groups.setdefault(heading, []).append((entry.method.label, rows[heading, entry.method.label]))
        row = rows[heading, entry.method.label]
        names = PUBLISHED_METHODS.get(entry.method.name), PUBLISHED_NETS.get(entry.model.name)
        theirs = reference.get((*names, entry.variant)) if entry.dataset.name == PUBLISHED_DATASET else None
        value = percent(metric.value)
        inside = theirs is not None and metric.low <= theirs / 100 <= metric.high
        spread = f" [{percent(metric.low)}, {percent(metric.high)}]"
        row[title, _OURS] = (bold(value) if inside else value) + spread
        if theirs is not None:
            row[title, _THEIRS] = f"{theirs:.1f}"
    there = {path for row in rows.values() for path in row}
    columns = [
        path for path in ((title, of) for title in _VARIANTS.values() for of in (_OURS, _THEIRS)) if path in there
    ]
    if not columns:
        return []
    published = _PUBLISHED if any(of == _THEIRS for _, of in columns) else ""
    inside = _BOLD if any(text.startswith(bold("")[:-1]) for row in rows.values() for text in row.values()) else ""
    caption = _CAPTION.format(published=published + inside)
    return [Tex("table1", caption, "method", columns, groups)]
