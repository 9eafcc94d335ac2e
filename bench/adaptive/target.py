"""A detector as its attackers see it: one fit of it, the score of any image, and the threshold, fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ...attacks.arms.best import margin_of
from ...attacks.arms.contract import Score
from ...attacks.verify import verify
from ..core.arrays import Bools, ClassGates, Floats, Ints
from ..core.store import Artifact
from ..detection.one_fit import OneFit
from ..detection.protocol import check_finite
from ..models.classifier import Classifier, evaluating
from ..views import View
from .honest import gradient_of, offered

#: Clean training images that attackers get to know; they are spread over the classes.
GUIDES = 1000


@dataclass(frozen=True)
class Ground:
    """What all detectors of a suite are attacked on, on the net's device: images, and what attackers know besides.

    ``index`` are the places of ``images`` among the test images; all of them are correctly classified.
    """

    net: Classifier
    gates: dict[str, ClassGates]
    index: Ints
    images: torch.Tensor
    labels: torch.Tensor
    guides: tuple[torch.Tensor, torch.Tensor]
    calibration: torch.Tensor
    calibration_labels: torch.Tensor

    @cached_property
    def margin_spread(self) -> float:
        """Standard deviation of the right logit minus the largest other one, over the calibration images."""
        with torch.no_grad(), evaluating(self.net):
            margins = [-margin_of(self.net(x), y) for x, y in _parts(self.calibration, self.calibration_labels)]
        return float(torch.cat(margins).std())

    def wrong(self, images: torch.Tensor, labels: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Which images the net classifies as something else, in float32; ``(N,)``."""
        return torch.from_numpy(verify(self.net, clean, images, labels)["success"].astype(bool))


def _parts(images: torch.Tensor, labels: torch.Tensor, size: int = 250) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(torch.split(images, size), torch.split(labels, size), strict=True))


@dataclass(frozen=True)
class Target:
    """A detector with its threshold ``tau`` and its scores of clean images; ``score`` is what arms get.

    ``reason`` says why there is no gradient, where there is none.
    """

    label: str
    fit: OneFit
    ground: Ground
    tau: float
    calibration: Floats
    clean: Floats
    score: Score
    reason: str

    @property
    def accepted(self) -> Bools:
        return np.asarray(self.clean <= self.tau)

    def exact(self, images: torch.Tensor) -> Floats:
        """Scores ``(N,)`` by the detector's own code."""
        return self.score.exact(images).numpy()


#: Gives what the function computes, or what it gave for the same detector on the same ground.
Keep = Callable[[Callable[[], Artifact]], Artifact]


def target(
    label: str,
    fit: OneFit,
    ground: Ground,
    rate: float,
    threshold: Callable[[Floats, float], float],
    keep: Keep = lambda measure: measure(),
) -> Target:
    """The detector with its threshold at a false-positive rate, and its gradient if it offers one that is honest."""

    def exact(images: torch.Tensor) -> torch.Tensor:
        view = View(ground.net, images.detach().cpu(), key="adaptive", gates=ground.gates)
        with torch.inference_mode(False):
            values = fit.detector.characteristics(view)
        return torch.from_numpy(np.ascontiguousarray(fit.scores(check_finite(values, label, "attacked images"))))

    def measure() -> Artifact:
        scores = {"calibration": exact(ground.calibration).numpy(), "clean": exact(ground.images).numpy()}
        few = slice(0, min(64, len(ground.images)))
        twin, reason = gradient_of(fit.detector, ground.net, ground.images[few], gates=ground.gates)
        return scores, {"honest": twin is not None, "reason": reason}

    scores, gradient = keep(measure)
    calibration, clean, reason = scores["calibration"], scores["clean"], str(gradient["reason"])
    twin = offered(fit.detector, ground.net)[0] if gradient["honest"] else None
    score = Score(
        exact=exact,
        smooth=None if twin is None else _combined(twin, fit),
        spread=float(np.std(calibration)),
        margin_spread=ground.margin_spread,
        guides=ground.guides,
    )
    return Target(label, fit, ground, threshold(calibration, rate), calibration, clean, score, reason)


def _combined(twin: Callable[[torch.Tensor], torch.Tensor], fit: OneFit) -> Callable[[torch.Tensor], torch.Tensor]:
    """The score of images, differentiable."""
    return lambda images: fit.combiner.tensor(twin(images))
