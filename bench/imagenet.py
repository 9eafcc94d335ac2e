"""ImageNet's nets with torchvision's weights, and image folders (ImageNet's or one's own) as arrays."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from .data import Dataset, Split
from .models import Classifier
from .registry import register_dataset, register_model
from .types import UserError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Shape = tuple[int, int, int]


def _net(name: str, weights: str | None, classes: int, rows: Sequence[int] | None, shape: Shape) -> Any:
    """torchvision's net; ``rows`` keeps some of the thousand logits of a pretrained one."""
    import torchvision.models as zoo

    if shape[0] != 3:
        raise UserError(f"{name} takes colour images, 3 channels; the data set has {shape[0]}: choose another model.")
    if weights is None:
        return _out_of_place(zoo.get_model(name, weights=None, num_classes=classes))
    enum = zoo.get_model_weights(name)
    if weights not in enum.__members__:
        raise UserError(f"{name} has no weights {weights!r}; torchvision offers {', '.join(enum.__members__)}.")
    chosen = range(1000) if rows is None else rows
    if len(chosen) != classes or not all(0 <= row < 1000 for row in chosen):
        raise UserError(
            f"{name} with weights has 1000 logits and the data set {classes} classes; list in the parameter rows the "
            f"positions of these {classes} classes among ImageNet's sorted thousand (0 to 999)."
        )
    net = zoo.get_model(name, weights=None)
    net.load_state_dict(_fetched(enum[weights]))
    if rows is not None:
        _keep_rows(net, list(rows))
    return _out_of_place(net)


def _fetched(weights: Any) -> Any:
    import torch

    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"The weights {weights} could not be downloaded or read ({reason}); with no network, put {weights.url} "
            f"at {target}."
        ) from None


def _keep_rows(net: nn.Module, rows: list[int]) -> None:
    name, head = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear)][-1]
    kept = nn.Linear(head.in_features, len(rows))
    kept.load_state_dict({key: value[rows] for key, value in head.state_dict().items()})
    parent, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(parent), leaf, kept)


def _out_of_place(net: nn.Module) -> nn.Module:
    # An in-place ReLU would overwrite the outputs that taps before it have been given.
    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.Dropout):
            module.inplace = False
    return net


def _plain(net: Any, *, numbered: bool, classes: int, shape: Shape) -> Classifier:
    """AlexNet or VGG as one sequence: conv1, relu1, pool1 ... or, ``numbered`` within blocks, conv1_1, relu1_1 ..."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    block, place, before_pool = 1, 0, []
    for module in net.features:
        if isinstance(module, nn.Conv2d):
            place += 1
        label = f"{block}_{place}" if numbered else f"{place}"
        if isinstance(module, nn.MaxPool2d):
            before_pool.append(f"relu{label}")
            stages[f"pool{block if numbered else place}"] = module
            block, place = (block + 1, 0) if numbered else (block, place)
        else:
            stages[f"{'conv' if isinstance(module, nn.Conv2d) else 'relu'}{label}"] = module
    units = tuple(name for name in stages if name.startswith("relu"))
    stages["pool"], stages["flatten"] = net.avgpool, nn.Flatten()
    for index, module in enumerate(net.classifier):
        stages[f"classifier{index}"] = module
    positions = {"units": units, "stages": tuple(before_pool), "late": units[-3:]}
    taps = tuple(before_pool) if numbered else units
    return Classifier(nn.Sequential(stages), mean=MEAN, std=STD, taps=taps, gate_positions=positions, classes=classes,
                      shape=shape)  # fmt: skip


@register_model("alexnet")
def alexnet(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int] | None = None,
) -> Classifier:
    """torchvision's AlexNet (Krizhevsky 2014); ``weights`` names one of torchvision's, "IMAGENET1K_V1", say."""
    return _plain(_net("alexnet", weights, classes, rows, shape), numbered=False, classes=classes, shape=shape)


@register_model("vgg16")
def vgg16(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int] | None = None,
) -> Classifier:
    """torchvision's VGG-16 without BatchNorm (Simonyan and Zisserman 2015)."""
    return _plain(_net("vgg16", weights, classes, rows, shape), numbered=True, classes=classes, shape=shape)


@register_model("resnet50")
def resnet50(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int] | None = None,
) -> Classifier:
    """torchvision's ResNet-50 (He et al. 2016); gates sit behind each bottleneck's last ReLU."""
    net = _net("resnet50", weights, classes, rows, shape)
    stages: OrderedDict[str, nn.Module] = OrderedDict(net.named_children())
    head = stages.popitem()
    stages["flatten"] = nn.Flatten()
    stages.update([head])
    layers = ("layer1", "layer2", "layer3", "layer4")
    units = tuple(f"{layer}.{index}" for layer in layers for index in range(len(getattr(net, layer))))
    positions = {"units": units, "stages": layers, "late": layers[2:]}
    return Classifier(nn.Sequential(stages), mean=MEAN, std=STD, taps=("relu", *layers), gate_positions=positions,
                      classes=classes, shape=shape)  # fmt: skip


IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})


