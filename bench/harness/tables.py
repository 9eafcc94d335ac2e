"""Tables as CSV and Markdown: sections of a report, rendered, written, or compared with existing files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..core.files import csv_text
from ..core.packed import XZ, read_content, write_content
from ..core.separate import separated
from ..core.text import markdown_text, marks_of

Lines = Callable[[pd.DataFrame], Sequence[str]]


def _nothing(frame: pd.DataFrame) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Section:
    """One table of a report, with the text around it; an empty frame is left out with its heading.

    ``before`` and ``after`` are lines of Markdown around the table, made from its frame. ``marks``: a sentence of
    Markdown by mark (`BOLD`, or a sign behind a figure), which stands behind the note where a cell has this mark.
    ``further`` and ``nothing`` say how its CSV has one figure a cell (`separated`).
    """

    name: str
    title: str
    make: Callable[[], pd.DataFrame]
    note: str
    before: Lines = _nothing
    after: Lines = _nothing
    marks: Mapping[str, str] = field(default_factory=dict)
    further: Sequence[str] = ()
    nothing: Sequence[str] = ()

    def legend(self, frame: pd.DataFrame) -> str:
        """The note, and what the marks say that this table has."""
        found = marks_of(str(cell) for name in frame for cell in frame[name])
        return " ".join([self.note, *(sentence for mark, sentence in self.marks.items() if mark in found)])


@dataclass(frozen=True)
class Report:
    """A page of tables: ``<name>.md``, a CSV and a Markdown file per section, and the CSV of each of ``frames``.

    Title, preamble and closing are lines of text, in which words of others are made harmless when they are written.
    """

    title: str
    preamble: Sequence[str]
    sections: Sequence[Section]
    closing: Sequence[str] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    name: str = "report"


def render(report: Report) -> dict[str, str]:
    """File name -> text of every table and of the report itself."""
    texts = {f"{name}.csv": csv_text(_plain(frame)) for name, frame in report.frames.items()}
    lines = [f"# {markdown_text(report.title)}", "", *map(markdown_text, report.preamble)]
    for section in report.sections:
        frame = section.make()
        if frame.empty:
            continue
        table = f"{_safe(frame).to_markdown(index=False, disable_numparse=True)}\n"
        texts[f"{section.name}.csv"] = csv_text(_plain(frame, section.further, section.nothing))
        texts[f"{section.name}.md"] = table
        lines += [
            f"## {section.title}",
            "",
            section.legend(frame),
            "",
            *_lines(section.before, frame),
            table,
            *_lines(section.after, frame),
        ]
    texts[f"{report.name}.md"] = "\n".join([*lines, *map(markdown_text, report.closing)])
    return texts


def _lines(make: Lines, frame: pd.DataFrame) -> list[str]:
    return [markdown_text(line) for line in make(frame)]


def _safe(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with all texts, which may be those of others, made harmless for Markdown."""
    safe = frame.map(lambda value: markdown_text(value) if isinstance(value, str) else value)
    return safe.rename(columns=lambda name: markdown_text(str(name)))


def _plain(frame: pd.DataFrame, further: Sequence[str] = (), nothing: Sequence[str] = ()) -> pd.DataFrame:
    """The table for programs: one figure a cell, and no marks, whose words stand in the CSV of single cells."""
    columns: dict[str, Any] = {}
    for name, cells in frame.items():
        if cells.dtype.kind in "biuf":
            columns[str(name)] = cells.array
        else:
            columns |= separated({str(name): list(cells)}, further, nothing)
    return pd.DataFrame(columns)


def write_tables(folder: Path, report: Report, check: bool = False) -> list[Path]:
    """Write every table below ``folder/tables``; with ``check``, only compare with existing files.

    Raises UserError at the first that differs.
    """
    return write_texts(folder, render(report), check)


def write_texts(folder: Path, texts: Mapping[str, str], check: bool = False) -> list[Path]:
    """Write what `render` gave, or compare it with existing files, as `write_tables` does."""
    paths = []
    for name, text in texts.items():
        path = folder / "tables" / name
        packed = path.with_name(path.name + XZ)
        if packed.is_file():  # what `subnetbench pack` compressed stays so, alone
            _clear_plain(path, check)
            path = packed
        same = _holds(path, text)
        if check and not same:
            raise UserError(f"{path} is not what its entries give; run `subnetbench tables {folder}` and commit it.")
        if not same:
            write_content(path, text.encode())
        paths.append(path)
    return paths


def _clear_plain(path: Path, check: bool) -> None:
    """Remove a table that stands beside itself compressed: nobody would write it again."""
    if path.is_file() and check:
        raise UserError(f"{path} stands beside {path.name}{XZ}, which is the one that is kept; delete it.")
    path.unlink(missing_ok=True)


def _holds(path: Path, text: str) -> bool:
    """Whether a file has this text, with line ends of any system; one that is damaged has not, and is written again."""
    wanted = text.encode()
    try:
        return path.is_file() and read_content(path, 2 * len(wanted)).replace(b"\r\n", b"\n") == wanted
    except UserError:
        return False


def percent(value: Any, digits: int = 1) -> str:
    return "–" if value is None or pd.isna(value) else f"{100 * value:.{digits}f}"


def stated_versions(versions: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {versions.get(name, 'of no stated version')}" for name in names)


def published_table(name: str) -> pd.DataFrame:
    """A CSV of the papers' own figures, by file name."""
    return pd.read_csv(StringIO((files("subnetbench.published") / name).read_text(encoding="utf-8")))
