"""Checks of entries against what is available locally: suites, data, weights, attacks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...detectors.contract import DetectorInfo
from ..adaptive.entry import Entry as AdaptiveEntry
from ..core import registry
from ..core.errors import UserError
from ..core.hashing import canonical, key_of
from ..core.progress import Reporter, Silent
from ..core.store import Artifact, NotStored, Store
from ..data.load import is_npz
from ..detection.entry import Entry
from ..detection.scoring import Scoring
from ..detection.suite import AnyProtocol, DetectorPart, Suite
from ..harness.audit import Audit, Line
from ..harness.context import Context
from ..harness.factory import make
from ..harness.of_session import needed
from ..harness.plugins import info_fault
from ..harness.setup import Trained
from ..models.weights import load_weights, locate, read_weights

#: The data set that needs no download and whose nets train in seconds: all of it may be made again.
SELF_CONTAINED = "digits"


class Anew(Store):
    """A store that never returns scores; kinds in ``spare``, which take hours, are read but never computed."""

    def __init__(self, root: Path, *, spare: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self.spare = spare

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Any) -> Artifact:
        if kind in ("characteristics", "outcome", "adaptive"):
            arrays, meta = compute()
            return arrays, json.loads(canonical(meta))
        if kind in self.spare and not self.has(kind, inputs):
            raise NotStored(f"{kind} {key_of(kind, inputs)[:12]}")
        return super().get(kind, inputs, compute)


class AtHand:
    """A store that gives no scores, with data and device; each suite's data and net are loaded once."""

    def __init__(
        self, *, store: Path | None, data_root: Path | None, device: torch.device, report: Reporter | None = None
    ) -> None:
        self._scratch = None if store else tempfile.TemporaryDirectory(prefix="subnetbench-verify-")
        self._store = store or Path(str(self._scratch and self._scratch.name))
        self._context = Context(Store(self._store), device, data_root, report or Silent())
        self._scoring: dict[str, Scoring] = {}
        self._shipped: dict[str, str] = {}

    def close(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def scoring(self, suite: Suite) -> Scoring:
        """The suite's stages on a store from which no score is read."""
        key = canonical(suite.model_dump(mode="json"))
        if key not in self._scoring:
            spare = () if suite.dataset.name == SELF_CONTAINED else ("adversarial", "gates")
            if suite.dataset.name != SELF_CONTAINED and suite.model.trains:
                spare = (*spare, "weights")
            context = replace(self._context, store=Anew(self._store, spare=spare))
            self._scoring[key] = Scoring(suite, context)
        return self._scoring[key]

    def has_data(self, suite: Suite) -> bool:
        """Whether the suite's images are here, as far as can be seen without reading them."""
        return suite.dataset.name == SELF_CONTAINED or (
            self._context.data_root is not None and not is_npz(suite.dataset.name)
        )

    def has_net(self, suite: Suite) -> bool:
        """Whether the attacked net is available without training it."""
        if not self.has_data(suite) or suite.model.weights is not None:
            return self.has_data(suite)
        return self._context.store.has("weights", self.scoring(suite).setup.weights_inputs)

    def shipped_hash(self, suite: Suite) -> str:
        """Content hash of the suite's net with its shipped weights."""
        key = f"{suite.model.weights} {canonical(suite.model.parameters)}"
        if key not in self._shipped:
            self._shipped[key] = _shipped_hash(suite)
        return self._shipped[key]

    def lines(self, audit: Audit) -> list[Line]:
        """Check the detector, attacks, data and model of an entry, as far as they are available here."""
        suite, entry = audit.suite, audit.entry
        if not isinstance(suite, Suite):
            return []
        scoring, absent = self.scoring(suite), needed(entry)
        lines = [Line("again", "not checked", absent)] if absent else []
        lines += [_detector(scoring, entry)] if isinstance(entry, Entry) and not entry.detector.from_ else []
        data, net = not entry.dataset.from_, not entry.dataset.from_ and not entry.model.from_
        attacks = isinstance(entry, Entry) and not any(attack.from_ for attack in entry.attacks.values())
        try:
            if isinstance(entry, Entry) and attacks:  # one of another track of the suite states no attacks of its own
                lines += [*_attacks(scoring, entry), *([_images(self, scoring, entry)] if net else [])]
            lines += [*([_data(self, scoring, entry)] if data else []), *([_model(self, suite, entry)] if net else [])]
        except UserError as error:
            lines.append(Line("at hand", "not checked", str(error)))
        return lines


def parts_of(suite: Suite, entry: Entry) -> tuple[DetectorPart, AnyProtocol]:
    """The suite's parts for an entry's detector and protocol; the audit made sure that they exist."""
    part = next(p for p in suite.detectors if p.title == entry.label)
    return part, next(p for p in suite.protocols if p.name == entry.protocol_name)


def same_net(trained: Trained, entry: Entry | AdaptiveEntry) -> Line:
    """Compare the suite's net here with the entry's; another machine or version trains another one."""
    stated, here = entry.model.sha256, trained.sha256
    if here == stated:
        return Line("model", "match", f"sha256 {here[:12]}, {trained.accuracy:.2%} right")
    weights = entry.model.weights or {}
    detail = f"the net here is {here[:12]}, the entry's {stated[:12]}"
    if weights.get("hardware") != trained.weights.get("hardware"):
        return Line(
            "model",
            "not checked",
            f"{detail}: trained on {trained.weights.get('hardware')} here, on "
            f"{weights.get('hardware')} there, which gives another net",
        )
    if entry.versions.get("torch") != torch.__version__.split("+")[0]:
        return Line("model", "not checked", f"{detail}: trained by another version of torch, which gives another net")
    return Line("model", "mismatch", detail)


# -- single lines -----------------------------------------------------------------------------------------------------


def _detector(scoring: Scoring, entry: Entry) -> Line:
    stated = entry.detector
    if stated.name not in registry.detectors:
        return Line("detector", "not checked", f"{stated.name!r} is not installed here")
    cls = registry.detectors.get(stated.name)
    fault = info_fault(cls, DetectorInfo)
    if fault is not None:
        return Line("detector", "not checked", f"{stated.name!r} as installed: {fault}")
    info = cls.info
    installed: dict[str, Any] = {
        "title": info.title,
        "year": info.year,
        "url": info.url,
        "needs": list(info.needs),
        "formula": info.formula,
        "control": info.control,
        "candidates": json.loads(canonical(scoring.candidates(*parts_of(scoring.suite, entry)))),
    }
    wrong = [name for name, value in installed.items() if getattr(stated, name) != value]
    if wrong:
        return Line("detector", "mismatch", f"{', '.join(wrong)} are not those of {stated.name!r} as installed")
    return Line("detector", "match", f"{stated.name}, {len(installed['candidates'])} candidates")


def _attacks(scoring: Scoring, entry: Entry) -> Iterator[Line]:
    built = scoring.attacked.attacks
    wrong, other = [], []
    for part in scoring.suite.attacks:
        stated, info = entry.attacks[part.title], built[part.title].info
        built_here = {
            "name": part.name,
            "library": info.library,
            "preset": part.preset,
            "threat": info.threat,
            "norm": info.norm,
            "parameters": built[part.title].parameters,
        }
        wrong += [f"{part.title}.{name}" for name, value in built_here.items() if getattr(stated, name) != value]
        if stated.version != info.version:
            other.append(f"{part.title} by {info.library} {stated.version} there, {info.version} here")
    if wrong:
        yield Line("attacks", "mismatch", f"{', '.join(wrong)} are not what the suite's presets give")
    elif other:
        yield Line("attacks", "not checked", "; ".join(other))
    else:
        yield Line("attacks", "match", f"{', '.join(built)}: parameters and library")


def _images(at_hand: AtHand, scoring: Scoring, entry: Entry) -> Line:
    """The hashes of the attacked images, where this store has them; only --rerun crafts them."""
    what, attacked = "attacked images", scoring.attacked
    stated = {title: attack.images_sha256 for title, attack in entry.attacks.items()}
    if not all(stated.values()):
        return Line(what, "not checked", "the entry is of a version that states no hash of them")
    if not at_hand.has_net(scoring.suite):
        return Line(what, "not checked", "they are not at hand; give --data-root and --store, or --rerun")
    kept = {
        part.title: attacked.images_sha256(part)
        for part in scoring.suite.attacks
        if scoring.context.store.has("strength", {"attack": attacked.key(part)})
    }
    same = [title for title, sha256 in kept.items() if sha256 == stated[title]]
    if not kept:
        return Line(what, "not checked", "the store has none of them; import them, or use --rerun")
    if len(same) == len(stated):
        return Line(what, "match", f"{', '.join(same)}: those in the store, to the last bit")
    others = ", ".join(title for title in stated if title not in same)
    return Line(
        what,
        "not checked",
        f"{others}: not those in the store to the last bit, as happens between "
        "machines; import the entry's own into an empty one",
    )


def _data(at_hand: AtHand, scoring: Scoring, entry: Entry) -> Line:
    stated, setup = entry.dataset, scoring.setup
    if not at_hand.has_data(scoring.suite):
        return Line("data", "not checked", f"{stated.name} is not at hand; give --data-root")
    try:
        here = {
            "sha256": setup.dataset.content_hash,
            "train_images": len(setup.train_split),
            "attacked_images": len(setup.test),
        }
    except UserError as error:
        return Line("data", "not checked", str(error))
    wrong = [name for name, value in here.items() if getattr(stated, name) != value]
    if wrong:
        return Line("data", "mismatch", f"{', '.join(wrong)} are not those of {stated.name} here")
    detail = f"{stated.name}, sha256 {stated.sha256[:12]}, {here['attacked_images']} images attacked"
    return Line("data", "match", detail)


def _model(at_hand: AtHand, suite: Suite, entry: Entry) -> Line:
    stated, weights = entry.model.sha256, suite.model.weights
    if weights is None:
        if not at_hand.has_net(suite):
            return Line("model", "not checked", "it was trained where it was run; --rerun trains it again")
        return same_net(at_hand.scoring(suite).setup.trained, entry)
    shipped = at_hand.shipped_hash(suite)
    if shipped != stated:
        return Line("model", "mismatch", f"sha256 {stated[:12]} is not that of the weights {weights}, {shipped[:12]}")
    return Line("model", "match", f"{weights}, sha256 {stated[:12]}")


def _shipped_hash(suite: Suite) -> str:
    """Content hash of a net with shipped weights; its classes are those of the one linear layer in the file."""
    path = locate(str(suite.model.weights))
    rows = [len(tensor) for tensor in read_weights(path)[0].values() if tensor.ndim == 2]
    offered: dict[str, Any] = {"classes": rows[0]} if len(rows) == 1 else {}
    net = make(suite.model.name, suite.model.parameters, suite.seed, **offered)
    load_weights(net, path)
    sha256: str = net.content_hash()
    return sha256
