"""Detectors of images from outside the classes, by pytorch-ood 0.4: one class for all rows of `ood_table`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError, reason_of
from ..bench.core.optional import optional
from ..bench.core.registry import register_detector
from ..bench.models.classifier import PENULTIMATE, Classifier, evaluating
from ..bench.views import View
from .checks import fitted, labels_of
from .contract import DetectorInfo
from .ood_table import ROWS, Row

INSTALL = "`pip install 'subnetbench[ood]'` installs it"


def library() -> Any:
    """``pytorch_ood.detector``, or a UserError: it is missing, or of a version whose scores nobody has checked."""
    module = optional("pytorch_ood.detector", "pytorch-ood", INSTALL)
    there = version("pytorch-ood")
    if not there.startswith("0.4."):
        raise UserError(f"pytorch-ood {there} is installed, and the detectors ood-... need 0.4; {INSTALL}.")
    return module


class OodDetector:
    """One detector of pytorch-ood as one column, higher = more adversarial (there: farther outside the classes).

    It is fitted and asked with tensors on the CPU, in blocks of the view's batches. ``ood-ash``, ``ood-react`` and
    ``ood-scale`` shape the penultimate features, behind the pooling, so that they need no pass of their own.
    """

    row: ClassVar[Row]
    info: ClassVar[DetectorInfo]
    candidates: ClassVar[Sequence[Mapping[str, Any]]]

    def __init__(self, **parameters: Any) -> None:
        unknown = sorted(set(parameters) - set(self.row.defaults))
        if unknown:
            raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")
        self.parameters = {**self.row.defaults, **parameters}
        self._fitted: Any = None

    @property
    def name(self) -> str:
        return f"ood-{self.row.name}"

    @staticmethod
    def depends_on(**parameters: Any) -> Mapping[str, Any]:
        """The version of the library, whose code makes the scores."""
        try:
            return {"pytorch-ood": version("pytorch-ood")}
        except PackageNotFoundError:
            return {}

    def fit(self, train: View) -> Self:
        labels = torch.from_numpy(labels_of(self.name, train).astype(np.int64))
        kind = getattr(library(), self.row.kind)
        try:
            self._fitted = self._fit(kind, train, labels)
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            raise UserError(f"{self.name} cannot be fitted by pytorch-ood: {reason_of(error)}.") from error
        self.notes = f"pytorch-ood {version('pytorch-ood')}"
        return self

    def _fit(self, kind: Any, train: View, labels: torch.Tensor) -> Any:
        if self.row.reads == "images":
            return True  # nothing is learned, and the net is the view's
        if self.row.reads == "taps":
            return fit_gram(kind, train, labels, int(self.parameters["seed"]))
        made = kind(**self._arguments(train))
        if self.row.reads == "logits" and made.requires_fit:
            made.fit_logits(self._tensor(train.logits), labels)
        elif self.row.reads == "features" and made.requires_fit:
            made.fit_features(self._tensor(train.features(PENULTIMATE)), labels)
        elif self.row.reads == "maps" and made.requires_fit:
            made.fit_feature_maps(self._tensor(train.features(PENULTIMATE)), labels)
        return made

    def _arguments(self, train: View) -> dict[str, Any]:
        """The constructor's: our parameters, and the net's last linear layer as a copy, without a gradient."""
        arguments = dict(self.parameters)
        if self.row.reads == "logits":
            return {"model": None, **arguments}
        if self.row.linear == "":
            return {"encoder": None, **arguments}
        head = copy.deepcopy(train.classifier.head).cpu().requires_grad_(False)
        if self.row.kind == "GradNorm":
            return {"model": head, "param_filter": is_weight, **arguments}
        if self.row.kind == "ViM":
            arguments["d"] = dimension(self.name, int(arguments["d"]), head.in_features)
        first = "backbone" if self.row.reads == "maps" else "encoder"
        if self.row.linear == "head":
            return {first: None, "head": head, **arguments}
        bias = torch.zeros(head.out_features) if head.bias is None else head.bias
        return {first: None, "w": head.weight, "b": bias, **arguments}

    def _tensor(self, features: Floats) -> torch.Tensor:
        return torch.from_numpy(np.array(features, np.float64 if self.row.double else np.float32))

    def characteristics(self, x: View) -> Floats:
        made = fitted(self.name, self._fitted)
        score = self._scorer(made, x)
        with torch.inference_mode(False), evaluating(x.classifier):
            parts = [score(part).detach().cpu().double() for part in x.batches()]
        return np.asarray(torch.cat(parts).numpy(), np.float64)[:, None]

    def _scorer(self, made: Any, x: View) -> Callable[[slice], torch.Tensor]:
        """Scores ``(n,)`` of a part of the view."""
        if self.row.reads == "images":
            odin = getattr(library(), self.row.kind)(model=x.classifier, **self.parameters)
            return lambda part: odin_scores(odin, x, part)
        if self.row.reads == "taps":
            return lambda part: gram_scores(made, x, part)
        if self.row.reads == "logits":
            return lambda part: made.predict_logits(self._tensor(x.logits[part]))
        features = x.features(PENULTIMATE)
        if self.row.reads == "maps":
            # ASH and SCALE take maps of channels: here 1 x 1, flattened again before the last layer.
            made_head = made.head
            maps = self.row.kind != "ReAct"

            def shaped(part: slice) -> torch.Tensor:
                tensor = self._tensor(features[part])
                if not maps:
                    return torch.as_tensor(made.predict_feature_maps(tensor))
                view = copy.copy(made)
                view.head = lambda z: made_head(z.flatten(1))
                return torch.as_tensor(view.predict_feature_maps(tensor[:, :, None, None]))

            return shaped
        if self.row.kind == "GradNorm":
            return lambda part: made._predict_batched(self._tensor(features[part]))
        return lambda part: made.predict_features(self._tensor(features[part]))


def is_weight(name: str) -> bool:
    return name == "weight"


def dimension(name: str, d: int, width: int) -> int:
    """ViM's d; 0 is half the width. The library lowers a d that is too large without a word: here it is refused."""
    if not 0 <= d < width:
        raise UserError(
            f"{name}: d is {d}, and the penultimate layer has {width} features; give a d below, or 0: half."
        )
    return d or max(1, width // 2)


class Walk:
    """The outputs of all taps as Gram wants them: layers that follow each other, from one pass of the net."""

    def __init__(self, net: Classifier) -> None:
        self.net, self.logits, self.seen = net, torch.empty(0), dict[str, torch.Tensor]()

    def layers(self) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        def layer(tap: str) -> Callable[[torch.Tensor], torch.Tensor]:
            def at(x: torch.Tensor) -> torch.Tensor:
                if tap == self.net.taps[0]:
                    self.logits, self.seen = self.net.observe(x, self.net.taps)
                return self.seen[tap].cpu()

            return at

        return [layer(tap) for tap in self.net.taps]

    def head(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits.cpu()


def fit_gram(kind: Any, train: View, labels: torch.Tensor, seed: int) -> Any:
    """Gram, fitted batch by batch; it draws a tenth of each class by torch's own generator, which is left as it was."""
    walk = Walk(train.classifier)
    made = kind(walk.head, walk.layers(), train.classifier.classes)
    made._device = train.device
    with torch.random.fork_rng(devices=[]), evaluating(train.classifier), torch.inference_mode(False):
        torch.manual_seed(seed)
        made.fit([(train.images[part], labels[part]) for part in train.batches()])
    made.head, made.feature_layers, made._device = None, [], torch.device("cpu")
    return made


def gram_scores(made: Any, x: View, part: slice) -> torch.Tensor:
    images = x.images[part].to(x.device)
    with torch.no_grad():
        logits, seen = x.classifier.observe(images, x.classifier.taps)
    return torch.as_tensor(made.predict_structured(logits.cpu(), [seen[tap].cpu() for tap in x.classifier.taps]))


def odin_scores(odin: Any, x: View, part: slice) -> torch.Tensor:
    images = x.images[part].to(x.device)
    if not len(images):
        return torch.empty(0)
    return torch.as_tensor(odin.predict(images))


def detector_of(row: Row) -> type[OodDetector]:
    """The registered class of a row; its signature shows the row's own parameters."""
    body = {
        "__module__": __name__,
        "__doc__": f"{row.formula} (pytorch-ood's {row.kind}). One column.",
        "row": row,
        "info": DetectorInfo(
            title=row.title,
            formula=row.formula,
            year=row.year,
            needs=("clean", "gradient") if row.reads == "images" else ("clean",),
            venue=row.venue,
            url=row.url,
            group="OOD baseline",
        ),
        "candidates": row.candidates,
        "__signature__": inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=type(value))
                for name, value in row.defaults.items()
            ]
        ),
    }
    return type(f"Ood{row.kind}", (OodDetector,), body)


for _row in ROWS:
    _class = detector_of(_row)
    globals()[_class.__name__] = _class  # a pickled copy finds its class by this name
    register_detector(f"ood-{_row.name}")(_class)
