"""What the store's keys say of the ground that all detectors of a suite are attacked on."""

from __future__ import annotations

from ..core import registry
from ..core.hashing import code_hash, source_hash
from ..core.store import Meta
from ..detection.adaptive import Adaptive
from ..detection.scoring import Scoring
from ..detection.strict import Strict
from ..detection.suite import DetectorPart
from ..detection.tasks import basis
from . import crafting
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


def mark(scoring: Scoring, protocol: Strict, part: DetectorPart) -> Meta:
    """What the mark of one detector's finished task says it was made of."""
    wanted = scoring.suite.adaptive
    assert wanted is not None  # else there are no such tasks
    arms = {arm.title: source_hash(registry.arms.get(arm.name)) for arm in wanted.arms}
    made = {"task": "adaptive", "wanted": wanted.model_dump(), "arms": arms, "source": code_hash(crafting)}
    return made | basis(scoring, part, protocol)
