"""Checking entries against what is at hand: data, weights, attacks; and a random sample of their cells, run again."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..core import registry
from ..core.arrays import EVERY
from ..core.errors import UserError
from ..core.hashing import canonical
from ..core.progress import Reporter, Silent
from ..core.store import NotStored
from ..detection.audit import suite_of
from ..detection.entry import Entry
from ..detection.run import attack_facts, scored_again
from ..detection.scoring import Stages
from ..detection.suite import Suite
from ..harness.audit import Audit, Line
from ..stats.metrics import auroc
from .at_hand import SELF_CONTAINED, Anew, _parts, _shipped_hash, _trained

#: A score may differ from the stated one by this share of its column's standard deviation: other batches, rounding.
SCORE_TOLERANCE = 1e-3

Cell = tuple[Audit, str, str]


class AtHand:
    """What entries can be checked against here; each suite's data and net are looked at once."""

    def __init__(
        self, *, store: Path | None, data_root: Path | None, device: torch.device, report: Reporter | None = None
    ) -> None:
        self._scratch = None if store else tempfile.TemporaryDirectory(prefix="subnetbench-verify-")
        self.store = store or Path(str(self._scratch and self._scratch.name))
        self.data_root, self.device, self.report = data_root, device, report or Silent()
        self._stages: dict[str, Stages] = {}
        self._lines: dict[str, list[Line]] = {}

    def close(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def lines(self, audit: Audit) -> list[Line]:
        """Suite, data, model and attacks of an entry, as far as they are here."""
        entry = audit.entry
        assert entry is not None  # only entries that were read come here
        suite, lines = suite_of(audit.root, entry)
        if suite is None:
            return lines
        named = [*lines, self._detector(suite, entry)]
        try:
            return [*named, *self._attacks(suite, entry), *self._data(suite, entry), self._model(suite, entry)]
        except UserError as error:
            return [*named, Line("at hand", "not checked", str(error))]

    def stages(self, suite: Suite) -> Stages:
        key = canonical(suite.model_dump(mode="json"))
        if key not in self._stages:
            spare = () if suite.dataset.name == SELF_CONTAINED else ("adversarial", "gates")
            if suite.dataset.name != SELF_CONTAINED and suite.model.weights is None:
                spare = (*spare, "weights")
            store = Anew(self.store, spare=spare)
            store.warn = self.report.warn
            self._stages[key] = Stages(suite, store, device=self.device, data_root=self.data_root, report=self.report)
        return self._stages[key]

    # -- one line each ------------------------------------------------------------------------------------------------

    def _detector(self, suite: Suite, entry: Entry) -> Line:
        stated = entry["detector"]
        if stated["name"] not in registry.detectors:
            return Line("detector", "not checked", f"{stated['name']!r} is not installed here")
        info = registry.detectors.get(stated["name"]).info
        own = {
            "title": info.title,
            "year": info.year,
            "url": info.url,
            "needs": list(info.needs),
            "formula": info.formula,
            "control": info.control,
        }
        part, protocol = _parts(suite, entry)
        own["candidates"] = json.loads(canonical(self.stages(suite).candidates(part, protocol)))
        wrong = [name for name, value in own.items() if stated.get(name) != value]
        if wrong:
            return Line("detector", "mismatch", f"{', '.join(wrong)} are not those of {stated['name']!r} as installed")
        return Line("detector", "match", f"{stated['name']}, {len(own['candidates'])} candidates")

    def _attacks(self, suite: Suite, entry: Entry) -> Iterator[Line]:
        made = self.stages(suite).attacks
        wrong, other = [], []
        for part in suite.attacks:
            stated, info = entry["attacks"][part.title], made[part.title].info
            own = {
                "name": part.name,
                "library": info.library,
                "preset": part.preset,
                "threat": info.threat,
                "norm": info.norm,
                "parameters": made[part.title].parameters,
            }
            wrong += [f"{part.title}.{name}" for name, value in own.items() if stated.get(name) != value]
            if stated["version"] != info.version:
                other.append(f"{part.title} by {info.library} {stated['version']} there, {info.version} here")
        if wrong:
            yield Line("attacks", "mismatch", f"{', '.join(wrong)} are not what the suite's presets give")
        elif other:
            yield Line("attacks", "not checked", "; ".join(other))
        else:
            yield Line("attacks", "match", f"{', '.join(made)}: parameters and library")
        yield self._images(suite, entry)

    def _images(self, suite: Suite, entry: Entry) -> Line:
        """The hashes of the attacked images, where this store has them: crafting them is for --rerun."""
        what = "attacked images"
        stated = {title: attack.get("images_sha256") for title, attack in entry["attacks"].items()}
        if not all(stated.values()):
            return Line(what, "not checked", "the entry is of a version that states no hash of them")
        if not self._at_hand(suite):
            return Line(what, "not checked", "they are not at hand; give --data-root and --store, or --rerun")
        stages = self.stages(suite)
        have = {
            part.title: stages.images_sha256(part)
            for part in suite.attacks
            if stages.store.has("strength", {"attack": stages.attack_key(part)})
        }
        same = [title for title, own in have.items() if own == stated[title]]
        if not have:
            return Line(what, "not checked", "the store has none of them; import them, or give --rerun")
        if len(same) == len(stated):
            return Line(what, "match", f"{', '.join(same)}: those in the store, to the last bit")
        others = ", ".join(title for title in stated if title not in same)
        return Line(
            what,
            "not checked",
            f"{others}: not those in the store to the last bit, as another machine makes "
            "them; import the entry's own into an empty one",
        )

    def _at_hand(self, suite: Suite) -> bool:
        """Whether the net that was attacked can be had without training it."""
        return self._has_data(suite) and (
            suite.model.weights is not None
            or self.stages(suite).store.has("weights", self.stages(suite).weights_inputs)
        )

    def _data(self, suite: Suite, entry: Entry) -> Iterator[Line]:
        stated, stages = entry["dataset"], self.stages(suite)
        if not self._has_data(suite):
            yield Line("data", "not checked", f"{stated['name']} is not at hand; give --data-root")
            return
        try:
            own = {
                "sha256": stages.dataset.content_hash,
                "train_images": len(stages.train_split),
                "attacked_images": len(stages.test),
            }
        except UserError as error:
            yield Line("data", "not checked", str(error))
            return
        wrong = [name for name, value in own.items() if stated[name] != value]
        if wrong:
            yield Line("data", "mismatch", f"{', '.join(wrong)} are not those of {stated['name']} here")
        else:
            said = f"{stated['name']}, sha256 {stated['sha256'][:12]}, {own['attacked_images']} images attacked"
            yield Line("data", "match", said)

    def _has_data(self, suite: Suite) -> bool:
        return suite.dataset.name == SELF_CONTAINED or (
            self.data_root is not None and not suite.dataset.name.endswith(".npz")
        )

    def _model(self, suite: Suite, entry: Entry) -> Line:
        stated = entry["model"]["sha256"]
        stages = self.stages(suite)
        if suite.model.weights is None:
            if not self._at_hand(suite):
                return Line("model", "not checked", "it was trained where it was run; --rerun trains it again")
            return _trained(stages, entry)
        key = f"{suite.model.weights} {canonical(suite.model.parameters)}"
        if key not in self._lines:
            self._lines[key] = [Line("model", "match", _shipped_hash(suite))]
        own = self._lines[key][0].detail
        if own != stated:
            return Line(
                "model",
                "mismatch",
                f"sha256 {stated[:12]} is not that of the weights {suite.model.weights}, {own[:12]}",
            )
        return Line("model", "match", f"{suite.model.weights}, sha256 {stated[:12]}")

    # -- run again ----------------------------------------------------------------------------------------------------

    def run_again(self, audit: Audit, pairs: Sequence[tuple[str, str]]) -> list[Line]:
        """Score some cells of an entry again and compare image by image; what cannot be run says why."""
        entry, scores = audit.entry, audit.scores
        assert entry is not None
        assert scores is not None
        suite, _ = suite_of(audit.root, entry)
        what = ", ".join(f"{fit_on} -> {test_on}" for fit_on, test_on in pairs)
        if suite is None:
            return [Line(f"again {what}", "not checked", "its suite.json does not say how")]
        if entry["detector"]["name"] not in registry.detectors:
            name = entry["detector"]["name"]
            return [Line(f"again {what}", "not checked", f"the detector {name!r} is not installed here")]
        if not self._has_data(suite):
            return [Line(f"again {what}", "not checked", f"{suite.dataset.name} is not at hand; give --data-root")]
        try:
            return list(self._again(suite, audit, pairs))
        except NotStored as missing:
            said = f"the store lacks {missing}; give --store a run's store, or import the attacks into it"
            return [Line(f"again {what}", "not checked", said)]
        except UserError as error:
            return [Line(f"again {what}", "not checked", str(error))]
        except Exception as error:  # a stranger's detector
            return [Line(f"again {what}", "mismatch", f"it raised {type(error).__name__}: {error}")]

    def _again(self, suite: Suite, audit: Audit, pairs: Sequence[tuple[str, str]]) -> Iterator[Line]:
        entry, scores = audit.entry, audit.scores
        assert entry is not None
        assert scores is not None
        stages = self.stages(suite)
        model = _trained(stages, entry)
        yield Line("model again", model.verdict, model.detail)
        if model.verdict != "match":
            yield Line("cells again", "not checked", "they would be those of another net")
            return
        part, protocol = _parts(suite, entry)
        yield from (
            _facts(attack.title, entry["attacks"][attack.title], attack_facts(stages, attack))
            for attack in suite.attacks
            if any(attack.title in pair for pair in pairs)
        )
        if entry["subnets"] is not None:
            stated = [each["fingerprint"] for each in entry["subnets"]["sets"]]
            own = [stages.gates[gate][1]["fingerprint"] for gate in stages.gate_seeds(part)]
            yield Line(
                "gates again",
                "match" if stated == own else "mismatch",
                f"{len(own)} sets" if stated == own else "the gates learned here are others",
            )
        found = scored_again(stages, part, protocol).scores.astype({"fit_on": "str", "test_on": "str", "kind": "str"})
        for pair in pairs:
            yield _compared(pair, scores, found)


def draw(audits: Sequence[Audit], count: int, seed: int) -> dict[int, list[tuple[str, str]]]:
    """``count`` cells at random among those that have a figure: place of the audit -> its cells."""
    cells = [
        (place, cell["fit_on"], cell["test_on"])
        for place, audit in enumerate(audits)
        if audit.entry is not None and audit.scores is not None
        for cell in audit.entry["cells"]
        if cell["auroc"] is not None
    ]
    chosen = np.random.default_rng(seed).permutation(len(cells))[:count]
    found: dict[int, list[tuple[str, str]]] = {}
    for index in sorted(chosen):
        place, fit_on, test_on = cells[index]
        found.setdefault(place, []).append((fit_on, test_on))
    return found


def _facts(title: str, stated: Mapping[str, Any], found: Mapping[str, Any]) -> Line:
    """Bits may differ on another machine, what the images are like may not."""
    loose = ("seconds_per_image", "images_sha256")
    wrong = [name for name, value in found.items() if name not in loose and not _close(stated[name], value)]
    if wrong:
        return Line(f"attack {title} again", "mismatch", f"{wrong[0]} was {stated[wrong[0]]}, is {found[wrong[0]]}")
    bits = ", the same images to the last bit" if stated.get("images_sha256") == found["images_sha256"] else ""
    said = f"{found['successes']} of {found['clean_correct']} fooled, same norms{bits}"
    return Line(f"attack {title} again", "match", said)


def _close(stated: Any, found: Any) -> bool:
    if isinstance(stated, float) and isinstance(found, float):
        return math.isclose(stated, found, rel_tol=1e-4, abs_tol=1e-9)
    return bool(stated == json.loads(canonical(found)))


def _compared(pair: tuple[str, str], stated: pd.DataFrame, found: pd.DataFrame) -> Line:
    """A cell's scores image by image."""
    what, keys = f"again {pair[0]} -> {pair[1]}", ["gate", "split", "test_on", "kind", "image"]
    own, new = (
        f[(f["fit_on"] == pair[0]) & f["test_on"].isin([pair[1], EVERY])].set_index(keys)["score"].sort_index()
        for f in (stated, found)
    )
    if not own.index.equals(new.index):
        return Line(what, "mismatch", f"{len(own)} scores were of other images than the {len(new)} of this run")
    before, after = own.to_numpy(np.float64), new.to_numpy(np.float64)
    scale = float(before.std()) or 1.0
    largest = float(np.abs(before - after).max(initial=0)) / scale
    if np.array_equal(before, after):
        return Line(what, "match", f"{len(own)} scores, all equal")
    if largest <= SCORE_TOLERANCE:
        return Line(what, "match", f"{len(own)} scores, largest difference {largest:.1e} of their deviation")
    kinds = own.index.get_level_values("kind")
    values = [
        100 * auroc(side[kinds == "adversarial"], side[(kinds == "clean") | (kinds == "noisy")])
        for side in (before, after)
    ]
    return Line(
        what,
        "mismatch",
        f"scores differ by up to {largest:.2g} of their deviation; AUROC {values[0]:.2f} was "
        f"stated, {values[1]:.2f} is found",
    )
