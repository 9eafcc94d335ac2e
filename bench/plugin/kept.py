"""The contract's checks inside a run: once for every third-party detector, on a few images, remembered in the store."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from ..core import registry
from ..core.arrays import Ints
from ..core.errors import UserError, first_line
from ..core.hashing import code_hash, hash_arrays
from ..core.progress import Reporter
from ..core.store import Arrays, Meta, NotStored
from ..core.text import counted
from ..detection.conduct import few
from ..detection.scoring import Scoring, detector_source
from ..detection.suite import DetectorPart
from ..harness.objects import Fixed, Given
from ..harness.plugins import PluginFailed
from ..views import View
from . import checks, claims, gradient, material
from .checks import Check, check_contract
from .material import NetState, copied, fresh, raised

#: Test images that are scored, half of them noisy, and the deviation of the noise.
SCORED, NOISE = 16, 0.15

#: After these seconds no further check begins.
SECONDS = 5.0


def announce(scoring: Scoring) -> None:
    """Say of each third-party detector of a suite whether it keeps the contract, one line each.

    Raises UserError for a mistake in data or net alone, which the run would meet next.
    """
    report = scoring.context.report
    try:
        _ = scoring.setup.trained
    except NotStored:
        return
    for part in scoring.suite.detectors:
        if registry.detectors.is_ours(part.name):
            continue
        try:
            _say(part.title, _checked(scoring, part), report)
        except NotStored:  # the run computes nothing
            return
        except (UserError, PluginFailed):  # the run itself meets and states it
            continue


def _say(title: str, found: list[Check], report: Reporter) -> None:
    broken = next((check for check in found if not check.passed), None)
    kept = sum(check.outcome == "passes" for check in found)
    rest = next((f"; {check.name}: {check.message}" for check in found if check.name == checks.CUT), "")
    if broken is not None:
        more = "check_detector, or `subnetbench validate-detector`, runs all checks"
        report.warn(f"{title} breaks the contract: {broken.name}: {broken.message} ({more}).")
    elif found and found[0].name == checks.RUNS:
        report.note(f"{title}: the contract was not checked, since {found[0].message}")
    else:
        report.note(f"{title} keeps the contract ({counted(kept, 'check')}{rest})")


def _checked(scoring: Scoring, part: DetectorPart) -> list[Check]:
    setup = scoring.setup
    train = few(setup.train_split.labels)
    gated = scoring.needs_gates(part)
    inputs = {
        "source": detector_source(part),
        "parameters": part.parameters,
        "candidates": part.candidates,
        "model": setup.trained.sha256,
        "dataset": setup.dataset.content_hash,
        "train": hash_arrays(setup.train_split.ids[train]),
        "gates": scoring.gates.inputs(scoring.gates.by_seed[0]) if gated else {},
        "checks": code_hash(checks, claims, gradient, material),
    }

    def compute() -> tuple[Arrays, Meta]:
        with scoring.context.report.stage(f"check the contract of {part.title}"):
            found = _check(scoring, part, train, gated)
        return {}, {"checks": [[check.name, check.outcome, check.message] for check in found]}

    meta = scoring.context.store.get("contract", inputs, compute)[1]
    return [Check(*each) for each in meta["checks"]]


def _check(scoring: Scoring, part: DetectorPart, train: Ints, gated: bool) -> list[Check]:
    """Check on a copy of the net: what a detector does to it is not what the run goes on with."""
    setup = scoring.setup
    net = copy.deepcopy(setup.trained.net)
    gates = {"learned": scoring.gates.sets[0].gates} if gated else {}
    clean = setup.test.tensor(slice(0, SCORED // 2))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    images = torch.cat([clean, (clean + NOISE * noise).clamp(0, 1)])
    scored = View(net, images, key="contract", gates=gates)
    scored.parents = View(net, torch.cat([clean, clean]), key="contract", gates=gates)
    split = setup.train_split
    fitting = View(net, split.tensor(train), key="contract", labels=split.labels[train], gates=gates)
    cls = registry.detectors.get(part.name)
    factory = Fixed(Given(cls, part.parameters, fixed=part.candidates is not None))
    before = NetState(net)
    try:
        detector = factory()
        detector.fit(copied(fitting))
        detector.characteristics(fresh(scored))
    except Exception as error:  # it may need more images than these; what is wrong with it, the run itself meets
        return [Check(checks.RUNS, "measured", f"on a few images it raised {first_line(raised(error))}")]
    before.restore()
    coupled = cls.info.is_coupled(dict(_defaults(factory)) | dict(part.parameters))
    return check_contract(factory, fitting, scored, coupled=coupled, seconds=SECONDS)


def _defaults(factory: Fixed) -> Iterator[tuple[str, object]]:
    for name, parameter in factory.__signature__.parameters.items():
        if parameter.default is not parameter.empty:
            yield name, parameter.default
