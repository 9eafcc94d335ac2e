"""The paper's Table 2, cell by cell beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ..harness.tables import published_table
from .cell import Cell
from .entry import Entry

#: Published rows to compare with entries, by the detector's registered name.
PUBLISHED_DETECTORS = {
    "kd-pu": "KD+PU",
    "lid": "LID",
    "mahalanobis": "Mahalanobis",
    "subnet-mahalanobis": "Subnet-Mahalanobis",
}
PUBLISHED_DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN", "svhn10k": "SVHN"}
PUBLISHED_ATTACKS = {"fgsm": "FGSM", "bim": "BIM", "deepfool": "DeepFool", "cw": "CW"}

PUBLISHED_NOTE = (
    "Published: Wang, Hu, Su, Table 2 (ResNet-34, protocol of Lee et al. 2018). Where the runs differ, a difference in "
    "AUROC is no failed reproduction."
)


def published_table2() -> pd.DataFrame:
    return published_table("table2_detection_auroc.csv")


def published_detector(entry: Entry) -> str | None:
    """The published name of an entry's detector; a variant under a label of its own, such as another choice of classes,
    is not the paper's, unless all that it chooses is the magnitude of input pre-processing, as the paper does."""
    detector = entry.detector
    # The rows under the detector's own name read the predicted class's subnet.
    fixed = [{key: value for key, value in tried.items() if key != "magnitude"} for tried in detector.candidates]
    if entry.label != detector.name and any(one not in ({}, {"classes": "predicted"}) for one in fixed):
        return None
    return PUBLISHED_DETECTORS.get(detector.name)


def published_attacks(entry: Entry) -> dict[str, str]:
    """The published names of an entry's attacks by their labels, which are matched by registered name; of several of
    one name, the first."""
    names: dict[str, str] = {}
    for label, attack in entry.attacks.items():
        name = PUBLISHED_ATTACKS.get(attack.name)
        if name is not None and name not in names.values():
            names[label] = name
    return names


def left_out(entries: Sequence[Entry]) -> list[str]:
    """Lines of Markdown: which detectors and attacks of the published names have no row, and why."""
    ours = [entry for entry in entries if entry.dataset.name in PUBLISHED_DATASETS]
    known = [entry for entry in ours if entry.detector.name in PUBLISHED_DETECTORS]
    variants = dict.fromkeys(entry.label for entry in known if published_detector(entry) is None)
    further = dict.fromkeys(
        label
        for entry in known
        for label, attack in entry.attacks.items()
        if attack.name in PUBLISHED_ATTACKS and label not in published_attacks(entry)
    )
    lines = []
    if variants:
        lines.append(f"- Left out, since the paper has no such row, under a label of its own: {', '.join(variants)}")
    if further:
        lines.append(f"- Left out, since the first attack of its name stands here: {', '.join(further)}")
    return [*lines, ""] if lines else []


def published_cells(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str, str, str, Cell | None, float]]:
    """Every cell that has one in the published Table 2: entry, seen or unknown, the attack's label and its published
    name, the cell, and the published AUROC in percent. The attack that all others are unknown beside comes once, as
    seen: as unknown it is the same figure, here and there."""
    reference = published_table2().set_index(["dataset", "detector", "protocol", "attack"])["auroc_percent"]
    for entry in entries:
        dataset, detector = PUBLISHED_DATASETS.get(entry.dataset.name), published_detector(entry)
        if dataset is None or detector is None:
            continue
        for kind, fit_of in (("seen", None), ("unknown", next(iter(entry.attacks)))):
            for test_on, name in published_attacks(entry).items():
                if fit_of != test_on:
                    cell = entry.by_pair().get((fit_of or test_on, test_on))
                    yield entry, kind, test_on, name, cell, float(reference[dataset, detector, kind, name])


def against_published(cell: Cell | None, theirs: float) -> tuple[str, str]:
    """Ours minus theirs in points, and whether theirs lies in our interval."""
    if cell is None or cell.auroc is None or cell.low is None or cell.high is None:
        return "–", "–"
    inside = cell.low <= theirs / 100 <= cell.high
    return f"{100 * cell.auroc - theirs:+.2f}", "yes" if inside else "no"
