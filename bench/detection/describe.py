"""The entries of a run: everything behind the figures of one detector under one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...attacks.contract import AttackInfo
from ...attacks.presets import full_name
from ...detectors.contract import DetectorInfo
from ..core import registry
from ..core.hashing import canonical
from ..core.store import Meta
from ..core.versions import versions
from ..harness.entry import SCHEMA, SuiteNote
from ..harness.objects import origin
from ..harness.plugins import plugin_info
from ..harness.setup import Setup
from .aim import stated_aim
from .attacked import Attacked
from .cell import Cell
from .effort import effort, good_of
from .entry import (
    AllScores,
    AttackNote,
    CostNote,
    DetectorNote,
    Entry,
    GatesNote,
    ImagesNote,
    ModelNote,
    StatisticsNote,
    SubnetsNote,
)
from .protocol import Outcome
from .scoring import Scoring
from .strength import remarks
from .suite import AnyProtocol, AttackPart, DetectorPart


class Describer:
    """Builds the entries of one suite; the attacks, shared by all entries, are described once."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring
        #: Attacks without images, and why; entries state it.
        self.failed: dict[str, str] = {}
        self._attacks: dict[str, AttackNote] = {}

    def check(self) -> None:
        """Every detector and attack says of itself what an entry can state. Raises UserError that names the part."""
        for detector in self._scoring.suite.detectors:
            for protocol in self._scoring.suite.protocols:
                with plugin_info(f"detectors.{detector.title}", registry.detectors.get(detector.name), DetectorInfo):
                    _detector(self._scoring, detector, protocol, "")
        for attack in self._scoring.suite.attacks:
            with plugin_info(f"attacks.{attack.title}", self._scoring.attacked.attacks[attack.title], AttackInfo):
                declared = _declared(self._scoring.attacked, attack)
                AttackNote(**declared, **NOTHING_MEASURED)
                canonical(declared)  # also part of keys of the store

    def entry(
        self,
        part: DetectorPart,
        protocol: AnyProtocol,
        cells: Sequence[dict[str, Any]],
        cost: Meta,
        outcome: Outcome,
    ) -> Entry:
        if not self._attacks:
            self._attacks = self._describe_attacks()
        return Entry(
            **head(self._scoring, part, protocol, str(cost.get("notes", ""))),
            protocol=protocol.model_dump(),
            attacks=self._attacks,
            subnets=self._subnets(part),
            cells=[Cell(**cell) for cell in cells],
            cost=CostNote(**{name: value for name, value in cost.items() if name not in ("notes", "remarks")}),
            all_scores=AllScores(rows=len(outcome.scores), sha256=outcome.digest),
        )

    def _describe_attacks(self) -> dict[str, AttackNote]:
        attacked, parts = self._scoring.attacked, self._scoring.suite.attacks
        able = [part for part in parts if part.title not in self.failed]
        said = remarks(attacked, able) | self.failed
        facts = {part.title: attacked.strength(part) for part in able}
        norms = {part.title: attacked.attacks[part.title].info.norm for part in able}
        level = self._scoring.suite.statistics.level
        notes = {}
        for part in parts:
            if part.title in self.failed:
                note = AttackNote(**_declared(attacked, part), **NOTHING_MEASURED)
            else:
                spent = effort(part.title, facts, norms, attacked.passes(part), part.floor, level)
                note = describe_attack(attacked, part).model_copy(update={"effort": spent})
            remark = said.get(part.title)
            notes[part.title] = note if remark is None else note.model_copy(update={"remark": remark})
        return notes

    def _subnets(self, part: DetectorPart) -> SubnetsNote | None:
        """The sets of gates that an entry rests on; None for a detector without subnets."""
        scoring = self._scoring
        if not scoring.needs_gates(part):
            return None
        options = scoring.gates.options
        sets = [scoring.gates.sets[place] for place in scoring.gate_places(part)]
        notes = [
            GatesNote(seed=s.seed, fingerprint=s.fingerprint, seconds=s.meta["seconds"], peak_mb=s.meta.get("peak_mb"))
            for s in sets
        ]
        return SubnetsNote(options=options.model_dump() if options else {}, sets=notes)


