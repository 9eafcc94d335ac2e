"""A set of images seen through a classifier: each forward pass runs once, for all detectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch

from ..subnets.gated import Gated
from ..subnets.gates import fingerprint
from .core.arrays import Bools, ClassGates, Floats, Ints
from .core.errors import UserError
from .core.near import did_you_mean
from .core.store import Store
from .models.classifier import PENULTIMATE as PENULTIMATE
from .models.classifier import Classifier, evaluating, has_head, pool

T = TypeVar("T")


class View:
    """Images as a classifier sees them. Logits and pooled features of all taps come from one stored pass.

    ``labels`` is None at scoring time. ``gates`` holds the run's class gates by name (``learned``). ``parents`` is the
    view of the clean images that these were made from, in the same order; only the protocol `lee2018` sets it.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: torch.Tensor,
        *,
        key: str,
        labels: Ints | None = None,
        gates: Mapping[str, ClassGates] | None = None,
        parents: View | None = None,
        store: Store | None = None,
        batch_size: int = 250,
    ) -> None:
        if images.dtype != torch.float32 or images.ndim != 4:
            raise UserError(
                f"Images must be float32 of shape (N, C, H, W); these are {images.dtype} {tuple(images.shape)}."
            )
        if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
            raise UserError(
                "Images must lie in [0, 1]; divide 8-bit pixels by 255, and leave normalisation to the model."
            )
        self.classifier, self.images, self.key, self.labels = classifier, images, key, labels
        self.gates, self.parents, self.batch_size = dict(gates or {}), parents, batch_size
        self._store = store
        self._memo: dict[Hashable, Any] = {}

    if not TYPE_CHECKING:  # a type checker reports such a name by itself

        def __getattr__(self, name):
            if name in dir(type(self)):  # a property whose own error is an AttributeError
                return object.__getattribute__(self, name)
            known = [key for key in (*dir(type(self)), *self.__dict__) if not key.startswith("_")]
            raise AttributeError(f"a View has no {name!r}.{did_you_mean(name, known)}".removesuffix("."))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        return next(self.classifier.parameters()).device

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of ``compute``, which runs once in this view's lifetime."""
        if key not in self._memo:
            self._memo[key] = compute()
        return cast(T, self._memo[key])

    @property
    def logits(self) -> Floats:
        """``(N, classes)`` float32."""
        return self._pass()["logits"]

    @property
    def predicted(self) -> Ints:
        """``(N,)`` class of the largest logit."""
        return np.asarray(self.logits.argmax(1), np.int64)

    def features(self, tap: str) -> Floats:
        """Spatially mean-pooled output of a tap, ``(N, channels)`` float32; ``penultimate``: the last layer's input."""
        arrays = self._pass()
        if tap not in arrays or tap == "logits":
            if tap == PENULTIMATE:
                _ = self.classifier.head  # says why there is none
            raise UserError(f"The net has no tap {tap!r}; it has {', '.join((*self.classifier.taps, PENULTIMATE))}.")
        return arrays[tap]

    def subnet_features(self, gates: ClassGates, classes: Ints) -> dict[str, Floats]:
        """Pooled features of every image through the subnets of ``classes`` ``(N, k)``: tap -> ``(N, k, channels)``.

        The stages before the first gate run once per image, whatever k is. Gates multiply sample by sample: the direct
        method, with which `subnets.compact` (class by class, cut to active channels) has to agree.
        """
        key = ("subnet", fingerprint(gates), classes.shape, classes.tobytes())
        return self.memo(key, lambda: _subnet_pass(self, gates, classes))

    def subset(self, index: Ints | Bools) -> View:
        """A view of some of the images; this view's pass is not computed again."""
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        digest = hashlib.sha256(index.tobytes()).hexdigest()[:16]
        part = View(
            self.classifier,
            self.images[torch.from_numpy(index)],
            key=f"{self.key}/{digest}",
            labels=None if self.labels is None else self.labels[index],
            gates=self.gates,
            parents=None if self.parents is None else self.parents.subset(index),
            batch_size=self.batch_size,
        )
        whole = self._pass()
        part._memo["pass"] = {name: array[index] for name, array in whole.items()}
        return part

    def unlabelled(self) -> View:
        """The same view without labels, as a detector gets it at scoring time."""
        return self if self.labels is None else self._twin(None, self.gates)

    def with_gates(self, gates: Mapping[str, ClassGates]) -> View:
        """The same view with other class gates; both share all memoised results."""
        return self._twin(self.labels, gates)

    def _twin(self, labels: Ints | None, gates: Mapping[str, ClassGates]) -> View:
        twin = View(
            self.classifier,
            self.images,
            key=self.key,
            labels=labels,
            gates=gates,
            parents=self.parents,
            store=self._store,
            batch_size=self.batch_size,
        )
        twin._memo = self._memo
        return twin

    def forget(self) -> None:
        """Drop all memoised results but the shared pass: sign gradients and subnet features are large."""
        for key in [key for key in self._memo if key != "pass"]:
            del self._memo[key]

    def batches(self) -> list[slice]:
        """Slices of at most ``batch_size`` images, for passes of one's own: ``x.images[batch].to(x.device)``."""
        return [slice(begin, begin + self.batch_size) for begin in range(0, max(1, len(self)), self.batch_size)]

    def _pass(self) -> dict[str, Floats]:
        def stored() -> dict[str, Floats]:
            if self._store is None:
                return _full_pass(self)
            inputs = {"view": self.key, "taps": list(self.classifier.taps)}
            return self._store.get("features", inputs, lambda: (_full_pass(self), {"images": len(self)}))[0]

        return self.memo("pass", stored)


