"""A suite's attacks on its test images, batch by batch through the store, each example verified in float32."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...attacks import verify as verification
from ...attacks.base import FORWARD_AND_BACKWARD
from ...attacks.conduct import FEW, conduct
from ...attacks.contract import Attack
from ...attacks.presets import build
from ...attacks.verify import AttackFailed, check_budget, craft, verify
from ..core.hashing import code_hash, hash_arrays, key_of, source_hash
from ..core.progress import Tick
from ..core.sources import HOME, home_of
from ..core.store import Arrays, Meta
from ..harness.setup import Setup
from ..models.heard import heard
from ..models.iterates import watched
from ..models.passes import counted
from .suite import AttackPart
from .titles import batch_title

#: Images forward and backward through the net, and what a batch costs besides.
PASSES = ("forward", "backward")
COSTS = ("seconds", *PASSES)


class Attacked:
    """The adversarial images of each attack in a suite, with their verification results."""

    def __init__(self, setup: Setup, parts: Sequence[AttackPart]) -> None:
        self.setup, self.parts = setup, parts
        self._keys: dict[str, str] = {}

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        return {p.title: build(p.name, p.library, p.preset, p.parameters) for p in self.parts}

    @cached_property
    def sources(self) -> dict[str, str]:
        """Hash of each attack's code."""
        return {title: source_hash(attack) + code_hash(verification) for title, attack in self.attacks.items()}

    def part(self, title: str) -> AttackPart:
        return next(part for part in self.parts if part.title == title)

    def batches(self, part: AttackPart) -> list[slice]:
        """Positions among the test images of each batch of an attack."""
        size, count = self.attacks[part.title].info.batch_size or part.batch_size, len(self.setup.test)
        return [slice(begin, min(begin + size, count)) for begin in range(0, count, size)]

    def inputs(self, part: AttackPart, chunk: slice) -> Meta:
        """What determines one batch of adversarial images."""
        attack, setup = self.attacks[part.title], self.setup
        return {
            "model": setup.trained.sha256,
            "dataset": setup.dataset.content_hash,
            "images": hash_arrays(setup.test.ids[chunk]),
            "attack": type(attack).__qualname__,
            "source": self.sources[part.title],
            "library": attack.info.library,
            "version": attack.info.version,
            "parameters": attack.parameters,
            "seed": setup.suite.seed,
        }

    def chunks(self, part: AttackPart) -> Iterator[tuple[slice, Meta]]:
        """The batches of an attack: positions among the test images, and the inputs that determine the result."""
        for chunk in self.batches(part):
            yield chunk, self.inputs(part, chunk)

    def key(self, part: AttackPart) -> str:
        """Store key of all images of an attack."""
        if part.title not in self._keys:
            inputs = [inputs for _, inputs in self.chunks(part)]
            self._keys[part.title] = key_of("attack", {"chunks": inputs})
        return self._keys[part.title]

    def crafted(self, part: AttackPart, chunk: slice, inputs: Meta) -> Arrays:
        """One batch of adversarial images with its verification results, from the store or computed."""
        return self._batch(part, chunk, inputs)[0]

    def _batch(
        self, part: AttackPart, chunk: slice, inputs: Meta, tell: Callable[[float], None] = lambda share: None
    ) -> tuple[Arrays, Meta]:
        """``tell`` hears meanwhile what share of the batch's passes has been made."""
        attack = self.attacks[part.title]

        def compute() -> tuple[Arrays, Meta]:
            failed = self.setup.context.failed.get(batch_title(part, self.batches(part).index(chunk)))
            if failed is not None:
                raise AttackFailed(failed)
            return _made(self.setup, attack, part.title, chunk, tell)

        return self.setup.context.store.get("adversarial", inputs, compute)

    def strength(self, part: AttackPart) -> Arrays:
        """Verification results in float32 for every example, without the images themselves."""
        return self._joined(part)[0]

    def images_sha256(self, part: AttackPart) -> str | None:
        """sha256 of all attacked images, float32 in test-image order; None from a store of an earlier version."""
        return self._joined(part)[1].get("images_sha256")

    def _joined(self, part: AttackPart) -> tuple[Arrays, Meta]:
        def compute() -> tuple[Arrays, Meta]:
            chunks, count = list(self.chunks(part)), len(self.setup.test)
            facts: list[Arrays] = []
            digest = hashlib.sha256()
            seconds = 0.0
            passes: dict[str, list[Any]] = {way: [] for way in PASSES}
            with self.setup.context.report.stage(f"attack {part.title}") as tick:
                for chunk, inputs in chunks:
                    tell = _ticked(tick, chunk, count)
                    tell(0.0)
                    crafted, meta = self._batch(part, chunk, inputs, tell)
                    seconds += float(meta["seconds"])
                    for way, counts in passes.items():
                        counts.append(meta.get(way))  # an import or a store of an earlier version has none
                    digest.update(np.ascontiguousarray(crafted["images"], "<f4").tobytes())
                    facts.append({name: values for name, values in crafted.items() if name != "images"})
                tick(count, count, "")
            known = [name for name in facts[0] if all(name in chunk for chunk in facts)]
            joined = {name: np.concatenate([chunk[name] for chunk in facts]) for name in known}
            cost = {way: None if None in counts else sum(counts) for way, counts in passes.items()}
            meta = cost | {"images_sha256": digest.hexdigest(), "seconds": seconds, "remarks": self._conduct(part)}
            return joined, meta

        return self.setup.context.store.get("strength", {"attack": self.key(part)}, compute)

    def passes(self, part: AttackPart) -> Meta:
        """Images forward and backward through the net while it was attacked; None where nobody counted."""
        meta = self._joined(part)[1]
        return {way: meta.get(way) for way in PASSES}

    def remarks(self, part: AttackPart) -> list[str]:
        """What a reader should know of an attack's images; a store of an earlier version knows less."""
        facts, meta = self._joined(part)
        lost = int((~facts["finite"].astype(bool)).sum())
        count = [f"it gave NaN or infinity for {lost} of {len(facts['finite'])} images, which count as failures"]
        return [*(count if lost else []), *meta.get("remarks", [])]

    def _conduct(self, part: AttackPart) -> list[str]:
        """Remarks on a third-party attack; ours keep their contract, which tests check."""
        setup, attack = self.setup, self.attacks[part.title]
        if home_of(attack) == HOME:
            return []
        few = slice(0, 2 * (attack.info.batch_size or FEW))
        images = setup.test.tensor(few).to(setup.context.device)
        return conduct(attack, setup.trained.net, images, setup.test.labels[few], seed=setup.suite.seed)

    def seconds(self, part: AttackPart) -> float:
        """Seconds per image, as measured when the images were crafted."""
        total = self._joined(part)[1].get("seconds")
        if total is not None:
            return float(total) / max(1, len(self.setup.test))
        # A store of an earlier version kept them with the batches alone: those that are still there speak for all.
        store = self.setup.context.store
        read = [store.read("adversarial", key_of("adversarial", inputs)) for _, inputs in self.chunks(part)]
        kept = [meta for _, meta in filter(None, read)]
        return float(sum(meta["seconds"] for meta in kept)) / max(1, sum(int(meta["images"]) for meta in kept))

    def adversarial(self, part: AttackPart) -> torch.Tensor:
        """All adversarial images ``(N, C, H, W)`` in the order of the test images."""
        self.strength(part)
        return torch.from_numpy(np.concatenate([self.crafted(part, c, i)["images"] for c, i in self.chunks(part)]))


