"""Code that the adapters share: the four problems with their parameters, and a safe context to run an attack in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Literal

import torch

from ..bench.core.errors import UserError
from ..bench.core.seeding import seeded
from ..bench.models.classifier import Classifier, evaluating
from .contract import AttackInfo, Norm

#: Cost of a gradient in forward passes: a forward pass, and a backward pass that counts as two.
FORWARD_AND_BACKWARD = 3

#: Number of steps after which most images are over the boundary, however many DeepFool may take.
_USUAL_STEPS = 4


@contextmanager
def attacking(classifier: Classifier) -> Iterator[None]:
    """Evaluation mode with gradients for images but not for weights (half the work); restores the state on exit."""
    wanted = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        with evaluating(classifier), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """An attack, whose parameters are its fields; a subclass for each library defines how `_run` solves it."""

    title: ClassVar[str]
    year: ClassVar[int]
    url: ClassVar[str]
    threat: ClassVar[Literal["minimum-norm", "budget"]]
    norm: ClassVar[Norm]
    library: ClassVar[str]
    distribution: ClassVar[str]
    batch_coupled: ClassVar[bool] = False
    batch_size: ClassVar[int | None] = None
    #: Whether the library draws from global generators; they are then seeded from the call's, and left as they were.
    draws: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def info(self) -> AttackInfo:
        try:
            installed = version(self.distribution)
        except PackageNotFoundError:  # a checkout that was never installed
            installed = "unknown"
        return AttackInfo(
            self.title,
            self.year,
            self.threat,
            self.norm,
            self.library,
            installed,
            self.url,
            self._reach,
            self.batch_coupled,
            self.batch_size,
        )

    @property
    def _reach(self) -> float | None:
        """Largest change of a pixel, if the attack has a budget."""
        return None

    def passes(self, classes: int) -> float:
        """Approximate forward passes per image on a net of ``classes`` classes: one gradient per step."""
        return float(getattr(self, "steps", 1)) * FORWARD_AND_BACKWARD

    def __call__(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, *, generator: torch.Generator
    ) -> torch.Tensor:
        if len(images) == 0:
            return images.clone()
        with attacking(classifier), self._seeded(generator, images.device):
            # Autograd cannot use tensors made under inference mode; it can use a clone made here.
            adversarial = self._run(classifier, images.detach().clone(), labels.clone())
        return adversarial.detach().to(images.device, torch.float32).clamp(0, 1)

    def _seeded(self, generator: torch.Generator, device: torch.device) -> AbstractContextManager[None]:
        if not self.draws:  # a library may advance torch's global generator all the same, which is the caller's
            return torch.random.fork_rng(devices=[])
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
        return seeded(seed, device)

    @abstractmethod
    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Adversarial images, one for each image, on any device."""


@dataclass(frozen=True, kw_only=True)
class FGSMProblem(Problem):
    """x + epsilon sign(dL/dx), one step; L is the cross-entropy with the true label."""

    title = "Explaining and Harnessing Adversarial Examples"
    year = 2015
    url = "https://arxiv.org/abs/1412.6572"
    threat = "budget"
    norm = "Linf"

    epsilon: float = 8 / 255

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=1)

    @property
    def _reach(self) -> float:
        return self.epsilon


@dataclass(frozen=True, kw_only=True)
class BIMProblem(Problem):
    """Steps of FGSM, each projected onto the L-infinity ball of radius ``epsilon``; no random start."""

    title = "Adversarial Examples in the Physical World"
    year = 2017
    url = "https://arxiv.org/abs/1607.02533"
    threat = "budget"
    norm = "Linf"

    epsilon: float = 8 / 255
    step_size: float = 2 / 255
    steps: int = 10

    def __post_init__(self) -> None:
        number(self, "epsilon", above=0, most=1)
        number(self, "step_size", above=0, most=1)
        whole(self, "steps", least=1)

    @property
    def _reach(self) -> float:
        return self.epsilon


@dataclass(frozen=True, kw_only=True)
class DeepFoolProblem(Problem):
    """Steps to the nearest linearised boundary among the ``candidates`` likeliest classes, ``1 + overshoot`` long."""

    title = "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks"
    year = 2016
    url = "https://arxiv.org/abs/1511.04599"
    threat = "minimum-norm"
    norm = "L2"

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "overshoot", least=0)
        whole(self, "candidates", least=2)

    def passes(self, classes: int) -> float:
        return deepfool_passes(self.steps, min(self.candidates, classes))


@dataclass(frozen=True, kw_only=True)
class CWProblem(Problem):
    """Least ``|d|^2 + c max(Z_true - max Z_other + confidence, 0)`` over ``steps``, with a search for c per image.

    c starts at ``initial_const`` and is chosen ``binary_search_steps`` times; ``step_size`` is in tanh space.
    """

    title = "Towards Evaluating the Robustness of Neural Networks"
    year = 2017
    url = "https://arxiv.org/abs/1608.04644"
    threat = "minimum-norm"
    norm = "L2"

    steps: int = 100
    step_size: float = 0.01
    binary_search_steps: int = 9
    initial_const: float = 0.001
    confidence: float = 0.0

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "step_size", above=0)
        whole(self, "binary_search_steps", least=1)
        number(self, "initial_const", above=0)
        number(self, "confidence", least=0)

    def passes(self, classes: int) -> float:
        return super().passes(classes) * self.binary_search_steps


def deepfool_passes(steps: int, candidates: int) -> float:
    """Forward passes per image of DeepFool, which takes the gradient of every candidate class in each step."""
    return float(min(steps, _USUAL_STEPS) * candidates * FORWARD_AND_BACKWARD)


def number(
    owner: object, name: str, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> None:
    """Refuse a field that is not a finite number in the range, in one sentence."""
    value = getattr(owner, name)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    good = good and abs(value) < float("inf")  # also false for NaN
    good = good and (above is None or value > above) and (least is None or value >= least)
    if not (good and (most is None or value <= most)):
        low = f"above {above:g}" if above is not None else f"of at least {least:g}"
        high = "" if most is None else f" and at most {most:g}"
        raise UserError(f"{name} of {type(owner).__name__} is {value!r}; give a number {low}{high}.")


def whole(owner: object, name: str, *, least: int) -> None:
    """Refuse a field that is not a whole number of at least ``least``."""
    value = getattr(owner, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} of {type(owner).__name__} is {value!r}; give a whole number of at least {least}.")