def _full_pass(view: View) -> dict[str, Floats]:
    net = view.classifier
    names = (*((PENULTIMATE,) if has_head(net) else ()), *net.taps)
    collected: dict[str, list[torch.Tensor]] = {name: [] for name in ("logits", *names)}
    with torch.no_grad(), evaluating(net):
        for part in view.batches():
            x = view.images[part].to(view.device)
            logits, seen = net.observe(x, names)
            collected["logits"].append(logits.cpu())
            for name in names:
                collected[name].append(pool(seen[name]).cpu())
    return {name: torch.cat(parts).float().numpy() for name, parts in collected.items()}


def _subnet_pass(view: View, gates: ClassGates, classes: Ints) -> dict[str, Floats]:
    net, taps, k = view.classifier, view.classifier.taps, classes.shape[1]
    local = {path: gate.to(view.device) for path, gate in gates.items()}
    # Early, although a stage with its gate at the end could run once per image: in a batch of another size it rounds
    # differently, and a detector is to get the same numbers every time.
    gated = Gated(net, gates, taps, early=True)
    collected: dict[str, list[torch.Tensor]] = {tap: [] for tap in taps}
    # k copies of a hidden batch are alive at once: shrink the batch so that memory does not grow with k.
    step = max(1, view.batch_size // k)
    with torch.no_grad(), evaluating(net):
        for begin in range(0, max(1, len(view)), step):
            part = slice(begin, begin + step)
            x, chosen = view.images[part].to(view.device), torch.from_numpy(classes[part]).to(view.device)
            rows = {path: gate[chosen.flatten()] for path, gate in local.items()}
            hidden, before = gated.prefix(x)
            # Not repeat_interleave itself: it would leave another layout in memory, slow to convolve.
            _, after = gated.rest(hidden[torch.arange(len(x), device=x.device).repeat_interleave(k)], rows)
            for tap, output in before.items():
                collected[tap].append(pool(output).cpu().unsqueeze(1).expand(-1, k, -1))
            for tap, output in after.items():
                pooled = pool(output).cpu()
                collected[tap].append(pooled.view(*chosen.shape, pooled.shape[1]))
    return {tap: torch.cat(parts).float().numpy() for tap, parts in collected.items()}
