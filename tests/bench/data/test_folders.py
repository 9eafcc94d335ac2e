from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.core.wnids import synsets
from subnetbench.bench.data import imagenet
from subnetbench.bench.data.load import load
from subnetbench.bench.models import torchvision as torchvision_nets
from subnetbench.bench.models.classifier import Classifier, evaluating


def picture(path: Path, colour: tuple[int, int, int], width: int = 12, height: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, four training images and two test images each, coloured by class, split and place."""
    for label, name in enumerate(("bee", "ant")):
        for i in range(4):
            picture(tmp_path / "train" / name / f"{i}.png", (200 * label, 10 * i, 0))
        for i in range(2):
            picture(tmp_path / "test" / name / f"{i}.png", (200 * label, 10 * i, 255))
    return tmp_path


def test_a_folder_becomes_arrays_with_labels_in_the_order_of_names(root):
    found = load("folder", root, size=8)
    assert found.shape == (3, 8, 8)
    assert found.classes == 2
    assert found.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found.train.images[:, 0, 0].tolist() == [[200, 10 * i, 0] for i in range(4)] + [
        [0, 10 * i, 0] for i in range(4)
    ]
    assert found.test.images[:, 4, 4, 2].tolist() == [255] * 4
    assert found.name == root.name


def test_val_serves_where_there_is_no_test_folder(root):
    (root / "test").rename(root / "val")
    assert len(load("folder", root, size=8).test) == 4


def test_a_limit_draws_evenly_and_ids_stay_places_in_the_whole_list(root):
    few = load("folder", root, size=8, train_per_class=2, seed=1)
    whole = load("folder", root, size=8)
    assert few.train.labels.tolist() == [0, 0, 1, 1]
    assert (whole.train.images[few.train.ids] == few.train.images).all()
    assert load("folder", root, size=8, train_per_class=2, seed=1).content_hash == few.content_hash
    draws = {tuple(load("folder", root, size=8, train_per_class=2, seed=s).train.ids) for s in range(6)}
    assert len(draws) > 1


def test_classes_keeps_some_folders(root):
    for split in ("train", "test"):
        picture(root / split / "cat" / "0.png", (1, 2, 3))
    found = load("folder", root, size=8, classes=["cat", "ant"])
    assert found.classes == 2
    assert found.train.labels.tolist() == [0, 0, 0, 0, 1]


def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            stripes = np.zeros((16, 48, 3), np.uint8)
            stripes[:, 16:32] = 255
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(stripes).save(tmp_path / split / name / "0.png")
    found = load("folder", tmp_path, size=8)
    assert found.train.images.min() > 200  # of the black sides nothing but the blur is left
    assert load("imagenet", tmp_path, size=28).shape == (3, 28, 28)


def test_grey_and_palette_images_are_read_as_colour(root):
    Image.new("L", (9, 9), 77).save(root / "train" / "ant" / "0.png")
    assert load("folder", root, size=8).train.images[0, 0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize("name", ["folder", "imagenet"])
def test_without_a_root_the_mend_is_said(name):
    with pytest.raises(UserError, match="--data-root"):
        load(name)


def test_mistakes_in_a_folder_are_named(root):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        imagenet.folder(root=root / "nowhere", size=8)
    with pytest.raises(UserError, match="no class folder 'dog'"):
        load("folder", root, size=8, classes=["ant", "dog"])
    with pytest.raises(UserError, match="1 class sub-folders"):
        load("folder", root, size=8, classes=["ant"])
    with pytest.raises(UserError, match="not 0"):
        load("folder", root, size=8, train_per_class=0)
    with pytest.raises(UserError, match="resize not below it"):
        load("folder", root, size=8, resize=4)
    picture(root / "train" / "cat" / "0.png", (0, 0, 0))
    with pytest.raises(UserError, match=r"classes: it must be a list, each item text \(given: 'bee'\)"):
        load("folder", root, size=8, classes="bee")
    with pytest.raises(UserError, match=r"different classes .*'cat'"):
        load("folder", root, size=8)
    (root / "train" / "cat" / "0.png").unlink()
    with pytest.raises(UserError, match=r"cat holds no image"):
        load("folder", root, size=8)


def test_images_without_class_folders_are_refused(tmp_path):
    picture(tmp_path / "train" / "0.png", (0, 0, 0))
    with pytest.raises(UserError, match="0 class sub-folders"):
        load("folder", tmp_path, size=8)


def test_a_thousand_other_classes_are_not_imagenet(tmp_path):
    for wnid in [*list(synsets())[1:], "n00000001"]:
        (tmp_path / "train" / wnid).mkdir(parents=True)
    with pytest.raises(UserError, match="has a thousand classes and 'n00000001' is not one of ImageNet's"):
        load("imagenet", tmp_path)


def test_nobodys_folder_passes_as_a_known_data_set(root):
    """Of ImageNet people choose classes, so that other images are marked; tinyimagenet30 is always whole."""
    assert load("imagenet", root, size=28).note == "images of other classes than ImageNet's"
    with pytest.raises(UserError, match=r"are not those of tinyimagenet30, .* name = \"folder\""):
        load("tinyimagenet30", root)
    for folder in list(root.glob("*/*")):
        folder.rename(folder.parent / {"bee": "n02206856", "ant": "n02219486"}[folder.name])
    assert load("imagenet", root, size=28).note == "ImageNet subset"


def test_an_unreadable_image_is_named(root):
    (root / "train" / "bee" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(UserError, match=r"bee.2\.png cannot be read"):
        load("folder", root, size=8)
    whole = (root / "train" / "bee" / "1.png").read_bytes()
    (root / "train" / "bee" / "2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"bee.2\.png cannot be read"):
        load("folder", root, size=8)


def test_more_than_memory_holds_is_refused_before_reading(root, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    with pytest.raises(UserError, match="lower train_per_class"):
        load("folder", root, size=8)


def test_broken_archives_are_one_sentence(tmp_path):
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="could not be unpacked"):
        load("imagenet", tmp_path)


@pytest.fixture(scope="module")
def alexnet() -> Classifier:
    torch.manual_seed(0)
    return models.get("alexnet")(classes=4, shape=(3, 64, 64)).eval()


def test_alexnet_is_torchvisions_function(alexnet):
    import torchvision.models as zoo

    theirs = zoo.alexnet(weights=None, num_classes=4).eval()
    own = [value for key, value in alexnet.net.state_dict().items()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), own, strict=True)))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        normal = (images - torch.tensor(torchvision_nets.MEAN).view(3, 1, 1)) / torch.tensor(torchvision_nets.STD).view(
            3, 1, 1
        )
        assert torch.allclose(alexnet(images), theirs(normal), atol=1e-6)


def test_alexnet_taps_and_gates_are_the_relus_behind_convolutions(alexnet):
    channels = dict(zip(("relu1", "relu2", "relu3", "relu4", "relu5"), (64, 192, 384, 256, 256), strict=True))
    assert alexnet.channels(alexnet.taps) == channels
    assert alexnet.gate_positions["units"] == tuple(channels)
    assert alexnet.gate_positions["stages"] == ("relu1", "relu2", "relu5")
    assert alexnet.head.out_features == 4


def test_taps_are_after_the_relu_and_not_overwritten(alexnet):
    with torch.no_grad():
        _, seen = alexnet.observe(torch.rand(1, 3, 64, 64), ("conv1", "relu1"))
    assert float(seen["conv1"].min()) < 0
    assert torch.equal(seen["relu1"], seen["conv1"].clamp(min=0))


def test_gates_can_start_late(alexnet):
    images, gates = torch.rand(2, 3, 64, 64), {"relu4": torch.full((1, 256), 0.5)}
    start = alexnet.stage_of("relu4")
    with torch.no_grad():
        whole, _ = alexnet.observe(images, gates=gates)
        late, _ = alexnet.observe(alexnet.advance(images, stop=start), gates=gates, start=start)
        plain = alexnet(images)
    assert torch.equal(whole, late)
    assert not torch.equal(whole, plain)


def test_dropout_stays(alexnet):
    assert any(isinstance(module, torch.nn.Dropout) for module in alexnet.modules())


def test_vgg16_taps_sit_before_the_pools():
    net = models.get("vgg16")(classes=2, shape=(3, 32, 32))
    expected = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512, "relu5_3": 512}
    assert net.channels(net.taps) == expected
    assert len(net.gate_positions["units"]) == 13
    assert net.gate_positions["late"] == ("relu5_1", "relu5_2", "relu5_3")


def test_resnet50_gates_sit_behind_every_bottleneck():
    net = models.get("resnet50")(classes=3, shape=(3, 32, 32))
    assert net.channels(net.taps) == {"relu": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
    assert len(net.gate_positions["units"]) == 16
    with torch.no_grad(), evaluating(net):
        logits, seen = net.observe(torch.rand(1, 3, 32, 32), (*net.taps, "layer2.1"))
    assert logits.shape == (1, 3)
    assert all(float(activation.min()) >= 0 for activation in seen.values())


def test_the_parameters_are_checked():
    with pytest.raises(UserError, match="3 channels"):
        models.get("resnet50")(classes=10, shape=(1, 224, 224))
    with pytest.raises(UserError, match=r"no weights 'IMAGENET1K_V9'.*IMAGENET1K_V1"):
        models.get("alexnet")(weights="IMAGENET1K_V9")
    with pytest.raises(UserError, match=r"--classes, or list in model\.parameters\.rows"):
        models.get("alexnet")(weights="IMAGENET1K_V1", classes=10)

    with pytest.raises(UserError, match="'cat' is not one of ImageNet's thousand wnids"):
        models.get("alexnet")(weights="IMAGENET1K_V1", classes=1, rows=["cat"])


@pytest.mark.parametrize(("name", "smallest"), torchvision_nets.SMALLEST.items())
def test_images_that_the_pools_would_use_up_are_refused(name, smallest):
    with pytest.raises(UserError, match=f"{name} takes images of {smallest} pixels or more"):
        models.get(name)(classes=2, shape=(3, 64, smallest - 1))


def test_alexnet_runs_on_its_smallest_images():
    net = models.get("alexnet")(classes=2, shape=(3, 63, 63)).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 3, 63, 63)).shape == (1, 2)


def test_weights_that_cannot_be_fetched_say_where_to_put_them(monkeypatch):
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(UserError, match=r"could not be downloaded .* with no network, put https://.*alexnet"):
        models.get("alexnet")(weights="IMAGENET1K_V1")


def test_rows_keep_the_logits_of_some_classes(monkeypatch):
    import torchvision.models as zoo

    torch.manual_seed(1)
    theirs = zoo.alexnet(weights=None).eval()
    given: dict[str, object] = {}

    def local(*args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        given.update(kwargs)
        return theirs.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", local)
    net = models.get("alexnet")(weights="IMAGENET1K_V1", classes=2, rows=[7, 3], shape=(3, 64, 64)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole = theirs((images - net.mean) / net.std)
        assert torch.allclose(net(images), whole[:, [7, 3]], atol=1e-6)
        by_name = models.get("alexnet")(weights="IMAGENET1K_V1", classes=2, rows=["n02124075", 3], shape=(3, 64, 64))
        assert torch.allclose(by_name.eval()(images), whole[:, [285, 3]], atol=1e-6)
    assert given["weights_only"] is True  # no pickle is ever run


def whole_folder(root: Path, counts: tuple[int, ...] = (10, 5)) -> Path:
    for label, (name, count) in enumerate(zip(("bee", "ant"), counts, strict=True)):
        for i in range(count):
            picture(root / name / f"{i:02}.png", (200 * label, 10 * i, 0))
    return root


def test_a_folder_of_classes_is_split_by_a_share_that_the_seed_draws(tmp_path):
    made = load("folder", whole_folder(tmp_path), size=8, test_share=0.2, seed=3)
    assert np.bincount(made.test.labels).tolist() == [1, 2]
    assert np.bincount(made.train.labels).tolist() == [4, 8]
    assert sorted([*made.train.ids, *made.test.ids]) == list(range(15))
    assert load("folder", tmp_path, size=8, test_share=0.2, seed=3).content_hash == made.content_hash
    assert load("folder", tmp_path, size=8, test_share=0.2, seed=4).content_hash != made.content_hash


def test_mistakes_with_a_folder_of_classes_are_named(tmp_path, root):
    with pytest.raises(UserError, match=r"leave dataset\.parameters\.test_share out"):
        load("folder", root, size=8, test_share=0.2)
    for folder in list(root.iterdir()):
        shutil.rmtree(folder)
    whole_folder(root, (10, 1))
    with pytest.raises(UserError, match=r"2 sub-folders are classes, .*test_share = 0\.2"):
        load("folder", root, size=8)
    with pytest.raises(UserError, match=r"ant holds 1 image, .* leaves none for testing"):
        load("folder", root, size=8, test_share=0.2)
    with pytest.raises(UserError, match="between 0 and 1"):
        load("folder", root, size=8, test_share=1.5)


def test_a_size_that_nobody_named_is_said(tmp_path):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            picture(tmp_path / split / name / "0.png", (0, 0, 0), width=200, height=150)
    assert "read at 224 x 224 pixels" in " ".join(load("folder", tmp_path).warnings)
    assert "read at" not in " ".join(load("folder", tmp_path, size=224).warnings)
