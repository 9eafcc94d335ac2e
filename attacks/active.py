"""Attacks of our own that follow Foolbox's algorithms and take an image out of the batch once it is done."""

from __future__ import annotations

import torch

from ..bench.models.classifier import Classifier
from ..bench.models.iterates import part_of_batch
from .base import Problem


class ActiveSet(Problem):
    """An attack whose passes are of those images of the batch alone that are not done yet."""

    library = "subnetbench"
    distribution = "subnetbench"


def logits_of(classifier: Classifier, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Logits of ``images`` ``(n, C, H, W)``, which stand for the images ``rows`` ``(n,)`` of the batch."""
    with part_of_batch(rows):
        logits: torch.Tensor = classifier(images)
    return logits


def all_rows(images: torch.Tensor) -> torch.Tensor:
    """Places of all images in their batch."""
    return torch.arange(len(images), device=images.device)
