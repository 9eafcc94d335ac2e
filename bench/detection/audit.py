"""Checking entries from what lies beside them: their figures from their scores, their hashes from what is at hand."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from ..core.arrays import UserError
from ..core.versions import versions
from ..harness.entry import checked_entry, entry_files, identity, one_json, sentence
from ..harness.suite import Lee2018, ProtocolPart, Statistics, Strict, Suite
from ..localisation.checked import checked_map, is_claims, track_files
from ..localisation.entry import FOLDER
from .cells import Pair, measure
from .entry import Entry, read_scores, replicates
from .scores import examine

#: Folders of a suite's results that hold entries.
HOMES = ("entries", FOLDER)

Verdict = Literal["match", "mismatch", "not checked"]

#: How far a recomputed figure may be from the stated one: both are float64 sums, in another order.
TOLERANCE = 1e-9

#: What is said of an entry that an earlier state of its folder has to the byte.
AS_IT_WAS = "as it was"

#: What a cell states and its scores cannot say: how many images fitted it, which candidate was chosen, and why.
_NOT_IN_SCORES = ("n_fit", "candidates", "remark")


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass
class Audit:
    """An entry's file (relative to what was asked for), what was found, and the entry where it could be read."""

    file: str
    path: Path
    lines: list[Line] = field(default_factory=list)
    entry: Entry | None = None
    scores: pd.DataFrame | None = None

    @property
    def good(self) -> bool:
        return all(line.verdict != "mismatch" for line in self.lines)

    @property
    def root(self) -> Path:
        """The folder that holds ``entries`` or ``localisation``, below which the scores lie."""
        return next(parent.parent for parent in self.path.parents if parent.name in HOMES)


def located(given: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the entries' files: one, or all below a folder."""
    if given.is_file():
        if not any(parent.name in HOMES for parent in given.absolute().parents):
            raise UserError(f"{given} does not lie below a folder `entries`, beside which its scores are looked for; "
                            "give the file where its run wrote it.")  # fmt: skip
        return given.parent, [given.absolute()]
    if not given.is_dir():
        raise UserError(f"There is no entry and no results folder {given}; give what a run wrote.")
    paths = [path.absolute() for path in all_entries(given)]
    if not paths and any(parent.name == "entries" for parent in (given.absolute() / "x").parents):
        paths = sorted(path.absolute() for path in given.rglob("*.json") if path.is_file())
    if not paths:
        raise UserError(f"There are no entries under {given}; run a suite first, or give its output folder.")
    return given, paths


def is_map(path: Path) -> bool:
    """Whether a file is of the localisation track."""
    return path.parent.parent.name == FOLDER or is_claims(path)


def all_entries(folder: Path) -> list[Path]:
    """Entries of detectors, then those and the claims of the localisation track."""
    return [*entry_files(folder), *track_files(folder)]


@contextmanager
def without_traceback(audit: Audit) -> Iterator[None]:
    """What an entry does to whoever reads it is a line of its audit."""
    try:
        yield
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, audit.path, audit.file)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:  # no run writes that
        what = " ".join(str(error).split())[:120]
        said = f"it is not as a run writes it ({type(error).__name__}: {what}); run the suite again."
        audit.lines.append(Line("entry", "mismatch", said))


def audited(path: Path, file: str, more: Callable[[Audit], list[Line]]) -> Audit:
    """Everything that can be said of one entry; ``more`` looks at what is not in the entry and its scores."""
    audit = Audit(file, path)
    with without_traceback(audit):
        entry = checked_entry(path)
        audit.lines.append(Line("form", "match", f"schema {entry['schema']}, {len(entry['cells'])} cells"))
        audit.lines.append(place(audit, f"{entry['protocol']['name']}/{entry['detector']['label']}.json"))
        examine(audit.root, entry)
        scores = read_scores(audit.root, entry)
        audit.lines.append(Line("scores", "match", f"sha256 {entry['scores']['sha256'][:12]}, {len(scores)} rows"))
        audit.lines += [_rows(entry, scores), _figures(entry, scores), *own_words(entry)]
        audit.entry, audit.scores = entry, scores
    if audit.entry is not None:
        audit.lines += more(audit)
    return audit


def unchanged(path: Path, file: str, history: Line) -> Audit:
    """An entry that is as it was verified earlier: only that its scores are still those that it names."""
    audit = Audit(file, path, [history])
    try:
        if is_map(path):
            checked_map(path, one_json(path))  # its scores included
        else:
            audit.entry = checked_entry(path)
            read_scores(audit.root, audit.entry)
    except UserError as error:
        audit.lines.append(Line("entry", "mismatch", sentence(error, path, file)))
    return audit


