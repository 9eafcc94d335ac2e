"""Whether the gradient that a detector offers is one: the same numbers, a true derivative, and not zero.

A gradient that is wrong or blind makes every attack weak and its detector look strong (Athalye, Carlini and Wagner
2018), so it is checked before an attack follows it; where it does not hold, the detector is attacked through a
surrogate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...attacks.base import attacking
from ...detectors.gradient import Differentiable
from ..core.arrays import ClassGates, Floats
from ..core.errors import reason_of
from ..models.classifier import Classifier
from ..views import View

#: Largest difference of a number from that of ``characteristics``, relative to it or, if that is larger, to its
#: column's median size.
NUMBERS = 1e-4
#: Largest relative error of an image's derivatives along the directions, and the share of images that must keep to it:
#: at a kink (a ReLU, a minimum over classes) no difference is a derivative.
ERROR, AGREEING = 1e-2, 0.95
DIRECTIONS = 8
#: Lengths of the steps in L2. Kinks and curvature spoil long ones and rounding short ones: where too few images agree,
#: the better one counts for each image. A wrong gradient agrees with neither.
STEPS = (1e-6, 1e-4)
#: Share of images on which the gradient must be finite and not zero.
USEFUL = 0.99
#: Number of columns from which on random sums of columns are checked in their place.
COLUMNS = 8
#: Images are drawn inside [0, 1] by this much before differences are taken, and moved by up to as much.
INSIDE = 0.001

SURROGATE = "it will be attacked through a surrogate"


class Dishonest(Exception):  # noqa: N818 (a result, not an error of ours)
    """A check that does not hold: what is wrong, without a full stop."""


def gradient_of(
    detector: Any, classifier: Classifier, images: torch.Tensor, *, gates: Mapping[str, ClassGates] | None = None
) -> tuple[Differentiable | None, str]:
    """The differentiable characteristics of a fitted detector, or None; and what was measured, or why it is None.

    It is None where the detector offers none, and where a check does not hold on ``images`` ``(N, C, H, W)`` in [0, 1]
    (64, say). ``gates`` are the run's, for a detector that reads them when scoring. The random directions are the same
    in every call. Cost: 16 forward passes in float64 (or 32), and a backward pass for each of at most 8 columns, twice.

    Not images that the detector was fitted on: where one is its own neighbour, a distance is 0 and has no gradient.
    """
    try:
        smooth, reason = offered(detector, classifier)
        if smooth is None:
            return None, reason
        images = images.to(next(classifier.parameters()).device)
        trial = Trial(detector, smooth, classifier, images, dict(gates or {}))
        return smooth, "; ".join(check(trial) for check in CHECKS.values())
    except Dishonest as fault:
        return None, str(fault)


def offered(detector: Any, classifier: Classifier) -> tuple[Differentiable | None, str]:
    """What ``differentiable`` gives, not yet checked; or None and the reason. `Dishonest` where it raises."""
    if not callable(getattr(detector, "differentiable", None)):
        return None, f"it offers no gradient (no method differentiable): {SURROGATE}"
    with naming("differentiable"):
        smooth: Differentiable | None = detector.differentiable(classifier)
    if smooth is None:
        return None, f"it offers no gradient with these parameters (differentiable returns None): {SURROGATE}"
    if not callable(smooth):
        raise Dishonest(f"differentiable returns {type(smooth).__name__}, neither a function of images nor None")
    return smooth, ""


@dataclass(frozen=True)
class Trial:
    """A detector with the function that it offers, and the images that both are tried on."""

    detector: Any
    smooth: Differentiable
    classifier: Classifier
    images: torch.Tensor
    gates: dict[str, ClassGates]

    @cached_property
    def expected(self) -> Floats:
        """The detector's own ``(N, K)`` numbers."""
        view = View(self.classifier, self.images, key="honest", gates=self.gates)
        with naming("characteristics"):
            expected: Floats = np.asarray(self.detector.characteristics(view), np.float64)
        if expected.ndim != 2:
            raise Dishonest(f"characteristics give the shape {expected.shape}, not (N, K)")
        return expected

    @cached_property
    def sums(self) -> torch.Tensor:
        """Weights ``(K, P)`` of what is checked: every column that differs between images, or `COLUMNS` random sums."""
        deviation = self.expected.std(0)
        constant = deviation <= 1e-12 * np.abs(self.expected).max(0)  # as the combiner has it
        varies = np.arange(len(deviation)) if constant.all() else np.flatnonzero(~constant)
        scale = torch.from_numpy(1 / np.where(constant, 1.0, deviation))
        chosen = torch.eye(len(deviation), dtype=torch.float64)[:, torch.from_numpy(varies)]
        if len(varies) > COLUMNS:
            generator = torch.Generator().manual_seed(0)
            chosen = chosen @ torch.randn(len(varies), COLUMNS, generator=generator, dtype=torch.float64)
        return (scale[:, None] * chosen).to(self.images.device)

    def name(self, index: int) -> str:
        """Of one of the `sums`."""
        rows = torch.nonzero(self.sums[:, index]).flatten().tolist()
        return f"column {rows[0]}" if len(rows) == 1 else "a random sum of the columns"

    def values(self, smooth: Differentiable, images: torch.Tensor) -> torch.Tensor:
        """``(N, K)`` in float64, or `Dishonest` where it is something else."""
        with naming(f"the function of differentiable, on {str(images.dtype).removeprefix('torch.')},"):
            values = smooth(images)
        if not isinstance(values, torch.Tensor):
            raise Dishonest(f"differentiable gives {type(values).__name__}, not a tensor")
        if values.shape != self.expected.shape:
            shapes = f"{tuple(values.shape)}, not {self.expected.shape} as characteristics"
            raise Dishonest(f"differentiable changes the shape: it gives {shapes}")
        return values.double()

    def gradients(self, smooth: Differentiable, images: torch.Tensor) -> list[torch.Tensor]:
        """Of each of the `sums` with respect to the images; zero where the graph does not reach them."""
        x = images.detach().clone().requires_grad_()
        values = self.values(smooth, x) @ self.sums
        if not values.requires_grad:
            return [torch.zeros_like(x)] * values.shape[1]
        with naming("the gradient"):
            gradients = [
                torch.autograd.grad(total, x, retain_graph=True, allow_unused=True)[0] for total in values.sum(0)
            ]
        return [torch.zeros_like(x) if gradient is None else gradient for gradient in gradients]


