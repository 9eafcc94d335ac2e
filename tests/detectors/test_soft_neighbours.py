"""Detectors that count neighbours have no gradient; the arm that softens the counts follows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subnetbench.attacks.arms.contract import Score
from subnetbench.attacks.presets import build
from subnetbench.attacks.verify import craft
from subnetbench.bench.core.registry import arms, detectors
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View


@pytest.mark.parametrize("name", ["dknn", "jtla"])
def test_soft_neighbours_evade_counts_that_bim_does_not(
    name: str, net: Classifier, dataset: Dataset, train_view: View
) -> None:
    """Wrong and accepted, within the same ball and number of steps, more often than by an attack on the net alone."""
    detector = detectors.get(name)(k=10).fit(train_view)

    def exact(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(detector.characteristics(View(net, images.float().cpu(), key="arm"))[:, 0]).float()

    clean, labels = dataset.test.tensor(slice(0, 200)), torch.from_numpy(dataset.test.labels[:200])
    scores = exact(clean).numpy()
    tau, right = float(np.quantile(scores, 0.9)), net(clean).argmax(1) == labels
    rows = torch.nonzero(right & torch.from_numpy(scores <= tau)).flatten()[:40]
    guides = dataset.train.tensor(slice(0, 400)), torch.from_numpy(dataset.train.labels[:400])
    score = Score(exact=exact, smooth=None, spread=max(scores.std(), 1e-3), margin_spread=1.0, guides=guides)
    arm = arms.get("soft-neighbours")(epsilon=0.2, steps=30)
    generator = torch.Generator().manual_seed(0)
    softened = arm(net, score, tau, clean[rows], labels[rows], generator=generator).images
    bim = build("bim", "foolbox", "standard", {"epsilon": 0.2, "step_size": 0.04, "steps": 30})
    plain = craft(bim, net, clean[rows], labels[rows].numpy(), seed=0, name="bim")

    def evading(images: torch.Tensor) -> float:
        return float(((net(images).argmax(1) != labels[rows]) & (exact(images) <= tau)).float().mean())

    assert (softened - clean[rows]).abs().max() <= 0.2 + 1e-6
    assert evading(softened) > evading(plain)