@register_dataset("folder")
def folder(
    *,
    root: Path | None = None,
    size: int = 224,
    resize: int | None = None,
    classes: Sequence[str] | None = None,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Images of one's own: ``root/train/<class>/*`` and ``root/test/<class>/*`` (or ``val``), read as RGB.

    The shorter side becomes ``resize`` (default ``size``) pixels, then the centre ``size`` x ``size`` is cut out.
    ``classes`` keeps some class folders; labels are positions among the sorted names of those kept. ``*_per_class``
    keeps a random part drawn from ``seed``. All images are held as uint8: 150 kB each at 224 pixels.
    """
    if root is None:
        raise UserError(
            "The data set 'folder' is read from disk; give the folder that holds train/ and test/ with --data-root."
        )
    if size < 1 or (resize is not None and resize < size):
        raise UserError(f"size must be 1 or more and resize not below it; given size {size}, resize {resize}.")
    test = root / "test" if (root / "test").is_dir() else root / "val"
    found = {"train": _listed(root / "train", classes), "test": _listed(test, classes)}
    if found["train"].keys() != found["test"].keys():
        odd = sorted(found["train"].keys() ^ found["test"].keys())
        raise UserError(
            f"{root}: train/ and {test.name}/ hold different classes ({len(odd)} are in one only, first {odd[0]!r}); "
            "give both the same sub-folders."
        )
    limits = {"train": train_per_class, "test": test_per_class}
    kept = {split: list(_drawn(files, limits[split], seed)) for split, files in found.items()}
    _check_memory(root, sum(map(len, kept.values())), size)
    read = _reader(size, resize or size)
    splits = [_split(kept[split], read, size) for split in ("train", "test")]
    return Dataset(root.resolve().name, splits[0], splits[1], len(found["train"]))


@register_dataset("imagenet")
def imagenet(
    *,
    root: Path | None = None,
    size: int = 224,
    classes: Sequence[str] | None = None,
    train_per_class: int | None = 20,
    test_per_class: int | None = 5,
    seed: int = 0,
) -> Dataset:
    """ImageNet (ILSVRC 2012): ``root/train/<wnid>/*`` and ``root/val/<wnid>/*``, or the official archives in ``root``.

    The archives are unpacked once by torchvision. The shorter side becomes 256 for ``size`` 224, and in proportion.
    ``classes`` lists wnids. The defaults keep 25 images a class, 3.8 GB for all thousand classes.
    """
    if root is None:
        raise UserError(
            "ImageNet cannot be downloaded freely; give the folder that holds train/ and val/ with --data-root."
        )
    if (root / "ILSVRC2012_devkit_t12.tar.gz").is_file():
        _unpack(root)
    dataset = folder(root=root, size=size, resize=round(size * 256 / 224), classes=classes,
                     train_per_class=train_per_class, test_per_class=test_per_class, seed=seed)  # fmt: skip
    return Dataset("imagenet", dataset.train, dataset.test, dataset.classes, "ImageNet subset" if classes else "")


def _unpack(root: Path) -> None:
    import torchvision.datasets as tv

    try:
        for split in ("train", "val"):
            tv.ImageNet(str(root), split=split)
    except (OSError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The ImageNet archives in {root} could not be unpacked ({reason}); unpack them by hand into "
                        "train/<wnid>/ and val/<wnid>/.") from None  # fmt: skip


def _listed(place: Path, classes: Sequence[str] | None) -> dict[str, list[Path]]:
    """The image files of every class, both sorted by name."""
    if not place.is_dir():
        raise UserError(f"There is no folder {place}; it must hold one sub-folder of images for each class.")
    names = sorted(p.name for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))
    if classes is not None:
        absent = [name for name in classes if name not in names]
        if absent:
            raise UserError(f"{place} has no class folder {absent[0]!r} ({len(absent)} of {len(classes)} named classes "
                            "are absent); correct the parameter classes.")  # fmt: skip
        names = sorted(set(classes))
    if len(names) < 2:
        raise UserError(f"{place} has {len(names)} class sub-folders and needs two or more, with images in each.")
    files = {name: sorted(p for p in (place / name).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) for name in names}
    for name, paths in files.items():
        if not paths:
            raise UserError(f"The class folder {place / name} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); "
                            "fill it or remove it.")  # fmt: skip
    return files


def _drawn(files: dict[str, list[Path]], limit: int | None, seed: int) -> Iterator[tuple[Path, int, int]]:
    """(path, label, position in the whole sorted list) of at most ``limit`` images a class."""
    if limit is not None and limit < 1:
        raise UserError(f"The number of images a class must be 1 or more, not {limit}.")
    begin = 0
    for label, paths in enumerate(files.values()):
        order = np.random.default_rng((seed, label)).permutation(len(paths))
        for index in sorted(order[:limit].tolist()):
            yield paths[index], label, begin + index
        begin += len(paths)


def _check_memory(root: Path, images: int, size: int) -> None:
    needed = images * size * size * 3
    try:
        held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such question on this system
        return
    if needed > held:
        raise UserError(
            f"{root}: {images} images of {size} pixels take {needed / 2**30:.0f} GiB and this machine has "
            f"{held / 2**30:.0f}; lower train_per_class, test_per_class or size, or list fewer classes."
        )


def _reader(size: int, resize: int) -> Callable[[Path], npt.NDArray[np.uint8]]:
    import torchvision.transforms as tf
    from PIL import Image

    fit = tf.Compose([tf.Resize(resize), tf.CenterCrop(size)])

    def read(path: Path) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                return np.asarray(fit(image.convert("RGB")), np.uint8)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"The image {path} cannot be read ({error}); replace or remove it.") from None

    return read


def _split(chosen: list[tuple[Path, int, int]], read: Callable[[Path], npt.NDArray[np.uint8]], size: int) -> Split:
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    for row, (path, _, _) in enumerate(chosen):
        images[row] = read(path)
    labels, ids = (np.array([item[column] for item in chosen], np.int64) for column in (1, 2))
    return Split(images, labels, ids)
