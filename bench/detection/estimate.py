"""What a run would do and about how long it would take, without doing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...attacks.base import FORWARD_AND_BACKWARD
from ...attacks.contract import Attack
from ..core.progress import Reporter
from ..core.store import Store
from ..models.classifier import Classifier, evaluating
from .run import check
from .scoring import Stages
from .sensitivity import variants
from .suite import DetectorPart, Lee2018, Strict, Suite

Row = dict[str, Any]


@dataclass(frozen=True)
class _Cost:
    """A row of the grid before a net was timed; ``passes`` are forward passes, a backward pass counts two."""

    stage: str
    what: str
    passes: float
    detail: str = ""


def plan(
    suite: Suite, store: Store, device: torch.device, data_root: Path | None, report: Reporter
) -> tuple[str, list[Row]]:
    """The grid of a suite, each row with its passes and an estimate from a timed batch of the untrained net."""
    stages = Stages(suite, store, device=device, data_root=data_root, report=report)
    check(suite, stages)
    net = stages.blank_classifier(pretrained=False).to(device)
    images_per_second = _speed(net, device)
    rows = [
        {
            "stage": cost.stage,
            "what": cost.what,
            "forward passes": f"{cost.passes:,.0f}",
            "about": _span(cost.passes / images_per_second / 60),
            "detail": cost.detail,
        }
        for cost in _Grid(stages, net).costs()
    ]
    title = (
        f"{suite.name}: {len(stages.test)} images attacked, {len(stages.train_split)} to fit on, "
        f"{images_per_second:,.0f} forward passes a second on {device}; what is in {store.root} is not computed again"
    )
    return title, rows


def attack_passes(attack: Attack, classes: int) -> float:
    """Passes an image, by the attack's own word; one that says nothing takes a gradient in each of its ``steps``."""
    passes = getattr(attack, "passes", None)
    if passes is not None:
        return float(passes(classes))
    return float(attack.parameters.get("steps", 1)) * FORWARD_AND_BACKWARD


class _Grid:
    """What a suite's stages cost, in their order."""

    def __init__(self, stages: Stages, net: Classifier) -> None:
        self._stages, self._suite, self._net = stages, stages.suite, net
        self._count, self._fitted = len(stages.test), len(stages.train_split)
        #: Sets of images that a protocol scores: the clean ones, and for each attack its own and their noise.
        self._sets = 1 + 2 * len(self._suite.attacks)

    def costs(self) -> Iterator[_Cost]:
        yield from self._classifier()
        yield from self._attacks()
        yield from self._gates()
        scored = len(self._suite.protocols) * self._sets * self._count
        yield _Cost("features", "all detectors together", self._fitted + scored, "one pass an image set")
        for protocol in self._suite.protocols:
            for detector in self._suite.detectors:
                yield self._detector(detector, protocol)
        yield from self._sensitivity()

    def _classifier(self) -> Iterator[_Cost]:
        stages, model = self._stages, self._suite.model
        if stages.store.has("weights", stages.weights_inputs):
            yield _Cost("classifier", model.name, 0, "in the store")
        elif model.weights is None and not model.parameters.get("weights"):
            epochs = stages.recipe.epochs
            passes = FORWARD_AND_BACKWARD * epochs * len(stages.dataset.train)
            yield _Cost("classifier", model.name, passes, f"{epochs} epochs")

    def _attacks(self) -> Iterator[_Cost]:
        for part in self._suite.attacks:
            attack = self._stages.attacks[part.title]
            passes = self._count * attack_passes(attack, self._net.classes)
            values = attack.parameters.items()
            detail = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values)
            yield _Cost(f"attack ({part.library})", part.title, passes, detail)

    def _gates(self) -> Iterator[_Cost]:
        options = self._stages.gate_options
        if options is not None:
            detail = f"{options.l1}, gamma {options.gamma}, {options.seeds} sets"
            yield _Cost("class gates", options.position, options.seeds * self._gate_passes(), detail)

    def _gate_passes(self) -> float:
        """Of one set of gates: each class's images and as many of other classes, in every epoch."""
        options, classes = self._stages.gate_options, self._net.classes
        if options is None:
            return 0
        images = min(options.images_per_class or self._fitted, self._fitted // classes)
        return 2 * images * classes * options.epochs * FORWARD_AND_BACKWARD

    def _detector(self, part: DetectorPart, protocol: Strict | Lee2018) -> _Cost:
        """The passes of its own, beside those that all detectors share: through subnets and for pre-processing."""
        stages, net = self._stages, self._net
        candidates = stages.candidates(part, protocol)
        moved = sum(1 for candidate in candidates if candidate.get("magnitude"))
        first = candidates[0]
        width = {"all": net.classes, "top-k": first.get("k", 3)}.get(str(first.get("classes", "")), 1)
        subnets = width if stages.needs_gates(part) else 0
        moving = (moved * max(1, subnets) + 3) * len(net.taps) if moved else 0
        once = self._sets * self._count * (subnets + 0.6 * moving) + (self._fitted if subnets else 0)
        detail = f"{len(candidates)} candidates, {len(self._suite.attacks) ** 2} cells"
        return _Cost(protocol.name, part.title, len(stages.gate_seeds(part)) * once, detail)

    def _sensitivity(self) -> Iterator[_Cost]:
        wanted = self._suite.sensitivity
        if wanted is not None:
            choices = len(list(variants(self._suite)))
            # Two detectors a choice, on fitting images and on every image that the first protocol scores.
            passes = self._gate_passes() + 2 * (self._fitted + self._sets * self._count)
            yield _Cost("sensitivity", wanted.detector, choices * passes, f"{choices} choices of gate training")


def _speed(net: Classifier, device: torch.device) -> float:
    batch = torch.rand(64, *net.shape, device=device)
    best = float("inf")
    with torch.inference_mode(), evaluating(net):
        for _ in range(3):
            began = time.monotonic()
            net(batch).sum().item()  # item waits for the device
            best = min(best, time.monotonic() - began)
    return 64 / best


def _span(minutes: float) -> str:
    return f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
