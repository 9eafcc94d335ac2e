"""What the store's keys say of the ground that all detectors of a suite are attacked on."""

from __future__ import annotations

from ..core.store import Meta
from ..detection.adaptive import Adaptive
from ..detection.scoring import Scoring
from .crafting import Attacker
from .target import Ground


def keys_of(scoring: Scoring, ground: Ground) -> Meta:
    """Net, images and guides."""
    setup = scoring.setup
    return {
        "model": setup.trained.sha256,
        "test": setup.split_key(setup.test),
        "guides": len(ground.guides[1]),
        "train": setup.split_key(setup.train_split),
    }


def attacker_of(scoring: Scoring, wanted: Adaptive, ground: Ground) -> Attacker:
    """Runs arms through the suite's store."""
    ids = scoring.setup.test.ids[ground.index]
    return Attacker(scoring.context.store, keys_of(scoring, ground), scoring.suite.seed, wanted.batch_size, ids)
