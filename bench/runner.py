"""Expands a suite into its cells, walks them through the store and writes entries, scores and tables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import platformdirs
import torch

from ..subnets import gates as gate_code
from ..subnets.gates import GateOptions, random_gates
from . import views
from .analysis import separation
from .analysis.separation import FEATURES, GATES, figure_arrays, gate_arrays, write_arrays
from .core import registry
from .core.arrays import Floats, UserError
from .core.meter import spent
from .core.progress import Reporter, Silent
from .core.store import Arrays, Meta, NotStored, Store, StoreError, When, key_of
from .core.versions import versions
from .data.imagenet import choose_classes
from .detection import cells as cell_measures
from .detection import protocol as protocols
from .detection.cells import NO_GATES, Replicates, Samples, adjust, columns_of, compare, leaders, measure
from .detection.entry import SCHEMA, Entry, tidy, write_entry, write_json
from .detection.protocol import Kind, Outcome, evaluate
from .detection.scoring import Stages
from .detection.sensitivity import Scored, sweep, variants
from .detection.tables import write_tables
from .harness.setup import code_hash, fill
from .harness.suite import AttackPart, DetectorPart, Lee2018, Strict, Suite, changed, load_suite
from .models.weights import locate
from .stats import inference as stats
from .stats import metrics

Protocol = Strict | Lee2018


@dataclass
class Result:
    """What a run made: the tidy frame, where things were written, and what could not be run."""

    frame: pd.DataFrame
    folder: Path
    entries: list[Entry]
    failures: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0


def run(
    suite: str | Path | Suite = "digits",
    *,
    limit: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    classes: str | Sequence[str] | None = None,
    detectors: Sequence[str] = (),
    data_root: str | Path | None = None,
    store: str | Path | None = None,
    when: When = "missing",
    output: str | Path = "subnetbench-results",
) -> pd.DataFrame:
    """Run a suite and return one row a cell: detector, protocol, fit_on, test_on, auroc, low, high, n, ...

    ``suite`` is a built-in suite's name, a TOML file or a `Suite`. Entries, scores and tables are written below
    ``output``. Raises UserError for whatever the caller can mend.
    """
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    return execute(
        override(chosen, limit=limit, seed=seed, classes=classes, detectors=detectors),
        device=choose_device(device),
        data_root=None if data_root is None else Path(data_root),
        store=Store(Path(store) if store else default_store(), when),
        output=Path(output),
    ).frame


def default_store() -> Path:
    return Path(platformdirs.user_cache_dir("subnetbench")) / "store"


def choose_device(name: str) -> torch.device:
    """The device, with TF32 off: a minimum-norm success must be the same for whoever looks at it."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"The device {name!r} is not here; use auto, cpu or one that torch finds.") from None
    return device


def override(
    suite: Suite, *, limit: int | None, seed: int | None, classes: str | Sequence[str] | None = None,
    detectors: Sequence[str] = (),
) -> Suite:  # fmt: skip
    """The suite with what a command line changes.

    ``classes`` are class names, one text of them, or their file; ``detectors`` are registered ones that the suite gets
    beside its own, with their defaults.
    """
    suite = changed(suite, limit=limit, seed=seed)
    titles = [part.title for part in suite.detectors]
    for name in detectors:
        registry.detectors.get(name)
        if name in titles:
            raise UserError(f"The suite {suite.name!r} has a detector {name!r} already; leave --detector {name} out.")
        titles.append(name)
    more = [DetectorPart(name=name) for name in detectors]
    return choose_classes(suite.model_copy(update={"detectors": [*suite.detectors, *more]}), classes)


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
        stages.report.warn(f"statistics: {claims} claims on {suite.statistics.resamples} resamples have a p-value of "
                           f"{least:.2g} at least, so no verdict is possible; set resamples to "
                           f"{math.ceil(2 * claims / stats.ALPHA)} or more, or compare less.")  # fmt: skip


def execute(
    suite: Suite, *, device: torch.device, data_root: Path | None, store: Store, output: Path,
    report: Reporter | None = None, debug: bool = False,
) -> Result:  # fmt: skip
    """Run a checked suite. A detector that fails is a reported cell; a mistake in the suite ends the run."""
    report = report or Silent()
    store.warn = report.warn
    stages = Stages(suite, store, device=device, data_root=data_root, report=report)
    check(suite, stages)
    folder = output / suite.name
    report.overall(2 + len(suite.attacks) + len(suite.detectors) * len(suite.protocols))
    try:
        report.step(f"{suite.name}: classifier")
        _ = stages.classifier
        stages.check_gates()
        for _, variant in variants(suite):
            stages.classifier.gated_paths(str((variant.subnets or {})["position"]))
        for attack in suite.attacks:
            report.step(f"{suite.name}: attack {attack.title}")
            stages.strength(attack)
        report.step(f"{suite.name}: class gates")
        gates = [meta for _, meta in stages.gates]
    except NotStored as missing:
        raise UserError(
            f"The store {store.root} lacks {missing} of this suite, and --when {store.when} computes nothing; "
            "run once with --when missing."
        ) from None
    run = _Run(stages, folder, report, debug)
    entries: list[Entry] = []
    for protocol in suite.protocols:
        entries += run.protocol(protocol)
    (folder / "subnets.json").unlink(missing_ok=True)
    if gates and stages.gate_options is not None:
        said = {"suite": suite.name, "seed": suite.seed, "options": stages.gate_options.model_dump(), "sets": gates}
        write_json(folder / "subnets.json", said)
    write_json(folder / "suite.json", suite.model_dump(mode="json"))
    run.figures()
    run.sensitivity()
    _remove_others(folder, entries)
    write_tables(folder)
    return Result(tidy(entries), folder, entries, run.failures, store.computed, store.reused)


