"""Data sets of Hugging Face's library, from folders on this machine: the hub is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.load import load

datasets: Any = pytest.importorskip("datasets", reason="the extra `datasets` is not installed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def pixels(number: int, side: int = 8) -> Image.Image:
    return Image.fromarray(np.full((side, side, 3), 10 * number, np.uint8))


def table(count: int, labels: list[Any], **sides: int) -> Any:
    content = {
        "img": [pixels(k, **sides) for k in range(count)],
        "label": [labels[k % len(labels)] for k in range(count)],
    }
    return datasets.Dataset.from_dict(content).cast_column("img", datasets.Image())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    both = datasets.DatasetDict({"train": table(8, ["dog", "cat"]), "test": table(4, ["dog", "cat"])})
    both.save_to_disk(str(tmp_path / "pets"))
    return tmp_path / "pets"


def test_a_saved_data_set_is_read_pixel_by_pixel(saved: Path) -> None:
    made = load("huggingface", saved)
    assert (made.name, made.shape, made.classes) == ("pets", (3, 8, 8), 2)
    assert made.train.images[:, 0, 0, 0].tolist() == [10 * k for k in range(8)]
    assert made.test.labels.tolist() == [1, 0, 1, 0]  # cat before dog


def test_parquet_files_are_read_too(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("test", 4)):
        table(count, [0, 1, 2]).to_parquet(str(tmp_path / f"{split}-00000.parquet"))
    made = load("huggingface", tmp_path)
    assert made.classes == 3
    assert made.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_some_images_are_drawn_by_the_seed_and_keep_their_places(saved: Path) -> None:
    few = load("huggingface", saved, train_images=3, seed=1)
    assert few.train.images[:, 0, 0, 0].tolist() == [10 * k for k in few.train.ids]
    assert len(few.train) == 3
    assert load("huggingface", saved, train_images=3, seed=1).content_hash == few.content_hash


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": table(4, [0, 1]), "test": table(2, [0, 1], side=12)})
    both.save_to_disk(str(tmp_path / "mixed"))
    with pytest.raises(UserError, match=r"not all squares of one size .*dataset\.parameters\.size"):
        load("huggingface", tmp_path / "mixed")
    assert load("huggingface", tmp_path / "mixed", size=6).shape == (3, 6, 6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image": "picture"}, "no column picture; name one of img, label"),
        ({"label": "class"}, "no column class; name one of img, label"),
        ({"image": "label"}, "holds no images"),
        ({"test": "validation"}, "cannot read the split 'validation'.* its splits are train, test"),
        ({"train_images": 0}, "train_images"),
        ({"size": "big"}, "size"),
    ],
)
def test_a_mistake_is_one_sentence(saved: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load("huggingface", saved, **parameters)
    assert "\n" not in str(caught.value)


def test_without_a_name_and_a_folder_the_fix_is_said() -> None:
    with pytest.raises(UserError, match=r"dataset\.parameters\.repository, or a folder"):
        load("huggingface")


def test_a_name_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(UserError, match=r"'uoft-cs/cifar10' of the hub .*no route to host.*--data-root"):
        load("huggingface", repository="uoft-cs/cifar10")
