"""The stages and tasks of a run and about how long they would take: two batches are timed, nothing is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ...attacks.base import FORWARD_AND_BACKWARD
from ..core.hashing import canonical
from ..data.blank import blank_instead_of_download
from ..models.classifier import Classifier, evaluating
from .attacked import attack_passes
from .scoring import Scoring
from .sensitivity import variants
from .suite import AnyProtocol, DetectorPart
from .titles import batch_title, choice_title, outcome_title

Row = dict[str, Any]


@dataclass(frozen=True)
class _Cost:
    """A row of the grid before the net is timed; ``passes`` counts forward passes, a backward pass as two.

    ``seconds`` is work besides the passes; ``gradients``: whether the passes are those of gradients.
    """

    stage: str
    what: str
    passes: float
    detail: str = ""
    seconds: float = 0.0
    gradients: bool = False


@dataclass(frozen=True)
class Speed:
    """Seconds that an image takes in a forward pass, and in one with its gradient: each of a timed batch."""

    forward: float
    gradient: float

    def seconds(self, passes: float, *, gradients: bool) -> float:
        return passes / FORWARD_AND_BACKWARD * self.gradient if gradients else passes * self.forward

    def of(self, cost: _Cost) -> float:
        return cost.seconds + self.seconds(cost.passes, gradients=cost.gradients)

    def total(self, costs: Iterable[_Cost]) -> float:
        return sum(map(self.of, costs))


def undownloaded(scoring: Scoring) -> tuple[Scoring, bool]:
    """What sizes can be read from without a download, and whether that is the data set itself."""
    blank = blank_instead_of_download(scoring.suite.dataset.name, scoring.context.data_root)
    return (scoring, True) if blank is None else (Scoring(scoring.suite, scoring.context, blank), False)


def plan(asked: Scoring) -> tuple[str, list[Row]]:
    """The grid of a suite, each row with its passes and an estimate from two timed batches of the untrained net."""
    scoring, there = undownloaded(asked)
    setup, device = scoring.setup, scoring.context.device
    speed, grid = _timed_grid(scoring)
    costs = list(grid.costs())
    seconds = list(map(speed.of, costs))
    costs.append(_Cost("total", "", sum(cost.passes for cost in costs), "with an empty store"))
    rows = [
        {
            "stage": cost.stage,
            "what": cost.what,
            "forward passes": f"{cost.passes:,.0f}",
            "about": roughly(each),
            "detail": cost.detail,
        }
        for cost, each in zip(costs, [*seconds, sum(seconds)], strict=True)
    ]
    title = (
        f"{scoring.suite.name}: {len(setup.test)} images attacked, {len(setup.train_split)} to fit on, "
        f"{1 / speed.forward:,.0f} forward passes and {1 / speed.gradient:,.0f} gradients a second on {device}, "
        "measured just now; what "
        f"is in {scoring.context.store.root} is not computed again"
    )
    absent = "" if there else f"; {scoring.suite.dataset.name} is not here yet and would be downloaded first"
    return f"{title}{absent}", rows


def prices(scoring: Scoring) -> dict[str, float]:
    """Seconds of every task, by its title; what all detectors share is spread over them."""
    suite = scoring.suite
    speed, grid = _timed_grid(scoring)
    made = {f"net {suite.model.name}": speed.total(grid.classifier())}
    for part, cost in zip(suite.attacks, grid.attacks(), strict=True):
        for number, batch in enumerate(scoring.attacked.batches(part)):
            share = (batch.stop - batch.start) / max(1, len(scoring.setup.test))
            made[batch_title(part, number)] = share * speed.of(cost)
    sets = len(scoring.gates.by_seed)
    made |= {f"gates {place}": speed.total(grid.gates()) / sets for place in range(sets)}
    places = [(d, p, gate) for p in suite.protocols for d in suite.detectors for gate in scoring.gate_places(d)]
    shared = speed.of(grid.features()) / len(places)
    for detector, protocol, gate in places:
        each = speed.of(grid.detector(detector, protocol)) / len(scoring.gate_places(detector))
        made[outcome_title(detector, protocol, gate)] = each + shared
    choices = len(list(variants(suite)))
    return made | {choice_title(number): speed.total(grid.sensitivity()) / choices for number in range(choices)}


def steps(scoring: Scoring) -> list[float]:
    """About how many seconds each step of a run takes, in order: net, attacks, gates, detectors, sensitivity."""
    suite = scoring.suite
    speed, grid = _timed_grid(scoring)
    detectors = [speed.of(grid.detector(part, protocol)) for protocol in suite.protocols for part in suite.detectors]
    detectors[0] += speed.of(grid.features())  # by whichever detector comes first
    repeats = [part for _, variant in variants(suite) for part in variant.detectors]
    again = [speed.total(grid.sensitivity()) / len(repeats)] * len(repeats) if repeats else []
    attacks = map(speed.of, grid.attacks())
    return [speed.total(grid.classifier()), *attacks, speed.total(grid.gates()), *detectors, *again]


def _timed_grid(scoring: Scoring) -> tuple[Speed, _Grid]:
    net = scoring.setup.blank_net(pretrained=False).to(scoring.context.device)
    return speed_for(scoring, net), _Grid(scoring, net)


def speed_for(scoring: Scoring, net: Classifier | None = None) -> Speed:
    """The speed of a suite's net, timed once in a run: all of its parts ask for it. ``net``: that net, untrained."""
    setup, context = scoring.setup, scoring.context
    part, dataset = setup.suite.model, setup.dataset
    key = canonical([part.name, part.parameters, dataset.classes, dataset.shape])
    if key not in context.timed:
        net = net or setup.blank_net(pretrained=False).to(context.device)
        context.timed[key] = speed_of(net, context.device)
    speed: Speed = context.timed[key]
    return speed


