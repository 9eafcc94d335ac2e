"""Suites of every track, small and of one net, for runs on several devices whose figures are then compared."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from subnetbench.bench import runner
from subnetbench.bench.core.device import choose_device
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.tracks import load_suite

from .localisation.test_run import SUITE, draw

#: Two detectors without a gradient, with a single candidate each.
NEIGHBOURS = """[[detectors]]
name = "lid"
candidates = [{ k = 20 }]

[[detectors]]
name = "kd-pu"
candidates = [{ bandwidth = 1.0 }]
"""

#: The net's weights ship, so that all devices attack one net; gates are learned on each.
DETECTION = f"""
extends = "digits"
name = "devices"
limit = 200
without = [
    "detectors.lid.candidates", "detectors.kd-pu.candidates", "detectors.subnet-mahalanobis-top3",
    "detectors.mahalanobis-predicted", "detectors.mahalanobis-both", "detectors.subnet-mahalanobis-random",
    "detectors.subnet-mahalanobis-identity", "statistics", "adaptive",
]

{NEIGHBOURS}
[[protocols]]
name = "strict"
splits = 4
minimum_fit = 40

[[protocols]]
name = "lee2018"
batch_size = 20
minimum_fit = 5

[shift]
images = 20
severities = [3]

[adaptive]
images = 20
steps = 10
epsilons = ["51/255"]
detectors = ["mahalanobis", "subnet-mahalanobis", "max-softmax"]

[adaptive.proof]
images = 20
inner = 40
draws = 20
"""


#: The same tracks in as few operations as go: where each of them takes a thousand times as long as it should.
FEW = f"""
name = "devices"
limit = 40

[dataset]
name = "digits"
train_limit = 100

[model]
name = "digits-cnn"
weights = "digits/digits-cnn"

[subnets]
gamma = 0.1
epochs = 2
batch_size = 8
learning_rate = 0.3
allow_collapsed = true

[[attacks]]
name = "fgsm"
parameters = {{ epsilon = 0.2 }}

[[attacks]]
name = "deepfool"
library = "subnetbench"
preset = "quick"

[[detectors]]
name = "mahalanobis"
candidates = [{{}}]

[[detectors]]
name = "subnet-mahalanobis"
label = "preprocessed"
candidates = [{{ magnitude = 0.002 }}]

{NEIGHBOURS}
[[protocols]]
name = "strict"
splits = 2
minimum_fit = 5

[shift]
images = 10
kinds = ["gaussian-noise"]
severities = [3]
rate = 0.1

[adaptive]
images = 10
steps = 1
epsilons = ["51/255"]
detectors = ["mahalanobis", "lid"]
rate = 0.1
arms = [
    {{ name = "selective-pgd" }}, {{ name = "margin-apgd" }}, {{ name = "square" }}, {{ name = "extra-logit-cw" }},
    {{ name = "feature-matching", parameters = {{ guides = 2, restarts = 1 }} }},
    {{ name = "distilled-surrogate", parameters = {{ epochs = 2, guides = 4, rounds = 1 }} }},
    {{ name = "soft-neighbours", parameters = {{ neighbours = 3, guides = 4, rounds = 1 }} }},
]

[adaptive.proof]
images = 2
inner = 10
draws = 2
"""


#: Parameters for detectors whose own are meant for more images than there are.
FEWER = {"lid": "k = 20", "ood-knn": "k = 20"}


def rows(names: Sequence[str]) -> str:
    """A suite of these detectors, each with one candidate, on one attack of few images."""
    head = FEW[: FEW.index('[[attacks]]\nname = "deepfool"')]
    parts = [f'[[detectors]]\nname = "{name}"\ncandidates = [{{ {FEWER.get(name, "")} }}]\n' for name in names]
    return "\n".join([head, *parts, '[[protocols]]\nname = "strict"\nsplits = 2\nminimum_fit = 5\n'])


FEW_MAPS = SUITE.replace("epochs = 8", "epochs = 1").replace(
    "gamma = 0.5", "gamma = 0.5\nallow_collapsed = true\ncalibrate = false"
)


def run_on(
    device: str, folder: Path, detection: str = DETECTION, maps: str | None = SUITE, weights: Path | None = None
) -> Path:
    """Run the suites on one device into a folder of its own; ``weights``: a folder that holds the nets already."""
    draw(folder / "data")
    if weights is not None:
        shutil.copytree(weights / "store" / "weights", folder / "store" / "weights")
    for name, suite in (("devices", detection), ("wsol-digits", maps)):
        if suite is None:
            continue
        file = folder / f"{name}.toml"
        file.write_text(suite)
        context = Context(Store(folder / "store"), choose_device(device), folder / "data")
        result = runner.execute(load_suite(file), context, folder / "out")
        assert not result.failures, result.failures
    return folder
