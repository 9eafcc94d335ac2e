"""Material of an attack's checks: calls that share nothing, and what each of them changed besides its result."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...attacks.contract import Attack, AttackInfo
from ...attacks.verify import AttackFailed, batch_generator, legalise
from ..models.classifier import Classifier
from ..models.passes import counted
from .material import Broken, NetState

#: Images that are attacked for what is measured; more where the attack needs larger batches.
IMAGES = 60

SEED = 0


@dataclass(frozen=True)
class Called:
    """One call of an attack: what it returned, and what is wrong with the rest of the world afterwards.

    ``classifier``, ``modes`` and ``world`` say what changed, and are empty where nothing did; ``inputs`` names the
    arguments that did. ``drew``: it drew from the generator. Passes are sums over the images.
    """

    result: Any
    inputs: tuple[str, ...]
    classifier: str
    modes: str
    world: str
    drew: bool
    forward: float
    backward: float
    seconds: float


class Surroundings:
    """What is the process's and not an attack's: global generators, whether gradients are kept, the default dtype."""

    def __init__(self) -> None:
        self._torch, self._numpy, self._python = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        self._gradients, self._dtype = torch.is_grad_enabled(), torch.get_default_dtype()

    def changed(self) -> str:
        now = Surroundings()
        same = {
            "torch's global generator": torch.equal(self._torch, now._torch),
            "numpy's global generator": all(
                np.array_equal(one, other) for one, other in zip(self._numpy, now._numpy, strict=True)
            ),
            "the generator of Python's random": self._python == now._python,
            "torch's switch for gradients": self._gradients == now._gradients,
            "torch's default dtype": self._dtype == now._dtype,
        }
        return " and ".join(name for name, kept in same.items() if not kept)

    @staticmethod
    def reseed(seed: int) -> None:
        """Other global generators, on which nothing may depend."""
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        torch.set_grad_enabled(self._gradients)
        torch.set_default_dtype(self._dtype)


class AttackMaterial:
    """What makes instances of an attack, and a trained net with images ``(N, C, H, W)`` that it classifies correctly.

    Every call has a net, images and a generator of its own, so that one fault does not cause others.
    """

    def __init__(
        self, factory: Callable[..., Any], net: Classifier, images: torch.Tensor, labels: torch.Tensor, name: str
    ) -> None:
        self.factory, self.net, self.name = factory, net, name
        self.images, self.labels = images, labels
        self._calls = 0

    @cached_property
    def attack(self) -> Attack:
        attack: Attack = self.factory()
        return attack

    @cached_property
    def info(self) -> AttackInfo:
        return self.attack.info

    @property
    def size(self) -> int:
        """Images in a batch: as many as the attack declares, or all that are measured."""
        stated = getattr(getattr(self.attack, "info", None), "batch_size", None)
        return stated if isinstance(stated, int) and stated > 0 else IMAGES

    @cached_property
    def count(self) -> int:
        """Images that are attacked for what is measured."""
        return min(max(IMAGES, self.size), len(self.images))

    @cached_property
    def batches(self) -> list[Called]:
        """All images that are measured, attacked by one instance batch by batch, as in a run."""
        parts = [slice(begin, min(begin + self.size, self.count)) for begin in range(0, self.count, self.size)]
        return [self.call(self.images[p], self.labels[p], attack=self.attack, begin=p.start) for p in parts]

    @property
    def first(self) -> Called:
        return self.batches[0]

    @cached_property
    def again(self) -> Called:
        """The first batch once more, by another instance: whatever is imported on first use is imported by now."""
        part = slice(0, min(self.size, self.count))
        return self.call(self.images[part], self.labels[part])

    @cached_property
    def adversarial(self) -> torch.Tensor:
        """The images of `batches`; `Broken` where they are none."""
        parts = torch.split(self.images[: self.count], self.size)
        return torch.cat([self.legal(part, call.result) for part, call in zip(parts, self.batches, strict=True)])

    def legal(self, clean: torch.Tensor, result: Any) -> torch.Tensor:
        """A result as images in [0, 1]; `Broken` where the harness would not take it."""
        try:
            images, finite = legalise(clean, result, self.name)
        except AttackFailed as error:
            raise Broken(str(error).removesuffix(".")) from None
        if not finite.all():
            lost = int((~finite).sum())
            raise Broken(f"{lost} of {len(finite)} images have NaN or infinity; a run counts them as failures")
        return images

    def made(self, images: torch.Tensor, labels: torch.Tensor, **how: Any) -> torch.Tensor:
        """Legal images of a call by a new instance; the arguments are those of `call`."""
        return self.legal(images, self.call(images, labels, **how).result)

    def call(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        net: Classifier | None = None,
        attack: Attack | None = None,
        training: bool = False,
        begin: int = 0,
    ) -> Called:
        """One call on copies of everything; whatever the attack raises is raised."""
        net = copy.deepcopy(self.net if net is None else net).requires_grad_(True).train(training)
        attack = self.factory() if attack is None else attack
        before, handed = NetState(net), {"images": images.clone(), "labels": labels.clone()}
        generator = batch_generator(SEED, begin)
        drawn, outer = generator.get_state(), Surroundings()
        self._calls += 1
        outer.reseed(self._calls)
        world = Surroundings()
        try:
            with counted(net) as passes:
                began = time.monotonic()
                result = attack(net, handed["images"], handed["labels"], generator=generator)
                seconds = time.monotonic() - began
            changed = world.changed()
        finally:
            outer.restore()
        old = {"images": images, "labels": labels}
        return Called(
            result=result,
            inputs=tuple(name for name, value in handed.items() if not torch.equal(value, old[name])),
            classifier=_fault(before.refuse_changes),
            modes=_fault(before.refuse_modes),
            world=changed,
            drew=not torch.equal(drawn, generator.get_state()),
            forward=passes.forward,
            backward=passes.backward,
            seconds=seconds,
        )


def _fault(check: Callable[[], None]) -> str:
    try:
        check()
    except Broken as broken:
        return str(broken)
    return ""
