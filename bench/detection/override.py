"""Command-line changes to a suite: some classes of its data set, further detectors."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ..core import registry
from ..core.errors import UserError
from ..core.home import expanded
from ..core.registry import datasets
from ..core.wnids import places
from ..data.load import is_npz
from ..harness.suite import NAME
from ..models.torchvision import SMALLEST
from .suite import DetectorPart, Suite


def choose_classes(suite: Suite, chosen: str | Sequence[str] | None) -> Suite:
    """The suite on some class folders of its data set, with pretrained nets cut to the logits of these classes.

    ``chosen``: names, one comma-separated text, or a file with one per line (the first column of a CSV file); None
    keeps the data set's own choice. Raises UserError where the data set has no named classes.
    """
    dataset, model = suite.dataset, suite.model
    if chosen is not None:
        if is_npz(dataset.name) or "classes" not in inspect.signature(datasets.get(dataset.name)).parameters:
            raise UserError(
                f"The data set {dataset.name!r} has no class folders to choose from; --classes goes with "
                "'imagenet' and 'folder'."
            )
        parameters = {**dataset.parameters, "classes": _names(chosen)}
        dataset = dataset.model_copy(update={"parameters": parameters})
    classes = dataset.parameters.get("classes")
    pretrained = model.name in SMALLEST and bool(model.parameters.get("weights"))
    if (
        pretrained
        and classes
        and not isinstance(classes, str)
        and (chosen is not None or "rows" not in model.parameters)
    ):
        wnids = sorted(set(classes))  # as the data set numbers them
        places(wnids)
        model = model.model_copy(update={"parameters": {**model.parameters, "rows": wnids}})
    return suite.model_copy(update={"dataset": dataset, "model": model})


def _names(chosen: str | Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name for name in _unchecked_names(chosen) if name))
    if len(names) < 2:
        listed = f"only {names[0]!r}" if names else "no class"
        raise UserError(
            f"--classes names {listed}, but a classifier needs two or more: separate them by commas, or give "
            "a file with one per line."
        )
    return names


def _unchecked_names(chosen: str | Sequence[str]) -> list[str]:
    if not isinstance(chosen, str):
        return list(chosen)
    if os.path.isfile(expanded(chosen)):  # False for a text that is too long for a path
        return _names_in(expanded(chosen))
    if "/" in chosen or chosen.lower().endswith((".txt", ".csv")):
        raise UserError(f"There is no file {chosen} for --classes; give one, or names separated by commas.")
    return [name.strip() for name in chosen.split(",")]


_WNID = re.compile(r"n\d{8}\b")


def _names_in(file: Path) -> list[str]:
    """The first column; only the wnid of a line that begins with one, and no header above wnids."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text ({error}); give a file with one class per line.") from None
    cells = [line.split(",")[0].strip().strip('"') for line in lines if line and not line.startswith("#")]
    names = [match.group() if (match := _WNID.match(cell)) else cell for cell in cells]
    if len(names) > 1 and not _WNID.match(names[0]) and all(_WNID.fullmatch(name) for name in names[1:]):
        return names[1:]
    return names


def with_detectors(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite with further registered detectors, at their defaults, each compared with the suite's controls."""
    titles = [part.title for part in suite.detectors]
    for name in names:
        registry.detectors.get(name)
        if name in titles:
            raise UserError(f"The suite {suite.name!r} has a detector {name!r} already; leave --detector {name} out.")
        if not re.fullmatch(NAME, name):
            raise UserError(
                f"The detector {name!r} cannot be in a suite, whose names are of letters, digits and . _ + -; let its "
                "package register it under such a name."
            )
        titles.append(name)
    return against_controls(suite.with_added(names), names)


def against_controls(suite: Suite, labels: Collection[str]) -> Suite:
    """The suite with comparisons of each of these detectors with each control, but for those that are controls."""
    controls = [part.title for part in suite.detectors if _is_control(part)]
    stated = suite.statistics.comparisons
    pairs = [(label, control) for label in labels if label not in controls for control in controls]
    more = [pair for pair in pairs if pair not in stated]
    statistics = suite.statistics.model_copy(update={"comparisons": [*stated, *more]})
    return suite.model_copy(update={"statistics": statistics})


def _is_control(part: DetectorPart) -> bool:
    info = getattr(registry.detectors.get(part.name), "info", None)
    return bool(getattr(info, "control", False))
