"""The contract of an arm: an attack on a net and a detector at once, of which it knows a score and a threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch

from ...bench.core.errors import UserError
from ..base import attacking
from .best import Best, Found

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Images ``(N, C, H, W)`` in [0, 1] -> one number each, ``(N,)``.
Scored = Callable[[torch.Tensor], torch.Tensor]

Norm = Literal["Linf", "L2"]


class Net(Protocol):
    """What an arm may use of a classifier; `Classifier` has it, and so has the net of a proof of strength.

    A proof gives every image of a batch a head of its own. So an arm calls a net (and a score) with all images of its
    batch, in their order, and never with some of them.
    """

    @property
    def taps(self) -> Sequence[str]: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, classes)``, differentiable."""
        ...

    def observe(self, x: torch.Tensor, paths: Sequence[str] = ()) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Logits, and the outputs of taps, differentiable."""
        ...


@dataclass(frozen=True)
class Score:
    """A detector as an attacker sees it. Higher is more adversarial; an image is accepted at ``tau`` or below.

    ``exact``: the score that decides, without a gradient, by the detector's own code. ``smooth``: the same number,
    differentiable in the images; None where the detector offers none. ``spread`` and ``margin_spread`` are standard
    deviations over clean images of the score, and of the right logit minus the largest other: units in which both can
    be weighed. ``guides`` are clean training images with their labels, which the attacker has too. ``draws``: every
    call of the score is a draw of its own (a detector with randomness).
    """

    exact: Scored
    smooth: Scored | None
    spread: float
    margin_spread: float
    guides: tuple[torch.Tensor, torch.Tensor]
    draws: bool = False


@dataclass(frozen=True, kw_only=True)
class Arm(ABC):
    """An attack on net and detector together, within ``epsilon`` of ``norm``; its parameters are its fields.

    ``needs_gradient``: it needs `Score.smooth`. ``needs_guides``: it aims at training images of other classes.
    ``stands_in``: it takes the place of a gradient, and has nothing to add where the detector offers one.
    """

    title: ClassVar[str]
    year: ClassVar[int]
    url: ClassVar[str]
    needs_gradient: ClassVar[bool] = True
    needs_guides: ClassVar[bool] = False
    stands_in: ClassVar[bool] = False

    epsilon: float = 8 / 255
    norm: Norm = "Linf"
    steps: int = 100
    restarts: int = 1

    def __post_init__(self) -> None:
        check_budget(self)

    @property
    def parameters(self) -> dict[str, Any]:
        return asdict(self)

    def __call__(
        self,
        classifier: Net,
        score: Score,
        tau: float,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        generator: torch.Generator,
    ) -> Found:
        """The best image found for each of ``images``, labelled ``labels``; ``images`` stay as they are.

        UserError where the arm needs a gradient that the detector does not offer.
        """
        if self.needs_gradient and score.smooth is None:
            raise UserError(f"{type(self).__name__} needs a gradient of the detector, which offers none.")
        images = images.detach().clone()
        best = Best(images, labels, tau, score.spread, score.margin_spread)
        if len(images):
            with attacking(classifier):  # type: ignore[arg-type]  # a proof's net is a module too
                self._run(Problem(classifier, score, tau, images, labels, generator, best))
        return best.found()

    @abstractmethod
    def _run(self, problem: Problem) -> None:
        """Offer every iterate, the last one included, to ``problem.best``."""


@dataclass(frozen=True)
class Problem:
    """One call of an arm: net, detector, clean images, and the record of what was best so far."""

    net: Net
    score: Score
    tau: float
    images: torch.Tensor
    labels: torch.Tensor
    generator: torch.Generator
    best: Best

    def smooth(self, images: torch.Tensor) -> torch.Tensor:
        """The differentiable score, for arms that need it."""
        assert self.score.smooth is not None  # `Arm.__call__` has looked
        return self.score.smooth(images)


def check_budget(arm: Arm) -> None:
    """UserError for a budget that is none."""
    from ..base import number, whole

    number(arm, "epsilon", above=0, most=1 if arm.norm == "Linf" else None)
    whole(arm, "steps", least=1)
    whole(arm, "restarts", least=1)
    if arm.norm not in ("Linf", "L2"):
        raise UserError(f"norm of {type(arm).__name__} is {arm.norm!r}; give Linf or L2.")
