"""From detectors to scores of single images: characteristics on every set of images, then the protocol."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...subnets import chain, compact, frozen, gated, tree
from ...subnets import gates as gates_module
from .. import views
from ..core import registry
from ..core.arrays import Floats, Ints
from ..core.errors import UserError, first_line
from ..core.hashing import code_hash, hash_arrays, source_hash
from ..core.meter import spent
from ..core.store import Arrays, Meta
from ..data.dataset import Dataset
from ..harness.context import Context
from ..harness.gates import GateSets, which_set
from ..harness.plugins import made
from ..harness.setup import Setup
from ..models import cifar, classifier
from ..models.passes import counted
from ..stats import column, combiner, logistic, metrics
from ..views import View
from . import fits, fitting, lee2018, strict
from . import protocol as protocols
from .attacked import Attacked
from .conduct import conduct
from .frames import joined, pack, unpack
from .images import Images
from .protocol import Kind, Material, Outcome, Table, check_finite
from .suite import NO_GATES, AnyProtocol, AttackPart, DetectorPart, Suite
from .titles import outcome_title

#: The code that makes scores of characteristics: protocols, and what they fit and choose with.
PROTOCOL_CODE = (protocols, strict, fits, fitting, lee2018, column, combiner, logistic, metrics)


#: The code behind what every detector of ours is given.
INPUT_CODE = (gates_module, chain, compact, frozen, gated, tree, classifier, cifar, views)


def detector_source(part: DetectorPart) -> str:
    """Hash of a detector's code: its files, and of ours also those of its folder that it reaches and `INPUT_CODE`."""
    lent = registry.detectors.lent(part.name)
    if lent is not None:
        return lent.source
    source = source_hash(registry.detectors.get(part.name))
    return source + code_hash(*INPUT_CODE) if registry.detectors.is_ours(part.name) else source


@dataclass(frozen=True)
class Shown:
    """One detector with one of ``sets`` sets of gates, and everything its scores depend on besides the images."""

    part: DetectorPart
    protocol: AnyProtocol
    gate: int
    material: Material
    detectors: Sequence[Any]
    candidates: Sequence[Mapping[str, Any]]
    sets: int = 1

    @property
    def coupled(self) -> bool:
        """Whether an image's scores depend on its neighbours; then only the protocol's own images are scored."""
        cls = registry.detectors.get(self.part.name)
        constructor = inspect.signature(cls).parameters.values()
        defaults = {each.name: each.default for each in constructor if each.default is not inspect.Parameter.empty}
        return any(cls.info.is_coupled(defaults | dict(parameters)) for parameters in self.candidates)

    @property
    def title(self) -> str:
        """The detector as stages name it, with its protocol and its one of several sets of gates."""
        return f"{self.part.title} ({self.protocol.name}{which_set(self.gate, self.sets)})"

    def kept(self, attack: str) -> Ints | None:
        """The images that a coupled detector scores; None: all."""
        return self.protocol.kept(self.material, attack) if self.coupled else None