def head(scoring: Scoring, part: DetectorPart, protocol: AnyProtocol, notes: str = "") -> dict[str, Any]:
    """What an entry of any part of a detection suite states of its images, its net and its detector."""
    suite = scoring.suite
    return {
        "schema_": SCHEMA,
        "suite": SuiteNote(name=suite.name, title=suite.title, limit=suite.limit),
        "dataset": images_note(scoring.setup, protocol),
        "model": model_note(scoring.setup),
        "detector": _detector(scoring, part, protocol, notes),
        "seed": suite.seed,
        "statistics": StatisticsNote(level=suite.statistics.level),
        "versions": dict(versions()),
    }


def _detector(scoring: Scoring, part: DetectorPart, protocol: AnyProtocol, notes: str) -> DetectorNote:
    candidates = scoring.candidates(part, protocol)
    info, session = registry.detectors.get(part.name).info, origin(registry.detectors, part.name)
    return detector_note(info, part.title, part.name, candidates, notes, **session)


def images_note(setup: Setup, protocol: AnyProtocol) -> ImagesNote:
    """What an entry states of its images."""
    more: dict[str, Any] = origin(registry.datasets, setup.suite.dataset.name)
    more |= {"calibration_images": len(setup.calibration(protocol.calibrating))} if protocol.calibrates else {}
    return ImagesNote(
        name=setup.suite.dataset.title,
        note=setup.dataset.note,
        sha256=setup.dataset.content_hash,
        train_images=len(setup.train_split),
        attacked_images=len(setup.test),
        **more,
    )


def model_note(setup: Setup) -> ModelNote:
    """What an entry states of its net."""
    part, trained = setup.suite.model, setup.trained
    return ModelNote(
        name=part.name,
        parameters=part.parameters,
        sha256=trained.sha256,
        accuracy=trained.accuracy,
        weights=trained.weights,
        **origin(registry.models, part.name),
    )


def detector_note(
    info: DetectorInfo, label: str, name: str, candidates: list[dict[str, Any]], notes: str, **of_session: str
) -> DetectorNote:
    """What an entry states of a detector; ``of_session``: its `harness.objects.origin`."""
    return DetectorNote(
        label=label,
        name=name,
        control=info.control,
        title=info.title,
        year=info.year,
        url=info.url,
        needs=list(info.needs),
        formula=info.formula,
        candidates=candidates,
        notes=notes,
        **of_session,
    )


#: An attack's measurements, while it is checked whether an entry can be made of it at all.
NOTHING_MEASURED: dict[str, Any] = {
    **dict.fromkeys(("clean_correct", "successes", "seconds_per_image"), 0),
    **dict.fromkeys(("l2_median", "linf_median", "margin_median", "survives_8bit")),
}


def _declared(attacked: Attacked, part: AttackPart) -> dict[str, Any]:
    """What a suite and an attack itself say of the attack."""
    attack = attacked.attacks[part.title]
    aim = stated_aim(attack)
    return {
        "name": part.name,
        "library": attack.info.library,
        "version": attack.info.version,
        "preset": part.preset,
        "parameters": dict(attack.parameters),
        "threat": attack.info.threat,
        "norm": attack.info.norm,
        **({} if aim is None else {"minimises": aim}),
        **origin(registry.attacks, full_name(part.name, part.library)),
    }


def describe_attack(attacked: Attacked, part: AttackPart) -> AttackNote:
    """The attack's configuration and its verification results in float32."""
    facts = attacked.strength(part)
    correct, good = facts["clean_correct"].astype(bool), good_of(facts)

    def median(name: str) -> float | None:
        return float(np.median(facts[name][good])) if good.any() else None

    return AttackNote(
        **_declared(attacked, part),
        images=len(correct),
        images_sha256=attacked.images_sha256(part),
        clean_correct=int(correct.sum()),
        successes=int(good.sum()),
        seconds_per_image=attacked.seconds(part),
        l2_median=median("l2"),
        linf_median=median("linf"),
        margin_median=median("margin"),
        survives_8bit=float(facts["survives_8bit"][good].mean()) if good.any() else None,
    )
