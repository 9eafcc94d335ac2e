"""Data that cannot be right are refused or doubted, whatever their source."""

from __future__ import annotations

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
        (lambda: made(IMAGES / 255), r"images of type float64 and shape \(30, 8, 8, 3\)"),
        (lambda: made(IMAGES[..., 0]), r"shape \(30, 8, 8\)"),
        (lambda: made(IMAGES[:, :0]), "shape"),
        (lambda: made(labels=LABELS.astype(float)), "labels of type float64"),
        (lambda: made(labels=LABELS[:, None]), r"shape \(30, 1\) for 30 images"),
        (lambda: made(classes=2), "labels from 0 to 2 and the data set has 2 classes"),
        (lambda: made(labels=LABELS - 1), "labels from -1"),
        (lambda: made(labels=LABELS * 0), "all of one class"),
        (lambda: (IMAGES, LABELS), "gives tuple and not a Dataset"),
        (lambda: None, "gives NoneType and not a Dataset"),
        (
            lambda: Dataset("mine", Split(IMAGES, LABELS), Split(IMAGES[:, :4], LABELS), 3),
            r"training images of shape \(8, 8, 3\) and test images of shape \(4, 8, 3\)",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(data: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        checked(data(), "'mine'")


def test_a_plug_ins_data_set_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(*, root: Any = None) -> Dataset:
        return made(IMAGES / 255)

    datasets.get("digits")
    monkeypatch.setitem(datasets._items, "theirs", theirs)
    with pytest.raises(UserError, match="The training split of mine has images of type float64"):
        load("theirs")


def test_test_images_among_the_training_images_are_counted_and_noted() -> None:
    images = IMAGES.copy()
    images[-3:] = images[:3]
    found = checked(made(images), "'mine'")
    assert found.note == "3 of 30 test images are also among the training images"
    assert found.doubts == ("Data set mine: 3 of 30 test images are also among the training images.",)
    images[-3:-1] = IMAGES[-3:-1]
    assert "1 of 30 test images is also" in checked(made(images), "'mine'").note
    assert checked(made(), "'mine'").note == ""
    assert checked(made(), "'mine'").doubts == ()


def test_equal_images_and_a_handful_of_test_images_are_doubted() -> None:
    doubts = " ".join(checked(made(np.full_like(IMAGES, 7), test=1), "'mine'").doubts)
    assert "all training images are the same" in doubts
    assert "1 test image; fewer than 20 are too few" in doubts


def test_arrays_with_backward_steps_or_foreign_bytes_are_the_same_data() -> None:
    plain, odd = made(IMAGES[..., ::-1].copy()), made(IMAGES[..., ::-1], LABELS.astype(">i8"))
    found = checked(odd, "'mine'")
    assert found.content_hash == checked(plain, "'mine'").content_hash
    assert (found.train.tensor() == plain.train.tensor()).all()
    assert found.train.labels.dtype == np.dtype("=i8")
