"""Parts of the documentation that are made, not written: pages of notebooks, and the table of times.

`python .ci/pages.py` writes them, `--check` only says which are out of date. It needs nothing that is not in Python.
`python .ci/pages.py --execute NOTEBOOK` runs a notebook's cells first, in this process, and keeps what they print.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- made by .ci/pages.py -->", "<!-- until here -->"


def pages() -> dict[Path, str]:
    """Every page with a made part, as it should be."""
    time = ROOT / "docs" / "time.md"
    made = {time: _between(time.read_text(encoding="utf-8"), "\n".join(times()))}
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        made[ROOT / "docs" / f"notebook-{notebook.stem}.md"] = page_of(notebook)
    return made


def _between(text: str, part: str) -> str:
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{part}\n\n{END}{rest.partition(END)[2]}"


def times() -> Iterator[str]:
    """A table with a row for each suite whose results are committed, from its `tables/time.csv`."""
    yield "| suite | attack | learn gates | score, fit, evaluate | sum, s | peak MB | train the net, s |"
    yield "|---|---|---|---|---|---|---|"
    for file in sorted((ROOT / "results").glob("*/tables/time.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        parts = [_seconds(rows, start) for start in ("attack ", "learn ", "score, ", "sum", "train ")]
        (peak,) = [row["peak MB"] for row in rows if row["stage"].startswith("sum")]
        *stages, total, training = (f"{part:,.0f}" for part in parts)
        yield f"| `{file.parts[-3]}` | {' | '.join(stages)} | {total} | {peak} | {training} |"


def _seconds(rows: list[dict[str, str]], start: str) -> float:
    return sum(float(row["seconds"]) for row in rows if row["stage"].startswith(start) and row["seconds"])


def page_of(notebook: Path) -> str:
    """A notebook as Markdown: its texts as they are, its code, and its outputs as blocks without a language."""
    head = f"<!-- made by .ci/pages.py from notebooks/{notebook.name} -->\n"
    return head + "\n".join(part for cell in cells(notebook) for part in _shown(cell, notebook)).rstrip() + "\n"


def cells(notebook: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return cells


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def outputs_of(cell: dict[str, Any]) -> str:
    """What a code cell printed, and the text of its last value."""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", []) for output in cell.get("outputs", [])]
    return "".join("".join(text) for text in texts)


def _shown(cell: dict[str, Any], notebook: Path) -> Iterator[str]:
    if cell["cell_type"] == "markdown":
        yield source_of(cell).replace("](../", "](") + "\n"  # from the folder of notebooks to that of pages
        if source_of(cell).startswith("# "):
            yield f"[The notebook itself](notebooks/{notebook.name}), to open in Jupyter.\n"
        return
    yield f"```python\n{source_of(cell)}\n```\n"
    if outputs_of(cell):
        yield f"```\n{outputs_of(cell).rstrip()}\n```\n"


def outputs(notebook: Path, names: dict[str, Any]) -> Iterator[str]:
    """What each code cell prints, and the text of its last value; ``names`` are those that the cells share."""
    for number, cell in enumerate(cells(notebook), 1):
        if cell["cell_type"] == "code":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                value = _last_value(source_of(cell), f"<cell {number} of {notebook.name}>", names)
            yield printed.getvalue() + ("" if value is None else f"{value!r}\n")


def _last_value(source: str, place: str, names: dict[str, Any]) -> Any:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    # Each cell's lines, for whoever reads the source of a class of a cell, as Jupyter keeps them too.
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    exec(compile(tree, place, "exec", dont_inherit=True), names)
    return None if last is None else eval(compile(ast.Expression(last.value), place, "eval", dont_inherit=True), names)


def execute(notebook: Path) -> None:
    """Run a notebook's cells and keep their outputs in its file."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for number, (cell, text) in enumerate(zip(code, outputs(notebook, {"__name__": "__main__"}), strict=True), 1):
        shown = [{"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}]
        cell |= {"execution_count": number, "outputs": shown if text else []}
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    if sys.argv[1:2] == ["--execute"]:
        execute(Path(sys.argv[2]))
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(pages()[path], encoding="utf-8")
    verb = "is out of date: run python .ci/pages.py" if "--check" in sys.argv[1:] else "written"
    print("\n".join(f"{path.relative_to(ROOT)} {verb}" for path in stale) or "every made page is up to date")
    return int(bool(stale) and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