@contextmanager
def naming(what: str) -> Iterator[None]:
    """An error of the detector, told as `Dishonest`."""
    try:
        yield
    except Dishonest:
        raise
    except Exception as error:  # a detector under test may fail in any way; each is a result
        raise Dishonest(f"{what} raises {reason_of(error, typed=True)}") from error


def same_numbers(trial: Trial) -> str:
    """The numbers are those of ``characteristics``."""
    with attacking(trial.classifier), torch.no_grad():
        values = trial.values(trial.smooth, trial.images).cpu().numpy()
    size = np.abs(trial.expected)
    with np.errstate(invalid="ignore"):
        differences = np.abs(values - trial.expected) / np.maximum(np.maximum(size, np.median(size, axis=0)), 1e-300)
    wrong = ~(differences <= NUMBERS)
    if wrong.any():
        image, column = np.argwhere(wrong)[0]
        pair = f"{values[image, column]:.6g} for {trial.expected[image, column]:.6g}"
        raise Dishonest(
            f"differentiable disagrees with characteristics on {wrong.any(1).sum()} of {len(wrong)} images, "
            f"by more than {NUMBERS:g}, as with {pair} in column {column}"
        )
    return f"numbers agree to {differences.max(initial=0):.1e}"


def true_derivative(trial: Trial) -> str:
    """The gradient agrees with central differences in float64, along `DIRECTIONS` random directions of length 1."""
    with naming("copying the net to float64"):
        net = copy.deepcopy(trial.classifier).double()
    smooth, _ = offered(trial.detector, net)
    if smooth is None:
        raise Dishonest("differentiable gives a function for the net, but None for its copy in float64")
    images = shaken(trial.images)
    directions = random_directions(images)
    with attacking(net):
        gradients = trial.gradients(smooth, images)
        slopes = torch.stack([torch.stack([(g * d).flatten(1).sum(1) for g in gradients], 1) for d in directions])
        errors = torch.full_like(slopes[0], torch.inf)
        for step in STEPS:
            with torch.no_grad():
                ends = [[trial.values(smooth, images + s * step * d) for s in (1, -1)] for d in directions]
            differences = torch.stack([(high - low) @ trial.sums / (2 * step) for high, low in ends])
            errors = torch.minimum(errors, relative_error(slopes, differences))
            agreeing = (errors <= ERROR).double().mean(0)
            if agreeing.min() >= AGREEING:
                return f"it agrees with finite differences on {agreeing.min():.0%} of the images"
    worst = int(agreeing.argmin())
    raise Dishonest(
        f"its gradient disagrees with finite differences on {1 - agreeing[worst]:.0%} of the images "
        f"({trial.name(worst)}; {1 - AGREEING:.0%} may, at kinks), with a median relative error of "
        f"{errors[:, worst].median():.2g}"
    )


