"""`results/FINDINGS.md` from `.ci/findings.md`: every figure on the page is looked up in a committed table.

So is what README says was found, from `.ci/found.md`. `python .ci/findings.py` writes both, `--check` says which
is out of date. It needs nothing that is not in Python. In a source stand

- `{{ suite/table; key; ...; column }}`: the cell of `results/<suite>/tables/<table>.csv` in the one row that holds all
  keys, and in the one column that is named so or ends so, with what the columns beside it say: its interval, the upper
  end of a range, further figures. `; point` behind it leaves the interval out, `; interval` the point, `; sign` writes
  the sign of a positive figure; of a cell with several, `; first` and `; last` take one of them.
- `{{ suite/suite; subnets.gamma }}`: a setting of the suite as it ran; a number names an item of a list.
- `{{ count suite/table; key; ... }}`: how many rows hold all keys.
- `{{ let name = suite/table; key; ... }}` on a line of its own: what `{{ name; ... }}` begins with from there on.
- `{{ minus suite; protocol; first }}` on a line of its own: the table of differences between a detector and its rivals.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import lzma
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, PAGE = ROOT / ".ci" / "findings.md", ROOT / "results" / "FINDINGS.md"
SHORT, README = ROOT / ".ci" / "found.md", ROOT / "README.md"
BEGIN, END = "<!-- made by .ci/findings.py -->\n\n", "\n<!-- until here -->"

MACRO = re.compile(r"\{\{([^{}]+)\}\}")
#: Lines that are no running text; lines that begin a block; what the further lines of an item are indented by.
KEPT = re.compile(r"[|#<]|$")
BLOCK = re.compile(r"[|#<]|[-*] |\d+\. ")
ITEM = re.compile(r"([-*] |\d+\. )?")
LET = re.compile(r"^\{\{ *let (\w+) = ([^{}]+)\}\}\n", re.MULTILINE)
#: What may stand behind a column.
FORMS = ("point", "interval", "sign", "first", "last")
COLUMNS = ("seen fgsm", "seen bim", "seen deepfool", "seen cw", "unknown bim", "unknown deepfool", "unknown cw")
TITLES = {"fgsm": "FGSM", "bim": "BIM", "deepfool": "DeepFool", "cw": "CW"}
RIVALS = {
    "mahalanobis": "Mahalanobis",
    "mahalanobis-preprocessed": "Mahalanobis",
    "mahalanobis-predicted": "distance to the predicted class",
    "mahalanobis-both": "nearest and predicted distance, no subnet",
    "subnet-mahalanobis-random": "random gates of the same sparsity",
}


class UnclearError(Exception):
    """A place in the source that does not name one figure."""


def page(source: str, results: Path) -> str:
    """The page that a source gives with the tables below a results folder. Raises UnclearError."""
    short = {name: parts_of(text) for name, text in LET.findall(source)}

    def figure_of(macro: re.Match[str]) -> str:
        first, *rest = parts_of(macro[1])
        return filled([*short.get(first, [first]), *rest], results)

    return wrapped(MACRO.sub(figure_of, LET.sub("", source)))


def wrapped(text: str) -> str:
    """Paragraphs and items of lists wrapped again, since figures are shorter than what names them."""
    out: list[str] = []
    for line in text.split("\n"):
        goes_on = bool(line) and not BLOCK.match(line) and bool(out) and bool(out[-1]) and not KEPT.match(out[-1])
        if goes_on:
            out[-1] += " " + line.strip()
        else:
            out.append(line)
    return "\n".join(line if KEPT.match(line) else _filled(line) for line in out)


def _filled(paragraph: str) -> str:
    inside = " " * len(ITEM.match(paragraph)[0])  # type: ignore[index]  # matches the empty text as well
    return textwrap.fill(paragraph, 120, subsequent_indent=inside, break_long_words=False, break_on_hyphens=False)


def parts_of(text: str) -> list[str]:
    return [part.strip() for part in text.split(";")]


def filled(parts: Sequence[str], results: Path) -> str:
    """What stands in the place of a macro, given as its parts."""
    if parts[0].startswith("minus "):
        return "\n".join(minus(parts[0].removeprefix("minus "), parts[1], parts[2], results))
    if parts[0].startswith("count "):
        suite, _, name = parts[0].removeprefix("count ").partition("/")
        return str(len(rows_with(results / suite / "tables" / f"{name}.csv", parts[1:])))
    forms = [part for part in parts if part in FORMS]
    place, *keys = (part for part in parts if part not in FORMS)
    suite, _, table = place.partition("/")
    if table == "suite":
        return setting(results / suite / "suite.json", keys[0])
    text = cell(results / suite / "tables" / f"{table}.csv", keys[:-1], keys[-1])
    return figure(text, forms)


def figure(text: str, forms: Sequence[str] = ()) -> str:
    """A table's text as the page writes it: no marks, a true minus sign, and as much of it as is asked for."""
    text = re.sub(r"\*|†|‡", "", text).strip()
    parts = re.findall(r"[-+]?\d[\d.]*", text)
    if "first" in forms or "last" in forms:
        text = parts[0 if "first" in forms else -1]
    point, bracket, interval = text.partition(" [")
    if "point" in forms:
        text = point
    elif "interval" in forms:
        text = bracket.strip() + interval
    if "sign" in forms and not text.startswith(("-", "+")):
        text = f"+{text}"
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)


