"""The stages of a suite, each an artifact: classifier, adversarial images, gates, views, characteristics."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from ... import detectors
from ...attacks import verify as verification
from ...attacks.contract import Attack
from ...attacks.presets import build
from ...attacks.verify import craft, noise_of_norm, verify
from ...subnets import chain, compact, frozen, gated
from ...subnets import gates as gates_module
from .. import views
from ..core import registry
from ..core.arrays import Floats
from ..core.errors import UserError
from ..core.hashing import code_hash, hash_arrays, key_of, source_hash
from ..core.progress import Reporter
from ..core.store import Arrays, Meta, Store
from ..data.dataset import Dataset
from ..harness.setup import Nets
from ..models import classifier as models
from ..views import View
from .lee2018 import _lee2018
from .protocol import Characteristics, Kind, Material, Outcome, check_finite
from .strict import _strict
from .suite import AttackPart, DetectorPart, Lee2018, Strict, Suite


@cache
def detectors_hash() -> str:
    """Of all our detectors' files, which use one another's functions, and of those that compute what they read."""
    folder = Path(detectors.__file__ or "").parent
    digest = hashlib.sha256(code_hash(gates_module, chain, compact, frozen, gated, models, views).encode())
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Stages(Nets):
    """Walks a suite's stages through the store; every property is computed once."""

    def __init__(
        self,
        suite: Suite,
        store: Store,
        *,
        device: torch.device,
        data_root: Path | None,
        report: Reporter,
        dataset: Dataset | None = None,
    ) -> None:
        super().__init__(suite, store, device=device, data_root=data_root, report=report, dataset=dataset)
        self.suite = suite
        self._views: dict[str, View] = {}
        self._attack_keys: dict[str, str] = {}
        self._fitted: list[Any] = []

    # -- attacks ------------------------------------------------------------------------------------------------------

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        return {p.title: build(p.name, p.library, p.preset, p.parameters) for p in self.suite.attacks}

    def chunks(self, part: AttackPart) -> Iterator[tuple[slice, Meta]]:
        """The batches of an attack: places among the test images, and what determines the result."""
        attack = self.attacks[part.title]
        size = getattr(attack, "batch_size", part.batch_size)  # an attack whose batches are coupled fixes their size
        for begin in range(0, len(self.test), size):
            chunk = slice(begin, min(begin + size, len(self.test)))
            yield (
                chunk,
                {
                    "model": self.model_hash,
                    "dataset": self.dataset.content_hash,
                    "images": hash_arrays(self.test.ids[chunk]),
                    "attack": type(attack).__qualname__,
                    "source": source_hash(attack) + code_hash(verification),
                    "library": attack.info.library,
                    "version": attack.info.version,
                    "parameters": attack.parameters,
                    "seed": self.suite.seed,
                },
            )

    def attack_key(self, part: AttackPart) -> str:
        if part.title not in self._attack_keys:
            inputs = [inputs for _, inputs in self.chunks(part)]
            self._attack_keys[part.title] = key_of("attack", {"chunks": inputs})
        return self._attack_keys[part.title]

    def crafted(self, part: AttackPart, chunk: slice, inputs: Meta) -> Arrays:
        """One batch of adversarial images with what verification found, from the store or made."""

        def compute() -> tuple[Arrays, Meta]:
            images = self.test.tensor(chunk).to(self.device)
            labels = torch.from_numpy(self.test.labels[chunk]).to(self.device)
            began = time.monotonic()
            found = craft(
                self.attacks[part.title],
                self.classifier,
                images,
                labels,
                seed=self.suite.seed,
                batch_size=len(images),
                first=chunk.start,
                name=part.title,
            )
            seconds = time.monotonic() - began
            facts = verify(self.classifier, images, found, labels)
            return {"images": found.cpu().numpy(), **facts}, {"seconds": seconds, "images": len(images)}

        return self.store.get("adversarial", inputs, compute)[0]

    def strength(self, part: AttackPart) -> Arrays:
        """What verification in float32 found of every example, without the images themselves."""
        return self._attacked(part)[0]

    def images_sha256(self, part: AttackPart) -> str | None:
        """Of all attacked images, float32 in the order of the test images; None from a store of an earlier version."""
        return self._attacked(part)[1].get("images_sha256")

    def _attacked(self, part: AttackPart) -> tuple[Arrays, Meta]:
        def compute() -> tuple[Arrays, Meta]:
            chunks = list(self.chunks(part))
            facts: list[Arrays] = []
            digest = hashlib.sha256()
            with self.report.stage(f"attack {part.title}") as tick:
                for done, (chunk, inputs) in enumerate(chunks):
                    tick(done, len(chunks), "")
                    crafted = self.crafted(part, chunk, inputs)
                    digest.update(np.ascontiguousarray(crafted["images"], "<f4").tobytes())
                    facts.append({name: values for name, values in crafted.items() if name != "images"})
                tick(len(chunks), len(chunks), "")
            joined = {name: np.concatenate([each[name] for each in facts]) for name in facts[0]}
            return joined, {"images_sha256": digest.hexdigest()}

        return self.store.get("strength", {"attack": self.attack_key(part)}, compute)

    def attack_seconds(self, part: AttackPart) -> float:
        """Seconds an image, as measured when it was made."""
        read = [self.store.read("adversarial", key_of("adversarial", inputs)) for _, inputs in self.chunks(part)]
        return float(sum(found[1]["seconds"] for found in read if found)) / max(1, len(self.test))

    def adversarial(self, part: AttackPart) -> torch.Tensor:
        self.strength(part)
        return torch.from_numpy(np.concatenate([self.crafted(part, c, i)["images"] for c, i in self.chunks(part)]))

    # -- gates --------------------------------------------------------------------------------------------------------

    def gate_seeds(self, part: DetectorPart) -> range:
        """The places in `gate_sets` that a detector is run for; one that needs no subnets is run once."""
        sets = min(len(self.gate_sets), part.gate_seeds or len(self.gate_sets))
        return range(sets if self.needs_gates(part) else 1)

    def needs_gates(self, part: DetectorPart) -> bool:
        return "subnets" in registry.detectors.get(part.name).info.needs

    # -- views --------------------------------------------------------------------------------------------------------

    def view_key(self, kind: Kind, attack: str, protocol: Strict | Lee2018) -> str:
        """What identifies a set of images seen through the classifier, known before anything is computed."""
        inputs: Meta = {"model": self.model_hash, "clean": self.split_key(self.test), "kind": kind}
        if kind in ("adversarial", "noise"):
            inputs["attack"] = self.attack_key(self._part(attack))
        if kind == "noise":
            inputs["seed"] = self.suite.seed
        if kind == "noisy":
            inputs |= {"seed": self.suite.seed, "sigma": self.sigma(attack, protocol), "attack": attack}
        return key_of("view", inputs)

    def view(self, kind: Kind, attack: str, protocol: Strict | Lee2018) -> View:
        key = self.view_key(kind, attack, protocol)
        if key not in self._views:
            self._views[key] = self._make_view(self._images(kind, attack, protocol), key)
        return self._views[key]

    def _make_view(self, images: torch.Tensor, key: str, **more: Any) -> View:
        gates = {"learned": self.gates[0][0]} if self.gates else {}
        return View(self.classifier, images, key=key, gates=gates, store=self.store, **more)

    @cached_property
    def train_view(self) -> View:
        key = key_of("view", {"model": self.model_hash, "train": self.split_key(self.train_split)})
        return self._make_view(self.train_split.tensor(), key, labels=self.train_split.labels)

    def _part(self, attack: str) -> AttackPart:
        return next(part for part in self.suite.attacks if part.title == attack)

    def sigma(self, attack: str, protocol: Strict | Lee2018) -> float:
        sigmas = protocol.noise_sigma if isinstance(protocol, Lee2018) else {}
        name = attack if attack in sigmas else self._part(attack).name
        if name not in sigmas:
            raise UserError(
                f"protocols.lee2018.noise_sigma has no value for the attack {attack!r}; add one (normalised units)."
            )
        return sigmas[name]

    def _images(self, kind: Kind, attack: str, protocol: Strict | Lee2018) -> torch.Tensor:
        clean = self.test.tensor()
        if kind == "clean":
            return clean
        part = self._part(attack)
        if kind == "adversarial":
            return self.adversarial(part)
        seed = int(key_of(kind, {"seed": self.suite.seed, "attack": attack})[:12], 16)
        generator = torch.Generator().manual_seed(seed)
        if kind == "noise":
            return noise_of_norm(clean, torch.from_numpy(self.strength(part)["l2"]).float(), generator)
        # Lee et al.: sigma is in normalised units, so it is std times as large in pixels; the box is the legal one.
        std = self.classifier.std.cpu()
        noise: torch.Tensor = torch.randn(clean.shape, generator=generator) * std * self.sigma(attack, protocol)
        return (clean + noise).clamp(0, 1)

    def material(self, protocol: Strict | Lee2018) -> Material:
        """Which images count, by the classifier's own word on clean, noisy and adversarial versions."""
        titles = tuple(part.title for part in self.suite.attacks)
        facts = {part.title: self.strength(part) for part in self.suite.attacks}
        noisy = {}
        if isinstance(protocol, Lee2018):
            noisy = {t: self.view("noisy", t, protocol).predicted == self.test.labels for t in titles}
        correct = facts[titles[0]]["clean_correct"].astype(bool)
        return Material(
            self.test.labels, correct, titles, {t: f["success"].astype(bool) for t, f in facts.items()}, noisy
        )

    # -- detectors ----------------------------------------------------------------------------------------------------

    def candidates(self, part: DetectorPart, protocol: Strict | Lee2018) -> list[dict[str, Any]]:
        """The parameter sets among which the protocol chooses; what the suite fixes is not chosen."""
        cls = registry.detectors.get(part.name)
        fixed = {**getattr(cls, "protocol_parameters", {}).get(protocol.name, {}), **part.parameters}
        offered: Sequence[Mapping[str, Any]] = cls.candidates if part.candidates is None else part.candidates
        free = [{k: v for k, v in c.items() if k not in fixed} for c in offered] or [{}]
        return [dict(fixed | c) for i, c in enumerate(free) if c not in free[:i]]

    def detector_inputs(self, part: DetectorPart, protocol: Strict | Lee2018, gate: int = 0) -> Meta:
        cls = registry.detectors.get(part.name)
        return {
            "detector": part.name,
            "source": detectors_hash() if registry.detectors.is_ours(part.name) else source_hash(cls),
            "candidates": self.candidates(part, protocol),
            "train": self.split_key(self.train_split),
            "model": self.model_hash,
            "gates": self.gates_inputs(self.gate_sets[gate]) if self.needs_gates(part) else {},
            "gate": gate,
        }

    def build_detectors(self, part: DetectorPart, protocol: Strict | Lee2018, gate: int = 0) -> list[Any]:
        """One a candidate; a detector that draws gates of its own (``gate_seed``) draws others for every ``gate``."""
        cls = registry.detectors.get(part.name)
        if "subnets" in cls.info.needs and self.suite.subnets is None:
            raise UserError(f"The detector {part.title!r} needs subnets and the suite has none; add a [subnets] table.")
        self._fitted.clear()  # an outcome's detectors are its own: what an earlier one learned is let go
        own = "gate_seed" in inspect.signature(cls).parameters
        try:
            return [
                cls(**(p | ({"gate_seed": p.get("gate_seed", 0) + gate} if own else {})))
                for p in self.candidates(part, protocol)
            ]
        except TypeError as error:
            raise UserError(f"detectors.{part.title}.parameters: {part.name!r} does not take them ({error}).") from None

    def characteristics(
        self,
        part: DetectorPart,
        detectors: Sequence[Any],
        kind: Kind,
        attack: str,
        protocol: Strict | Lee2018,
        material: Material,
        gate: int = 0,
    ) -> tuple[list[Floats], Meta]:
        """``(N, K)`` for each candidate, with what they cost; rows that a coupled detector never scores are NaN."""
        coupled = isinstance(protocol, Lee2018) and any(getattr(d, "coupled", False) for d in detectors)
        inputs = self.detector_inputs(part, protocol, gate) | {"view": self.view_key(kind, attack, protocol)}
        kept = None
        if coupled and isinstance(protocol, Lee2018):
            kept = material.kept(attack, protocol)
            inputs |= {"kept": hash_arrays(kept), "batch_size": protocol.batch_size}

        def compute() -> tuple[Arrays, Meta]:
            view = self._gated(self.view(kind, attack, protocol).unlabelled(), gate)
            if kept is not None:
                view = view.subset(kept)
                view.parents = self.view("clean", attack, protocol).subset(kept)
            fitted = [self.fitted(detector, gate) for detector in detectors]
            with metered(view) as cost:
                found = [check_finite(d.characteristics(view), part.title, f"{kind} images") for d in fitted]
            view.forget()
            for values in found:
                if len(values) != len(view):
                    raise UserError(f"The detector {part.title!r} gave {len(values)} rows for {len(view)} images.")
            return {str(i): values for i, values in enumerate(found)}, cost | {"notes": _notes(fitted)}

        arrays, meta = self.store.get("characteristics", inputs, compute)
        found = [arrays[str(i)] for i in range(len(arrays))]
        if kept is not None:
            found = [_spread(values, kept, len(self.test)) for values in found]
        return found, meta

    def _gated(self, view: View, gate: int) -> View:
        return view.with_gates({"learned": self.gates[gate][0]}) if gate else view

    def fitted(self, detector: Any, gate: int = 0) -> Any:
        """Fit once; what several detectors need of the training view is memoised there."""
        if not any(detector is known for known in self._fitted):  # nothing is written on a stranger's object
            detector.fit(self._gated(self.train_view, gate))
            self._fitted.append(detector)
        return detector


