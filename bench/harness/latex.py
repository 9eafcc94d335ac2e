"""Tables for papers: LaTeX with booktabs, to be put in with ``\\input``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..core.text import shown

#: More columns of figures than this are scaled to the width of the page.
WIDEST = 9

NONE = "--"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"{{{sign}}}" for sign in "[]"},  # after the end of a row, a bracket would open its options
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
}


@dataclass(frozen=True)
class Tex:
    """One table: a column of names, then one of figures for each path of headings, such as (seen, FGSM, ours).

    ``groups`` have a heading each, and rows of a name and its figures by path; figures are LaTeX already, all other
    texts are made harmless.
    """

    label: str
    caption: str
    corner: str
    columns: Sequence[tuple[str, ...]]
    groups: Mapping[str, Sequence[tuple[str, Mapping[tuple[str, ...], str]]]]


def escaped(text: str) -> str:
    """A text, maybe of others, as LaTeX that prints it: no character of it is a command."""
    return "".join(_SPECIAL.get(sign, sign) for sign in shown(text))


def bold(text: str) -> str:
    return rf"\textbf{{{text}}}"


def file_text(tables: Sequence[Tex]) -> str:
    """The tables of one file, with the packages that they need in a comment."""
    graphics = "".join("{graphicx}" for table in tables if len(table.columns) > WIDEST)[: len("{graphicx}")]
    needs = "".join(f"% \\usepackage{package}\n" for package in ("{booktabs}", graphics) if package)
    return f"% Put into a paper with \\input. Needs in its preamble:\n{needs}\n" + "\n".join(map(_table, tables))


def _table(table: Tex) -> str:
    count = len(table.columns)
    kind = "table*" if count > 4 else "table"
    tabular = "\n".join(
        [
            rf"\begin{{tabular}}{{l*{{{count}}}{{r}}}}",
            r"\toprule",
            *_heads(table),
            *_body(table, count),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{table.label}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        f"\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}}}" if count > WIDEST else tabular,
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _heads(table: Tex) -> list[str]:
    """A line of headings for each level; neighbours of one name share it, over a rule of their own."""
    levels = len(table.columns[0])
    lines = []
    for level in range(levels):
        cells, rules, place = [], [], 2
        for path, columns in groupby(table.columns, key=lambda column: column[: level + 1]):
            span = len(list(columns))
            title = escaped(path[level])
            cells.append(title if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{title}}}")
            rules += [rf"\cmidrule(lr){{{place}-{place + span - 1}}}"] if span > 1 else []
            place += span
        corner = escaped(table.corner) if level == levels - 1 else ""
        lines.append(" & ".join([corner, *cells]) + r" \\")
        lines += ["".join(rules)] if rules else []
    return lines


def _body(table: Tex, count: int) -> list[str]:
    lines = []
    for heading, rows in table.groups.items():
        lines += [r"\midrule", rf"\multicolumn{{{count + 1}}}{{l}}{{\emph{{{escaped(heading)}}}}} \\"]
        for name, figures in rows:
            lines.append(" & ".join([escaped(name), *(figures.get(path, NONE) for path in table.columns)]) + r" \\")
    return lines
