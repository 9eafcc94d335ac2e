"""The stages of a run and about how long they would take, without running them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ...attacks.base import FORWARD_AND_BACKWARD
from ..models.classifier import Classifier, evaluating
from .attacked import attack_passes
from .scoring import Scoring
from .sensitivity import variants
from .suite import AnyProtocol, DetectorPart

Row = dict[str, Any]


@dataclass(frozen=True)
class _Cost:
    """A row of the grid before the net is timed; ``passes`` counts forward passes, a backward pass as two.

    ``seconds`` is work besides the passes.
    """

    stage: str
    what: str
    passes: float
    detail: str = ""
    seconds: float = 0.0


def plan(scoring: Scoring) -> tuple[str, list[Row]]:
    """The grid of a suite, each row with its passes and an estimate from a timed batch of the untrained net."""
    setup, device = scoring.setup, scoring.context.device
    net = setup.blank_net(pretrained=False).to(device)
    images_per_second = speed(net, device)
    costs = list(_Grid(scoring, net).costs())
    passes, seconds = sum(cost.passes for cost in costs), sum(cost.seconds for cost in costs)
    costs.append(_Cost("total", "", passes, "with an empty store", seconds))
    rows = [
        {
            "stage": cost.stage,
            "what": cost.what,
            "forward passes": f"{cost.passes:,.0f}",
            "about": _span(cost.seconds + cost.passes / images_per_second),
            "detail": cost.detail,
        }
        for cost in costs
    ]
    title = (
        f"{scoring.suite.name}: {len(setup.test)} images attacked, {len(setup.train_split)} to fit on, "
        f"{images_per_second:,.0f} forward passes a second on {device}; what is in {scoring.context.store.root} is not "
        "computed again"
    )
    return title, rows


def steps(scoring: Scoring) -> list[float]:
    """About how many seconds each step of a run takes, in order: net, attacks, gates, detectors, sensitivity."""
    net, device = scoring.setup.blank_net(pretrained=False).to(scoring.context.device), scoring.context.device
    return _Grid(scoring, net).steps(speed(net, device))


class _Grid:
    """The costs of a suite's stages, in order."""

    def __init__(self, scoring: Scoring, net: Classifier) -> None:
        self._scoring, self._suite, self._net = scoring, scoring.suite, net
        self._count, self._fitted = len(scoring.setup.test), len(scoring.setup.train_split)
        #: Sets of images that a protocol scores: the clean one, and for each attack its images and their noise.
        self._sets = 1 + 2 * len(self._suite.attacks)

    def costs(self) -> Iterator[_Cost]:
        yield from self._classifier()
        yield from self._attacks()
        yield from self._gates()
        scored = sum(self._scored(protocol) for protocol in self._suite.protocols)
        yield _Cost("features", "all detectors together", self._fitted + scored, "one pass an image set")
        for protocol in self._suite.protocols:
            for detector in self._suite.detectors:
                yield self._detector(detector, protocol)
        yield from self._sensitivity()

    def steps(self, images_per_second: float) -> list[float]:
        def seconds(costs: Iterable[_Cost]) -> list[float]:
            return [cost.seconds + cost.passes / images_per_second for cost in costs]

        suite, protocols = self._suite, self._suite.protocols
        shared = self._fitted + sum(map(self._scored, protocols))  # by whichever detector comes first
        detectors = seconds(self._detector(part, protocol) for protocol in protocols for part in suite.detectors)
        detectors[0] += shared / images_per_second
        net, gates = sum(seconds(self._classifier())), sum(seconds(self._gates()))
        repeats = [part for _, variant in variants(suite) for part in variant.detectors]
        again = [sum(seconds(self._sensitivity())) / len(repeats)] * len(repeats) if repeats else []
        return [net, *seconds(self._attacks()), gates, *detectors, *again]

    def _classifier(self) -> Iterator[_Cost]:
        setup, model = self._scoring.setup, self._suite.model
        if setup.context.store.has("weights", setup.weights_inputs):
            yield _Cost("classifier", model.name, 0, "in the store")
        elif model.trains:
            epochs = setup.recipe.epochs
            passes = FORWARD_AND_BACKWARD * epochs * len(setup.dataset.train)
            yield _Cost("classifier", model.name, passes, f"{epochs} epochs")

    def _attacks(self) -> Iterator[_Cost]:
        for part in self._suite.attacks:
            attack = self._scoring.attacked.attacks[part.title]
            passes = self._count * attack_passes(attack, self._net.classes)
            values = attack.parameters.items()
            detail = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values)
            yield _Cost(f"attack ({part.library})", part.title, passes, detail)

    def _gates(self) -> Iterator[_Cost]:
        options = self._scoring.gates.options
        if options is not None:
            detail = f"{options.l1}, gamma {options.gamma}, {options.seeds} sets"
            yield _Cost("class gates", options.position, options.seeds * self._gate_passes(), detail)

    def _gate_passes(self) -> float:
        """Passes of one set of gates: each class's images and as many of other classes, in every epoch."""
        options, classes = self._scoring.gates.options, self._net.classes
        if options is None:
            return 0
        images = min(options.images_per_class or self._fitted, self._fitted // classes)
        return 2 * images * classes * options.epochs * FORWARD_AND_BACKWARD

    def _detector(self, part: DetectorPart, protocol: AnyProtocol) -> _Cost:
        """A detector's passes beyond those that all share: through subnets and for pre-processing."""
        scoring, net = self._scoring, self._net
        candidates = scoring.candidates(part, protocol)
        moved = sum(1 for candidate in candidates if candidate.get("magnitude"))
        first = candidates[0]
        width = {"all": net.classes, "top-k": first.get("k", 3)}.get(str(first.get("classes", "")), 1)
        subnets = width if scoring.needs_gates(part) else 0
        moving = (moved * max(1, subnets) + 3) * len(net.taps) if moved else 0
        scored = self._scored(protocol)
        once = scored * (subnets + 0.6 * moving) + (self._fitted if subnets else 0)
        detail = f"{len(candidates)} candidates, {len(self._suite.attacks) ** 2} cells"
        seconds = self._besides(part, protocol) * scored
        return _Cost(protocol.name, part.title, len(scoring.gate_places(part)) * once, detail, seconds)

    def _scored(self, protocol: AnyProtocol) -> int:
        """Images that a detector scores under a protocol: those of each set, and those that set thresholds."""
        free = len(self._scoring.setup.dataset.test) - self._count
        return self._sets * self._count + min(protocol.calibrating, free)

    def _besides(self, part: DetectorPart, protocol: AnyProtocol) -> float:
        """Seconds per image of a detector's other work, where it measures that (`KdPu.seconds`); else 0."""
        built = self._scoring.build(part, protocol)
        measure = getattr(built[0], "seconds", None)
        return float(measure(self._net, self._fitted, len(built))) if callable(measure) else 0.0

    def _sensitivity(self) -> Iterator[_Cost]:
        wanted = self._suite.sensitivity
        if wanted is not None:
            choices = len(list(variants(self._suite)))
            # Two detectors a choice, on fitting images and on every image that the first protocol scores.
            passes = self._gate_passes() + 2 * (self._fitted + self._sets * self._count)
            yield _Cost("sensitivity", wanted.detector, choices * passes, f"{choices} choices of gate training")


def speed(net: Classifier, device: torch.device) -> float:
    """Forward passes a second."""
    batch = torch.rand(64, *net.shape, device=device)
    best = float("inf")
    with torch.no_grad(), evaluating(net):
        for _ in range(3):
            began = time.monotonic()
            net(batch).sum().item()  # item waits for the device
            best = min(best, time.monotonic() - began)
    return 64 / best


def _span(seconds: float) -> str:
    if 0 < seconds < 0.5:
        return "< 1 s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