class Scoring:
    """A detection suite's stages, each built on the one before: setup, gates, attacked, images, scores."""

    def __init__(self, suite: Suite, context: Context, dataset: Dataset | None = None) -> None:
        """``dataset``: the suite's data set, if it is already in memory."""
        self.suite, self.context = suite, context
        self.setup = Setup(suite, context, dataset)
        self.gates = GateSets(self.setup)
        self.attacked = Attacked(self.setup, suite.attacks)
        self.images = Images(self.attacked, self.gates)
        self._fitted: list[Any] = []
        self.remarks: dict[str, list[str]] = {}

    # -- detectors ----------------------------------------------------------------------------------------------------

    def needs_gates(self, part: DetectorPart) -> bool:
        return "subnets" in registry.detectors.get(part.name).info.needs

    def gate_places(self, part: DetectorPart) -> range:
        """Indices of the sets of gates that a detector runs with; one that needs no subnets runs once."""
        sets = len(self.gates.by_seed)
        return range(min(sets, part.gate_seeds or sets) if self.needs_gates(part) else 1)

    def candidates(self, part: DetectorPart, protocol: AnyProtocol) -> list[dict[str, Any]]:
        """The parameter sets among which the protocol chooses; parameters that the suite fixes stay fixed."""
        cls = registry.detectors.get(part.name)
        fixed = {**cls.info.protocol_parameters.get(protocol.name, {}), **part.parameters}
        free = [{k: v for k, v in c.items() if k not in fixed} for c in _offered(part, cls)] or [{}]
        return [dict(fixed | c) for i, c in enumerate(free) if c not in free[:i]]

    def build(self, part: DetectorPart, protocol: AnyProtocol, gate: int = 0) -> list[Any]:
        """One detector per candidate; one that draws its own gates draws different ones for every ``gate``."""
        cls = registry.detectors.get(part.name)
        if "subnets" in cls.info.needs and self.suite.subnets is None:
            raise UserError(f"The detector {part.title!r} needs subnets and the suite has none; add a [subnets] table.")

        def seeded(parameters: dict[str, Any]) -> dict[str, Any]:
            return parameters | ({"gate_seed": parameters.get("gate_seed", 0) + gate} if cls.info.draws_gates else {})

        where = f"detectors.{part.title}.parameters"
        candidates = self.candidates(part, protocol)
        return [made(registry.detectors, part.name, seeded(parameters), where) for parameters in candidates]

    def detector_inputs(self, part: DetectorPart, protocol: AnyProtocol, gate: int = 0) -> Meta:
        """Store inputs that a fitted detector depends on."""
        return {
            "detector": part.name,
            "source": detector_source(part),
            "candidates": self.candidates(part, protocol),
            "train": self.setup.split_key(self.setup.train_split),
            "model": self.setup.trained.sha256,
            "gates": self.gates.inputs(self.gates.by_seed[gate]) if self.needs_gates(part) else {},
            "gate": gate,
            **_content(part.name, self.candidates(part, protocol)),
        }

    # -- characteristics ----------------------------------------------------------------------------------------------

    def table(self, shown: Shown) -> tuple[Table, list[Meta]]:
        """All characteristics that the protocol asks for, with the cost of each set of images."""
        values: dict[tuple[Kind, str], list[Floats]] = {}
        costs: list[Meta] = []
        # Where a protocol keeps no image of an attack, there is nothing to score.
        todo = [(kind, attack) for kind in shown.protocol.kinds for attack in shown.protocol.able(shown.material)]
        todo += [("calibration", "")] if shown.material.calibration else []
        with self.context.report.stage(f"score with {shown.title}", (shown.gate, shown.sets)) as tick:
            for done, (kind, attack) in enumerate(todo):
                tick(done, len(todo), "")
                place = (kind, "" if kind == "clean" and shown.kept(attack) is None else attack)
                if place not in values:
                    values[place], cost = self.characteristics(shown, kind, attack)
                    costs.append(cost)
        return Table(len(shown.detectors), values), costs

    def characteristics(self, shown: Shown, kind: Kind, attack: str) -> tuple[list[Floats], Meta]:
        """``(N, K)`` for each candidate, with their cost; rows that a coupled detector never scores are NaN."""
        kept = None if kind == "calibration" else shown.kept(attack)
        inputs = self.detector_inputs(shown.part, shown.protocol, shown.gate)
        inputs["view"] = self.images.key(kind, attack, shown.protocol)
        if kept is not None:
            inputs |= {"kept": hash_arrays(kept), "protocol": shown.protocol.model_dump()}
        arrays, meta = self.context.store.get(
            "characteristics", inputs, lambda: self._characteristics(shown, kind, attack, kept)
        )
        values = [arrays[str(candidate)] for candidate in range(len(arrays))]
        return (values if kept is None else [_spread(v, kept, len(self.setup.test)) for v in values]), meta

    def _characteristics(self, shown: Shown, kind: Kind, attack: str, kept: Ints | None) -> tuple[Arrays, Meta]:
        view = self.images.gated(self.images.view(kind, attack, shown.protocol).unlabelled(), shown.gate)
        if kept is not None:
            view = view.subset(kept)
            view.parents = self.images.view("clean", attack, shown.protocol).subset(kept)
        fitted = [self._fit(detector, shown.gate) for detector in shown.detectors]
        title = shown.part.title
        with metered(view) as cost:
            values = [check_finite(detector.characteristics(view), title, f"{kind} images") for detector in fitted]
        view.forget()
        for rows in values:
            if len(rows) != len(view):
                raise UserError(f"The detector {title!r} gave {len(rows)} rows for {len(view)} images.")
        return {str(i): rows for i, rows in enumerate(values)}, cost | {"notes": _notes(fitted)}

    def _fit(self, detector: Any, gate: int) -> Any:
        """Fit once; the training view memoises what several detectors need of it."""
        if not any(detector is fitted for fitted in self._fitted):  # nothing is written to a third-party object
            with counted(self.setup.trained.net):  # copies of the net that it makes are counted when they score
                detector.fit(self.images.gated(self.images.training, gate))
            self._fitted.append(detector)
        return detector

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def outcomes(self, part: DetectorPart, protocol: AnyProtocol) -> tuple[Outcome, Meta]:
        """A detector's scores under a protocol, over all sets of gates that it runs with, and their cost."""
        parts = [self.outcome(part, protocol, gate) for gate in self.gate_places(part)]
        return joined([outcome for outcome, _ in parts]), _cost_of_all([cost for _, cost in parts])

    def outcome(self, part: DetectorPart, protocol: AnyProtocol, gate: int) -> tuple[Outcome, Meta]:
        """Scores with one set of gates, from the store or computed from characteristics by the protocol."""
        self._fitted.clear()  # each outcome has its own detectors: release what earlier ones learned
        built = self.build(part, protocol, gate)
        inputs = self.outcome_inputs(part, protocol, gate)
        arrays, meta = self.context.store.get("outcome", inputs, lambda: self._outcome(part, protocol, gate, built))
        return unpack(arrays, meta, gate if self.needs_gates(part) else NO_GATES)

    def outcome_inputs(self, part: DetectorPart, protocol: AnyProtocol, gate: int) -> Meta:
        """Store inputs of an outcome."""
        return {
            "detector": self.detector_inputs(part, protocol, gate),
            "protocol": protocol.model_dump(),
            "source": code_hash(*PROTOCOL_CODE),
            "attacks": {p.title: self.attacked.key(p) for p in self.suite.attacks},
            "test": self.images.key("clean", "", protocol),
            "calibration": self.images.key("calibration", "", protocol) if protocol.calibrating else "",
            "seed": self.suite.seed,
        }

    def _outcome(
        self, part: DetectorPart, protocol: AnyProtocol, gate: int, built: Sequence[Any]
    ) -> tuple[Arrays, Meta]:
        self.context.refuse_failed(outcome_title(part, protocol, gate))
        candidates, sets = self.candidates(part, protocol), len(self.gate_places(part))
        with spent() as taken:
            shown = Shown(part, protocol, gate, self.images.material(protocol), built, candidates, sets)
            table, costs = self.table(shown)
            with self.context.report.stage(f"fit and evaluate {shown.title}", (gate, shown.sets)):
                outcome = protocol.evaluate(shown.material, table, self.suite.seed)
        cost = _per_image(costs) | {"candidates": len(built), "notes": costs[0]["notes"] if costs else ""}
        cost |= {"remarks": _remarks(self, shown), "seconds": taken.seconds, "peak_mb": taken.highest}
        return pack(outcome, cost, gate if self.needs_gates(part) else NO_GATES)


