"""A ladder of Table 2: steps from one setting to another, each of which changes one thing, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.files import read_json
from ..core.home import expanded
from ..core.near import did_you_mean
from ..harness.audit import suite_beside
from ..harness.reports import ClassReport
from ..harness.suite import Name, Part
from ..harness.toml import checked_suite, file_and_line, read_toml, shipped
from .entry import Entry, read_lean
from .published import PUBLISHED_ATTACKS
from .stated import read_comparisons, read_gate_reports
from .suite import Suite

#: The parts of a suite in which two steps can differ, as `parts_of` names them.
Thing = Literal["dataset", "model", "images", "attacks", "protocol", "detectors", "candidates", "subnets"]

#: A column of Table 2: seen or unknown, and the attack's registered name.
Column = tuple[str, str]


class Step(Part):
    """One step: a suite's protocol and its two detectors, and what differs from the step before on the same net."""

    net: str = Field(min_length=1)
    step: Name
    change: str
    differs: Thing | None = Field(None, description="the one part that differs from the step before; none: the first")
    beside: Name | None = Field(None, description="the step in whose place this one stands: compared with that before")
    suite: Name
    protocol: Name = "lee2018"
    subnets: Name = "subnet-mahalanobis"
    baseline: Name = "mahalanobis"


class Ladder(Part):
    """Steps on one or more nets; ``dataset``: that of the published table whose figures stand beside them."""

    title: str
    dataset: str = ""
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _linked(self) -> Ladder:
        places = [(step.net, step.step) for step in self.steps]
        for step in self.steps:
            if places.count((step.net, step.step)) > 1:
                raise ValueError(f"{step.net} has the step {step.step!r} twice; give one of them a name of its own")
            if step.beside is not None and (step.net, step.beside) not in places:
                raise ValueError(f"step {step.step!r} is beside {step.beside!r}, which {step.net} does not have")
            if (self.before(step) is None) != (step.differs is None):
                missing = "has no step before it" if step.differs else "has a step before it"
                raise ValueError(f"step {step.step!r} of {step.net} {missing}; correct its differs")
        return self

    def before(self, step: Step) -> Step | None:
        """The step that this one changes one thing of."""
        line = [other for other in self.steps if other.net == step.net and other.beside is None]
        at = [other.step for other in line].index(step.beside or step.step)
        return line[at - 1] if at else None


def builtin_ladders() -> dict[str, Path]:
    """Files of the ladders that ship, by name."""
    return shipped("ladders")


def load_ladder(source: str | Path) -> Ladder:
    """The ladder of this name that ships, or the one in this file. UserError with file, line and key for a mistake."""
    known = builtin_ladders()
    path = known.get(str(source)) or expanded(source)
    if not path.is_file():
        raise UserError(
            f"There is no ladder named {str(source)!r} and no such file.{did_you_mean(str(source), known)} "
            f"The ladders are {', '.join(known)}."
        )
    text, content = read_toml(path)
    return checked_suite(Ladder, content, lambda place: file_and_line(path, text, place))


def parts_of(suite: Suite, step: Step) -> dict[Thing, Any]:
    """What a step takes of its suite, part by part, without names and titles; nothing of what the suite lacks."""
    detectors = {part.title: part for part in suite.detectors}
    chosen = [detectors[label] for label in (step.baseline, step.subnets) if label in detectors]
    return {
        "dataset": suite.dataset,
        "model": suite.model,
        "images": (suite.limit, suite.seed),
        "attacks": suite.attacks,
        "protocol": next((protocol for protocol in suite.protocols if protocol.name == step.protocol), None),
        "detectors": [(part.name, part.parameters, part.gate_seeds) for part in chosen],
        "candidates": [part.candidates for part in chosen],
        "subnets": suite.subnets,
    }


def differing(parts: Mapping[Thing, Any], others: Mapping[Thing, Any]) -> list[Thing]:
    """The parts in which two steps differ."""
    return [thing for thing in parts if parts[thing] != others[thing]]


@dataclass(frozen=True)
class Climbed:
    """A step's results: entries of its two detectors, and what its run states beside them; without them: not run."""

    step: Step
    baseline: Entry | None = None
    subnets: Entry | None = None
    suite: Suite | None = None
    comparisons: Sequence[dict[str, Any]] = ()
    reports: Sequence[ClassReport] = ()

    @property
    def ran(self) -> bool:
        return self.baseline is not None and self.subnets is not None

    @cached_property
    def attacks(self) -> dict[str, str]:
        """Labels of the attacks by registered name; of two of one name the first."""
        labels: dict[str, str] = {}
        for label, attack in (self.baseline.attacks if self.baseline else {}).items():
            labels.setdefault(attack.name, label)
        return labels

    def pair(self, column: Column) -> tuple[str, str] | None:
        """The attack fitted on and the attack tested, by their labels in this suite."""
        kind, name = column
        label = self.attacks.get(name)
        return None if label is None else (label if kind == "seen" else next(iter(self.attacks.values())), label)

    def margin(self, column: Column) -> dict[str, Any] | None:
        """The paired difference of the two detectors, as the run compared them."""
        sides = (self.step.subnets, self.step.baseline, self.pair(column))
        for record in self.comparisons:
            if (record["first"], record["second"], (record["fit_on"], record["test_on"])) == sides:
                return record
        return None


@dataclass(frozen=True)
class Climb:
    """A ladder and the results of its steps, in its order."""

    ladder: Ladder
    steps: Sequence[Climbed]
    columns: Sequence[Column] = field(default=())

    def before(self, climbed: Climbed) -> Climbed | None:
        earlier = self.ladder.before(climbed.step)
        return next((other for other in self.steps if other.step is earlier), None)


def climb(ladder: Ladder, folders: Sequence[Path]) -> Climb:
    """The results of a ladder's steps among these results folders. UserError where one of them is damaged."""
    wanted = {step.suite for step in ladder.steps}
    by_suite = {name: folder for folder in folders if (name := _suite_name(folder)) in wanted}
    read = {name: read_lean(folder) for name, folder in by_suite.items()}
    steps = [
        _climbed(step, by_suite[step.suite], read[step.suite]) if step.suite in by_suite else Climbed(step)
        for step in ladder.steps
    ]
    names = list(dict.fromkeys(name for climbed in steps for name in climbed.attacks)) or list(PUBLISHED_ATTACKS)
    return Climb(ladder, steps, [("seen", name) for name in names] + [("unknown", name) for name in names[1:]])


def _suite_name(folder: Path) -> str:
    path = folder / "suite.json"
    content = read_json(path) if path.is_file() else {}
    return str(content.get("name", "")) if isinstance(content, dict) else ""


def _climbed(step: Step, folder: Path, entries: Sequence[Entry]) -> Climbed:
    of_protocol = {entry.label: entry for entry in entries if entry.protocol_name == step.protocol}
    suite, stated = suite_beside(Suite, folder), read_gate_reports(folder)
    families = read_comparisons(folder, [step.protocol])
    return Climbed(
        step,
        of_protocol.get(step.baseline),
        of_protocol.get(step.subnets),
        suite if isinstance(suite, Suite) else None,
        [record for family in families for record in family["comparisons"]],
        [report for gates in stated.sets for report in gates.report] if stated else (),
    )
