"""A second net for the images of a view: weights that ship, a file, a factory's own, or one trained on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..bench.core import registry
from ..bench.core.errors import UserError
from ..bench.core.hashing import canonical, code_hash, source_hash
from ..bench.data.dataset import Dataset, Split
from ..bench.harness import factory, train
from ..bench.models.classifier import Classifier, evaluating
from ..bench.models.dry import refuse_unfit
from ..bench.models.weights import cards, load_weights, locate, weights_hash
from ..bench.views import View
from .checks import labels_of

#: What is trained where nothing is named: another architecture than our small nets, and small enough for a CPU.
SMALL, NARROW = "resnet18", {"width": 8}

#: Share of the training images that a net which was not trained on them must get right, and the most that are tried.
KNOWS, TRIED = 0.5, 1000


@dataclass(frozen=True)
class Second:
    """Where a second net comes from. ``path`` is that of its weights, or None: then they are the factory's or trained.

    ``origin`` names it for a reader.
    """

    model: str
    parameters: Mapping[str, Any]
    epochs: int
    seed: int
    origin: str
    path: Path | None = field(default=None)

    @classmethod
    def named(cls, weights: str, model: str, parameters: Mapping[str, Any], epochs: int, seed: int) -> Second:
        """From a detector's parameters; UserError where they do not go together."""
        if not weights:
            chosen = (model, parameters) if model else (SMALL, {**NARROW, **parameters})
            registry.models.get(chosen[0])
            return cls(*chosen, epochs, seed, chosen[0])
        path, card = locate(weights), cards().get(weights)
        if card is not None:
            if model and model != card["model"]:
                raise UserError(f"pid: the weights {weights} are of a {card['model']} and model is {model!r}; omit it.")
            return cls(card["model"], {**card["parameters"], **parameters}, epochs, seed, weights, path)
        if not model:
            raise UserError(f"pid: the file {weights} does not say of which net it is; name that in model.")
        registry.models.get(model)
        return cls(model, parameters, epochs, seed, f"{model} from {path.name}", path)

    @property
    def key(self) -> str:
        return canonical([self.model, self.parameters, self.epochs, self.seed, str(self.path)])

    def content(self) -> dict[str, Any]:
        """What determines the net besides names and numbers: the sha256 of files, and the source of its factory."""
        ours = registry.models.is_ours(self.model)
        return {
            "weights": weights_hash(self.path) if self.path else "",
            "parameters": factory.with_files(self.parameters),
            "factory": source_hash(registry.models.get(self.model)),
            "training": code_hash(train, factory) if not self.path and ours else "",
        }

    def net_for(self, view: View) -> tuple[Classifier, str]:
        """The net, in evaluation mode and without gradients of its own, and a line on where it is from.

        UserError if it does not fit the view's images and classes, does not know these data, or is the first net.
        """
        labels = labels_of("pid", view)
        net, first = self._fitting(view), view.classifier
        if self.path is None and not factory.brings_weights(net, self._made(view, self.seed + 1)):
            note = self._train(net, view)
            return _frozen(net, view), note
        net = _frozen(net, view)
        if net.content_hash() == first.content_hash():
            raise UserError(
                f"pid: the second net ({self.origin}) is the net under attack itself, and never disagrees with it; "
                "name other weights."
            )
        right = self._right(net, view, labels)
        if right < KNOWS:
            raise UserError(
                f"pid: the second net ({self.origin}) gets {right:.0%} of the training images right, so it was made "
                "for other data or for classes in another order; name weights for these."
            )
        return net, f"second net {self.origin}"

    def _fitting(self, view: View) -> Classifier:
        classes, (channels, height, width) = view.classifier.classes, view.images.shape[1:]
        try:
            net = self._made(view, self.seed)
            refuse_unfit(net, self.model, classes, view.images[:1].repeat(2, 1, 1, 1))
            if self.path is not None:
                load_weights(net, self.path)
        except UserError as error:
            raise UserError(
                f"pid: the second net ({self.origin}) does not fit {channels}x{height}x{width} images of {classes} "
                f"classes; name another in weights or model ({str(error).removesuffix('.')})."
            ) from None
        return net

    def _made(self, view: View, seed: int) -> Classifier:
        classes, shape = view.classifier.classes, tuple(view.images.shape[1:])
        return factory.make(self.model, self.parameters, seed, classes=classes, shape=shape)

    def _train(self, net: Classifier, view: View) -> str:
        """By the harness's own recipe: one-cycle SGD with shifts of a pixel, no flips."""
        labels = labels_of("pid", view)
        pixels = (view.images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        split = Split(pixels, labels)
        data = Dataset("training view", split, split.select(np.arange(min(len(split), 2))), view.classifier.classes)
        batch = max(2, min(100, len(split) // 10))
        recipe = train.Recipe(
            epochs=self.epochs, batch_size=batch, learning_rate=0.1, flip=False, shift=1, seed=self.seed
        )
        made = train.train(net, data, recipe, device=view.device)
        right = float(made["train_accuracy"])
        return f"second net {self.model}, trained on {len(split)} images, {right:.0%} of them right"

    @staticmethod
    def _right(net: Classifier, view: View, labels: Any) -> float:
        """Share of training images that a net gets right, over `TRIED` of them spread evenly."""
        chosen = np.linspace(0, len(view) - 1, min(TRIED, len(view))).astype(np.int64)
        correct = 0
        with torch.no_grad(), evaluating(net):
            for rows in np.array_split(chosen, -(-len(chosen) // view.batch_size)):
                images = view.images[torch.from_numpy(rows)].to(view.device)
                correct += int((net(images).argmax(1).cpu().numpy() == labels[rows]).sum())
        return correct / len(chosen)


def _frozen(net: Classifier, view: View) -> Classifier:
    return net.to(view.device).requires_grad_(False).eval()