def _content(name: str, candidates: Sequence[Mapping[str, Any]]) -> Meta:
    """What a detector's scores depend on behind the names in its parameters, such as the bytes of a file."""
    depends_on = getattr(registry.detectors.get(name), "depends_on", None)
    return {"content": [depends_on(**parameters) for parameters in candidates]} if callable(depends_on) else {}


def _offered(part: DetectorPart, cls: Any) -> Sequence[Mapping[str, Any]]:
    offered = getattr(cls, "candidates", ()) if part.candidates is None else part.candidates
    if isinstance(offered, Mapping | str) or not all(isinstance(each, Mapping) for each in offered or ()):
        raise UserError(f"detectors.{part.title}: its candidates are no sequence of tables; declare them as such.")
    return tuple(offered or ())


def for_attacks(scoring: Scoring, attacks: Sequence[AttackPart]) -> Scoring:
    """The same stages for some of the suite's attacks, with the net and the gates that there are."""
    part = copy.copy(scoring)
    part.suite = scoring.suite.model_copy(update={"attacks": list(attacks)})
    part.attacked = Attacked(scoring.setup, attacks)
    part.images = Images(part.attacked, scoring.gates)
    part._fitted = []
    return part


def _remarks(scoring: Scoring, shown: Shown) -> list[str]:
    """Remarks on a third-party detector, made once; ours keep their contract, which tests check."""
    title = shown.part.title
    if registry.detectors.is_ours(shown.part.name) or shown.coupled:
        return []
    if title not in scoring.remarks:
        like = scoring.images.gated(scoring.images.training, shown.gate)
        splits = scoring.setup.train_split, scoring.setup.test
        scoring.remarks[title] = conduct(
            lambda: scoring.build(shown.part, shown.protocol, shown.gate)[0], like, *splits
        )
    return scoring.remarks[title]


@contextmanager
def metered(view: View) -> Iterator[Meta]:
    """Seconds, and images passed through the net of a view by the body, whoever passes them (`passes.counted`)."""
    view.logits  # noqa: B018 (the shared pass counts for no detector)
    cost: Meta = {"images": len(view)}
    with counted(view.classifier) as seen:
        began = time.monotonic()
        yield cost
        cost["seconds"] = time.monotonic() - began
    cost["forward"], cost["backward"] = round(seen.forward), round(seen.backward)


def _spread(values: Floats, kept: Ints, count: int) -> Floats:
    whole = np.full((count, values.shape[1]), np.nan)
    whole[kept] = values
    return whole


def _notes(detectors: Sequence[Any]) -> str:
    notes = [first_line(str(getattr(detector, "notes", "") or "")) for detector in detectors]
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _per_image(costs: Sequence[Meta]) -> Meta:
    """Mean cost of an image over all sets of images that were scored."""
    images, names = max(1, sum(cost["images"] for cost in costs)), ("seconds", "forward", "backward")
    return {f"{name}_per_image": sum(cost[name] for cost in costs) / images for name in names}


def _cost_of_all(costs: Sequence[Meta]) -> Meta:
    """Cost over several sets of gates: mean cost per image, total seconds, peak memory."""
    numbers = [name for name in costs[0] if name.endswith("_per_image")]
    whole = costs[0] | {name: sum(cost[name] for cost in costs) / len(costs) for name in numbers}
    if "seconds" in whole:  # not in a store of an earlier version
        whole["seconds"] = sum(cost["seconds"] for cost in costs)
        whole["peak_mb"] = max(cost["peak_mb"] or 0 for cost in costs) or None
    return whole
