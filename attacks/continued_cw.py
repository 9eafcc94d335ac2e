"""Carlini and Wagner's attack as one descent: each constant of the search goes on where the last ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .active import ActiveSet, all_rows
from .active_cw import _LARGEST, _LONG, _Moments, _Search
from .base import CWProblem

#: Steps that each constant but the first may take, as a share of ``steps``.
_LATER = 1 / 3

#: A constant is left once so many steps there were misclassified, as a share of ``steps``: the first, and later ones.
_ENOUGH_FIRST, _ENOUGH = 1 / 4, 3 / 20

#: The constant becomes smaller where this share of its steps or more was misclassified, and stays where fewer were.
_MANY = 0.35

#: Steps from the first constant that was large enough: ``steps``, and this share of them for each further search step.
_REFINED = 1 / 6

#: An image leaves when so many steps, as a share of ``steps``, brought it nearer by less than a share of its norm.
_STALLED, _NEARER = 1 / 2, 0.002


@register_attack("subnetbench/cw-continued")
class ContinuedCW(ActiveSet, CWProblem):
    """Carlini and Wagner's objective in tanh space by Adam, with a schedule of our own for the constant c.

    The paper and Foolbox begin each of the ``binary_search_steps`` constants at the clean image and go all ``steps``,
    900 with 9 constants of 100 steps; c is halved towards the largest that failed, or ten times as large where none
    succeeded yet. Here each constant begins where the one before ended, with Adam's moments, which shrink with c where
    it comes back from a tenfold:

    - The first constant takes ``steps``, each further one a third of them. It is left sooner once a quarter of
      ``steps`` (15% at a later one) was misclassified.
    - c was too small where no step in the second half was misclassified. It becomes smaller, as in the paper, where at
      least 35% of its steps were; where fewer were it is about right, and stays. One that sufficed and no longer does
      is searched for below twice its size.
    - An image leaves after ``steps (1 + (binary_search_steps - 1) / 6)`` steps from the first constant that was large
      enough, or when half of ``steps`` at one constant brought it no nearer (by 0.2%); one without such a constant
      after ``binary_search_steps`` of them, the last with all ``steps``.

    The nearest image that was misclassified on the way is returned, as in Foolbox; and of ten constants or more the
    last is 1e10 where none sufficed. With ``binary_search_steps=1`` there is no search, and the descent is Foolbox's.
    """

    def passes(self, classes: int) -> float:
        """Those of an image whose first constant is large enough."""
        return super().passes(classes) / self.binary_search_steps * self.refined / self.steps

    @property
    def refined(self) -> int:
        """Steps from the first constant that was large enough."""
        return math.ceil(self.steps * (1 + _REFINED * (self.binary_search_steps - 1)))

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        search = _Search(classifier, images, labels, self)
        descent = _Descent(search, self, images)
        for _ in range(self.steps * self.binary_search_steps):
            if not len(descent.state.rows):
                break
            descent.step()
        return search.nearest


@dataclass
class _State:
    """The images that are not done, one element each: where they are, and how the search for the constant stands."""

    rows: torch.Tensor
    delta: torch.Tensor
    constants: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    tried: torch.Tensor  # constants, this one included
    here: torch.Tensor  # steps at this constant
    fooled: torch.Tensor  # those of them that were misclassified
    late: torch.Tensor  # and those in the second half
    age: torch.Tensor  # steps since the first constant that was large enough began
    stalled: torch.Tensor  # steps at this constant without an image nearer than `norms` by more than a share
    norms: torch.Tensor

    @classmethod
    def of(cls, images: torch.Tensor, points: torch.Tensor, initial: float) -> _State:
        count, device = len(images), images.device
        zero = torch.zeros(count, dtype=torch.long, device=device)
        constants = torch.full((count,), initial, dtype=torch.float64, device=device)
        return cls(
            rows=all_rows(images),
            delta=torch.zeros_like(points),
            constants=constants,
            low=torch.zeros_like(constants),
            high=torch.full_like(constants, torch.inf),
            tried=zero + 1,
            here=zero,
            fooled=zero,
            late=zero,
            age=zero,
            stalled=zero,
            norms=torch.full((count,), torch.inf, device=device),
        )

    def only(self, which: torch.Tensor) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[which])


class _Scaled(_Moments):
    """Adam's state where the objective's scale may fall."""

    def shrink(self, factors: torch.Tensor) -> None:
        """Moments as they were if each image's gradients had been smaller by a factor ``(n,)``."""
        scale = factors.view(-1, 1, 1, 1)
        self.first, self.second = self.first * scale, self.second * scale**2


