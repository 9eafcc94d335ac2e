"""What entries can be checked against here: suites, data, weights, attacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ..core import registry
from ..core.hashing import canonical, key_of
from ..core.store import Artifact, NotStored, Store
from ..detection.entry import Entry
from ..detection.scoring import Stages
from ..detection.suite import DetectorPart, Suite
from ..harness.audit import Line
from ..models import weights as shipped
from ..models.weights import load_weights

#: The data set that needs nothing fetched and nets that train in seconds: all of it may be made anew.
SELF_CONTAINED = "digits"


class Anew(Store):
    """A store from which scores are never read; ``spare`` also refuses to make what takes hours."""

    def __init__(self, root: Path, *, spare: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self.spare = spare

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Any) -> Artifact:
        if kind in ("characteristics", "outcome"):
            arrays, meta = compute()
            return arrays, json.loads(canonical(meta))
        if kind in self.spare and not self.has(kind, inputs):
            raise NotStored(f"{kind} {key_of(kind, inputs)[:12]}")
        return super().get(kind, inputs, compute)


def _parts(suite: Suite, entry: Entry) -> tuple[DetectorPart, Any]:
    """The suite's own form of an entry's detector and protocol; `suite_of` made sure that they are there."""
    part = next(p for p in suite.detectors if p.title == entry["detector"]["label"])
    return part, next(p for p in suite.protocols if p.name == entry["protocol"]["name"])


def _trained(stages: Stages, entry: Entry) -> Line:
    """The net that the suite gives here; another machine or version trains another one."""
    stated, own = entry["model"]["sha256"], stages.model_hash
    if own == stated:
        return Line("model", "match", f"sha256 {own[:12]}, {stages.clean_accuracy:.2%} right")
    weights, here = entry["model"].get("weights") or {}, stages.weights_meta
    said = f"the net here is {own[:12]}, the entry's {stated[:12]}"
    if weights.get("hardware") != here.get("hardware"):
        return Line(
            "model",
            "not checked",
            f"{said}: trained on {here.get('hardware')} here, on "
            f"{weights.get('hardware')} there, which gives another net",
        )
    if entry["versions"].get("torch") != torch.__version__.split("+")[0]:
        return Line("model", "not checked", f"{said}: trained by another version of torch, which gives another net")
    return Line("model", "mismatch", said)


def _shipped_hash(suite: Suite) -> str:
    """Content hash of a net with weights that ship; its classes are those of the one linear layer in the file."""
    path = shipped.locate(str(suite.model.weights))
    with safe_open(path, framework="np") as file:
        rows = [
            file.get_slice(name).get_shape()[0]
            for name in file.keys()  # noqa: SIM118 (not a mapping)
            if len(file.get_slice(name).get_shape()) == 2
        ]
    parameters = {"classes": rows[0], **suite.model.parameters} if len(rows) == 1 else suite.model.parameters
    net = registry.models.get(suite.model.name)(**parameters)
    load_weights(net, path)
    found: str = net.content_hash()
    return found
