"""How a suite's run differs from the one behind the published Table 2, read off its entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..harness.gate_words import gate_departures
from ..harness.tables import percent
from .entry import AttackNote, Entry
from .published import PUBLISHED_ATTACKS, PUBLISHED_DATASETS, PUBLISHED_DETECTORS

#: DeepFool's overshoot in the released code of Lee et al. on ResNet-34: classes x step size - 1.
OVERSHOOT = {"CIFAR-10": 0.8, "CIFAR-100": 2.0, "SVHN": 0.0}

#: The released code's other attacks, in its own parameters.
_RELEASED = {
    "fgsm": "epsilon .05",
    "bim": "six steps of .01, not bounded",
    "cw": "100 steps at constant 1 without a search, a batch as one",
}


def departures(entries: Sequence[Entry]) -> list[str]:
    """Lines of Markdown: a list for every suite that has a detector of the published table."""
    lines: list[str] = []
    for name, own in _suites(entries).items():
        lines += [f"What differs from the published setting, {name}:", ""]
        lines += [f"- {text}" for text in (*_setting(own), *_evaluated(own), *_rounding(own[0]), *_gates(own))]
        lines.append("")
    return lines


def in_short(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """A row for every such suite, for a page with several."""
    return [
        {
            "suite": name,
            "net": own[0].net,
            "images": str(own[0].dataset.attacked_images),
            "overshoot": ", ".join(_overshoot(own[0])) or "–",
            "pre-processing": _pre_processed(own),
            **{f"fitted on, {protocol}": spread for protocol, spread in _spreads(own).items()},
            "undone by 8 bits": ", ".join(_undone(own[0])),
        }
        for name, own in _suites(entries).items()
    ]


IN_SHORT_NOTE = (
    "Published: ResNet-34, all test images attacked, by the released code of Lee et al. Overshoot: DeepFool's, that "
    "code's in brackets; pre-processing: whether the Mahalanobis rows may use it, as the published ones do; fitted on: "
    "adversarial images behind a combiner; undone by 8 bits: share of adversarial images that no longer fool the net "
    "once rounded. `strict` evaluates on the images that every attack fools, and its noisy images need not keep their "
    "label. The gates are not the paper's either: each suite's own report has the whole list."
)


def _suites(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries that have a published counterpart, by suite."""
    suites: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.detector.name in PUBLISHED_DETECTORS and entry.dataset.name in PUBLISHED_DATASETS:
            suites.setdefault(entry.suite.name, []).append(entry)
    return suites


def _setting(entries: Sequence[Entry]) -> Iterator[str]:
    yield _net(entries[0])
    yield from _attacks(entries[0])
    yield from _pre_processing(entries)
    yield from _fits(entries)


def _net(entry: Entry) -> str:
    model = entry.model
    width = model.parameters.get("width", 64)
    kin = "the same, weights of its own" if width == 64 else "the same at width 64"
    return (
        f"Net: {entry.net} (published: ResNet-34{f', {kin}' if model.name == 'resnet34' else ''}); "
        f"{entry.dataset.attacked_images} test images attacked, detectors fitted on {entry.dataset.train_images} "
        "training images (the released code of Lee et al.: all)."
    )


def _attacks(entry: Entry) -> Iterator[str]:
    shown = [words for label, note in entry.attacks.items() for words in _attack(entry, label, note)]
    if shown:
        yield f"Attacks, with the released code's in brackets: {'; '.join(shown)}."


def _attack(entry: Entry, label: str, note: AttackNote) -> Iterator[str]:
    if note.name not in PUBLISHED_ATTACKS:
        return
    if _is_theirs(note):
        yield f"`{label}` as there"
    elif note.name == "deepfool":
        yield f"`{label}` with overshoot {_share(note.parameters.get('overshoot'))} ({_share(_theirs(entry))})"
    else:
        yield f"`{label}` with {_parameters(note.parameters)} ({_RELEASED[note.name]})"


