"""The claims of the detector contract, each a function that returns what it measured or raises `Broken`."""

from __future__ import annotations

import inspect
import io
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...detectors.contract import DetectorInfo
from ..core.errors import UserError
from ..core.sources import of_session
from ..detection.describe import detector_note
from ..harness.plugins import column_hint, plugin_info
from .material import Broken, Material, agree, contents, copied, fresh, raised

Claim = Callable[[Material], str]


def views(material: Material) -> str:
    train, test = copied(material.train), fresh(material.test)
    before = [contents(train), contents(test)]
    detector = material.factory()
    detector.fit(train)
    detector.characteristics(test)
    for name, view, old in zip(("the training view", "the scored view"), (train, test), before, strict=True):
        new = contents(view)
        for part, digest in old.items():
            if new[part] != digest:
                raise Broken(f"{part} of {name} changed; work on a copy, since all detectors share these arrays")
    return f"{sum(map(len, before))} arrays unchanged"


#: Attributes that were read off a detector before its info declared them.
UNDECLARED = {"coupled": "coupled_by", "protocol_parameters": "protocol_parameters"}


def info(material: Material) -> str:
    try:
        with plugin_info("info", material.factory, DetectorInfo):
            stated: DetectorInfo = material.factory.info
            detector_note(stated, label="label", name="name", candidates=[], notes="")
    except UserError as error:
        raise Broken(str(error).removesuffix(".")) from None
    for field in ("title", "formula", "year"):
        if not getattr(stated, field):
            raise Broken(f"info.{field} is empty")
    for attribute, field in UNDECLARED.items():
        if hasattr(material.factory, attribute) and not getattr(stated, field):
            raise Broken(f"the attribute {attribute} is not read; declare it as info.{field}")
    if not stated.draws_gates and "gate_seed" in inspect.signature(material.factory).parameters:
        raise Broken("a detector with a parameter gate_seed declares info.draws_gates, or it is never given one")
    _takes(material, {"gate_seed": 0} if stated.draws_gates else {}, "draws_gates")
    _takes(material, stated.coupled_by, "coupled_by")
    for protocol, parameters in stated.protocol_parameters.items():
        _takes(material, parameters, f"protocol_parameters[{protocol!r}]")
    return f"{stated.title} ({stated.year})"


def _takes(material: Material, parameters: Mapping[str, Any], field: str) -> None:
    """Check that the constructor takes the parameters that a field of the info names."""
    try:
        material.factory(**parameters)
    except TypeError as error:
        raise Broken(f"info.{field} names parameters that the constructor does not take ({error})") from None


def built(material: Material) -> str:
    material.factory()
    return ""


def candidates(material: Material) -> str:
    offered = getattr(material.factory, "candidates", ())  # as a run takes them
    for candidate in offered:
        material.factory(**candidate)
    return f"{len(offered)} candidates"


def fit_returns_self(material: Material) -> str:
    detector = material.factory()
    given = detector.fit(copied(material.train))
    if given is not detector:
        what = "None: it lacks `return self`" if given is None else f"a {type(given).__name__}"
        raise Broken(f"fit did not return the detector but {what}")
    return ""


def unfitted(material: Material) -> str:
    try:
        scores = material.factory().characteristics(fresh(material.test))
    except UserError:
        return ""
    except Exception as error:
        raise Broken(f"characteristics before fit raised no UserError but {raised(error)}") from None
    try:
        agree(material.scores(), scores, 0, "")
    except Broken:
        raise Broken("characteristics before fit raised no UserError, and are not those after it") from None
    return "fit learns nothing that scores depend on"


def shape(material: Material) -> str:
    scores = material.scores()
    if not isinstance(scores, np.ndarray):
        raise Broken(f"characteristics are {type(scores).__name__}, not an array")
    if scores.ndim != 2 or not scores.shape[1]:
        raise Broken(f"shape {scores.shape} is not (N, K){column_hint(scores)}")
    if len(scores) != len(material.test):
        raise Broken(f"{len(scores)} rows for {len(material.test)} images")
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        raise Broken(f"characteristics are not all finite: {bad} of {len(scores)} images have NaN or infinity")
    return f"shape {scores.shape}, values from {scores.min():.3g} to {scores.max():.3g}"


def deterministic(material: Material) -> str:
    return agree(material.scores(), material.scores(), 0, "two fresh instances differ")