def _remove_others(folder: Path, entries: Sequence[Entry]) -> None:
    """Entries that an earlier form of this suite left behind would stand in tables as if this run had made them."""
    ours = {(entry["protocol"]["name"], entry["detector"]["label"]) for entry in entries}
    protocols = {protocol for protocol, _ in ours}
    for kind in ("entries", "scores"):
        for path in (folder / kind).glob("*/*.*"):
            if (path.parent.name, path.stem) not in ours:
                path.unlink(missing_ok=True)
    for path in (folder / "comparisons").glob("*.json"):
        if path.stem not in protocols:
            path.unlink(missing_ok=True)


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
        values = {e["detector"]["label"]: {(c["fit_on"], c["test_on"]): c["auroc"] for c in e["cells"]
                                           if c["auroc"] is not None} for e in entries}  # fmt: skip
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
            "source": code_hash(separation, gate_code, views),
            "seed": self.suite.seed,
        }
        try:
            arrays, _ = self.store.get("figures", inputs, lambda: (
                figure_arrays(clean, moved, gates, usable, seed=self.suite.seed, control=random_gates(gates, 0)), {}
            ))  # fmt: skip
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
        stages = Stages(variant, self.store, device=own.device, data_root=own.data_root, report=self.report,
                        dataset=own.dataset)  # fmt: skip
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
            cells, samples = measure(outcome.scores, outcome.fits, attacks, ties=protocol.ties, options=options,
                                     seed=self.suite.seed, lee=isinstance(protocol, Lee2018))  # fmt: skip
            kept: Arrays = {}
            for a, b in pairs:
                if (a, b) in samples:
                    found = samples[a, b]
                    kept |= {f"rows|{a}|{b}": found.rows, f"values|{a}|{b}": found.values,
                             f"places|{a}|{b}": np.array(found.places, np.int64)}  # fmt: skip
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


def _empty_cell(fit_on: str, test_on: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("auroc", "aupr", "fpr95", "accuracy", "low", "high", "split_sd", "noise_auroc"))
    return {"fit_on": fit_on, "test_on": test_on, "seen": fit_on == test_on, "n_fit": [], "n": [], "candidates": [],
            "remark": reason, **nothing}  # fmt: skip


_TEXT = ("fit_on", "test_on", "kind")
_COLUMNS = ["gate", "split", "fit_on", "test_on", "kind", "image", "score"]


def _pack(outcome: Outcome, cost: Meta) -> tuple[Arrays, Meta]:
    arrays: Arrays = {}
    meta: Meta = {"fits": outcome.fits, "cost": cost}
    for name in outcome.scores.columns:
        column = outcome.scores[name]
        if name in _TEXT:
            codes, values = pd.factorize(column)
            arrays[name], meta[name] = codes.astype(np.int16), [str(v) for v in values]
        else:
            arrays[name] = column.to_numpy(np.float64 if name == "score" else np.int32)
    return arrays, meta


def _unpack(arrays: Arrays, meta: Meta, gate: int) -> tuple[Outcome, Meta]:
    columns = {n: np.array(meta[n], object)[a] if n in _TEXT else a for n, a in arrays.items()}
    columns["gate"] = np.full(len(columns["score"]), gate, np.int16)
    frame = pd.DataFrame(columns)[_COLUMNS].astype(dict.fromkeys(_TEXT, "category"))
    return Outcome(frame, [record | {"gate": gate} for record in meta["fits"]]), meta["cost"]


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of several sets of gates as one."""
    if len(outcomes) == 1:
        return outcomes[0]
    frames = [outcome.scores.astype(dict.fromkeys(_TEXT, str)) for outcome in outcomes]
    frame = pd.concat(frames, ignore_index=True).astype(dict.fromkeys(_TEXT, "category"))
    return Outcome(frame, [record for outcome in outcomes for record in outcome.fits])


def _cost_of_all(costs: Sequence[Meta]) -> Meta:
    """Of several sets of gates: an image's mean cost, all seconds, the highest memory."""
    numbers = [name for name in costs[0] if name.endswith("_per_image")]
    found = costs[0] | {name: sum(cost[name] for cost in costs) / len(costs) for name in numbers}
    if "seconds" in found:  # not in a store of an earlier version
        found["seconds"] = sum(cost["seconds"] for cost in costs)
        found["peak_mb"] = max(cost["peak_mb"] or 0 for cost in costs) or None
    return found


def _digest(scores: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(scores, index=False).to_numpy().tobytes()).hexdigest()


def scored_again(stages: Stages, part: DetectorPart, protocol: Protocol) -> Outcome:
    """A detector's scores of single images under a protocol, without an entry."""
    run = _Run(stages, Path(), stages.report, debug=False)
    return _joined([run.outcome(part, protocol, gate)[0] for gate in stages.gate_seeds(part)])


def attack_facts(stages: Stages, part: AttackPart) -> dict[str, Any]:
    """What an entry says of an attack."""
    return _Run(stages, Path(), stages.report, debug=False).attack(part)
