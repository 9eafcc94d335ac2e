"""Boards as files to download: CSV, Markdown, LaTeX and tidy parquet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pandas as pd

from ..core.text import markdown_text, shown
from ..detection.cells import column_title
from ..detection.entry import Entry, tidy
from ..detection.suite import Pair
from ..harness.entry import Checked
from ..harness.tables import percent
from .boards import Board
from .row import Row

_TIDY = (
    "suite",
    "dataset",
    "model",
    "protocol",
    "detector",
    "control",
    "fit_on",
    "test_on",
    "seen",
    "auroc",
    "low",
    "high",
    "fpr95",
    "aupr",
    "accuracy",
    "noise_auroc",
    "split_sd",
    "gate_sd",
    "n_fit",
    "n",
    "remark",
)
_NUMBERS = _TIDY[9:20]


def tidy_frame(entries: Sequence[Checked[Entry]]) -> pd.DataFrame:
    """One row per cell of every entry; AUROC and related metrics in [0, 1]."""
    frame = tidy([checked.entry for checked in entries]).reindex(columns=list(_TIDY))
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Figures as bytes of one place each, which packs them better: nearly every one occurs once."""
    figures = [name for name in frame if frame[name].dtype == "float64"]
    buffer = BytesIO()
    frame.to_parquet(
        buffer,
        index=False,
        compression="zstd",
        use_dictionary=[name for name in frame if name not in figures],
        column_encoding=dict.fromkeys(figures, "BYTE_STREAM_SPLIT"),
    )
    return buffer.getvalue()


def board_frame(board: Board) -> pd.DataFrame:
    """A board's rows with plain numbers: AUROC and FPR in [0, 1], each interval as two columns."""
    rows = []
    for row in board.rows:
        record = {
            "detector": row.label,
            "control": row.control,
            "rank": row.rank,
            **_adaptive(board, row),
            "worst case": _value(row, row.worst, "auroc"),
            "worst case is": column_title(row.worst) if row.worst else row.why_unranked,
        }
        for pair in board.columns:
            for name, title in (("auroc", ""), ("low", " low"), ("high", " high")):
                record[f"{column_title(pair)}{title}"] = _value(row, pair, name)
        detector = row.entry.detector
        record |= {
            "highest FPR at 95% TPR": _value(row, row.highest_fpr, "fpr95"),
            "ms an image": row.milliseconds,
            "needs": " ".join(row.needs),
            "paper": detector.title,
            "year": detector.year,
            "url": detector.url,
        }
        rows.append(record)
    return pd.DataFrame(rows)


def _adaptive(board: Board, row: Row) -> dict[str, Any]:
    """Robust accuracy at each budget with its interval, and whether the attack's strength is proven."""
    record: dict[str, Any] = {}
    for epsilon, words in board.budgets.items():
        cell = row.robust_at(epsilon)
        name = f"robust at {words}"
        record |= {
            name: None if cell is None else cell.robust,
            f"{name} low": None if cell is None else cell.robust_low,
            f"{name} high": None if cell is None else cell.robust_high,
            f"{name} proven": None if cell is None else cell.proven,
        }
    return record


def _value(row: Row, pair: Pair | None, name: str) -> float | None:
    return None if pair is None or pair not in row.cells else getattr(row.cells[pair], name)


def shown_rows(board: Board) -> tuple[list[str], list[list[str]]]:
    """Headers and texts of a board for print: percent, intervals in brackets, the best marked by †."""
    robust = [f"robust at {words}" for words in board.budgets.values()]
    figures = [*robust, "worst case", *map(column_title, board.columns)]
    heads = ["detector", "rank", *figures, "FPR95 (highest)", "ms", "needs", "year"]
    rows = []
    for row in board.rows:
        cells = [_shown(row, pair) + (" †" if row.label in board.marks.get(pair, ()) else "") for pair in board.columns]
        rows.append(
            [
                row.label + (" (control)" if row.control else ""),
                "–" if row.rank is None else str(row.rank),
                *(_robust(row, epsilon) for epsilon in board.budgets),
                f"{_shown(row, row.worst)} ({column_title(row.worst)})" if row.worst else f"– ({row.why_unranked})",
                *cells,
                percent(_value(row, row.highest_fpr, "fpr95")),
                "–" if row.milliseconds is None else f"{row.milliseconds:.2f}",
                ", ".join(row.needs),
                str(row.entry.detector.year),
            ]
        )
    return heads, rows


def _shown(row: Row, pair: Pair) -> str:
    cell = row.cells.get(pair)
    if cell is None or cell.auroc is None:
        return "–"
    return f"{percent(cell.auroc)} [{percent(cell.low)}, {percent(cell.high)}]"


def _robust(row: Row, epsilon: float) -> str:
    cell = row.robust_at(epsilon)
    if cell is None or cell.robust is None:
        return "–"
    mark = "" if cell.proven else " ‡"
    return f"{percent(cell.robust)} [{percent(cell.robust_low)}, {percent(cell.robust_high)}]{mark}"


def markdown(board: Board) -> str:
    heads, rows = shown_rows(board)

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(_markdown(text) for text in texts) + " |"

    rule = "|" + "|".join(["---"] + ["---:"] * (len(heads) - 3) + ["---"] * 2) + "|"
    return "\n".join([f"## {_markdown(caption(board))}", "", line(heads), rule, *map(line, rows), ""])


def latex(board: Board) -> str:
    heads, rows = shown_rows(board)

    def line(texts: Sequence[str]) -> str:
        return " & ".join(_latex(text) for text in texts) + r" \\"

    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_latex(caption(board))}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(heads) - 3)}ll}}",
            "\\toprule",
            line(heads),
            "\\midrule",
            *map(line, rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def caption(board: Board) -> str:
    """What the table is, and what the marks say that it has."""
    marked = any(board.marks.get(pair) for pair in board.columns)
    cells = [row.robust_at(epsilon) for row in board.rows for epsilon in board.budgets]
    unproven = any(cell is not None and cell.robust is not None and not cell.proven for cell in cells)
    return (
        f"{board.dataset}, {board.net}, suite {board.suite}, protocol {board.protocol}: static AUROC in percent with "
        f"{100 * board.level:g}% intervals{'; †: the best of its column, or not told apart from it' if marked else ''}"
        f"{'; ‡: not tested hard enough' if unproven else ''}"
    )


def _markdown(text: str) -> str:
    """Text escaped for Markdown and the HTML inside it; brackets of intervals stay readable."""
    return markdown_text(re.sub(r"([\\`*_])", r"\\\1", text))


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "–": "--",
    "·": r"$\cdot$",
}


def _latex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in shown(" ".join(text.split())))
