"""What cannot be right about a net is said before anything is attacked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.sanity import look
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.tracks import load_suite
from torch import nn

from ..cli.test_commands import written

DATA = digits()


def said(*last: nn.Module, accuracy: float = 0.9) -> str:
    torch.manual_seed(0)
    net = Classifier(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10), *last),
        mean=(0.3,),
        std=(0.35,),
        taps=("0",),
        gate_positions={},
        classes=10,
        shape=(1, 8, 8),
    )
    report = Silent()
    look(net.eval(), "theirs", DATA, accuracy, report)
    look(net.eval(), "theirs", DATA, accuracy, report)
    assert len(report.warnings) <= 1  # what was said is not said again
    return " ".join(report.warnings)


def test_a_plain_net_is_taken_without_a_word() -> None:
    assert said() == ""
    assert said(nn.LogSoftmax(1)) == ""
    assert said(nn.BatchNorm1d(10)) == ""


def test_logits_that_depend_on_their_batch_are_said() -> None:
    class Centred(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(0)

    assert "logits that depend on the other images of its batch" in said(Centred())
    assert "takes 16 images but not a single one" in said(nn.BatchNorm1d(10, track_running_stats=False))


def test_probabilities_are_said() -> None:
    assert "'theirs' gives probabilities, not logits" in said(nn.Softmax(1))


def test_a_net_no_better_than_chance_is_said() -> None:
    words = said(accuracy=0.11)
    assert "classifies 11.0% of 899 test images correctly, no better than always naming the most frequent" in words
    assert "gives 16 of 16 images" not in words
    constant = nn.Linear(10, 10)
    nn.init.zeros_(constant.weight)
    assert "gives 16 of 16 images the class" in said(constant, accuracy=0.1)


def test_logits_that_are_not_finite_are_refused() -> None:
    broken = nn.Linear(10, 10)
    nn.init.constant_(broken.weight, np.nan)
    with pytest.raises(UserError, match="'theirs' gives logits that are not finite"):
        said(broken)


def test_a_net_that_keeps_a_tensor_of_its_first_pass_can_be_attacked_afterwards() -> None:
    class Keeps(nn.Module):
        kept: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.kept is None:
                self.kept = torch.linspace(1, 2, x.shape[1], device=x.device)
            return x * self.kept

    keeps = Keeps()
    said(keeps)
    images = torch.ones(1, 10, requires_grad=True)
    keeps(images).sum().backward()
    assert images.grad is not None


def test_a_run_says_what_is_wrong_with_its_net_and_its_data(tmp_path) -> None:
    path = tmp_path / "same.npz"
    split = Split(DATA.train.images[:200], DATA.train.labels[:200])
    arrays = {"train_images": split.images, "train_labels": split.labels}
    np.savez(path, **arrays, test_images=split.images[:60], test_labels=split.labels[:60])
    changes = (('name = "digits"\n', f'name = "{path.as_posix()}"\n'), ("epochs = 3", "epochs = 1"), ("0.1", "1e-9"))
    report = Silent()
    setup = Setup(load_suite(written(tmp_path, *changes)), Context(Store(tmp_path), torch.device("cpu"), report=report))
    _ = setup.trained
    assert "Data set same: 60 of 60 test images are also among the training images." in report.warnings
    assert "no better than always naming the most frequent class" in " ".join(report.warnings)
    assert setup.dataset.note == "60 of 60 test images are also among the training images"
    assert replace(setup.dataset, warnings=()).content_hash == setup.dataset.content_hash
