"""One walk over images for several saliency methods: each map is made, measured and discarded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Ints
from ..core.hashing import hash_arrays, key_of
from ..core.store import Arrays, Meta
from ..data.annotations import Boxed
from ..harness.gates import GateSets
from .heat import Batch, heat_of
from .statistics import box_statistics
from .suite import SaliencyPart, Suite, Variant
from .variants import Variants

#: Images whose statistics are stored together: about this many can be lost when a run is stopped.
PORTION = 250

#: Batches: the class of the net (None: a whole net) and the positions of images.
Portion = list[tuple[int | None, Ints]]

#: Statistics of images with the seconds that their maps took, or why the method does not work on this net.
Result = tuple[Arrays, Meta] | str


@dataclass(frozen=True)
class Asked:
    """A method of the suite, built, and the inputs that determine the statistics of its maps."""

    part: SaliencyPart
    method: Any
    inputs: Meta

    @property
    def title(self) -> str:
        return self.part.title


def _portions(batches: Sequence[tuple[int | None, Ints]]) -> Iterator[Portion]:
    """Batches in order, in portions of at least `PORTION` images (the last may have fewer)."""
    portion: Portion = []
    for batch in batches:
        portion.append(batch)
        if sum(len(index) for _, index in portion) >= PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


class Walk:
    """One variant of a net and the images on which its maps are measured; ``full``: all statistics, not only IoU."""

    def __init__(
        self, gates: GateSets, suite: Suite, variants: Variants, variant: Variant, images: Boxed, *, full: bool
    ) -> None:
        self._context, self._suite, self._variants = gates.setup.context, suite, variants
        self._variant, self._images, self._full = variant, images, full

    def results(self, asked: Sequence[Asked], text: str) -> dict[str, Result]:
        """Results by method title; ``text`` is shown meanwhile.

        All methods run batch by batch, so that they share one copy of each net and its memory of a batch.
        """
        split, options = self._images.split, self._suite.localisation
        batches = self._variants.batches(self._variant, split.labels, options.batch_size)
        rows: dict[str, list[tuple[Ints, Arrays, Meta]]] = {one.title: [] for one in asked}
        refused: dict[str, str] = {}
        done = 0
        with self._context.report.stage(text) as tick:
            for portion in _portions(batches):
                index = np.concatenate([index for _, index in portion])
                wanted = [one for one in asked if one.title not in refused]
                for title, result in self._kept_or_made(wanted, portion, index).items():
                    if isinstance(result, str):
                        refused[title] = result
                    else:
                        rows[title].append((index, *result))
                done += len(index)
                tick(done, len(split), "")
        return {title: refused[title] if title in refused else _assembled(rows[title], len(split)) for title in rows}

    def _kept_or_made(self, asked: Sequence[Asked], portion: Portion, index: Ints) -> dict[str, Result]:
        """A portion's results, from the store or made and stored at once, so that a stopped run can resume after it."""
        store, of = self._context.store, hash_arrays(self._images.split.ids[index])
        keys = {one.title: key_of("portion", one.inputs | {"of": of}) for one in asked}
        results: dict[str, Result] = {}
        if store.when != "always":
            results |= {title: kept for title, key in keys.items() if (kept := store.read("portion", key)) is not None}
        made = self._made([one for one in asked if one.title not in results], portion)
        for title, result in made.items():
            if not isinstance(result, str):
                made[title] = store.write("portion", keys[title], *result)
        return results | made

    def _made(self, asked: Sequence[Asked], portion: Portion) -> dict[str, Result]:
        """A portion's results, computed batch by batch."""
        rows: dict[str, list[Arrays]] = {one.title: [] for one in asked}
        seconds = dict.fromkeys(rows, 0.0)
        refused: dict[str, str] = {}
        for label, index in portion if asked else ():
            net = self._variants.net(self._variant, label)
            batch = Batch.of(self._images.split, index, self._context.device)
            images = self._images.select(index)
            for one in asked:
                if one.title in refused:
                    continue
                began = time.monotonic()
                heat = heat_of(one.part, one.method, net, batch, self._suite.seed)
                if isinstance(heat, str):
                    refused[one.title] = heat
                    continue
                seconds[one.title] += time.monotonic() - began
                options = self._suite.localisation
                statistics = box_statistics(heat, images.truth, images.pixels, options, full=self._full)
                rows[one.title].append(statistics)
        return {
            title: refused[title] if title in refused else (_joined(rows[title]), {"seconds": seconds[title]})
            for title in rows
        }


def _assembled(rows: Sequence[tuple[Ints, Arrays, Meta]], count: int) -> tuple[Arrays, Meta]:
    """All portions joined, in the order of the images."""
    order = np.argsort(np.concatenate([index for index, _, _ in rows]))
    arrays = {name: values[order] for name, values in _joined([arrays for _, arrays, _ in rows]).items()}
    return arrays, {"seconds": sum(meta["seconds"] for _, _, meta in rows), "images": count}


def _joined(rows: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([arrays[name] for arrays in rows]) for name in rows[0]}