def labels(material: Material) -> str:
    wrong = fresh(material.test)
    wrong.labels = (material.test.predicted + 1) % material.net.classes
    return agree(material.scores(), material.scores(wrong), 0, "the labels of scored images matter")


def untouched(material: Material) -> str:
    material.scores()
    material.before.refuse_changes()
    return f"{len(material.before.weights)} tensors unchanged"


def any_mode(material: Material) -> str:
    expected = material.scores()
    material.net.train()
    try:
        scores = material.scores()
        if not material.net.training:
            raise Broken("training mode was not restored")
    finally:
        material.before.restore()
    return agree(expected, scores, 0, "a classifier left in training mode scores differently")


def fit_again(material: Material) -> str:
    detector = material.factory()
    detector.fit(copied(material.train).subset(np.arange(len(material.train)) % 2 == 0))
    detector.fit(material.training())
    scores = detector.characteristics(fresh(material.test))
    return agree(material.scores(), scores, 0, "the data of an earlier fit matter")


def pickled(material: Material) -> str:
    detector = material.fitted()
    expected = detector.characteristics(fresh(material.test))
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, type(detector)).dump(detector)
        copy = _Unpickler(io.BytesIO(buffer.getvalue()), type(detector)).load()
    except Exception as error:
        raise Broken(f"a fitted detector cannot be handed to a worker process: {raised(error)}") from None
    difference = agree(expected, copy.characteristics(fresh(material.test)), 0, "the copy scores differently")
    return f"{difference}; {buffer.tell() / 1e6:.2f} MB"


class _Pickler(pickle.Pickler):
    """Of a class that no module has, such as a notebook's that was defined anew, the state is what is checked."""

    def __init__(self, file: io.BytesIO, cls: type) -> None:
        super().__init__(file)
        self._cls = None if _importable(cls) else cls

    def persistent_id(self, obj: Any) -> str | None:
        return "class" if obj is self._cls and obj is not None else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, cls: type) -> None:
        super().__init__(file)
        self._cls = cls

    def persistent_load(self, pid: str) -> type:
        return self._cls


def _importable(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return not of_session(cls) or getattr(module, cls.__qualname__, None) is cls


def batches(material: Material) -> str:
    scores = material.scores(fresh(material.test, batch_size=7))
    return agree(material.scores(), scores, material.tolerance, "the batch size matters")


def order(material: Material) -> str:
    index = np.random.default_rng(1).permutation(len(material.test))
    moved = material.scores(fresh(material.test, index))
    return agree(material.scores()[index], moved, material.tolerance, "the order of images matters")


def alone(material: Material) -> str:
    some = slice(0, max(1, len(material.test) // 3))
    scores = material.scores(fresh(material.test, some))
    return agree(material.scores()[some], scores, material.tolerance, "the other images matter")


def memory(material: Material) -> str:
    """Scores must not depend on images scored before, other ones or the same."""
    detector = material.fitted()
    some = slice(len(material.test) // 2, None)
    detector.characteristics(fresh(material.test, slice(0, len(material.test) // 2)))
    scores = detector.characteristics(fresh(material.test, some))
    agree(material.scores(fresh(material.test, some)), scores, material.tolerance, "images scored before matter")
    again = detector.characteristics(fresh(material.test, some))
    return agree(scores, again, material.tolerance, "the same images score differently the second time")


#: What every other claim rests on, from cause to effect.
ROOTS: Mapping[str, Claim] = {
    "it can be made without parameters": built,
    "fit returns the detector": fit_returns_self,
    "characteristics are finite and (N, K)": shape,
    "two fresh instances agree": deterministic,
}

#: By name, in reporting order; `views` comes before them, since it decides how the training view is handed out.
CLAIMS: Mapping[str, Claim] = {
    "info says where it comes from": info,
    "every candidate can be built": candidates,
    "scoring before fit raises a UserError": unfitted,
    "labels are not used when scoring": labels,
    "the classifier is left as it was": untouched,
    "evaluation mode is the detector's business": any_mode,
    "a second fit forgets the first": fit_again,
    "a pickled copy scores the same": pickled,
}

#: Claims that an image's score depends on nothing but the image.
INDEPENDENCE: Mapping[str, Claim] = {
    "the batch size does not matter": batches,
    "the order of images does not matter": order,
    "the other images do not matter": alone,
    "what was scored before does not matter": memory,
}
