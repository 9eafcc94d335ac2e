"""What any detector must keep to, as one function that a plug-in's own tests can call too."""

from __future__ import annotations

import io
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ...detectors.contract import DetectorInfo
from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..core.hashing import hash_arrays
from ..views import PENULTIMATE, View

#: ``measured`` is information and ``warning`` a hint: neither is a fault.
Outcome = Literal["passes", "fails", "warning", "measured"]


@dataclass(frozen=True)
class Check:
    """One claim, whether it holds, and what was measured or what is wrong."""

    name: str
    outcome: Outcome
    message: str

    @property
    def passed(self) -> bool:
        return self.outcome != "fails"


class _Broken(Exception):  # noqa: N818 (not an error of ours: a finding)
    """A claim that does not hold."""


def fresh(view: View, index: Ints | slice = slice(None), batch_size: int | None = None) -> View:
    """The same images (or some of them) with nothing computed yet and no labels."""
    where = index if isinstance(index, slice) else torch.from_numpy(index)
    return View(
        view.classifier,
        view.images[where].clone(),
        key="fresh",
        gates=view.gates,
        parents=None if view.parents is None else fresh(view.parents, index, batch_size),
        batch_size=batch_size or view.batch_size,
    )


def raised(error: BaseException) -> str:
    """Type, message and place of an error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def check_detector(
    factory: Callable[..., Any], train: View, test: View, *, coupled: bool = False, tolerance: float = 1e-4
) -> list[Check]:
    """Every claim of the contract with what was found; nothing is raised.

    ``factory`` makes a detector and carries ``info`` and ``candidates``; ``train`` has labels (and gates where the
    detector needs subnets); ``coupled`` leaves out the checks that an image's score is its own business. Scores agree
    where they differ by at most ``tolerance`` of their column's largest: a batch of another size rounds otherwise.
    """
    return _Suite(factory, train, test, tolerance).checks(coupled)


class _Suite:
    def __init__(self, factory: Any, train: View, test: View, tolerance: float) -> None:
        self.factory, self.train, self.test, self.tolerance = factory, train, test, tolerance
        self.net = train.classifier
        self.before = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        self.gradients = [None if p.grad is None else p.grad.clone() for p in self.net.parameters()]
        self.modes = [module.training for module in self.net.modules()]
        self.meddles = False

    def checks(self, coupled: bool) -> list[Check]:
        found = [self._check("the views are left as they were", self.views)]
        self.meddles = not found[0].passed
        found += [
            self._check("info says where it comes from", self.info),
            self._check("every candidate can be built", self.candidates),
            self._check("fit returns the detector", self.fit_returns_self),
            self._check("scoring before fit raises a UserError", self.unfitted),
            self._check("characteristics are finite and (N, K)", self.shape),
            self._check("two fresh instances agree", self.deterministic),
            self._check("labels are not used when scoring", self.labels),
            self._check("the classifier is left as it was", self.untouched),
            self._check("evaluation mode is the detector's business", self.any_mode),
            self._check("a second fit forgets the first", self.fit_again),
            self._check("a pickled copy scores the same", self.pickled),
        ]
        if not coupled:
            found += [
                self._check("the batch size does not matter", self.batches),
                self._check("the order of images does not matter", self.order),
                self._check("the other images do not matter", self.alone),
                self._check("what was scored before does not matter", self.memory),
            ]
        return found

    def _check(self, name: str, claim: Callable[[], str]) -> Check:
        try:
            return Check(name, "passes", claim())
        except _Broken as broken:
            return Check(name, "fails", str(broken))
        except Exception as error:  # a detector under test may fail in any way; all of them are findings
            return Check(name, "fails", raised(error))

    # -- material -----------------------------------------------------------------------------------------------------

    def training(self) -> View:
        """The training view; a copy for a detector that meddles with it, so that one fault is not many."""
        return copied(self.train) if self.meddles else self.train

    def fitted(self) -> Any:
        detector = self.factory()
        detector.fit(self.training())  # that fit returns the detector is a check of its own
        return detector

    def scores(self, view: View) -> Floats:
        found: Floats = self.fitted().characteristics(view)
        return found

    def agree(self, one: Floats, other: Floats, tolerance: float, message: str) -> str:
        """Scores within ``tolerance`` of each column's scale, and by how much they differ."""
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if one.shape != other.shape:
            raise _Broken(f"{message}: shapes {one.shape} and {other.shape}")
        scale = np.abs(one).max(0) if len(one) else 1.0
        with np.errstate(invalid="ignore"):  # infinity less infinity: NaN agrees with nothing
            largest = float((np.abs(one - other) / np.maximum(scale, 1e-300)).max(initial=0))
        if not largest <= tolerance:
            raise _Broken(f"{message}: by {largest:.2g} of the column's scale")
        return "no difference at all" if largest == 0 else f"largest difference {largest:.1e} of the column's scale"

    # -- claims -------------------------------------------------------------------------------------------------------

    def views(self) -> str:
        train, test = copied(self.train), fresh(self.test)
        before = [_contents(train), _contents(test)]
        detector = self.factory()
        detector.fit(train)
        detector.characteristics(test)
        for name, view, old in zip(("the training view", "the scored view"), (train, test), before, strict=True):
            new = _contents(view)
            for part, digest in old.items():
                if new[part] != digest:
                    raise _Broken(f"{part} of {name} changed; work on a copy, all detectors share these arrays")
        return f"{sum(map(len, before))} arrays unchanged"

    def info(self) -> str:
        info = getattr(self.factory, "info", None)
        if not isinstance(info, DetectorInfo):
            raise _Broken("info is no DetectorInfo")
        for field in ("title", "formula", "year"):
            if not getattr(info, field):
                raise _Broken(f"info.{field} is empty")
        return f"{info.title} ({info.year})"

    def candidates(self) -> str:
        for candidate in self.factory.candidates:
            self.factory(**candidate)
        return f"{len(self.factory.candidates)} candidates"

    def fit_returns_self(self) -> str:
        detector = self.factory()
        if detector.fit(self.training()) is not detector:
            raise _Broken("fit did not return the detector")
        return ""

    def unfitted(self) -> str:
        try:
            self.factory().characteristics(fresh(self.test))
        except UserError:
            return ""
        raise _Broken("characteristics before fit raised no UserError")

    def shape(self) -> str:
        found = self.scores(fresh(self.test))
        if not isinstance(found, np.ndarray):
            raise _Broken(f"characteristics are {type(found).__name__}, not an array")
        if found.ndim != 2 or not found.shape[1]:
            raise _Broken(f"shape {found.shape} is not (N, K)")
        if len(found) != len(self.test):
            raise _Broken(f"{len(found)} rows for {len(self.test)} images")
        bad = int((~np.isfinite(found)).any(axis=1).sum())
        if bad:
            raise _Broken(f"characteristics are not all finite: {bad} of {len(found)} images have NaN or infinity")
        return f"shape {found.shape}, values from {found.min():.3g} to {found.max():.3g}"

    def deterministic(self) -> str:
        return self.agree(self.scores(fresh(self.test)), self.scores(fresh(self.test)), 0, "two fresh instances differ")

    def labels(self) -> str:
        wrong = fresh(self.test)
        wrong.labels = (self.test.predicted + 1) % self.net.classes
        return self.agree(self.scores(fresh(self.test)), self.scores(wrong), 0, "the labels of scored images matter")

    def untouched(self) -> str:
        self.scores(fresh(self.test))
        after = self.net.state_dict()
        if not all(torch.equal(self.before[name], after[name]) for name in self.before):
            raise _Broken("the classifier's weights changed")
        if self.modes != [module.training for module in self.net.modules()]:
            raise _Broken("training or evaluation mode changed")
        for old, parameter in zip(self.gradients, self.net.parameters(), strict=True):
            new = parameter.grad
            if not (new is None if old is None else new is not None and old.equal(new)):
                raise _Broken("gradients were left on the classifier")
        hooks = [m for m in self.net.modules() if m._forward_hooks or m._forward_pre_hooks]
        if hooks:
            raise _Broken(f"hooks were left on {len(hooks)} modules")
        return f"{len(self.before)} tensors unchanged"

    def any_mode(self) -> str:
        expected = self.scores(fresh(self.test))
        self.net.train()
        try:
            found = self.scores(fresh(self.test))
            if not self.net.training:
                raise _Broken("training mode was not given back")
        finally:
            for module, mode in zip(self.net.modules(), self.modes, strict=True):
                module.training = mode
            self.net.load_state_dict(self.before)
        return self.agree(expected, found, 0, "a classifier left in training mode scores otherwise")

    def fit_again(self) -> str:
        detector = self.factory()
        detector.fit(copied(self.train).subset(np.arange(len(self.train)) % 2 == 0))
        detector.fit(self.training())
        found = detector.characteristics(fresh(self.test))
        return self.agree(self.scores(fresh(self.test)), found, 0, "what an earlier fit saw matters")

    def pickled(self) -> str:
        detector = self.fitted()
        expected = detector.characteristics(fresh(self.test))
        buffer = io.BytesIO()
        try:
            pickle.dump(detector, buffer)
            copy = pickle.loads(buffer.getvalue())
        except Exception as error:
            raise _Broken(f"a fitted detector cannot be handed to a worker process: {raised(error)}") from None
        said = self.agree(expected, copy.characteristics(fresh(self.test)), 0, "the copy scores otherwise")
        return f"{said}; {buffer.tell() / 1e6:.2f} MB"

    def batches(self) -> str:
        found = self.scores(fresh(self.test, batch_size=7))
        return self.agree(self.scores(fresh(self.test)), found, self.tolerance, "the batch size matters")

    def order(self) -> str:
        index = np.random.default_rng(1).permutation(len(self.test))
        moved = self.scores(fresh(self.test, index))
        return self.agree(self.scores(fresh(self.test))[index], moved, self.tolerance, "the order of images matters")

    def alone(self) -> str:
        some = slice(0, max(1, len(self.test) // 3))
        found = self.scores(fresh(self.test, some))
        return self.agree(self.scores(fresh(self.test))[some], found, self.tolerance, "the other images matter")

    def memory(self) -> str:
        """No image that it scored may have a say in what it gives another, or the same image later."""
        detector = self.fitted()
        some = slice(len(self.test) // 2, None)
        detector.characteristics(fresh(self.test, slice(0, len(self.test) // 2)))
        found = detector.characteristics(fresh(self.test, some))
        self.agree(self.scores(fresh(self.test, some)), found, self.tolerance, "images scored before matter")
        again = detector.characteristics(fresh(self.test, some))
        return self.agree(found, again, self.tolerance, "the same images score otherwise the second time")


def copied(view: View) -> View:
    """A view of its own arrays, labels and gates included, that shares nothing with ``view``."""
    copy = View(
        view.classifier,
        view.images.clone(),
        key="copy",
        gates=view.gates,
        batch_size=view.batch_size,
        labels=None if view.labels is None else view.labels.copy(),
    )
    arrays = {name: view.features(name).copy() for name in (*view.classifier.taps, PENULTIMATE)}
    copy.memo("pass", lambda: {"logits": view.logits.copy(), **arrays})
    return copy


def _contents(view: View) -> dict[str, str]:
    """A hash of each array that a view hands out."""
    arrays: dict[str, Any] = {"images": view.images.numpy(), "logits": view.logits}
    arrays |= {f"features({name!r})": view.features(name) for name in (*view.classifier.taps, PENULTIMATE)}
    if view.labels is not None:
        arrays["labels"] = view.labels
    return {name: hash_arrays(array) for name, array in arrays.items()}
