"""What cannot be right about a net, looked for on a few test images before anything is attacked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..core.errors import UserError
from ..core.progress import Reporter
from ..data.dataset import Dataset, stratified
from ..models.classifier import Classifier, evaluating

#: Images that are looked at, and those of them that are also passed one by one.
IMAGES, ALONE = 16, 4

#: Share of the logits' scale by which rounding may make a batch differ from single images; TF32 keeps three digits.
TOLERANCE = 0.02


def look(net: Classifier, name: str, dataset: Dataset, accuracy: float, report: Reporter) -> None:
    """Warn of a net that runs but cannot give meaningful results.

    ``accuracy`` is the net's on the whole test split. Raises UserError where a logit is not finite.
    """
    split = stratified(dataset.test, IMAGES, 0)
    images = split.tensor().to(net.mean.device)
    with torch.no_grad(), evaluating(net):
        logits = net(images).float()
        if not bool(torch.isfinite(logits).all()):
            raise UserError(
                f"The classifier {name!r} gives logits that are not finite for its own test images: its training "
                "diverged or its weights are damaged; train it again, with a lower learning rate."
            )
        for warning in [*_coupled(net, images, logits), *_distribution(logits)]:
            report.warn(f"The classifier {name!r} {warning}.")
    for warning in _guesses(dataset, accuracy, logits):
        report.warn(f"The classifier {name!r} {warning}.")


def _coupled(net: Classifier, images: torch.Tensor, logits: torch.Tensor) -> Iterator[str]:
    """Logits that depend on the other images of a batch."""
    remedy = "BatchNorm without running statistics is a likely cause; attacks and scores will depend on the batch size"
    try:
        alone = torch.cat([net(images[i : i + 1]).float() for i in range(min(ALONE, len(images)))])
    except Exception as error:  # such as BatchNorm's own, for want of a second value
        yield f"takes {len(images)} images but not a single one ({type(error).__name__}): {remedy}"
        return
    difference = float((alone - logits[: len(alone)]).abs().max())
    if difference > TOLERANCE * float(logits.abs().max()):
        yield f"gives an image logits that depend on the other images of its batch, by up to {difference:.2g}: {remedy}"


def _distribution(logits: torch.Tensor) -> Iterator[str]:
    """Probabilities where logits should be."""
    sums = logits.sum(1)
    if bool(((logits >= 0) & (logits <= 1)).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        yield (
            "gives probabilities, not logits: the softmax at its end hides from attacks and detectors how sure it is; "
            "leave that layer out"
        )


def _guesses(dataset: Dataset, accuracy: float, logits: torch.Tensor) -> Iterator[str]:
    """A net that knows no more of the labels than their frequencies."""
    labels = dataset.test.labels
    frequent = float(np.bincount(labels).max()) / len(labels)
    deviation = (frequent * (1 - frequent) / len(labels)) ** 0.5
    if accuracy < 1 and accuracy <= frequent + 2 * deviation:
        predicted = logits.argmax(1)
        same = len(predicted) > 1 and bool((predicted == predicted[0]).all())
        constant = f", and gives {len(predicted)} of {len(predicted)} images the class {predicted[0]}" if same else ""
        yield (
            f"classifies {accuracy:.1%} of {len(labels)} test images correctly, no better than always naming the most "
            f"frequent class ({frequent:.1%}){constant}; train it longer, or check that images and labels belong "
            "together"
        )
