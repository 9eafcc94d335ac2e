from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import datasets
from subnetbench.bench.data import official
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.data.dataset import Dataset, Split, stratified
from subnetbench.bench.data.load import check_name, load

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(20) % 10


def written(path: Path, **changes: Any) -> Path:
    """An .npz of 20 random images of 10 classes in each split; ``None`` leaves an array out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES, "test_labels": LABELS} | changes
    with path.open("wb") as file:  # numpy would change the suffix
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_digits_are_the_same_bytes_on_every_machine():
    found = digits()
    assert found.content_hash == "786a2224ae552ea2d57faa37345810087b1e9353361d647f933967caf0840f81"
    assert found.shape == (1, 8, 8)
    assert len(found.train) + len(found.test) == 1797
    assert not set(found.train.ids) & set(found.test.ids)
    assert np.bincount(found.train.labels).min() > 80


def test_the_content_not_the_name_is_the_identity():
    a, b = digits(seed=0), digits(seed=0)
    renamed = Dataset("other", a.train, a.test, 10)
    assert a.content_hash == b.content_hash == renamed.content_hash
    assert digits(seed=1).content_hash != a.content_hash


def test_tensors_are_float32_channels_first_in_0_1():
    split = Split(IMAGES, LABELS)
    x = split.tensor(np.array([3, 1]))
    assert x.dtype == torch.float32
    assert x.shape == (2, 3, 8, 8)
    assert torch.equal((x[0] * 255).round().byte(), torch.from_numpy(IMAGES[3]).permute(2, 0, 1))
    assert float(Split(np.full((1, 2, 2, 1), 255, np.uint8), LABELS[:1]).tensor().max()) == 1.0


def test_selecting_keeps_official_positions():
    part = Split(IMAGES, LABELS).select(np.array([7, 4])).select(np.array([1]))
    assert part.ids.tolist() == [4]
    assert (part.images[0] == IMAGES[4]).all()


@pytest.mark.parametrize("file", ["mine.npz", "mine.NPZ"])
def test_an_npz_of_ones_own_is_found_by_path_root_and_folder(tmp_path, monkeypatch, file):
    path = written(tmp_path / "folder" / file)
    expected = load(str(path))
    assert expected.name == "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, root in (
        ("mine", path),
        ("mine", path.parent),
        (file, path),
        (file, path.parent),
        (f"folder/{file}", tmp_path),
        (f"folder/{file}", path.parent),  # as it is: there is no folder within the folder
        (f"folder/{file}", None),
        (f"~/folder/{file}", None),
        ("mine", Path("~/folder")),
    ):
        check_name(name, root)
        found = load(name, root)
        assert (found.name, found.content_hash) == ("mine", expected.content_hash)
    other = written(tmp_path / "folder" / "deeper" / file, train_labels=LABELS[::-1])
    assert load(file, other.parent).content_hash != expected.content_hash
    monkeypatch.chdir(path.parent)
    assert load(file, other.parent).content_hash == load(str(other)).content_hash  # the root before the path


def test_data_that_are_not_there_are_one_sentence(tmp_path):
    path = written(tmp_path / "mine.npz")
    with pytest.raises(UserError, match=r"data root .* does not exist"):
        load("digits", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"data root .* does not exist"):
        load(str(path), tmp_path / "nowhere")
    for find in (load, check_name):
        with pytest.raises(UserError, match="no data file"):
            find(str(tmp_path / "nowhere.npz"), None)
        with pytest.raises(UserError, match=rf"no data file {tmp_path}/nowhere\.npz"):
            find("nowhere.npz", tmp_path)
        with pytest.raises(UserError, match="no data set named 'nowhere'"):
            find("nowhere", tmp_path)
        with pytest.raises(UserError, match=r"data are other\.npz and --data-root is .*mine\.npz; give one"):
            find("other.npz", path)


@pytest.mark.parametrize(("share", "seed"), [(0.5, 0), (0.3, 4)])
def test_digits_are_those_of_scikit_learn_and_split_as_it_splits(share, seed):
    bunch = load_digits()
    rows, labels = np.arange(len(bunch.target)), bunch.target.astype(np.int64)
    train, test = map(np.sort, train_test_split(rows, test_size=share, stratify=labels, random_state=seed))
    data = digits(test_share=share, seed=seed)
    for split, chosen in ((data.train, train), (data.test, test)):
        np.testing.assert_array_equal(split.images[..., 0], np.round(bunch.images[chosen] * (255 / 16)))
        np.testing.assert_array_equal(split.labels, labels[chosen])
        np.testing.assert_array_equal(split.ids, chosen)


@pytest.mark.parametrize("name", ["digits", "cifar10", "svhn", "svhn10k", "imagenet", "tinyimagenet30", "folder"])
def test_nobodys_npz_passes_as_a_known_data_set(tmp_path, name):
    path = written(tmp_path / f"{name}.npz")
    other = written(tmp_path / "mine.npz")
    for call in ((name, path), (name, other), (name, tmp_path), (str(path), None)):
        with pytest.raises(UserError, match=rf"is not the official {name}, .* name = \"my-{name}\.npz\""):
            load(*call)


def test_the_official_digits_pass_as_an_npz(tmp_path):
    data = digits()
    arrays = {
        "train_images": data.train.images,
        "train_labels": data.train.labels.astype(np.uint8),
        "test_images": data.test.images,
        "test_labels": data.test.labels,
    }
    assert load("digits", written(tmp_path / "a.npz", **arrays)).name == "digits"
    labels = data.test.labels.copy()
    labels[0] = (labels[0] + 1) % 10
    with pytest.raises(UserError, match="is not the official digits"):
        load("digits", written(tmp_path / "b.npz", **arrays | {"test_labels": labels}))


def test_arrays_mean_the_same_however_they_lie_in_memory():
    mirrored, labels = IMAGES[..., ::-1], LABELS.astype(">i8")
    plain = Split(mirrored.copy(), LABELS)
    for split in (
        Split(mirrored, labels),
        Split(mirrored, LABELS.astype(np.uint8)),
        Split(mirrored, LABELS[::-1][::-1]),
    ):
        assert torch.equal(split.tensor(), plain.tensor())
        assert Dataset("a", split, split, 10).content_hash == Dataset("a", plain, plain, 10).content_hash
        torch.from_numpy(split.labels)


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES / 255, LABELS, r"train_images is float64 with values in \[0, 1\]; store uint8 pixels"),
        (IMAGES[..., 0], LABELS, r"train_images has shape \(20, 8, 8\)"),
        (IMAGES, LABELS / 1, "train_labels is float64"),
        (IMAGES, LABELS - 1, "must be 0 or greater"),
        (IMAGES[:, :4], LABELS, "differ in size"),
    ],
)
def test_arrays_of_a_plugin_are_checked_as_those_of_a_file(monkeypatch, images, labels, sentence):
    data = Dataset("pdata", Split(images, labels), Split(IMAGES, LABELS), 10)
    monkeypatch.setitem(datasets._items, "pdata", lambda root=None: data)
    with pytest.raises(UserError, match=f"The data set 'pdata': .*{sentence}"):
        load("pdata")
    monkeypatch.setitem(datasets._items, "pdata", lambda root=None: (images, labels))
    with pytest.raises(UserError, match="'pdata' is a tuple; its factory must return a Dataset"):
        load("pdata")


def test_images_that_are_not_lossless_are_left_out(tmp_path):
    keep = np.ones(20, bool)
    keep[[0, 5]] = False
    found = load(str(written(tmp_path / "mine.npz", train_lossless=keep)))
    assert len(found.train) == 18
    assert len(found.test) == 20
    assert found.train.ids.tolist() == np.flatnonzero(keep).tolist()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_labels": None}, "has no array 'test_labels'"),
        ({"train_images": IMAGES / 255}, r"train_images is float64 with values in \[0, 1\]; store uint8 pixels"),
        ({"train_images": np.full((20, 8, 8, 3), np.nan)}, "train_images holds NaN or infinite values"),
        ({"test_images": IMAGES.astype(np.int32) + 300}, r"test_images is int32 with values in \[300"),
        ({"train_images": IMAGES.astype(str)}, "train_images is <U3"),
        ({"train_images": IMAGES.astype(object)}, "cannot be read as an .npz of plain arrays"),
        (
            {"train_images": IMAGES.transpose(0, 3, 1, 2)},
            r"\(20, 3, 8, 8\); it must be \(N, height, width, 1 or 3\)",
        ),
        ({"train_images": IMAGES[0]}, "shape"),
        ({"train_labels": LABELS[:-1]}, "one integer for each of the 20 images"),
        ({"train_labels": LABELS.astype(float)}, "train_labels is float64"),
        ({"train_labels": np.eye(10)[LABELS]}, "one integer for each"),
        ({"test_labels": LABELS - 1}, "must be 0 or greater"),
        ({"test_images": IMAGES[:0], "test_labels": LABELS[:0]}, "not empty"),
        ({"test_images": IMAGES[:, :4]}, "differ in size"),
        ({"train_labels": LABELS * 2}, "span 19 classes but class 1 has no training image"),
        ({"test_labels": np.where(LABELS == 9, 10**12, LABELS)}, "class 10 has no training image"),
        ({"train_lossless": np.zeros(20, bool)}, "one boolean for each"),
        ({"train_lossless": np.ones(19, bool)}, "one boolean for each"),
        ({"test_lossless": np.arange(20)}, "test_lossless is int64"),
    ],
)
def test_a_mistake_in_an_npz_is_one_sentence(tmp_path, changes, sentence):
    path = written(tmp_path / "mine.npz", **changes)
    with pytest.raises(UserError, match=sentence) as error:
        load(str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flip", "npy"])
def test_a_damaged_npz_is_one_sentence(tmp_path, damage):
    path = written(tmp_path / "mine.npz")
    blob = bytearray(path.read_bytes())
    blob[1000] ^= 255
    np.save(tmp_path / "a.npy", IMAGES)
    npy = (tmp_path / "a.npy").read_bytes()
    content = {"empty": b"", "text": b"hello", "cut": bytes(blob[:2000]), "flip": bytes(blob), "npy": npy}
    path.write_bytes(content[damage])
    with pytest.raises(UserError, match=r"cannot be read as an \.npz of plain arrays"):
        load(str(path))


def test_cifar100_given_as_cifar10_is_refused(tmp_path):
    labels = np.arange(100)
    images = np.zeros((100, 4, 4, 3), np.uint8)
    hundred = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    written(tmp_path / "cifar10.npz", **hundred)
    with pytest.raises(UserError, match="has labels of 100 classes but cifar10 has 10: this is another data set"):
        load("cifar10", tmp_path)
    assert load(str(written(tmp_path / "hundred.npz", **hundred))).classes == 100


def test_cifar10_given_as_cifar100_is_refused(tmp_path):
    with pytest.raises(UserError, match="has labels of 10 classes but cifar100 has 100: this is another data set"):
        load("cifar100", written(tmp_path / "mine.npz"))


SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def first_image(name: str) -> np.ndarray:
    """The first training image of a data set beside the checkout, as the official release has it."""
    manifest = SHARED / name / "manifest.json"
    if not manifest.is_file():
        pytest.skip(f"{manifest.parent} is not here: these official images do not travel with the project")
    tile = json.loads(manifest.read_text())["splits"][0]["tiles"][0]
    with Image.open(manifest.parent / tile) as mosaic:
        return np.asarray(mosaic.convert("RGB"))[:32, :32]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn10k"])
@pytest.mark.parametrize("given", ["cifar10", "cifar100", "svhn10k", "svhn", "digits", "imagenet"])
def test_images_of_another_official_data_set_are_refused(tmp_path, monkeypatch, name, given):
    count = 100 if name == "cifar100" else 10
    images = np.repeat(first_image(name)[None], count, 0)
    path = tmp_path / "file.npz"
    written(path, train_images=images, train_labels=np.arange(count), test_images=images, test_labels=np.arange(count))
    assert len(load(str(path)).train) == count  # a name of one's own says nothing that could be wrong
    if name == given:
        with pytest.raises(UserError, match="is not the official"):  # but a part of it
            load(given, path)
        whole = np.tile(np.arange(count), 2)
        monkeypatch.setitem(official.LABELS, name, hashlib.sha256(whole.tobytes()).hexdigest()[:16])
        assert load(given, path).classes == count
        return
    (tmp_path / f"{given}.npz").write_bytes(path.read_bytes())
    for root in (path, tmp_path):
        with pytest.raises(UserError, match=f"holds the images of {name} but was given as {given}: .*--data-root"):
            load(given, root)


@pytest.mark.parametrize("given", ["cifar10", "svhn10k"])
def test_the_counts_of_svhn_give_it_away(tmp_path, monkeypatch, given):
    labels = {"train_labels": np.arange(73_257) % 10, "test_labels": np.arange(26_032) % 10}
    images = {
        "train_images": np.full((73_257, 1, 1, 3), 9, np.uint8),
        "test_images": np.full((26_032, 1, 1, 3), 9, np.uint8),
    }
    path = written(tmp_path / "file.npz", **labels, **images)
    with pytest.raises(UserError, match=f"holds the images of svhn but was given as {given}"):
        load(given, path)
    with pytest.raises(UserError, match="is not the official svhn"):
        load("svhn", path)
    # Its test images begin with svhn10k.
    monkeypatch.setitem(official.FIRST, hashlib.sha256(bytes([9, 9, 9])).hexdigest()[:16], "svhn10k")
    first = hashlib.sha256(labels["test_labels"][:10_000].tobytes()).hexdigest()[:16]
    monkeypatch.setitem(official.LABELS, "svhn10k", first)
    images["train_images"] += 1
    assert load("svhn", written(path, **labels, **images)).classes == 10


def test_the_check_comes_before_images_are_left_out(tmp_path):
    images = IMAGES.copy()
    keep = np.arange(20) > 0
    with pytest.MonkeyPatch.context() as patch:
        first = hashlib.sha256(images[0].tobytes()).hexdigest()[:16]
        patch.setitem(official.FIRST, first, "svhn10k")
        with pytest.raises(UserError, match="holds the images of svhn10k"):
            load("cifar10", written(tmp_path / "file.npz", train_lossless=keep))


def test_parameters_that_a_data_set_does_not_take_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.parameters: the data set 'digits' does not take them .*'size'"):
        load("digits", size=3)
    with pytest.raises(UserError, match=r"the data set an \.npz does not take them .*'size'"):
        load("imagenet", written(tmp_path / "imagenet.npz"), size=224)
    with pytest.raises(UserError, match=r"imagenet\.npz is an \.npz, whose classes have numbers but no names"):
        load("imagenet", tmp_path, classes=["n01440764", "n01443537"])


def test_svhn10k_is_read_from_its_file_alone_and_says_what_it_is(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"svhn10k\.npz"):
        load("svhn10k")
    monkeypatch.setattr("subnetbench.bench.data.npz.is_official", lambda name, columns: name == "svhn10k")
    assert "no SVHN test score" in load("svhn10k", written(tmp_path / "svhn10k.npz")).note


def test_a_limit_is_even_over_the_classes_and_deterministic():
    labels = np.r_[np.zeros(50, int), np.ones(30, int), np.full(3, 2)]
    split = Split(np.zeros((83, 2, 2, 1), np.uint8), labels)
    few = stratified(split, 23, seed=0)
    assert np.bincount(few.labels).tolist() == [10, 10, 3]
    assert (np.diff(few.ids) > 0).all()  # the official order
    assert (stratified(split, 23, seed=0).ids == few.ids).all()
    assert (stratified(split, 23, seed=1).ids != few.ids).any()
    assert stratified(split, None, seed=0) is split
    assert stratified(split, 83, seed=0) is split


def test_a_larger_limit_keeps_what_a_smaller_one_chose():
    split = digits().test
    assert set(stratified(split, 40, seed=3).ids) < set(stratified(split, 80, seed=3).ids)


@pytest.fixture
def torchvision_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(name: str, build: Any) -> None:
        monkeypatch.setattr(f"torchvision.datasets.{name}", build)

    return install


def test_svhn_keeps_its_labels_in_order_and_puts_channels_last(tmp_path, torchvision_with):
    def build(root: str, split: str, download: bool) -> Any:
        # torchvision turns SVHN's label 10 into 0 by itself; a second shift would be a silent mistake.
        return SimpleNamespace(data=IMAGES.transpose(0, 3, 1, 2), labels=LABELS)

    torchvision_with("SVHN", build)
    found = load("svhn", tmp_path)
    assert (found.train.images == IMAGES).all()
    assert found.train.images.flags.c_contiguous
    assert (found.train.labels == LABELS).all()


@pytest.mark.parametrize(("name", "kind", "classes"), [("cifar10", "CIFAR10", 10), ("cifar100", "CIFAR100", 100)])
def test_torchvisions_arrays_are_taken_as_they_are(tmp_path, torchvision_with, name, kind, classes):
    torchvision_with(kind, lambda root, train, download: SimpleNamespace(data=IMAGES, targets=LABELS.tolist()))
    found = load(name, tmp_path)
    assert found.classes == classes
    assert found.test.labels.dtype == np.int64


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100"), ("svhn", "SVHN")])
@pytest.mark.parametrize("error", [OSError("<urlopen error no route>\nmore"), RuntimeError("File not found")])
def test_without_a_network_there_is_one_sentence(tmp_path, torchvision_with, name, kind, error):
    def build(*args: Any, **kwargs: Any) -> Any:
        raise error

    torchvision_with(kind, build)
    with pytest.raises(UserError, match=rf"{name} is not under .* and could not be downloaded .*--data-root") as caught:
        load(name, tmp_path)
    assert "\n" not in str(caught.value)
