"""Tables for pipes and files: Markdown, CSV and JSON, none of which depends on a width."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from .grid import Figure, Grid, Listing
from .separate import separated
from .text import csv_cell, markdown_text


def markdown(shown: Grid | Listing) -> str:
    """A title and a table of Markdown; the best figure of a column is bold."""
    if isinstance(shown, Grid):
        heads = [shown.corner, *(column.name for column in shown.columns)]
        rows = [[markdown_text(row.whole_name), *map(_strong, row.figures)] for row in shown.rows]
        right = [False, *(True for _ in shown.columns)]
    else:
        heads, rows = shown.columns, [list(map(markdown_text, row)) for row in shown.texts()]
        right = shown.figures()
    lines = [list(map(markdown_text, heads)), ["--:" if is_right else "---" for is_right in right], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{markdown_text(shown.title)}**\n\n{table}\n"


def _strong(figure: Figure) -> str:
    # Two asterisks begin and end bold type, so the one that marks a remark stands as itself.
    text = figure.text().replace("*", r"\*")
    return f"**{text}**" if figure.best else text


def csv_text(tables: Sequence[Grid | Listing]) -> str:
    """All tables as one CSV, a record a line; where there are several, its first column names the table.

    Tables of other columns than the one before begin with their own heading. What a spreadsheet would run is marked as
    text.
    """
    stream, before = io.StringIO(), [""]
    writer = csv.writer(stream, lineterminator="\n")
    for table in tables:
        first = {"table": table.title} if len(tables) > 1 else {}
        for record in records(table):
            line = first | record
            if list(line) != before:
                before = list(line)
                writer.writerow(map(csv_cell, before))
            writer.writerow([csv_cell(str(value)) for value in line.values()])
    return stream.getvalue()


def records(table: Grid | Listing) -> list[dict[str, Any]]:
    """One record a figure of a grid, and one a row of a listing with one figure a field; no marks of Markdown."""
    if isinstance(table, Grid):
        return table.records()
    columns = separated({name: [row.get(name, "") for row in table.rows] for name in table.columns if table.rows})
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def json_text(tables: Sequence[Grid | Listing]) -> str:
    """A list of tables, each with its title and its records."""
    content = [{"title": table.title, "rows": list(map(_numbers, records(table)))} for table in tables]
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a figure with numbers as numbers, and null where there is none."""
    texts = {name: record[name] for name in ("value", "low", "high") if isinstance(record.get(name), str)}
    return record | {name: _number(text) for name, text in texts.items()}


def _number(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text
