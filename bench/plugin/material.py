"""Material of a detector's checks: views that share nothing, fitted detectors, scores and their agreement."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.arrays import Floats, Ints
from ..core.hashing import hash_arrays
from ..harness.plugins import raised_by
from ..models.classifier import Classifier
from ..views import PENULTIMATE, View


class Broken(Exception):  # noqa: N818 (a result, not an error of ours)
    """A claim that does not hold."""


class Material:
    """A detector's factory with the views that it is checked on, and the classifier's state before the first check."""

    def __init__(self, factory: Any, train: View, test: View, tolerance: float) -> None:
        self.factory, self.train, self.test, self.tolerance = factory, train, test, tolerance
        self.net = train.classifier
        self.before = NetState(self.net)
        self.meddles = False

    def training(self) -> View:
        """The training view; a copy for a detector that changes it, so that one fault does not cause others."""
        return copied(self.train) if self.meddles else self.train

    def fitted(self) -> Any:
        detector = self.factory()
        detector.fit(self.training())  # whether fit returns the detector is a separate check
        return detector

    def scores(self, view: View | None = None) -> Floats:
        """A new detector's scores of a view, by default of all test images."""
        scores: Floats = self.fitted().characteristics(fresh(self.test) if view is None else view)
        return scores


class NetState:
    """A classifier's weights, gradients, modes and what takes gradients, as they are now."""

    def __init__(self, net: Classifier) -> None:
        self._net = net
        self.weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        self._gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
        self._modes = [module.training for module in net.modules()]
        self._wanted = [p.requires_grad for p in net.parameters()]

    def refuse_changes(self) -> None:
        """Raise `Broken` where the classifier has changed or has hooks."""
        weights = self._net.state_dict()
        if not all(torch.equal(tensor, weights[name]) for name, tensor in self.weights.items()):
            raise Broken("the classifier's weights changed")
        self.refuse_modes()
        if self._wanted != [p.requires_grad for p in self._net.parameters()]:
            raise Broken("requires_grad of the classifier's weights changed")
        for old, parameter in zip(self._gradients, self._net.parameters(), strict=True):
            new = parameter.grad
            if not (new is None if old is None else new is not None and old.equal(new)):
                raise Broken("gradients were left on the classifier")
        hooks = [m for m in self._net.modules() if m._forward_hooks or m._forward_pre_hooks]
        if hooks:
            raise Broken(f"hooks were left on {len(hooks)} modules")

    def refuse_modes(self) -> None:
        """Raise `Broken` where a module is in another mode."""
        if self._modes != [module.training for module in self._net.modules()]:
            raise Broken("training or evaluation mode changed")

    def restore(self) -> None:
        """Restore the classifier's modes, weights and gradients, and remove its hooks."""
        for module, mode in zip(self._net.modules(), self._modes, strict=True):
            module.training = mode
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
        self._net.load_state_dict(self.weights)
        for parameter, gradient, wanted in zip(self._net.parameters(), self._gradients, self._wanted, strict=True):
            parameter.grad = gradient
            parameter.requires_grad_(wanted)


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


def contents(view: View) -> dict[str, str]:
    """A hash of each array of a view."""
    arrays: dict[str, Any] = {"images": view.images.numpy(), "logits": view.logits}
    arrays |= {f"features({name!r})": view.features(name) for name in (*view.classifier.taps, PENULTIMATE)}
    if view.labels is not None:
        arrays["labels"] = view.labels
    return {name: hash_arrays(array) for name, array in arrays.items()}


def agree(one: Floats, other: Floats, tolerance: float, message: str) -> str:
    """By how much scores differ; raises `Broken` above ``tolerance`` of each column's scale."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        raise Broken(f"{message}: shapes {one.shape} and {other.shape}")
    scale = np.abs(one).max(0) if len(one) else 1.0
    with np.errstate(invalid="ignore"):  # infinity minus infinity: NaN agrees with nothing
        largest = float((np.abs(one - other) / np.maximum(scale, 1e-300)).max(initial=0))
    if not largest <= tolerance:
        raise Broken(f"{message}: by {largest:.2g} of the column's scale")
    return "no difference at all" if largest == 0 else f"largest difference {largest:.1e} of the column's scale"


def raised(error: BaseException) -> str:
    """Type, message and place of an error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{raised_by(error)}{where}"
