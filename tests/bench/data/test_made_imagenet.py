"""ImageNet as it comes: official archives are unpacked, and XML boxes are found in each layout that people have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from subnetbench.bench.data.annotations import annotated
from subnetbench.bench.data.load import load

from ..made_imagenet import SIDE, SIZE, WNIDS, archives, boxes, folders, noise

TRAIN, VAL = 3, 2


def pictures(count: int) -> dict[str, list]:
    all_of_them = noise(count * len(WNIDS))
    return {wnid: all_of_them[k * count : (k + 1) * count] for k, wnid in enumerate(WNIDS)}


def test_official_archives_become_the_folders_that_unpacking_by_hand_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets.imagenet as theirs

    made, by_hand = tmp_path / "archives", tmp_path / "folders"
    archives(made, pictures(TRAIN), pictures(VAL))
    folders(by_hand, pictures(TRAIN), pictures(VAL))
    # torchvision knows the real archives by their md5.
    for split, (name, _) in theirs.ARCHIVE_META.items():
        md5 = hashlib.md5((made / name).read_bytes()).hexdigest()
        monkeypatch.setitem(theirs.ARCHIVE_META, split, (name, md5))
    unpacked, plain = (load("imagenet", root, size=SIZE) for root in (made, by_hand))
    assert unpacked.content_hash == plain.content_hash
    assert len(unpacked.train) == TRAIN * len(WNIDS)
    assert unpacked.test.labels.tolist() == [0] * VAL + [1] * VAL + [2] * VAL
    assert load("imagenet", made, size=SIZE).content_hash == plain.content_hash  # not unpacked again


@pytest.mark.parametrize("kaggle", [True, False], ids=["as on Kaggle", "as the archives unpack"])
def test_every_image_has_its_box(tmp_path: Path, kaggle: bool) -> None:
    folders(tmp_path, pictures(TRAIN), pictures(VAL))
    boxes(tmp_path, tmp_path / "Annotations", kaggle=kaggle)
    for split, count in (("train", TRAIN), ("test", VAL)):
        found = annotated(tmp_path, "Annotations", split, SIZE, SIDE)
        assert len(found.boxes) == count * len(WNIDS)
        assert found.left_out == ()
        margin = (SIDE - SIZE) // 2
        first = next(iter(found.boxes.values()))[0]
        assert (first[0], first[1]) == pytest.approx((16 - margin, 16 - margin), abs=1)


def test_a_choice_of_synsets_is_read_alone(tmp_path: Path) -> None:
    folders(tmp_path, pictures(TRAIN), pictures(VAL))
    chosen = load("imagenet", tmp_path, size=SIZE, classes=list(WNIDS[1:]))
    assert chosen.classes == 2
    assert len(chosen.test) == 2 * VAL
