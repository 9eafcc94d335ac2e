"""Every annotation goes to its own image, or a sentence says why it goes to none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from subnetbench.bench import UserError
from subnetbench.bench.data.annotations import Annotations, annotated


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``train`` and ``val`` with one image ``0.png`` of 16 pixels in each of the classes a and b."""
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (16, 16)).save(tmp_path / split / name / "0.png")
    return tmp_path


def box(left: float) -> str:
    return f"<bndbox><xmin>{left}</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def put(root: Path, name: str, *objects: str) -> None:
    path = root / "xml" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{''.join(f'<object>{one}</object>' for one in objects)}</annotation>")


def lefts(found: Annotations) -> dict[str, list[float]]:
    """The left edges of the boxes by image."""
    return {found.names[image]: boxes[:, 0].tolist() for image, boxes in found.boxes.items()}


def read(root: Path, source: str = "xml") -> Annotations:
    return annotated(root, source, "test", 16, 16)


@pytest.mark.parametrize("above", ["val/", "Annotations/val/", "ILSVRC/boxes/val/"])
def test_files_of_one_name_go_to_the_images_in_folders_of_the_same_name(root: Path, above: str) -> None:
    put(root, f"{above}a/0.xml", box(1))
    put(root, f"{above}b/0.xml", box(2))
    put(root, "train/a/0.xml", box(3))
    put(root, f"{above}a/._0.xml", box(4))
    assert lefts(read(root)) == {"val/a/0.png": [1], "val/b/0.png": [2]}


@pytest.mark.parametrize("name", ["0.xml", "a/0.xml"])
def test_a_file_that_fits_two_images_is_refused(root: Path, name: str) -> None:
    put(root, name, box(1))
    with pytest.raises(UserError, match=rf"{name} fits .*a/0\.png and .*/0\.png alike; put it into .*xml/val/a/0\.xml"):
        read(root)


def test_two_files_for_one_image_are_refused(root: Path) -> None:
    (root / "val" / "a" / "0.png").rename(root / "val" / "a" / "only.png")
    put(root, "x/only.xml", box(1))
    put(root, "y/only.xml", box(2))
    with pytest.raises(UserError, match=r"x/only\.xml and .*y/only\.xml fit val/a/only\.png alike"):
        read(root)


def test_a_file_in_the_folder_of_another_class_or_split_is_not_the_images(root: Path) -> None:
    (root / "val" / "a" / "0.png").rename(root / "val" / "a" / "only.png")
    put(root, "b/only.xml", box(1))
    put(root, "train/only.xml", box(2))
    assert lefts(read(root)) == {}
    put(root, "anything/only.xml", box(3))
    assert lefts(read(root)) == {"val/a/only.png": [3]}


def test_parts_and_objects_of_other_classes_are_no_boxes_of_the_image(root: Path) -> None:
    part = f"<part><name>head</name>{box(5)}</part>"
    put(root, "val/a/0.xml", f"<name>a</name>{box(1)}{part}", f"<name>b</name>{box(2)}", f"<name>cat</name>{box(3)}")
    put(root, "val/b/0.xml", f"<name>the bee</name>{box(4)}", f"<name>a</name>{box(6)}")
    found = read(root)
    assert lefts(found) == {"val/a/0.png": [1], "val/b/0.png": [4]}
    assert found.left_out == (
        "val/a/0.xml: 2 objects of other classes (first 'b') than that of val/a/0.png",
        "val/b/0.xml: 1 object of other classes (first 'a') than that of val/b/0.png",
    )


def table(root: Path, lines: Sequence[str]) -> Annotations:
    (root / "boxes.csv").write_text("\n".join(["path,wnid,xmin,ymin,xmax,ymax", *lines]))
    return read(root, "boxes.csv")


@pytest.mark.parametrize("path", ["val\\a\\0.png", "./val/a/0.png", "{root}/val/a/0.png", "val//a/../a/0.png"])
def test_a_path_is_found_however_it_is_written(root: Path, path: str) -> None:
    assert lefts(table(root, [f"{path.format(root=root)},a,1,0,9,9"])) == {"val/a/0.png": [1]}


@pytest.mark.parametrize("path", ["a/0.png", "vall/a/0.png", "val/a/0\0.png", "x" * 5000, "/elsewhere/val/a/0.png", ""])
def test_a_line_without_an_image_is_quoted(root: Path, path: str) -> None:
    found = table(root, ["val/a/0.png,a,1,0,9,9", f"{path},a,1,0,9,9"])
    assert found.left_out == (f"boxes.csv, line 3: there is no image {path}", "val/b/0.png has no box")


def test_a_line_with_the_class_of_another_image_is_left_out(root: Path) -> None:
    found = table(root, ["val/a/0.png,b,1,0,9,9", "val/b/0.png,b,2,0,9,9", "train/b/0.png,b,2,0,9,9"])
    assert lefts(found) == {"val/b/0.png": [2]}
    assert found.left_out[0] == "boxes.csv, line 2: the class 'b' is not that of val/a/0.png"