@contextmanager
def metered(view: View) -> Iterator[Meta]:
    """Seconds and passes that the body spends on a view."""
    view.logits  # noqa: B018 (the shared pass is nobody's cost)
    forward, backward, began = view.meter.forward, view.meter.backward, time.monotonic()
    cost: Meta = {"images": len(view)}
    yield cost
    cost["seconds"] = time.monotonic() - began
    cost["forward"], cost["backward"] = view.meter.forward - forward, view.meter.backward - backward


def _spread(values: Floats, kept: Any, count: int) -> Floats:
    whole = np.full((count, values.shape[1]), np.nan)
    whole[kept] = values
    return whole


def _notes(detectors: Sequence[Any]) -> str:
    said = [str(getattr(d, "notes", "") or "") for d in detectors]
    return "; ".join(dict.fromkeys(note for note in said if note))


def evaluate(
    options: Strict | Lee2018, material: Material, characteristics: Characteristics, candidates: int, seed: int
) -> Outcome:
    """Run one detector, given by its characteristics under each of its candidates, through a protocol."""
    with threadpool_limits(1):  # regressions on a few columns: threads would only wait for each other
        if isinstance(options, Strict):
            return _strict(options, material, characteristics, candidates, seed)
        return _lee2018(options, material, characteristics, candidates)


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
