"""The tasks of a detection suite: the net, batches of attacks, sets of gates, scores of each detector, the sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..core.store import Meta, Store
from ..harness.plugins import PluginFailed
from ..harness.task import ATTACKED, LAST, NET, SCORED, Task
from .beside import figures_mark, keep_figures, score_variant
from .failing import failed_batch, why
from .measured import measured_cells
from .one_fit import GATE
from .scoring import Scoring
from .sensitivity import variants
from .suite import AnyProtocol, DetectorPart, Suite
from .titles import batch_title, choice_title, outcome_title


def listed(scoring: Scoring) -> list[Task]:
    """All tasks, wave by wave; of the data set, only the number of its test images counts."""
    return list(_listed(scoring))


def _listed(scoring: Scoring) -> Iterator[Task]:
    suite = scoring.suite
    yield Task("net", suite.model.name, NET)
    for attack in suite.attacks:
        for number in range(len(scoring.attacked.batches(attack))):
            yield _task(batch_title(attack, number), ATTACKED)
    for place in range(len(scoring.gates.by_seed)):
        yield Task("gates", str(place), ATTACKED)
    # A detector's characteristics serve all protocols: the first to need them makes them, the others wait for a wave.
    for wave, protocol in enumerate(suite.protocols, SCORED):
        for part in suite.detectors:
            for gate in scoring.gate_places(part):
                yield _task(outcome_title(part, protocol, gate), wave)
    if scoring.gates.by_seed:
        yield Task("figures", "0", LAST)
    for number, _ in enumerate(variants(suite)):
        yield _task(choice_title(number), LAST)


def _task(title: str, wave: int) -> Task:
    stage, _, cell = title.partition(" ")
    return Task(stage, cell, wave)


def is_stored(scoring: Scoring, task: Task) -> bool:
    """Whether the store has what a task makes."""
    store, setup = scoring.context.store, scoring.setup
    if task.stage == "net":
        return store.has("weights", setup.weights_inputs)
    if task.stage == "gates":
        return store.has("gates", scoring.gates.inputs(scoring.gates.by_seed[int(task.cell)]))
    if task.stage == "attack":
        title, _, number = task.cell.rpartition("/")
        part = scoring.attacked.part(title)
        inputs = scoring.attacked.inputs(part, scoring.attacked.batches(part)[int(number)])
        whole = {"attack": scoring.attacked.key(part)}
        return store.has("strength", whole) or store.has("adversarial", inputs)
    if task.stage == "scores":
        return _is_scored(scoring, store, *_of(scoring, task))
    if task.stage == "figures":
        return store.has("task", figures_mark(scoring))
    variant = list(variants(scoring.suite))[int(task.cell)][1]
    inner, protocol = Scoring(variant, scoring.context, setup.dataset), variant.protocols[0]
    places = [(part, gate) for part in variant.detectors for gate in inner.gate_places(part)]
    return all(_is_scored(inner, store, part, protocol, gate) for part, gate in places)


def _is_scored(scoring: Scoring, store: Store, part: DetectorPart, protocol: AnyProtocol, gate: int) -> bool:
    return store.has("outcome", scoring.outcome_inputs(part, protocol, gate))


def _of(scoring: Scoring, task: Task) -> tuple[DetectorPart, AnyProtocol, int]:
    """The detector, the protocol and the set of gates of a task that makes scores."""
    name, title, gate = task.cell.split("/")
    part = next(part for part in scoring.suite.detectors if part.title == title)
    return part, next(protocol for protocol in scoring.suite.protocols if protocol.name == name), int(gate)


def make_ready(scoring: Scoring, task: Task) -> str:
    """Do a task that comes before any score; why there is no result, or an empty text."""
    if task.stage == "net":
        _ = scoring.setup.trained
    elif task.stage == "gates":
        scoring.gates.check()
        scoring.gates.learned(int(task.cell))
    else:
        title, _, number = task.cell.rpartition("/")
        return failed_batch(scoring.attacked, scoring.attacked.part(title), int(number)) or ""
    return ""


def score(scoring: Scoring, task: Task, suite: Suite) -> str:
    """Do a task that rests on attacked images and gates; why there is no result, or an empty text.

    ``suite``: the whole one, whose attacks may include some that gave no images. The last of a detector's sets of gates
    measures the cells of them all.

    A plug-in that cannot be made has no result to report: whoever makes the entry finds that at once.
    """
    if task.stage == "sensitivity":
        with suppress(PluginFailed):
            score_variant(scoring, list(variants(scoring.suite))[int(task.cell)][1], f"choice {int(task.cell) + 1}")
        return ""
    if task.stage == "figures":
        keep_figures(scoring)
        return ""
    part, protocol, gate = _of(scoring, task)
    try:
        scoring.outcome(part, protocol, gate)
        places = scoring.gate_places(part)
        if all(_is_scored(scoring, scoring.context.store, part, protocol, place) for place in places):
            measured_cells(suite, protocol, scoring.outcomes(part, protocol)[0], scoring.context.store)
    except PluginFailed:
        return ""
    except Exception as error:
        return why(part, error, scoring.context)
    return ""


def basis(scoring: Scoring, part: DetectorPart, protocol: AnyProtocol) -> Meta:
    """What everything rests on that is tried on one fit of a detector; inputs of a task's mark in the store."""
    return {"scores": scoring.outcome_inputs(part, protocol, GATE), "model": scoring.setup.trained.sha256}
