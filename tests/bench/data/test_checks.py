"""Data that cannot be right are refused or doubted, whatever their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import datasets
from subnetbench.bench.data.checks import checked
from subnetbench.bench.data.dataset import Dataset, Split
from subnetbench.bench.data.load import load

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def made(images: Any = IMAGES, labels: Any = LABELS, *, test: int = 30, classes: int = 3) -> Dataset:
    return Dataset("mine", Split(images[:-test], labels[:-test]), Split(images[-test:], labels[-test:]), classes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: made((IMAGES / 255).astype(np.uint8) | (IMAGES > 250)), "no pixel above 1"),
        (lambda: made(classes=2), "labels from 0 to 2 and the data set has 2 classes"),
        (lambda: made(labels=LABELS - 1), "labels from -1"),
        (lambda: made(labels=LABELS * 0), "all of one class"),
    ],
)
def test_labels_and_pixels_that_cannot_be_right_are_refused(data: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        checked(data())


def test_whatever_is_loaded_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    black = (IMAGES / 255).astype(np.uint8)

    def theirs(*, root: Any = None) -> Dataset:
        return made(black)

    datasets.get("digits")
    monkeypatch.setitem(datasets._items, "theirs", theirs)
    path = tmp_path / "mine.npz"
    np.savez(path, train_images=black, train_labels=LABELS, test_images=black, test_labels=LABELS)
    for name in ("theirs", str(path)):
        with pytest.raises(UserError, match="The training split of mine has no pixel above 1"):
            load(name)


def test_test_images_among_the_training_images_are_counted_and_noted() -> None:
    images = IMAGES.copy()
    images[-3:] = images[:3]
    found = checked(made(images))
    assert found.note == "3 of 30 test images are also among the training images"
    assert found.warnings == ("Data set mine: 3 of 30 test images are also among the training images.",)
    images[-3:-1] = IMAGES[-3:-1]
    assert "1 of 30 test images is also" in checked(made(images)).note
    assert checked(made()).note == ""
    assert checked(made()).warnings == ()


def test_equal_images_and_a_handful_of_test_images_are_doubted() -> None:
    said = " ".join(checked(made(np.full_like(IMAGES, 7), test=1)).warnings)
    assert "all training images are the same" in said
    assert "1 test image; fewer than 20 are too few" in said