def _overshoot(entry: Entry) -> Iterator[str]:
    for label, note in entry.attacks.items():
        if note.name == "deepfool":
            ours = "as there" if _is_theirs(note) else _share(note.parameters.get("overshoot"))
            yield (
                f"{ours} ({_share(_theirs(entry))})"
                if label == note.name
                else f"{label} {ours} ({_share(_theirs(entry))})"
            )


def _is_theirs(note: AttackNote) -> bool:
    """Whether an attack is that of the released code, and no other of ours."""
    return note.library == "subnetbench" and note.preset == "lee2018"


def _theirs(entry: Entry) -> float:
    return OVERSHOOT[PUBLISHED_DATASETS[entry.dataset.name]]


def _parameters(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in parameters.items())


def _share(value: Any) -> str:
    return "unknown" if not isinstance(value, int | float) else f"{100 * value:g}%"


def _without_pre_processing(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Rows of Mahalanobis and subnet-Mahalanobis, and those that can choose no magnitude above 0, as in the paper."""
    able = [entry for entry in entries if "mahalanobis" in entry.detector.name]
    without = [entry for entry in able if not any(c.get("magnitude") for c in entry.detector.candidates)]
    return [entry.label for entry in able], [entry.label for entry in without]


def _pre_processed(entries: Sequence[Entry]) -> str:
    able, without = _without_pre_processing(entries)
    if not without:
        return "yes"
    return "no" if len(without) == len(able) else "some rows"


def _pre_processing(entries: Sequence[Entry]) -> Iterator[str]:
    able, without = _without_pre_processing(entries)
    if without:
        which = "" if len(without) == len(able) else f" for {', '.join(dict.fromkeys(without))}"
        yield f"No input pre-processing{which}, which the published Mahalanobis rows may use."


def _fits(entries: Sequence[Entry]) -> Iterator[str]:
    spreads = [f"{spread} under `{protocol}`" for protocol, spread in _spreads(entries).items()]
    if spreads:
        yield (
            f"Adversarial images behind a combiner: {', '.join(spreads)} (released code: a twentieth of those kept of "
            "the whole test split)."
        )


def _spreads(entries: Sequence[Entry]) -> dict[str, str]:
    """Smallest and largest number of images that a combiner was fitted on, by protocol."""
    counts: dict[str, set[int]] = {}
    for entry in entries:
        single = [cell for cell in entry.cells if cell.fit_on in entry.attacks]
        counts.setdefault(entry.protocol_name, set()).update(n for cell in single for n in cell.n_fit if n)
    return {
        protocol: str(min(own)) if len(own) == 1 else f"{min(own)} to {max(own)}"
        for protocol, own in counts.items()
        if own
    }


def _evaluated(entries: Sequence[Entry]) -> Iterator[str]:
    by_protocol = {entry.protocol_name: entry.protocol for entry in entries}
    if "strict" not in by_protocol:
        return
    with_noise = by_protocol["strict"].get("negatives") == "clean+noise"
    negatives = "clean and noisy images" if with_noise else "clean images alone (published: and noisy ones)"
    yield (
        "`strict` evaluates on the images that every attack fools (published: each attack on its own); its negatives "
        f"are {negatives}, and its noisy images need not keep their label (published: they do)."
    )


def _rounding(entry: Entry) -> Iterator[str]:
    if lost := list(_undone(entry)):
        yield f"Adversarial images that rounding to 8 bits undoes: {', '.join(lost)}."


def _undone(entry: Entry) -> Iterator[str]:
    for label, note in entry.attacks.items():
        if note.successes:
            lost = None if note.survives_8bit is None else 1 - note.survives_8bit
            yield f"{label} {'not measured' if lost is None else f'{percent(lost)}%'}"


def _gates(entries: Sequence[Entry]) -> Iterator[str]:
    notes = [entry.subnets for entry in entries if entry.subnets is not None]
    text = gate_departures(notes[0].options) if notes else ""
    if text:
        yield text
