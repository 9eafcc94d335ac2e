"""A suite with what a command line changes: some classes of its data set, further detectors."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..core import registry
from ..core.errors import UserError
from ..core.registry import datasets
from ..core.wnids import places
from ..models.torchvision import SMALLEST
from .suite import DetectorPart, Suite


def choose_classes(suite: Suite, given: str | Sequence[str] | None) -> Suite:
    """The suite on some class folders of its data set, pretrained nets cut to the logits of these classes.

    ``given``: names, one text of them with commas, or a file with one a line (of a CSV file the first column); None
    leaves the data set's own choice. Raises UserError where the data set has no named classes.
    """
    dataset, model = suite.dataset, suite.model
    if given is not None:
        if dataset.name.endswith(".npz") or "classes" not in inspect.signature(datasets.get(dataset.name)).parameters:
            raise UserError(
                f"The data set {dataset.name!r} has no class folders to choose from; --classes goes with "
                "'imagenet' and 'folder'."
            )
        parameters = {**dataset.parameters, "classes": _names(given)}
        dataset = dataset.model_copy(update={"parameters": parameters})
    classes = dataset.parameters.get("classes")
    pretrained = model.name in SMALLEST and bool(model.parameters.get("weights"))
    if (
        pretrained
        and classes
        and not isinstance(classes, str)
        and (given is not None or "rows" not in model.parameters)
    ):
        wnids = sorted(set(classes))  # as the data set numbers them
        places(wnids)
        model = model.model_copy(update={"parameters": {**model.parameters, "rows": wnids}})
    return suite.model_copy(update={"dataset": dataset, "model": model})


def _names(given: str | Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name for name in _unchecked_names(given) if name))
    if len(names) < 2:
        said = f"only {names[0]!r}" if names else "no class"
        raise UserError(
            f"--classes names {said}, and a classifier needs two or more: separate them by commas, or give "
            "a file with one a line."
        )
    return names


def _unchecked_names(given: str | Sequence[str]) -> list[str]:
    if not isinstance(given, str):
        return list(given)
    if os.path.isfile(given):  # says no to a text that is too long for a path
        return _names_in(Path(given))
    if "/" in given or given.lower().endswith((".txt", ".csv")):
        raise UserError(f"There is no file {given} for --classes; give one, or names with commas between them.")
    return [name.strip() for name in given.split(",")]


_WNID = re.compile(r"n\d{8}\b")


def _names_in(file: Path) -> list[str]:
    """The first column; of a line that begins with a wnid nothing else, and no header over wnids."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text ({error}); give a file with one class a line.") from None
    cells = [line.split(",")[0].strip().strip('"') for line in lines if line and not line.startswith("#")]
    names = [found.group() if (found := _WNID.match(cell)) else cell for cell in cells]
    if len(names) > 1 and not _WNID.match(names[0]) and all(_WNID.fullmatch(name) for name in names[1:]):
        return names[1:]
    return names


def with_detectors(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite with registered detectors beside its own, with their defaults."""
    titles = [part.title for part in suite.detectors]
    for name in names:
        registry.detectors.get(name)
        if name in titles:
            raise UserError(f"The suite {suite.name!r} has a detector {name!r} already; leave --detector {name} out.")
        titles.append(name)
    more = [DetectorPart(name=name) for name in names]
    return suite.model_copy(update={"detectors": [*suite.detectors, *more]})
