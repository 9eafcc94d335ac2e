"""Arms against one target at one budget, batch by batch through the store; the exact score judges what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from ...attacks.arms import best, contract
from ...attacks.arms.contract import Arm
from ...attacks.base import FORWARD_AND_BACKWARD
from ...attacks.verify import batch_generator, legalise
from ..core.arrays import Bools, Float64, Ints
from ..core.errors import UserError
from ..core.hashing import code_hash, hash_arrays, source_hash
from ..core.progress import Tick, silent
from ..core.store import Arrays, Meta, Store
from ..models.heard import heard
from ..models.passes import counted
from . import honest
from . import indicators as failing
from . import target as targets
from .indicators import indicators, without_bound
from .target import Target

#: Hears what share of a batch's passes has been made.
Tell = Callable[[float], None]


@dataclass(frozen=True)
class Tries:
    """An arm's results on the images at ``places`` of the ground: one row each."""

    places: Ints
    images: torch.Tensor
    wrong: Bools
    score: Float64
    cost: Mapping[str, float]
    signs: Mapping[str, float | None]
    surrogate_r2: float | None

    def beaten(self, tau: float) -> Bools:
        return np.asarray(self.wrong & (self.score <= tau))


class Attacker:
    """Runs arms on targets of one ground; ``inputs`` are what the store's keys say of net, data and seed."""

    def __init__(self, store: Store, inputs: Meta, seed: int, batch_size: int, ids: Ints) -> None:
        self._store, self._inputs, self._seed = store, inputs, seed
        self._batch_size, self._ids = batch_size, ids

    def tries(
        self, target: Target, detector: Meta, arm: Arm, places: Ints, *, unbounded: bool, tick: Tick = silent
    ) -> Tries:
        """The arm on the images at ``places``; ``detector`` are the store inputs of the fitted detector.

        ``unbounded``: what the arm does not beat, it also tries without a bound, where it must not fail. ``tick``
        counts images while anything is computed.
        """
        parts = []
        for begin in range(0, len(places), self._batch_size):
            chunk = places[begin : begin + self._batch_size]
            tell = partial(_told, tick, begin, len(chunk), len(places))
            parts.append(self._batch(target, detector, arm, chunk, unbounded, tell))
        arrays = [arrays for arrays, _ in parts]
        joined = {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
        fits = [meta["surrogate_r2"] for _, meta in parts if meta["surrogate_r2"] is not None]
        names = ("forward", "backward", "seconds")
        return Tries(
            places,
            torch.from_numpy(joined["images"]),
            wrong=joined["wrong"].astype(bool),
            score=joined["score"],
            cost={name: sum(meta[name] for _, meta in parts) / len(places) for name in names},
            signs=_over_batches([meta for _, meta in parts]),
            surrogate_r2=float(np.mean(fits)) if fits else None,
        )

    def _batch(
        self, target: Target, detector: Meta, arm: Arm, places: Ints, unbounded: bool, tell: Tell
    ) -> tuple[Arrays, Meta]:
        inputs = {
            **self._inputs,
            "images": hash_arrays(self._ids[places]),
            "detector": detector,
            "fit": target.fit.digest,
            "tau": target.tau,
            "arm": type(arm).__qualname__,
            "parameters": arm.parameters,
            "source": [source_hash(arm), code_hash(best, contract, honest, targets, failing)],
            "seed": self._seed,
            "unbounded": unbounded,
        }
        return self._store.get("adaptive", inputs, lambda: self._made(target, arm, places, unbounded, tell))

    def _made(self, target: Target, arm: Arm, places: Ints, unbounded: bool, tell: Tell) -> tuple[Arrays, Meta]:
        ground, index = target.ground, torch.from_numpy(places)
        clean, labels = ground.images[index], ground.labels[index]
        began = time.monotonic()
        tell(0.0)
        with counted(ground.net) as passes, heard(ground.net, passes, len(places) * arm_passes(arm), tell):
            generator = batch_generator(self._seed, int(places[0]))
            result = arm(ground.net, target.score, target.tau, clean, labels, generator=generator)
        seconds = time.monotonic() - began
        images = within(arm, clean, result.images)
        wrong, score = ground.wrong(images, labels, clean).numpy(), target.exact(images)
        free = without_bound(arm, clean)
        signs = indicators(
            ground.net,
            target.score,
            target.tau,
            clean,
            labels,
            replace(result, images=images),
            generator=generator,
            unbounded=(lambda: free(ground.net, target.score, target.tau, clean, labels, generator=generator))
            if unbounded and not (wrong & (score <= target.tau)).all()
            else None,
        )
        meta: Meta = {
            "images": len(places),
            "forward": round(passes.forward),
            "backward": round(passes.backward),
            "seconds": seconds,
            "surrogate_r2": result.fit,
            "signs": {name: sign["share"] for name, sign in signs.as_dict().items()},
        }
        return {"images": images.cpu().numpy(), "wrong": wrong, "score": score}, meta


def arm_passes(arm: Arm) -> float:
    """Passes per image at most: a gradient of the net and one of the detector in each step."""
    return arm.steps * arm.restarts * 2 * FORWARD_AND_BACKWARD


def _told(tick: Tick, begin: int, images: int, count: int, share: float) -> None:
    """A share of a batch as a number of images, of all that the arm has."""
    tick(begin + int(share * images), count, "")


def _over_batches(parts: Sequence[Meta]) -> dict[str, float | None]:
    """Shares of the images of all batches in which a sign could be measured."""
    result: dict[str, float | None] = {}
    for name in parts[0]["signs"]:
        known = [(meta["signs"][name], meta["images"]) for meta in parts if meta["signs"][name] is not None]
        result[name] = sum(s * n for s, n in known) / sum(n for _, n in known) if known else None
    return result


def within(arm: Arm, clean: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """The images, legal and within the arm's budget. UserError that names the arm where one is not."""
    legal, _ = legalise(clean, images, type(arm).__name__)
    change = (legal - clean).flatten(1)
    size = change.abs().amax(1) if arm.norm == "Linf" else change.norm(dim=1)
    if len(size) and float(size.max()) > arm.epsilon * (1 + 1e-5) + 1e-6:
        raise UserError(
            f"The arm {type(arm).__name__} moved an image by {float(size.max()):.4g} in {arm.norm}, further than its "
            f"budget of {arm.epsilon:.4g}; it must stay within it."
        )
    return legal


def tried(tries: Tries, tau: float) -> dict[str, Any]:
    """What an entry states of an arm at one budget."""
    return {
        "tried": len(tries.places),
        "beaten": int(tries.beaten(tau).sum()),
        **{f"{name}_per_image": float(value) for name, value in tries.cost.items()},
        "signs": dict(tries.signs),
        "surrogate_r2": tries.surrogate_r2,
    }


def best_of(count: int, results: Sequence[Tries]) -> tuple[Ints, torch.Tensor]:
    """For each place that some arm made wrong, its lowest-scoring wrong image: places and images."""
    lowest = np.full(count, np.inf)
    chosen: dict[int, torch.Tensor] = {}
    for tries in results:
        for row, place in enumerate(tries.places):
            if tries.wrong[row] and tries.score[row] < lowest[place]:
                lowest[place], chosen[int(place)] = tries.score[row], tries.images[row]
    places = np.array(sorted(chosen), np.int64)
    return places, torch.stack([chosen[int(place)] for place in places]) if len(places) else torch.empty(0)
