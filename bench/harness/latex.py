"""Tables for papers: LaTeX with booktabs, to be put in with ``\\input``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..core.text import shown

#: More columns of figures than this stand in tables below each other, if each has no more lines than that.
WIDEST, TALLEST = 9, 20

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
    needs = "".join(f"% \\usepackage{{{package}}}\n" for package in ("booktabs", "graphicx"))
    return f"% Put into a paper with \\input. Needs in its preamble:\n{needs}\n" + "\n".join(map(_table, tables))


def _table(table: Tex) -> str:
    kind = "table*" if len(table.columns) > 4 else "table"
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"\centering",
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{table.label}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        "\n\n\\medskip\n".join(_fitted(_tabular(table, columns)) for columns in _panels(table)),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _panels(table: Tex) -> list[Sequence[tuple[str, ...]]]:
    """The columns of each tabular: a wide table is several below each other, by its first headings, if a page has room.

    A group takes the room of two lines besides its rows.
    """
    if len(table.columns) <= WIDEST or sum(2 + len(rows) for rows in table.groups.values()) > TALLEST:
        return [table.columns]
    return [list(columns) for _, columns in groupby(table.columns, key=lambda column: column[0])]


def _tabular(table: Tex, columns: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l*{{{len(columns)}}}{{r}}}}",
            r"\toprule",
            *_heads(table, columns),
            *_body(table, columns),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _fitted(tabular: str) -> str:
    """At its own size, or as wide as the page or the column where it would be wider."""
    return f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n{tabular}}}"


def _heads(table: Tex, columns: Sequence[tuple[str, ...]]) -> list[str]:
    """A line of headings for each level; neighbours of one name share it, over a rule of their own.

    A last level that is the same for all columns, as where nothing was published, is left out.
    """
    levels = len(columns[0])
    if levels > 1 and len({column[-1] for column in table.columns}) == 1:
        levels -= 1
    lines = []
    for level in range(levels):
        cells, rules, place = [], [], 2
        for path, neighbours in groupby(columns, key=lambda column: column[: level + 1]):
            span = len(list(neighbours))
            title = escaped(path[level])
            cells.append(title if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{title}}}")
            rules += [rf"\cmidrule(lr){{{place}-{place + span - 1}}}"] if span > 1 else []
            place += span
        corner = escaped(table.corner) if level == levels - 1 else ""
        lines.append(" & ".join([corner, *cells]) + r" \\")
        lines += ["".join(rules)] if rules else []
    return lines


def _body(table: Tex, columns: Sequence[tuple[str, ...]]) -> list[str]:
    lines = []
    for heading, rows in table.groups.items():
        lines += [r"\midrule", rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{\emph{{{escaped(heading)}}}}} \\"]
        for name, figures in rows:
            lines.append(" & ".join([escaped(name), *(figures.get(path, NONE) for path in columns)]) + r" \\")
    return lines
