"""Text of others made harmless where it is printed or written: on terminals and in logs, in CSV, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Control characters, line ends, halves of surrogate pairs, and marks that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

#: A signed number with what a table writes behind it: an interval, a verdict. No spreadsheet computes it.
_NUMBER = re.compile(r"[+-]\d[\d.]*%?[*†]?( \[[-+\d., ]*\])?( [a-z ]+)?")


#: What Markdown would take for a tag, or for a character by name; `<0.001` and `a & b` are neither.
_TAG, _ENTITY = re.compile(r"<(?=[^\s\d=])"), re.compile(r"&(?=[#\w])")

#: Bold type, as a mark of a figure.
BOLD = "**"

#: A cell that holds a figure; bold type around all of one; the sign of a remark behind its number; marks at its end.
_FIGURE = re.compile(r"(\*\*)?([-+]?\d|–|n = 0)")
_BOLD, _SIGN, _MARKS = (
    re.compile(r"\*\*((?:(?!\*\*).)+\*?)\*\*"),
    re.compile(r"(?<=\d)\*(?= |$)"),
    re.compile(r"( ?[†‡§])+$"),
)


def shown(text: str) -> str:
    """The text on one line, control characters as escapes: it can neither command a terminal nor begin a log's line."""
    return _CONTROLS.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def csv_cell(text: str) -> str:
    """The text for a cell of CSV, on one line; one that a spreadsheet would run as a formula is marked as text."""
    runs = text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _NUMBER.fullmatch(text)
    return f"'{shown(text)}" if runs else shown(text)


def markdown_text(text: str) -> str:
    """The text for Markdown, on one line: HTML and links in it show as they are written; emphasis keeps its meaning."""
    text = _TAG.sub("&lt;", _ENTITY.sub("&amp;", shown(" ".join(text.split()))))
    return text.replace("](", r"]\(").replace("|", "&#124;")  # a backslash before a bar may itself be escaped


def unmarked(text: str) -> str:
    """A figure as a program reads it: not bold, and without the signs behind it; a name keeps all of its own."""
    if not _FIGURE.match(text):
        return text
    bold = _BOLD.fullmatch(text)
    return _SIGN.sub("", _MARKS.sub("", bold[1] if bold else text))


def marks_of(texts: Iterable[str]) -> set[str]:
    """The marks that `unmarked` takes off any of these texts: `BOLD`, and signs behind a figure."""
    found: set[str] = set()
    for text in filter(_FIGURE.match, texts):
        bold, end = _BOLD.fullmatch(text), _MARKS.search(text)
        found |= ({BOLD} if bold else set()) | set(end[0].replace(" ", "") if end else "")
        found |= {"*"} if _SIGN.search(bold[1] if bold else text) else set()
    return found


def counted(count: int, noun: str, several: str = "") -> str:
    """A number with its noun in the right form: 1 cell, 2,000 cells; ``several`` where a mere s does not do."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def span(seconds: float) -> str:
    """A time in words: 0.4 s, 50 s, 4 min 50 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def of_library(name: str) -> str:
    """A net's name without the slash that a library's net has, as in `timm/resnet18`: no page is named after it."""
    library, slash, architecture = name.partition("/")
    return f"{library} {architecture}" if slash and library.isidentifier() else name
