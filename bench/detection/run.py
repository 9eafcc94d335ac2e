"""A detection suite from images to entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...subnets import gated
from ...subnets import gates as gate_code
from ...subnets.gates import GateOptions, random_gates
from .. import views
from ..analysis import arrays as figure_code
from ..analysis.arrays import FEATURES, GATES, figure_arrays, gate_arrays, write_arrays
from ..core import registry
from ..core.arrays import Floats
from ..core.errors import UserError
from ..core.files import write_json
from ..core.hashing import code_hash, key_of
from ..core.meter import spent
from ..core.progress import Reporter
from ..core.store import Arrays, Meta, NotStored, StoreError
from ..core.versions import versions
from ..harness.toml import fill
from ..models import classifier as models
from ..models.weights import locate
from ..stats import inference as stats
from ..stats import metrics
from . import cells as cell_measures
from . import protocol as protocols
from .cells import NO_GATES, Replicates, Samples, adjust, columns_of, compare, leaders, measure
from .describe import _empty_cell
from .entry import SCHEMA, Entry, write_entry
from .protocol import Kind, Outcome
from .scoring import _COLUMNS, Stages, _cost_of_all, _digest, _joined, _pack, _unpack, evaluate
from .sensitivity import Scored, sweep, variants
from .suite import AttackPart, DetectorPart, Lee2018, Protocol, Strict, Suite


def check(suite: Suite, stages: Stages) -> None:
    """Everything that can be wrong without computing: names, parameters, presets, recipe and gate options."""
    registry.models.get(suite.model.name)
    if suite.model.weights is not None:
        locate(suite.model.weights)
    _ = stages.recipe, stages.gate_options, stages.attacks
    for _, variant in variants(suite):
        fill(GateOptions, variant.subnets or {}, "subnets with sensitivity")
    for protocol in suite.protocols:
        for detector in suite.detectors:
            stages.build_detectors(detector, protocol)
        if isinstance(protocol, Lee2018):
            for attack in suite.attacks:
                stages.sigma(attack.title, protocol)
    if not suite.dataset.name.endswith(".npz"):
        registry.datasets.get(suite.dataset.name)
    claims = len(suite.statistics.comparisons) * (2 * len(suite.attacks) - 1)
    least = stats.smallest_p(suite.statistics.resamples, claims)
    if least > stats.ALPHA:
        stages.report.warn(
            f"statistics: {claims} claims on {suite.statistics.resamples} resamples have a p-value of "
            f"{least:.2g} at least, so no verdict is possible; set resamples to "
            f"{math.ceil(2 * claims / stats.ALPHA)} or more, or compare less."
        )


class _Run:
    def __init__(self, stages: Stages, folder: Path, report: Reporter, debug: bool) -> None:
        self.stages, self.folder, self.report, self.debug = stages, folder, report, debug
        self.suite, self.store = stages.suite, stages.store
        self.failures: list[str] = []

    def protocol(self, protocol: Protocol) -> list[Entry]:
        """Every detector through one protocol, then the comparisons between them."""
        entries: list[Entry] = []
        samples: dict[str, Samples] = {}
        attacks = [part.title for part in self.suite.attacks]
        for part in self.suite.detectors:
            self.report.step(f"{self.suite.name}: {protocol.name} {part.title}")
            entry, found = self.detector(part, protocol)
            entries.append(entry)
            if found:
                samples[part.title] = found
        values = {
            e["detector"]["label"]: {
                (c["fit_on"], c["test_on"]): c["auroc"] for c in e["cells"] if c["auroc"] is not None
            }
            for e in entries
        }
        pairs = columns_of(attacks)
        options = self.suite.statistics
        tested: list[dict[str, Any]] = []
        for first, second in options.comparisons:
            if first in samples and second in samples:
                tested += compare(samples[first], samples[second], pairs, (first, second), options)
        write_json(
            self.folder / "comparisons" / f"{protocol.name}.json",
            {
                "suite": self.suite.name,
                "protocol": protocol.name,
                "resamples": options.resamples,
                "level": options.level,
                "family": "Holm over all rows",
                "comparisons": adjust(tested),
                "best": leaders(samples, values, pairs, options),
            },
        )
        return entries

    def figures(self) -> None:
        """The arrays of figures 2 and 3: one set of gates, and penultimate features under the suite's last attack."""
        for path in (FEATURES, GATES):
            (self.folder / path).unlink(missing_ok=True)
        if not self.stages.gates:
            return
        gates, meta = self.stages.gates[0]
        about = {"dataset": self.suite.dataset.name, "suite": self.suite.name, "gate_seed": str(meta["seed"])}
        write_arrays(self.folder / GATES, gate_arrays(gates), about)
        part, protocol = self.suite.attacks[-1], self.suite.protocols[0]
        facts = self.stages.strength(part)
        usable = np.flatnonzero(facts["clean_correct"].astype(bool) & facts["success"].astype(bool))
        clean = self.stages.view("clean", part.title, protocol)
        moved = self.stages.view("adversarial", part.title, protocol)
        inputs = {
            "views": [clean.key, moved.key],
            "gates": meta["fingerprint"],
            "source": code_hash(figure_code, gate_code, gated, models, views),
            "seed": self.suite.seed,
        }
        try:
            arrays, _ = self.store.get(
                "figures",
                inputs,
                lambda: (
                    figure_arrays(clean, moved, gates, usable, seed=self.suite.seed, control=random_gates(gates, 0)),
                    {},
                ),
            )
        except (UserError, NotStored) as error:
            if isinstance(error, StoreError):
                raise
            self.report.warn(f"The arrays of figure 2 are left out: {error}")
            return
        write_arrays(self.folder / FEATURES, arrays, about | {"attack": part.title})

    def sensitivity(self) -> None:
        """One form of gates after the other, where the suite asks for it."""
        path = self.folder / "sensitivity.json"
        path.unlink(missing_ok=True)
        if self.suite.sensitivity is None:
            return
        try:
            write_json(path, sweep(self.suite, self.suite.sensitivity, self.scored))
        except NotStored as missing:
            self.report.warn(f"The sensitivity is left out: the store lacks {missing}; run with --when missing.")

    def scored(self, variant: Suite, text: str) -> Scored:
        """A variant of the suite through its one protocol, without entries."""
        own = self.stages
        stages = Stages(
            variant, self.store, device=own.device, data_root=own.data_root, report=self.report, dataset=own.dataset
        )
        run = _Run(stages, self.folder, self.report, self.debug)
        samples: dict[str, Samples] = {}
        for part in variant.detectors:
            self.report.step(f"{variant.name}: {text}, {part.title}")
            outcome = _joined([run.outcome(part, variant.protocols[0], gate)[0] for gate in stages.gate_seeds(part)])
            samples[part.title] = run.cells(part, variant.protocols[0], outcome)[1]
        return Scored(samples, [meta["report"] for _, meta in stages.gates])

    def detector(self, part: DetectorPart, protocol: Protocol) -> tuple[Entry, Samples]:
        attacks = [p.title for p in self.suite.attacks]
        reason = ""
        cells: list[dict[str, Any]] = []
        cost: Meta = {}
        samples: Samples = {}
        outcome = Outcome(pd.DataFrame(columns=_COLUMNS), [])
        try:
            seeds = self.stages.gate_seeds(part)
            parts = [self.outcome(part, protocol, gate) for gate in seeds]
            outcome, cost = _joined([found for found, _ in parts]), _cost_of_all([cost for _, cost in parts])
            cells, samples = self.cells(part, protocol, outcome)
        except NotStored as missing:
            if self.store.when == "cached":
                raise UserError(
                    f"The store {self.store.root} lacks {missing} for {part.title!r}, and --when cached computes "
                    "nothing; run once with --when missing."
                ) from None
            reason = "not in the store (--when never)"
        except StoreError:
            raise  # a full disk is nobody's cell
        except UserError as error:
            reason = str(error)
        except Exception as error:
            if self.debug or registry.detectors.is_ours(part.name):
                raise
            reason = f"raised {type(error).__name__}: {error}"
        if reason:
            self.failures.append(f"{protocol.name} / {part.title}: {reason}")
            self.report.warn(f"{part.title} ({protocol.name}) could not be run: {reason}")
            cells = [_empty_cell(fit_on, test_on, reason) for fit_on in attacks for test_on in attacks]
        entry = self.entry(part, protocol, cells, cost)
        write_entry(self.folder, entry, outcome.scores)
        return entry, samples

    def outcome(self, part: DetectorPart, protocol: Protocol, gate: int) -> tuple[Outcome, Meta]:
        """Scores of single images, from the store or through views, characteristics and the protocol."""
        stages = self.stages
        detectors = stages.build_detectors(part, protocol, gate)

        def evaluated() -> tuple[Outcome, Meta]:
            material = stages.material(protocol)
            costs: list[Meta] = []
            memo: dict[tuple[Kind, str], list[Floats]] = {}

            def characteristics(candidate: int, kind: Kind, attack: str) -> Floats:
                coupled = any(getattr(d, "coupled", False) for d in detectors)
                place = (kind, "" if kind == "clean" and not coupled else attack)
                if place not in memo:
                    memo[place], cost = stages.characteristics(part, detectors, kind, attack, protocol, material, gate)
                    costs.append(cost)
                return memo[place][candidate]

            with self.report.stage(f"score with {part.title}") as tick:
                kinds: Sequence[Kind] = ("clean", "adversarial", "noise" if isinstance(protocol, Strict) else "noisy")
                # Where lee2018 keeps no image of an attack, a coupled detector has nothing to look at.
                able = [a for a in material.attacks if isinstance(protocol, Strict) or len(material.kept(a, protocol))]
                todo = [(kind, attack) for kind in kinds for attack in able]
                for done, (kind, attack) in enumerate(todo):
                    tick(done, len(todo), "")
                    characteristics(0, kind, attack)
            with self.report.stage(f"fit and evaluate {part.title}"):
                found = evaluate(protocol, material, characteristics, len(detectors), self.suite.seed)
            images = max(1, sum(c["images"] for c in costs))
            cost = {
                f"{name}_per_image": sum(c[name] for c in costs) / images for name in ("seconds", "forward", "backward")
            }
            cost["candidates"], cost["notes"] = len(detectors), costs[0]["notes"] if costs else ""
            return found, cost

        def compute() -> tuple[Arrays, Meta]:
            with spent() as taken:
                found, cost = evaluated()
            return _pack(found, cost | {"seconds": taken.seconds, "peak_mb": taken.highest})

        inputs = {
            "detector": stages.detector_inputs(part, protocol, gate),
            "protocol": protocol.model_dump(),
            "source": code_hash(protocols),
            "attacks": {p.title: stages.attack_key(p) for p in self.suite.attacks},
            "test": stages.view_key("clean", "", protocol),
            "seed": self.suite.seed,
        }
        arrays, meta = self.store.get("outcome", inputs, compute)
        return _unpack(arrays, meta, gate if stages.needs_gates(part) else NO_GATES)

    def cells(self, part: DetectorPart, protocol: Protocol, outcome: Outcome) -> tuple[list[dict[str, Any]], Samples]:
        attacks = [p.title for p in self.suite.attacks]
        options = self.suite.statistics
        pairs = columns_of(attacks)

        def compute() -> tuple[Arrays, Meta]:
            cells, samples = measure(
                outcome.scores,
                outcome.fits,
                attacks,
                ties=protocol.ties,
                options=options,
                seed=self.suite.seed,
                lee=isinstance(protocol, Lee2018),
            )
            kept: Arrays = {}
            for a, b in pairs:
                if (a, b) in samples:
                    found = samples[a, b]
                    kept |= {
                        f"rows|{a}|{b}": found.rows,
                        f"values|{a}|{b}": found.values,
                        f"places|{a}|{b}": np.array(found.places, np.int64),
                    }
            return kept, {"cells": cells}

        inputs = {
            "outcome": key_of("outcome", {"fits": outcome.fits, "scores": _digest(outcome.scores)}),
            "statistics": options.model_dump(exclude={"comparisons"}),
            "ties": protocol.ties,
            "source": code_hash(cell_measures, metrics, stats),
            "seed": self.suite.seed,
            "attacks": attacks,
        }
        arrays, meta = self.store.get("cells", inputs, compute)
        samples: Samples = {}
        for pair in pairs:
            rows = arrays.get("|".join(("rows", *pair)))
            if rows is not None:
                values, places = (arrays["|".join((name, *pair))] for name in ("values", "places"))
                samples[pair] = Replicates(tuple((int(gate), int(split)) for gate, split in places), values, rows)
        return meta["cells"], samples

    def gates(self, part: DetectorPart) -> dict[str, Any]:
        """What an entry says of the sets of gates it rests on."""
        options = self.stages.gate_options
        used = [self.stages.gates[gate][1] for gate in self.stages.gate_seeds(part)]
        sets = [{k: meta.get(k) for k in ("seed", "fingerprint", "seconds", "peak_mb")} for meta in used]
        return {"options": options.model_dump() if options else {}, "sets": sets}

    @cached_property
    def attacks(self) -> dict[str, Any]:
        return {part.title: self.attack(part) for part in self.suite.attacks}

    def entry(self, part: DetectorPart, protocol: Protocol, cells: list[dict[str, Any]], cost: Meta) -> Entry:
        stages, suite = self.stages, self.suite
        info = registry.detectors.get(part.name).info
        return {
            "schema": SCHEMA,
            "suite": {"name": suite.name, "title": suite.title, "limit": suite.limit},
            "dataset": {
                "name": suite.dataset.name,
                "note": stages.dataset.note,
                "sha256": stages.dataset.content_hash,
                "train_images": len(stages.train_split),
                "attacked_images": len(stages.test),
            },
            "model": {
                "name": suite.model.name,
                "parameters": suite.model.parameters,
                "sha256": stages.model_hash,
                "accuracy": stages.clean_accuracy,
                "weights": stages.weights_meta,
            },
            "protocol": protocol.model_dump(),
            "detector": {
                "label": part.title,
                "name": part.name,
                "control": info.control,
                "title": info.title,
                "year": info.year,
                "url": info.url,
                "needs": list(info.needs),
                "formula": info.formula,
                "candidates": stages.candidates(part, protocol),
                "notes": cost.get("notes", ""),
            },
            "attacks": self.attacks,
            "subnets": self.gates(part) if stages.needs_gates(part) else None,
            "seed": suite.seed,
            "statistics": suite.statistics.model_dump(exclude={"comparisons"}),
            "cells": cells,
            "cost": {k: v for k, v in cost.items() if k != "notes"},
            "versions": dict(versions()),
        }

    def attack(self, part: AttackPart) -> dict[str, Any]:
        """The attack's configuration and what verification in float32 found."""
        facts = self.stages.strength(part)
        info = self.stages.attacks[part.title].info
        correct = facts["clean_correct"].astype(bool)
        good = facts["success"].astype(bool) & correct
        found: dict[str, Any] = {
            "name": part.name,
            "library": info.library,
            "version": info.version,
            "preset": part.preset,
            "parameters": self.stages.attacks[part.title].parameters,
            "threat": info.threat,
            "norm": info.norm,
            "images": len(correct),
            "images_sha256": self.stages.images_sha256(part),
            "clean_correct": int(correct.sum()),
            "successes": int(good.sum()),
            "seconds_per_image": self.stages.attack_seconds(part),
        }
        for name in ("l2", "linf", "margin"):
            found[f"{name}_median"] = float(np.median(facts[name][good])) if good.any() else None
        found["survives_8bit"] = float(facts["survives_8bit"][good].mean()) if good.any() else None
        return found


def scored_again(stages: Stages, part: DetectorPart, protocol: Protocol) -> Outcome:
    """A detector's scores of single images under a protocol, without an entry."""
    run = _Run(stages, Path(), stages.report, debug=False)
    return _joined([run.outcome(part, protocol, gate)[0] for gate in stages.gate_seeds(part)])


def attack_facts(stages: Stages, part: AttackPart) -> dict[str, Any]:
    """What an entry says of an attack."""
    return _Run(stages, Path(), stages.report, debug=False).attack(part)
