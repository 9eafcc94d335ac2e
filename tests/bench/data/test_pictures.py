"""A file of an image folder becomes the picture that its owner sees, or a sentence says what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image
from subnetbench.bench import UserError
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.data.annotations import annotated
from subnetbench.bench.data.load import load
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.tracks import load_suite

NFC, NFD = (normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with two images of 8 pixels in each split."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), (10 * i, 0, 0)).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def of_pictures(warnings: Iterable[str]) -> tuple[str, ...]:
    """Without what is said of so few images, the same in both splits."""
    return tuple(sentence for sentence in warnings if not sentence.startswith("Data set "))


def test_hidden_copies_are_no_images(root: Path) -> None:
    place = root / "test" / "a"
    whole = load("folder", root, size=8).content_hash
    for copy in (".ipynb_checkpoints/0.png", "._0.png", ".0.png", "@eaDir/0.png", "__MACOSX/._0.png"):
        (place / copy).parent.mkdir(exist_ok=True)
        (place / copy).write_bytes((place / "0.png").read_bytes())
    (place / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "test" / "__MACOSX").mkdir()
    found = load("folder", root, size=8)
    assert found.content_hash == whole
    assert of_pictures(found.warnings) == ()


def test_linked_folders_are_followed_but_not_in_circles(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    more = tmp_path_factory.mktemp("more")
    Image.new("RGB", (8, 8), (99, 0, 0)).save(more / "9.jfif", "JPEG")
    (root / "test" / "a" / "linked").symlink_to(more)
    (root / "test" / "a" / "loop").symlink_to(root / "test" / "a")
    found = load("folder", root, size=8)
    assert found.test.images[:, 0, 0, 0].tolist() == pytest.approx([0, 10, 99, 0, 10], abs=2)


def test_pictures_of_other_kinds_are_counted(root: Path) -> None:
    for name in ("x.gif", "y.gif"):
        Image.new("P", (8, 8)).save(root / "train" / "b" / name)
    (root / "train" / "b" / "boxes.txt").write_text("no picture")
    found = load("folder", root, size=8)
    assert len(found.train) == 4
    (sentence,) = of_pictures(found.warnings)
    assert sentence.startswith("2 pictures are of a kind that is not read")
    assert "x.gif" in sentence


def test_labels_that_are_not_the_folders_numbers_are_said(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(11):
            (tmp_path / split / str(number)).mkdir(parents=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / split / str(number) / "0.png")
    found = load("folder", tmp_path, size=8)
    assert found.test.images[:3, 0, 0, 0].tolist() == [0, 1, 10]  # as torchvision's ImageFolder numbers them
    assert [sentence[:75] for sentence in of_pictures(found.warnings)] == [
        "Classes are numbered in the order of their names as text: label 2 is the fo"
    ]
    assert "'10'" in of_pictures(found.warnings)[0]


def test_names_with_accents_are_one_name_however_they_are_stored(root: Path) -> None:
    (root / "train" / "b").rename(root / "train" / NFC)
    (root / "test" / "b").rename(root / "test" / NFD)
    assert load("folder", root, size=8, classes=["a", NFD]).classes == 2
    boxes = f"path,wnid,xmin,ymin,xmax,ymax\ntest/{NFC}/0.png,{NFC},1,2,3,4"
    (root / "boxes.csv").write_text(boxes, encoding="utf-8")
    assert annotated(root, "boxes.csv", "test", 8, 8).boxes[2].tolist() == [[1, 2, 4, 5]]
    (root / "test" / NFC).mkdir()
    if len(list((root / "test").iterdir())) == 3:  # some systems store only one of the two names
        with pytest.raises(UserError, match="has two folders 'café'"):
            load("folder", root, size=8)


def first_image(root: Path, write: Callable[[Path], None], name: str = "0.png") -> tuple[np.ndarray, tuple[str, ...]]:
    """The first training image after its file was written anew, and what was said."""
    (root / "train" / "a" / "0.png").unlink()
    write(root / "train" / "a" / name)
    found = load("folder", root, size=8)
    return found.train.images[0], of_pictures(found.warnings)


RAMP = np.linspace(0, 65_535, 64).reshape(8, 8)


@pytest.mark.parametrize("name", ["0.png", "0.tif", "0.pgm"])
def test_grey_of_16_bits_keeps_its_ramp(root: Path, name: str) -> None:
    def write(path: Path) -> None:
        values = RAMP.astype(np.uint16)
        if path.suffix == ".pgm":
            path.write_bytes(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
        else:
            Image.fromarray(values).save(path)

    image, warnings = first_image(root, write, name)
    assert np.abs(image[..., 0] - RAMP / 257).max() <= 1
    assert warnings == ()


def test_grey_without_a_known_white_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"0\.tif cannot be read \(mode F says not which value is white"):
        first_image(root, lambda path: Image.fromarray(RAMP.astype(np.float32)).save(path), "0.tif")


@pytest.mark.parametrize("name", ["0.jpg", "0.tif", "0.png"])
def test_images_and_their_boxes_are_upright(root: Path, name: str) -> None:
    """Orientation 6: a viewer shows the left of the file at the top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    image, warnings = first_image(root, lambda path: Image.fromarray(pixels).save(path, exif=exif), name)
    assert image[:3].min() > 200
    assert image[5:].max() < 50
    assert [sentence[:38] for sentence in warnings] == ["1 of 8 images are turned upright, as t"]
    (root / "boxes.csv").write_text(f"path,wnid,xmin,ymin,xmax,ymax\ntrain/a/{name},a,2,5,5,9")
    assert annotated(root, "boxes.csv", "train", 8, 8).boxes[0].tolist() == [[2, 1, 6, 6]]


