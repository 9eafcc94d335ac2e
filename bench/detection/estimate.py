"""What a run would do and about how long it would take, without doing it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from ..core.progress import Reporter
from ..core.store import Store
from ..models.classifier import Classifier, evaluating
from .run import check
from .scoring import Stages
from .sensitivity import variants
from .suite import AttackPart, Suite

Row = dict[str, Any]

#: Passes an image, in units of one forward pass; a backward pass counts two.
_FORWARD_AND_BACKWARD = 3


def passes(part: AttackPart, parameters: dict[str, Any], classes: int) -> float:
    """Rough passes an image of an attack, in forward passes; from its steps, as most images need them."""
    steps = float(parameters.get("steps", 1))
    if part.name == "deepfool":
        return min(steps, 4) * min(float(parameters.get("candidates") or classes), classes) * _FORWARD_AND_BACKWARD
    return steps * float(parameters.get("binary_search_steps", 1)) * _FORWARD_AND_BACKWARD


def plan(
    suite: Suite, store: Store, device: torch.device, data_root: Path | None, report: Reporter
) -> tuple[str, list[Row]]:
    """The grid of a suite, each row with its passes and an estimate from a timed batch of the untrained net."""
    stages = Stages(suite, store, device=device, data_root=data_root, report=report)
    check(suite, stages)
    net = stages.blank_classifier(pretrained=False).to(device)
    images_per_second = _speed(net, device)
    count, fitted = len(stages.test), len(stages.train_split)
    rows: list[Row] = []

    def add(stage: str, what: str, forward: float, detail: str = "") -> None:
        minutes = forward / images_per_second / 60
        rows.append(
            {
                "stage": stage,
                "what": what,
                "forward passes": f"{forward:,.0f}",
                "about": _span(minutes),
                "detail": detail,
            }
        )

    if store.has("weights", stages.weights_inputs):
        add("classifier", suite.model.name, 0, "in the store")
    elif suite.model.weights is None and not suite.model.parameters.get("weights"):
        epochs = stages.recipe.epochs
        add(
            "classifier",
            suite.model.name,
            _FORWARD_AND_BACKWARD * epochs * len(stages.dataset.train),
            f"{epochs} epochs",
        )
    for part in suite.attacks:
        parameters = stages.attacks[part.title].parameters
        detail = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in parameters.items())
        add(f"attack ({part.library})", part.title, count * passes(part, parameters, net.classes), detail)
    options = stages.gate_options
    gates = 0.0
    if options is not None:
        own = min(options.images_per_class or fitted, fitted // net.classes)
        gates = 2 * own * net.classes * options.epochs * _FORWARD_AND_BACKWARD
        add(
            "class gates",
            options.position,
            options.seeds * gates,
            f"{options.l1}, gamma {options.gamma}, {options.seeds} sets",
        )
    views = {protocol.name: 1 + 2 * len(suite.attacks) for protocol in suite.protocols}
    add("features", "all detectors together", fitted + sum(views.values()) * count, "one pass an image set")
    for protocol in suite.protocols:
        for detector in suite.detectors:
            found = stages.candidates(detector, protocol)
            moved = sum(1 for c in found if c.get("magnitude"))
            width = {"all": net.classes, "top-k": found[0].get("k", 3)}.get(str(found[0].get("classes", "")), 1)
            subnets = width if detector.name.startswith("subnet") else 0
            pre = (moved * max(1, subnets) + 3) * len(net.taps) if moved else 0
            once = views[protocol.name] * count * (subnets + 0.6 * pre) + (fitted if subnets else 0)
            add(
                protocol.name,
                detector.title,
                len(stages.gate_seeds(detector)) * once,
                f"{len(found)} candidates, {len(suite.attacks) ** 2} cells",
            )
    if suite.sensitivity is not None:
        choices = len(list(variants(suite)))
        # Two detectors a choice, on fitting images and on every view of the first protocol.
        each = gates + 2 * (fitted + views[suite.protocols[0].name] * count)
        add("sensitivity", suite.sensitivity.detector, choices * each, f"{choices} choices of gate training")
    title = (
        f"{suite.name}: {count} images attacked, {fitted} to fit on, {images_per_second:,.0f} forward passes a "
        f"second on {device}; what is in {store.root} is not computed again"
    )
    return title, rows


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