def repeated(audits: Sequence[Audit]) -> None:
    """Say of every entry that repeats an earlier one's suite, protocol and detector that it does."""
    first: dict[tuple[str, ...], str] = {}
    for audit in audits:
        if audit.entry is not None:
            key = (str(audit.root), *identity(audit.entry))
            if key in first:
                audit.lines.append(Line("identity", "mismatch", f"{first[key]} is the same suite, protocol and "
                                        "detector; an entry is superseded, not repeated"))  # fmt: skip
            first.setdefault(key, audit.file)


def place(audit: Audit, wanted: str) -> Line:
    """Whether an entry lies where a run writes it: under another name it would stand beside its successor."""
    found = "/".join(audit.path.parts[-2:])
    same = found == wanted
    return Line("place", "match" if same else "mismatch", wanted if same else f"it lies at {found}, not at {wanted}")


# -- figures from scores ----------------------------------------------------------------------------------------------


def _rows(entry: Entry, scores: pd.DataFrame) -> Line:
    keys = ["gate", "split", "fit_on", "test_on", "kind", "image"]
    twice = int(scores.duplicated(keys).sum())
    if twice:
        return Line("images", "mismatch", f"{twice} rows score an image a second time in the same place")
    most = entry["dataset"]["attacked_images"]
    outside = int(((scores["image"] < 0) | (scores["image"] >= most)).sum())
    if outside:
        return Line("images", "mismatch", f"{outside} rows are of images that are none of the {most} attacked")
    return Line("images", "match", f"no image twice, all among the {most} attacked")