def test_transparent_images_are_on_white_and_counted(root: Path) -> None:
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 255])
    palette.save(root / "train" / "a" / "1.png", transparency=0)
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(root / "train" / "b" / "0.png")
    image, warnings = first_image(root, red.save)
    found = load("folder", root, size=8)
    assert image.min() == found.train.images[1].min() == 255
    assert found.train.images[2, 0, 0].tolist() == [1, 2, 3]
    (sentence,) = warnings
    assert sentence.startswith("2 of 8 images are transparent in places, which are read as white (first ")


def test_the_first_of_several_pages_is_read_and_said(root: Path) -> None:
    pages = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (70, 80)]
    write = lambda path: pages[0].save(path, save_all=True, append_images=pages[1:])  # noqa: E731
    image, warnings = first_image(root, write, "0.tiff")
    assert image[0, 0, 0] == 70
    assert [sentence[:35] for sentence in warnings] == ["1 of 8 images have several pages or"]


def test_all_broken_images_are_named_at_once(root: Path) -> None:
    for name in ("train/a/0.png", "train/b/1.png", "test/a/0.png"):
        (root / name).write_bytes((root / name).read_bytes()[:40])
    with pytest.raises(UserError, match=r"^3 images are broken: .*a.0\.png cannot .*b.1\.png .*test.a.0\.png") as error:
        load("folder", root, size=8)
    assert "\n" not in str(error.value)


def test_small_images_blown_up_are_said_once_by_a_run(root: Path, tmp_path: Path) -> None:
    suite = load_suite("digits")
    suite = suite.model_copy(update={"dataset": suite.dataset.model_copy(update={"name": "folder"})})
    report = Silent()
    setup = Setup(suite, Context(Store(tmp_path / "store"), "cpu", root, report))
    assert setup.dataset.shape == (3, 224, 224)
    (sentence,) = of_pictures(report.warnings)
    assert sentence.startswith("8 of 8 images are enlarged more than twofold, to 224 pixels")
    assert "dataset.parameters.size" in sentence
    assert of_pictures(load("folder", root, size=16).warnings) == ()