def cell(file: Path, keys: Sequence[str], column: str) -> str:
    """The text of one cell: in the row that holds all keys, in the column of that name or ending."""
    rows = rows_with(file, keys)
    if len(rows) != 1:
        raise UnclearError(
            f"{len(rows)} rows of {file.name} of {file.parts[-3]} hold {', '.join(keys)}; one is needed."
        )
    (row,) = rows
    names = [name for name in row if name == column] or [name for name in row if name.endswith(column)]
    if len(names) != 1:
        raise UnclearError(f"{len(names)} columns of {file.name} of {file.parts[-3]} end in {column!r}; one is needed.")
    return whole(row, names[0])


def whole(row: dict[str, str], column: str) -> str:
    """A cell with the figures that stand in columns of their own, which bear its column's name and a word more."""
    low, high, most, gates = (row.get(f"{column} {end}", "") for end in ("low", "high", "most", "gates"))
    text = row[column]
    if low and high:
        text += f" [{low}, {high}]"
    return text + (f"–{most}" if most else "") + (f" / {gates}" if gates else "")


def rows_with(file: Path, keys: Sequence[str]) -> list[dict[str, str]]:
    return [row for row in table(file) if all(key in row.values() for key in keys)]


@functools.cache
def table(file: Path) -> list[dict[str, str]]:
    packed = file.with_name(f"{file.name}.xz")
    if not (file.is_file() or packed.is_file()):
        raise UnclearError(f"There is no {file.name} in {file.parent}.")
    text = lzma.decompress(packed.read_bytes()) if packed.is_file() else file.read_bytes()
    return list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline="")))


def setting(file: Path, path: str) -> str:
    """A setting of a suite, as `subnets.gamma` or `attacks.0.name`."""
    value = json.loads(file.read_text(encoding="utf-8"))
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    return f"{value:g}".removeprefix("0") if isinstance(value, float) else str(value)


def minus(suite: str, protocol: str, first: str, results: Path) -> Iterator[str]:
    """A detector minus each of its rivals; bold: better or worse after the correction for many comparisons."""
    rows = [
        row
        for row in table(results / suite / "tables" / "comparisons.csv")
        if row["protocol"] == protocol and row["first"] == first
    ]
    if not rows:
        raise UnclearError(f"{suite} compares {first} with nothing under {protocol}.")
    shown = [column for column in COLUMNS if any(row["attack"] == column for row in rows)]
    yield "| minus ... | " + " | ".join(_title(column) for column in shown) + " |"
    yield "|---|" + "---|" * len(shown)
    for second in dict.fromkeys(row["second"] for row in rows):
        cells = {row["attack"]: row for row in rows if row["second"] == second}
        texts = [_difference(cells.get(column)) for column in shown]
        yield f"| {RIVALS.get(second, second)} | " + " | ".join(texts) + " |"


def _title(column: str) -> str:
    seen, attack = column.split()
    return f"{seen} {TITLES.get(attack, attack)}"


def _difference(row: dict[str, str] | None) -> str:
    if row is None or row["difference"][:1] not in "+-":
        return "–"
    text = whole(row, "difference")
    point, interval = figure(text, ["point"]), figure(text, ["interval"])
    return f"**{point}** {interval}" if row["verdict"] in ("better", "worse") else f"{point} {interval}"


def made() -> dict[Path, str]:
    """Both pages as they should be."""
    text, short = (page(source.read_text(encoding="utf-8"), ROOT / "results") for source in (SOURCE, SHORT))
    head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return {PAGE: text, README: f"{head}{BEGIN}{short}{END}{rest.partition(END)[2]}"}


def main(arguments: Sequence[str]) -> int:
    try:
        pages = made()
    except UnclearError as error:
        print(error, file=sys.stderr)
        return 2
    stale = [path for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: python .ci/findings.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