class _Grid:
    """The costs of a suite's stages, in order."""

    def __init__(self, scoring: Scoring, net: Classifier) -> None:
        self._scoring, self._suite, self._net = scoring, scoring.suite, net
        self._count, self._fitted = len(scoring.setup.test), len(scoring.setup.train_split)
        #: Sets of images that a protocol scores: the clean one, and for each attack its images and their noise.
        self._sets = 1 + 2 * len(self._suite.attacks)

    def costs(self) -> Iterator[_Cost]:
        yield from self.classifier()
        yield from self.attacks()
        yield from self.gates()
        yield self.features()
        for protocol in self._suite.protocols:
            for detector in self._suite.detectors:
                yield self.detector(detector, protocol)
        yield from self.sensitivity()

    def features(self) -> _Cost:
        scored = sum(self._scored(protocol) for protocol in self._suite.protocols)
        return _Cost("features", "all detectors together", self._fitted + scored, "one pass an image set")

    def classifier(self) -> Iterator[_Cost]:
        setup, model = self._scoring.setup, self._suite.model
        if setup.context.store.has("weights", setup.weights_inputs):
            yield _Cost("classifier", model.name, 0, "in the store")
        elif model.trains:
            epochs = setup.recipe.epochs
            passes = FORWARD_AND_BACKWARD * epochs * len(setup.dataset.train)
            yield _Cost("classifier", model.name, passes, f"{epochs} epochs", gradients=True)

    def attacks(self) -> Iterator[_Cost]:
        for part in self._suite.attacks:
            attack = self._scoring.attacked.attacks[part.title]
            passes = self._count * attack_passes(attack, self._net.classes)
            values = attack.parameters.items()
            detail = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values)
            yield _Cost(f"attack ({part.library})", part.title, passes, detail, gradients=True)

    def gates(self) -> Iterator[_Cost]:
        options = self._scoring.gates.options
        if options is not None:
            detail = f"{options.l1}, gamma {options.gamma}, {options.seeds} sets"
            yield _Cost("class gates", options.position, options.seeds * self._gate_passes(), detail, gradients=True)

    def _gate_passes(self) -> float:
        """Passes of one set of gates: each class's images and as many of other classes, in every epoch."""
        options, classes = self._scoring.gates.options, self._net.classes
        if options is None:
            return 0
        images = min(options.images_per_class or self._fitted, self._fitted // classes)
        return 2 * images * classes * options.epochs * FORWARD_AND_BACKWARD

    def detector(self, part: DetectorPart, protocol: AnyProtocol) -> _Cost:
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

    def sensitivity(self) -> Iterator[_Cost]:
        wanted = self._suite.sensitivity
        if wanted is not None:
            choices = len(list(variants(self._suite)))
            # Two detectors a choice, on fitting images and on every image that the first protocol scores.
            passes = self._gate_passes() + 2 * (self._fitted + self._sets * self._count)
            yield _Cost("sensitivity", wanted.detector, choices * passes, f"{choices} choices of gate training")


#: Images of a timed batch.
BATCH = 64


def speed_of(net: Classifier, device: torch.device) -> Speed:
    """Two batches timed on this machine, the best of three each: a forward pass, and a gradient to the images."""
    batch = torch.rand(BATCH, *net.shape, device=device)

    def forward() -> None:
        with torch.no_grad():
            net(batch).sum().item()  # item waits for the device

    def gradient() -> None:
        images = batch.clone().requires_grad_()
        torch.autograd.grad(net(images).sum(), images)[0].sum().item()

    with evaluating(net):
        return Speed(_best(forward) / BATCH, _best(gradient) / BATCH)


def _best(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        work()
        best = min(best, time.monotonic() - began)
    return best


def roughly(seconds: float) -> str:
    """A time in words, as exact as an estimate is."""
    if 0 < seconds < 0.5:
        return "< 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{round(seconds / 3600, seconds < 36000):g} h"
