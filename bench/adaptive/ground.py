"""The images that are attacked, and what attackers know besides: training images, and the net's own margin."""

from __future__ import annotations

import numpy as np
import torch

from ...attacks.base import attacking
from ..core.arrays import Ints
from ..core.errors import UserError
from ..data.dataset import Split, stratified
from ..detection.adaptive import Adaptive
from ..detection.protocol import Material
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..models.classifier import Classifier
from .target import GUIDES, Ground

#: The split whose fit is attacked, and the set of gates that its detectors use.
SPLIT, GATE = 0, 0


def ground_of(scoring: Scoring, protocol: Strict, material: Material, wanted: Adaptive) -> Ground:
    """UserError where no images are left to fix a threshold on, or fewer than its false-positive rate asks for."""
    setup, seed = scoring.setup, scoring.suite.seed
    held_out = protocol.split_indices(material, seed, SPLIT)[1]
    index = attacked(held_out, wanted.images, seed)
    guides = stratified(setup.train_split, min(GUIDES, len(setup.train_split)), seed)
    calibration = _calibration(scoring, protocol, wanted.rate)
    sets = scoring.gates.sets
    _refuse_without_gradient(setup.trained.net, setup.test.tensor(index[:1]))
    return Ground(
        net=setup.trained.net,
        gates={"learned": sets[GATE].gates} if sets else {},
        index=index,
        images=setup.test.tensor(index),
        labels=torch.from_numpy(setup.test.labels[index]),
        guides=(guides.tensor(), torch.from_numpy(guides.labels)),
        calibration=calibration.tensor(),
        calibration_labels=torch.from_numpy(calibration.labels),
    )


def _refuse_without_gradient(net: Classifier, images: torch.Tensor) -> None:
    """UserError where the net's logits have no gradient to the images, which nearly every arm follows."""
    with attacking(net):
        logits = net(images.detach().clone().requires_grad_())
    if not logits.requires_grad:
        raise UserError(
            "[adaptive] needs a net whose logits have a gradient to its images, and this one has none (a detach, or a "
            "no_grad in its forward); take that out, or leave [adaptive] out of the suite."
        )


def attacked(held_out: Ints, count: int, seed: int) -> Ints:
    """At most ``count`` of the images that the split evaluates, drawn by the suite's seed; in order."""
    drawn = np.random.default_rng((seed, 3)).permutation(held_out)[:count]
    return np.sort(drawn)


def _calibration(scoring: Scoring, protocol: Strict, rate: float) -> Split:
    """The correctly classified images that nobody attacks."""
    chosen = scoring.setup.calibration(protocol.calibrating)
    if len(chosen) < 1 / rate:
        raise UserError(
            f"[adaptive] fixes thresholds at a false-positive rate of {rate:.1%}, for which {len(chosen)} correctly "
            f"classified test images that are not attacked are too few (at least {int(np.ceil(1 / rate))}); lower the "
            "suite's limit or raise calibration of the protocol strict."
        )
    return chosen