def shaken(images: torch.Tensor) -> torch.Tensor:
    """The images in float64, drawn inside [0, 1] and moved a little at random.

    Where pixels are equal, as in a white sky, a layer's outputs are too, and the largest of them is several at once: a
    kink right there, that no step avoids.
    """
    generator = torch.Generator().manual_seed(2)
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64).to(images.device)
    return images.double() * (1 - 3 * INSIDE) + INSIDE * (1 + noise)


def random_directions(images: torch.Tensor) -> list[torch.Tensor]:
    """`DIRECTIONS` of length 1 for each of ``images``, the same in every call."""
    generator = torch.Generator().manual_seed(1)
    directions = []
    for _ in range(DIRECTIONS):
        drawn = torch.randn(images.shape, generator=generator, dtype=torch.float64).to(images.device)
        directions.append(drawn / drawn.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
    return directions


def relative_error(slopes: torch.Tensor, differences: torch.Tensor) -> torch.Tensor:
    """Of derivatives ``(directions, N, P)``, over all directions together: ``(N, P)``; 0 where both are 0."""
    larger = torch.maximum(slopes.norm(dim=0), differences.norm(dim=0))
    error: torch.Tensor = (slopes - differences).norm(dim=0) / larger.clamp(min=1e-300)
    return error.nan_to_num(nan=torch.inf)


def useful(trial: Trial) -> str:
    """The gradient is finite and not zero, in the net's own precision."""
    with attacking(trial.classifier):
        gradients = trial.gradients(trial.smooth, trial.images)
    least = 1.0
    for index, gradient in enumerate(gradients):
        flat = gradient.flatten(1)
        finite, alive = torch.isfinite(flat).all(1), (flat != 0).any(1)
        for bad, what in ((~finite, "NaN or infinite"), (finite & ~alive, "zero")):
            if 1 - bad.double().mean() < USEFUL:
                count = f"{int(bad.sum())} of {len(bad)} images ({trial.name(index)})"
                raise Dishonest(f"its gradient is {what} on {count}, so that an attack could not follow it")
        least = min(least, float((finite & alive).double().mean()))
    return f"the gradient is finite and not zero on {least:.0%} of the images"


#: In the order in which they are made.
CHECKS: Mapping[str, Callable[[Trial], str]] = {
    "its differentiable numbers are its characteristics": same_numbers,
    "its gradient is finite and not zero": useful,
    "its gradient is a derivative": true_derivative,
}
