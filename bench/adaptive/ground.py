"""The images that are attacked, and what attackers know besides: training images, and the net's own margin."""

from __future__ import annotations

import torch

from ...attacks.base import attacking
from ..core.errors import UserError
from ..data.dataset import Split, stratified
from ..detection.adaptive import Adaptive
from ..detection.one_fit import GATE, calibration_for, held_out
from ..detection.protocol import Material
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..models.classifier import Classifier
from .target import GUIDES, Ground


def ground_of(scoring: Scoring, protocol: Strict, material: Material, wanted: Adaptive) -> Ground:
    """UserError where no images are left to fix a threshold on, or fewer than its false-positive rate asks for."""
    setup, seed = scoring.setup, scoring.suite.seed
    index = held_out(protocol, material, wanted.images, seed)
    guides = stratified(setup.train_split, min(GUIDES, len(setup.train_split)), seed)
    calibration = calibration_for(scoring, protocol, wanted.rate, "adaptive")
    sets = scoring.gates.sets
    device = setup.context.device
    images, labels = _on(device, setup.test.select(index))
    _refuse_without_gradient(setup.trained.net, images[:1])
    calibrating, calibrating_labels = _on(device, calibration)
    return Ground(
        net=setup.trained.net,
        gates={"learned": sets[GATE].gates} if sets else {},
        index=index,
        images=images,
        labels=labels,
        guides=_on(device, guides),
        calibration=calibrating,
        calibration_labels=calibrating_labels,
    )


def _on(device: torch.device, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, where the net is."""
    return split.tensor().to(device), torch.from_numpy(split.labels).to(device)


def _refuse_without_gradient(net: Classifier, images: torch.Tensor) -> None:
    """UserError where the net's logits have no gradient to the images, which nearly every arm follows."""
    with attacking(net):
        logits = net(images.detach().clone().requires_grad_())
    if not logits.requires_grad:
        raise UserError(
            "[adaptive] needs a net whose logits have a gradient to its images, and this one has none (a detach, or a "
            "no_grad in its forward); take that out, or leave [adaptive] out of the suite."
        )
