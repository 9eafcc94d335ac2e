"""How to run an entry again: the command of its suite, and a suite file with its detector alone."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.errors import UserError
from ..core.files import read_json
from ..detection.suite import DetectorPart, Suite
from ..harness.of_session import needed
from ..harness.suite import NAME
from ..harness.toml import builtin_suites
from ..tracks import load_suite
from .boards import Board


@dataclass(frozen=True)
class Rerun:
    """``command`` runs the whole suite, if one command can; ``toml`` is a suite file with this detector alone.

    ``needed``: what both lack, where a part of the row was an object of its author's session.
    """

    command: str | None
    toml: str | None
    needed: str = ""


Reruns = dict[tuple[str, str], Rerun]


def reruns(boards: Sequence[Board]) -> Reruns:
    """(board's id, detector's label) -> how to run it again."""
    suites: dict[Path, tuple[Suite | None, str | None]] = {}
    rows = [row.checked for board in boards for row in board.rows]
    absent = {(each.folder, each.entry.label) for each in rows if each.entry.detector.from_}
    by_row: Reruns = {}
    for board in boards:
        for row in board.rows:
            folder = row.checked.folder
            if folder not in suites:
                suite = read_suite_file(folder)
                there = None if suite is None else _without(suite, {label for at, label in absent if at == folder})
                suites[folder] = suite, None if there is None else command(there)
            suite, line = suites[folder]
            lacks = needed(row.entry)
            if lacks:
                by_row[board.id, row.label] = Rerun(None, None, lacks)
                continue
            own_suite = None if suite is None else alone(suite, row.label, board.protocol)
            by_row[board.id, row.label] = Rerun(
                line, None if own_suite is None else toml(own_suite.model_dump(mode="json"))
            )
    return by_row


def _without(suite: Suite, labels: Collection[str]) -> Suite:
    """The suite without detectors that were objects of a session: the others can be run again without them."""
    comparisons = [pair for pair in suite.statistics.comparisons if not set(pair) & set(labels)]
    changed = {
        "detectors": [part for part in suite.detectors if part.title not in labels],
        "statistics": suite.statistics.model_copy(update={"comparisons": comparisons}),
    }
    return suite.model_copy(update=changed)


def read_suite_file(folder: Path) -> Suite | None:
    """The suite that wrote a results folder; None if it has none that this version can read."""
    path = folder / "suite.json"
    if not path.is_file():
        return None
    try:
        return Suite.model_validate(read_json(path))
    except (UserError, ValidationError):
        return None


def command(suite: Suite) -> str | None:
    """The command that runs a suite, if it ships and at most --limit, --seed and --detector were added."""
    if suite.name not in builtin_suites():
        return None
    shipped = load_suite(suite.name)
    if not isinstance(shipped, Suite):
        return None
    added = suite.detectors[len(shipped.detectors) :]
    changed = {
        "limit": suite.limit,
        "seed": suite.seed,
        "detectors": [*shipped.detectors, *added],
        # --detector compares what it adds with the controls, which changes no entry.
        "statistics": shipped.statistics.model_copy(update={"comparisons": suite.statistics.comparisons}),
    }
    if shipped.model_copy(update=changed) != suite or any(part != DetectorPart(name=part.name) for part in added):
        return None
    words = ["subnetbench", "run", suite.name]
    words += ["--limit", str(suite.limit)] if suite.limit not in (None, shipped.limit) else []
    words += ["--seed", str(suite.seed)] if suite.seed != shipped.seed else []
    words += [word for part in added for word in ("--detector", part.name)]
    return None if suite.limit is None and shipped.limit is not None else shlex.join(words)


def alone(suite: Suite, label: str, protocol: str) -> Suite | None:
    """The suite with this detector and this protocol alone, under another name: its results overwrite nothing."""
    detectors = [part for part in suite.detectors if part.title == label]
    protocols = [part for part in suite.protocols if part.name == protocol]
    name = f"{suite.name}-{label}"[:64]
    if not detectors or not protocols or not re.match(NAME, name):
        return None
    statistics = suite.statistics.model_copy(update={"comparisons": []})
    return suite.model_copy(
        update={
            "name": name,
            "detectors": detectors,
            "protocols": protocols,
            "sensitivity": None,
            "statistics": statistics,
        }
    )


def toml(content: Mapping[str, Any]) -> str:
    """A suite's canonical form as TOML: tables one level deep, deeper ones inline; None is left to its default."""
    plain = {k: v for k, v in content.items() if v is not None}
    lines = [f"{_key(k)} = {_inline(v)}" for k, v in plain.items() if not isinstance(v, dict) and not _tables(v)]
    for name, value in plain.items():
        for head, table in (
            [(f"[{_key(name)}]", value)]
            if isinstance(value, dict)
            else [(f"[[{_key(name)}]]", entry) for entry in value]
            if _tables(value)
            else []
        ):
            lines += ["", head, *(f"{_key(k)} = {_inline(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(lines) + "\n"


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