def _figures(entry: Entry, scores: pd.DataFrame) -> Line:
    """Metrics and intervals of all cells, by the functions that a run measures with."""
    attacks, lee = list(entry["attacks"]), entry["protocol"]["name"] == "lee2018"
    stated = {(cell["fit_on"], cell["test_on"]): cell for cell in entry["cells"]}
    missing = [pair for pair in product(attacks, attacks) if pair not in stated]
    if missing:
        return Line("figures", "mismatch", f"the cell {_arrow(missing[0])} is missing")
    cells, _ = measure(scores, _fits(entry, scores), attacks, ties=entry["protocol"]["ties"],
                       options=Statistics(**entry["statistics"]), seed=entry["seed"], lee=lee)  # fmt: skip
    wrong: list[str] = []
    count = 0
    for cell in cells:
        pair = cell["fit_on"], cell["test_on"]
        for name, value in stated[pair].items():
            if name in _NOT_IN_SCORES or name not in cell:
                continue
            count += 1
            if not _same(value, cell[name]):
                wrong.append(f"{_arrow(pair)} states {name} {_shown(value)}, its scores give {_shown(cell[name])}")
    if wrong:
        return Line("figures", "mismatch", wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    return Line("figures", "match", f"{count} figures of {len(cells)} cells, intervals included")


def _fits(entry: Entry, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The record of each fit, gate by gate and split by split as a run makes them."""
    gates = sorted({gate for gate, _ in replicates(scores)})
    splits = range(int(entry["protocol"].get("splits", 1)))
    places = [(gate, split) for gate in gates for split in splits]
    records = []
    for cell in entry["cells"]:
        if not cell["seen"] or not cell["n_fit"]:
            continue  # one that could not be run has no fits
        if len(cell["n_fit"]) != len(places) or len(cell["candidates"]) != len(places):
            raise UserError(f"The cell {_arrow((cell['fit_on'], cell['test_on']))} tells of {len(cell['n_fit'])} fits, "
                            f"and its protocol and scores of {len(places)}; run the suite again.")  # fmt: skip
        for (gate, split), fitted, candidate in zip(places, cell["n_fit"], cell["candidates"], strict=True):
            records.append({"fit_on": cell["fit_on"], "gate": gate, "split": split, "n_fit": fitted,
                            "candidate": candidate, "remark": ""})  # fmt: skip
    return records


def _same(stated: Any, found: Any) -> bool:
    if isinstance(stated, int | float) and isinstance(found, int | float) and not isinstance(stated, bool):
        return math.isclose(stated, found, rel_tol=0, abs_tol=TOLERANCE)
    return bool(stated == found)


def _shown(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _arrow(pair: Pair) -> str:
    return f"{pair[0]} -> {pair[1]}"


# -- what the entry says of itself ------------------------------------------------------------------------------------


def own_words(entry: Mapping[str, Any]) -> Iterator[Line]:
    """Versions, and the entry that it takes the place of."""
    here = versions(tuple(name for name in entry["versions"] if name != "python" and _installed(name)))
    other = [f"{name} {stated} there, {here.get(name, 'none')} here"
             for name, stated in entry["versions"].items() if here.get(name) != stated]  # fmt: skip
    yield Line("versions", "not checked" if other else "match",
               f"run with others: {', '.join(other)}" if other else f"{len(here)} as installed here")  # fmt: skip
    old = entry.get("supersedes")
    if old is not None:
        fine = isinstance(old, str) and len(old) == 64 and set(old) <= set("0123456789abcdef")
        said = "an earlier entry; --base compares the two" if fine else "is no sha256 of an earlier entry's file"
        yield Line("supersedes", "not checked" if fine else "mismatch", said)


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def suite_of(root: Path, entry: Entry) -> tuple[Suite | None, list[Line]]:
    """The suite that lies beside the entries, and whether the entry is one of its cells."""
    try:
        suite = Suite.model_validate(json.loads((root / "suite.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:  # ValidationError is a ValueError
        what = "is no suite" if isinstance(error, ValidationError) else "cannot be read"
        return None, [Line("suite", "not checked", f"suite.json beside the entries {what}")]
    form: TypeAdapter[Strict | Lee2018] = TypeAdapter(ProtocolPart)
    try:
        protocol = form.validate_python(entry["protocol"])
        statistics = Statistics(**entry["statistics"])
    except ValidationError as error:
        return None, [Line("suite", "mismatch", f"its protocol is none of ours ({error.errors()[0]['msg']})")]
    claims: Mapping[str, tuple[Any, Any]] = {
        "suite.name": (entry["suite"]["name"], suite.name),
        "suite.limit": (entry["suite"].get("limit"), suite.limit),
        "seed": (entry["seed"], suite.seed),
        "dataset.name": (entry["dataset"]["name"], suite.dataset.name),
        "model.name": (entry["model"]["name"], suite.model.name),
        "model.parameters": (entry["model"]["parameters"], suite.model.parameters),
        "protocol": (protocol, next((p for p in suite.protocols if p.name == protocol.name), None)),
        "statistics": (statistics, suite.statistics.model_copy(update={"comparisons": []})),
        "attacks": (list(entry["attacks"]), [part.title for part in suite.attacks]),
        "detector.name": (entry["detector"]["name"],
                          next((p.name for p in suite.detectors if p.title == entry["detector"]["label"]), None)),
    }  # fmt: skip
    wrong = [name for name, (stated, own) in claims.items() if stated != own]
    if wrong:
        return None, [Line("suite", "mismatch", f"{', '.join(wrong)} differ from suite.json beside the entries")]
    return suite, [Line("suite", "match", f"{suite.name}, {len(claims)} settings as in suite.json")]


# -- what was there before --------------------------------------------------------------------------------------------


def against_base(now: Path, base: Path) -> tuple[dict[str, Line], list[Line]]:
    """What became of the entries of an earlier state of a results folder.

    Of each entry that is there still (by its file) a line, ``match`` where it is the same to the byte or says which
    earlier file it supersedes; and a line for each that is gone.
    """
    if not base.is_dir():
        raise UserError(f"There is no folder {base} with an earlier state of {now}; give one with --base.")
    kept: dict[str, Line] = {}
    gone: list[Line] = []
    for old in (path for path in all_entries(base) if not is_claims(path)):  # claims are made of entries
        file = old.relative_to(base).as_posix()
        digest = hashlib.sha256(old.read_bytes()).hexdigest()
        new = now / file
        if not new.is_file():
            gone.append(Line(file, "mismatch", "was removed; an entry is superseded, never removed"))
            continue
        blob = new.read_bytes()
        if hashlib.sha256(blob).hexdigest() == digest:
            kept[file] = Line("history", "match", AS_IT_WAS)
            continue
        try:
            said = json.loads(blob).get("supersedes")
        except (ValueError, AttributeError, RecursionError):
            said = None
        if said == digest:
            kept[file] = Line("history", "match", f"supersedes {digest[:12]}")
        else:
            kept[file] = Line("history", "mismatch", f'was edited; a new version says "supersedes": "{digest}"')
    return kept, gone