def attack_passes(attack: Attack, classes: int) -> float:
    """Passes per image as the attack states them; by default a gradient in each of its ``steps``."""
    passes = getattr(attack, "passes", None)
    if passes is not None:
        return float(passes(classes))
    return float(attack.parameters.get("steps", 1)) * FORWARD_AND_BACKWARD


def _ticked(tick: Tick, chunk: slice, count: int) -> Callable[[float], None]:
    """Tells of a share of a batch as a number of images, of all that the attack has."""
    return lambda share: tick(chunk.start + int(share * (chunk.stop - chunk.start)), count, "")


def _made(setup: Setup, attack: Attack, title: str, chunk: slice, tell: Callable[[float], None]) -> tuple[Arrays, Meta]:
    """One batch attacked: images, facts of `verify`, the nearest iterate where it is known; seconds and passes."""
    net, info, device = setup.trained.net, attack.info, setup.context.device
    images = setup.test.tensor(chunk).to(device)
    labels = torch.from_numpy(setup.test.labels[chunk]).to(device)
    budget = info.epsilon if info.threat == "budget" else None
    broken: list[int] = []
    expected = len(images) * attack_passes(attack, net.classes)
    with (
        counted(net) as passes,
        heard(net, passes, expected, tell),
        watched(net, images, labels, info.norm, budget) as iterates,
    ):
        began = time.monotonic()
        adversarial = craft(
            attack,
            net,
            images,
            labels,
            seed=setup.suite.seed,
            batch_size=len(images),
            first=chunk.start,
            name=title,
            broken=broken,
        )
        seconds = time.monotonic() - began
    facts = verify(net, images, adversarial, labels)
    facts["finite"][broken] = False
    check_budget(info, facts, title)
    if iterates.known:
        facts["nearest_iterate"] = iterates.nearest
    cost = {"forward": passes.forward, "backward": passes.backward}
    return {"images": adversarial.cpu().numpy(), **facts}, {"seconds": seconds, "images": len(images), **cost}
