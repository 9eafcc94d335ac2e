"""A small ILSVRC 2012 with the file layouts of the real one: archives, devkit, folders of synsets, XML boxes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from subnetbench.bench.models.classifier import Classifier

#: Great white shark, house finch, tree frog: far from each other.
WNIDS = ("n01484850", "n01532829", "n01644373")

#: Side of the JPEGs; a margin around what a suite of `SIZE` pixels cuts out of them.
SIDE, SIZE = 64, 56


def families(net: Classifier, wnids: Sequence[str], count: int) -> dict[str, list[Image.Image]]:
    """Pictures by synset: ``count`` variants of each of three patterns, under the synset that a net takes them for.

    ``net`` has a logit for each of ``wnids``, in their order.
    """
    found: dict[str, list[Image.Image]] = {}
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        base, variants = torch.randn(1, 3, 5, 5, generator=generator), torch.randn(count, 3, 9, 9, generator=generator)
        images = 0.5 + 0.3 * _spread(base) + 0.02 * _spread(variants)
        pictures = [framed(image) for image in images.clamp(0, 1)]
        seen = torch.stack([_seen(picture) for picture in pictures])
        with torch.no_grad():
            predicted = net(seen).argmax(1)
        wnid = wnids[int(predicted.mode().values)]
        if int((predicted == predicted.mode().values).sum()) == count and wnid not in found:
            found[wnid] = pictures
        if len(found) == len(WNIDS):
            break
    return dict(sorted(found.items()))


def _spread(small: torch.Tensor) -> torch.Tensor:
    return F.interpolate(small, size=SIZE, mode="bicubic", align_corners=False)


def _seen(picture: Image.Image) -> torch.Tensor:
    """What is left of a picture after its JPEG is written, read and cut."""
    pixels = np.array(Image.open(io.BytesIO(jpeg(picture))))
    margin = (SIDE - SIZE) // 2
    inside = pixels[margin : margin + SIZE, margin : margin + SIZE]
    return torch.from_numpy(inside).permute(2, 0, 1).float() / 255


def framed(image: torch.Tensor) -> Image.Image:
    """A picture ``(3, SIZE, SIZE)`` on a grey ground of `SIDE` pixels."""
    whole = torch.full((3, SIDE, SIDE), 0.5)
    margin = (SIDE - SIZE) // 2
    whole[:, margin : margin + SIZE, margin : margin + SIZE] = image
    return Image.fromarray((255 * whole).round().byte().permute(1, 2, 0).numpy())


def noise(count: int) -> list[Image.Image]:
    """Pictures of nothing, each another one."""
    generator = torch.Generator().manual_seed(1)
    return [framed(torch.rand(3, SIZE, SIZE, generator=generator)) for _ in range(count)]


def jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=97, subsampling=0)
    return buffer.getvalue()


def train_name(wnid: str, number: int) -> str:
    return f"{wnid}_{number}.JPEG"


def val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def folders(root: Path, train: dict[str, list[Image.Image]], val: dict[str, list[Image.Image]]) -> None:
    """``train/<wnid>/<wnid>_<n>.JPEG`` and ``val/<wnid>/ILSVRC2012_val_<n>.JPEG``: the layout after unpacking."""
    number = 0
    for wnid in train:
        for place, picture in enumerate(train[wnid]):
            _write(root / "train" / wnid / train_name(wnid, 10 * place + 26), jpeg(picture))
        for picture in val[wnid]:
            number += 1
            _write(root / "val" / wnid / val_name(number), jpeg(picture))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def boxes(root: Path, place: Path, *, kaggle: bool) -> None:
    """An XML file an image: ``CLS-LOC/train/<wnid>/`` and ``CLS-LOC/val/`` as on Kaggle, or as the archives unpack."""
    above = place / "CLS-LOC" if kaggle else place
    for path in sorted((root / "train").glob("*/*.JPEG")):
        folder = above / "train" if kaggle else above
        _write(folder / path.parent.name / f"{path.stem}.xml", xml(path, path.parent.name))
    for path in sorted((root / "val").glob("*/*.JPEG")):
        _write(above / "val" / f"{path.stem}.xml", xml(path, path.parent.name))


def xml(path: Path, wnid: str) -> bytes:
    return (
        f"<annotation><folder>{path.parent.name}</folder><filename>{path.stem}</filename>"
        f"<source><database>ILSVRC_2012</database></source>"
        f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size><segmented>0</segmented>"
        f"<object><name>{wnid}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>16</xmin><ymin>16</ymin><xmax>48</xmax><ymax>48</ymax></bndbox></object></annotation>\n"
    ).encode()


def archives(root: Path, train: dict[str, list[Image.Image]], val: dict[str, list[Image.Image]]) -> None:
    """The three official archives: images by synset in tars within a tar, validation images flat, and the devkit.

    Two synsets of the devkit's tree have children and are no classes, as in the real one.
    """
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as outer:
        for wnid, pictures in train.items():
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for number, picture in enumerate(pictures):
                    _add(tar, train_name(wnid, 10 * number + 26), jpeg(picture))
            _add(outer, f"{wnid}.tar", inner.getvalue())
    order = [(wnid, picture) for wnid, pictures in val.items() for picture in pictures]
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as tar:
        for number, (_, picture) in enumerate(order, start=1):
            _add(tar, val_name(number), jpeg(picture))
    kind: Any = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(k + 1, wnid, f"word {k}, another", "a thing", 0) for k, wnid in enumerate(train)]
    rows += [(1001, "n00001740", "entity", "what is", 2), (1002, "n00002684", "object", "a thing", 1)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})
    truth = "".join(f"{list(train).index(wnid) + 1}\n" for wnid, _ in order)
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        _add(tar, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        _add(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
