"""The sets of images that detectors score, each a view of the net: clean, attacked, noisy, mere noise, calibration."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from ...attacks.verify import noise_of_norm
from ..core.hashing import key_of
from ..core.store import Meta
from ..harness.gates import GateSets
from ..views import View
from .attacked import Attacked
from .protocol import Kind, Material, Protocol


class Images:
    """Views by kind, attack and protocol; each is made once, and its key is known before anything is computed."""

    def __init__(self, attacked: Attacked, gates: GateSets) -> None:
        self._attacked, self._gates = attacked, gates
        self._setup = attacked.setup
        self._views: dict[str, View] = {}

    def key(self, kind: Kind, attack: str, protocol: Protocol) -> str:
        """Store key of a set of images seen through the net."""
        setup = self._setup
        split = setup.calibration(protocol.calibrating) if kind == "calibration" else setup.test
        inputs: Meta = {"model": setup.trained.sha256, "clean": setup.split_key(split), "kind": kind}
        if kind in ("adversarial", "noise"):
            inputs["attack"] = self._attacked.key(self._attacked.part(attack))
        if kind == "noise":
            inputs |= {"seed": setup.suite.seed, "label": attack}  # both seed the noise
        if kind == "noisy":
            inputs |= {"seed": setup.suite.seed, "sigma": self._sigma(attack, protocol), "attack": attack}
        return key_of("view", inputs)

    def view(self, kind: Kind, attack: str, protocol: Protocol) -> View:
        key = self.key(kind, attack, protocol)
        if key not in self._views:
            self._views[key] = self._view(self._images(kind, attack, protocol), key)
        return self._views[key]

    @cached_property
    def training(self) -> View:
        """The training images, with labels."""
        setup = self._setup
        key = key_of("view", {"model": setup.trained.sha256, "train": setup.split_key(setup.train_split)})
        return self._view(setup.train_split.tensor(), key, labels=setup.train_split.labels)

    def gated(self, view: View, gate: int) -> View:
        """The view with set ``gate`` of the run's gates in place of the first."""
        return view.with_gates({"learned": self._gates.sets[gate].gates}) if gate else view

    def material(self, protocol: Protocol) -> Material:
        """Facts on which images count, by the net's predictions on clean, noisy and adversarial versions."""
        facts = {part.title: self._attacked.strength(part) for part in self._attacked.parts}
        titles = tuple(facts)
        labels = self._setup.test.labels
        noisy = {}
        if "noisy" in protocol.kinds:
            noisy = {title: self.view("noisy", title, protocol).predicted == labels for title in titles}
        correct = facts[titles[0]]["clean_correct"].astype(bool)
        success = {title: fact["success"].astype(bool) for title, fact in facts.items()}
        calibration = len(self._setup.calibration(protocol.calibrating))
        return Material(labels, correct, titles, success, noisy, calibration)

    def _view(self, images: torch.Tensor, key: str, **more: Any) -> View:
        sets = self._gates.sets
        gates = {"learned": sets[0].gates} if sets else {}
        return View(self._setup.trained.net, images, key=key, gates=gates, store=self._setup.context.store, **more)

    def _sigma(self, attack: str, protocol: Protocol) -> float:
        sigma = protocol.sigma(attack, self._attacked.part(attack).name)
        assert sigma is not None  # a protocol with noisy images states their sigma
        return sigma

    def _images(self, kind: Kind, attack: str, protocol: Protocol) -> torch.Tensor:
        if kind == "calibration":
            return self._setup.calibration(protocol.calibrating).tensor()
        clean = self._setup.test.tensor()
        if kind == "clean":
            return clean
        part = self._attacked.part(attack)
        if kind == "adversarial":
            return self._attacked.adversarial(part)
        seed = int(key_of(kind, {"seed": self._setup.suite.seed, "attack": attack})[:12], 16)
        generator = torch.Generator().manual_seed(seed)
        if kind == "noise":
            return noise_of_norm(clean, torch.from_numpy(self._attacked.strength(part)["l2"]).float(), generator)
        # Lee et al.: sigma is in normalised units, so it is std times as large in pixels; results stay in [0, 1].
        std = self._setup.trained.net.std.cpu()
        noise: torch.Tensor = torch.randn(clean.shape, generator=generator) * std * self._sigma(attack, protocol)
        return (clean + noise).clamp(0, 1)