class _Descent:
    """One run of Adam over a batch, in which every image has a constant of its own."""

    def __init__(self, search: _Search, problem: ContinuedCW, images: torch.Tensor) -> None:
        self._search, self._problem = search, problem
        self.state = _State.of(images, search._points, problem.initial_const)
        self._moments = _Scaled(torch.zeros_like(self.state.delta), torch.zeros_like(self.state.delta))

    def step(self) -> None:
        """One gradient of each image that is not done; those that are done then leave."""
        at, search = self.state, self._search
        images, logits, gradient = search._gradient(at.rows, at.delta, at.constants.float())
        at.delta = at.delta - self._problem.step_size * self._moments.step(gradient)
        fooled = search._misclassified(logits, search._labels[at.rows])
        search._keep(at.rows[fooled], images[fooled])
        norms = search._norms[at.rows]
        nearer = norms < at.norms * (1 - _NEARER)
        at.norms = torch.where(nearer, norms, at.norms)
        at.stalled = torch.where(nearer, 0, at.stalled + 1)
        at.here, at.age, at.fooled = at.here + 1, at.age + 1, at.fooled + fooled
        at.late = at.late + (fooled & (2 * at.here > self._limit()))
        done = self._next_constant()
        if self._moments.steps == 1:
            done |= fooled  # wrong where it starts: nothing is nearer
        if done.any():
            at.only(~done)
            self._moments.only(~done)

    def _limit(self) -> torch.Tensor:
        """Steps that each image's constant may take."""
        at, problem = self.state, self._problem
        last = at.high.isinf() & (at.tried == problem.binary_search_steps)
        return torch.where((at.tried == 1) | last, problem.steps, math.ceil(_LATER * problem.steps))

    def _next_constant(self) -> torch.Tensor:
        """Choose the next constant where one has been decided; which images are done."""
        at, problem = self.state, self._problem
        if problem.binary_search_steps == 1:
            return at.here == problem.steps
        known = at.high.isfinite()
        first, later = (math.ceil(share * problem.steps) for share in (_ENOUGH_FIRST, _ENOUGH))
        enough = at.fooled >= torch.where(at.tried == 1, first, later)
        over = at.here >= self._limit()
        many = (over | enough) & (at.fooled >= _MANY * at.here)
        small = over & ~enough & ~many & (at.late == 0)
        large = (over | enough) & ~small
        at.age = torch.where(large & ~known, at.here, at.age)
        lost = small & known & (at.high <= at.constants)
        at.low = torch.where(small, at.constants, at.low)
        at.high = torch.where(large, at.constants, torch.where(lost, 2 * at.constants, at.high))
        failed = small & ~known & (at.tried == problem.binary_search_steps)
        self._move(small | many)
        at.tried = at.tried + (over | enough)
        at.here, at.fooled, at.late = (
            counter.masked_fill(over | enough, 0) for counter in (at.here, at.fooled, at.late)
        )
        refined = (at.age >= problem.refined) | (at.stalled >= _STALLED * problem.steps)
        return failed | (at.high.isfinite() & refined)

    def _move(self, decided: torch.Tensor) -> None:
        """The constant between the bounds, or ten times as large where none has been large enough."""
        at, problem = self.state, self._problem
        further = torch.where(at.high.isinf(), at.constants * 10, (at.low + at.high) / 2)
        if problem.binary_search_steps >= _LONG:
            further = further.masked_fill(at.high.isinf() & (at.tried == problem.binary_search_steps - 1), _LARGEST)
        back = decided & (further < at.constants) & (at.constants > problem.initial_const)
        if back.any():
            self._moments.shrink(torch.where(back, further / at.constants, 1).float())
        at.constants = torch.where(decided, further, at.constants)
        at.stalled = at.stalled.masked_fill(decided, 0)
