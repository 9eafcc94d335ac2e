"""MaxBoxAcc against the released code of Choe et al. 2020.

``wsol.npz`` holds inputs and the values that clovaai/wsolevaluation (commit 96f4b88679af41f005824661f47e6fe3628af2aa:
``BoxEvaluator``, ``compute_bboxes_from_scoremaps``, ``normalize_scoremap``, ``resize_bbox`` with 64 for its side of
224) gives for them; no code of theirs. Hits and boxes are exact, overlaps agree to 1e-12.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from subnetbench.bench.data.annotations import annotated
from subnetbench.bench.data.box import from_inclusive, resized_pixels
from subnetbench.bench.localisation.maxbox import _bytes, contours, maxbox_hits, maxbox_overlaps
from subnetbench.bench.localisation.metrics import maxbox_acc

GOLDEN = dict(np.load(Path(__file__).parent / "wsol.npz", allow_pickle=False))
MAPS, OWNER, SIZES = GOLDEN["maps"], GOLDEN["true_box_owner"], GOLDEN["image_sizes_wh"]
RESIZED = GOLDEN["expected_resized_true_boxes"]
TRUTH = [RESIZED[image == OWNER] for image in range(len(MAPS))]


def test_true_boxes_follow_their_images_as_released() -> None:
    for owner, box, expected in zip(OWNER, GOLDEN["true_boxes"], RESIZED, strict=True):
        width, height = SIZES[owner]
        assert resized_pixels(from_inclusive(box), (height, width), (64, 64)).tolist() == [expected.tolist()]


def test_boxes_read_from_a_table_are_the_released_ones(tmp_path: Path) -> None:
    """Where no part of the image is cut off: square images."""
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (640, 640)).save(tmp_path / split / name / "0.png")
    lines = ["path,wnid,xmin,ymin,xmax,ymax", "val/a/0.png,a,130,112,500,300", "val/b/0.png,b,0,0,639,639"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    found = annotated(tmp_path, "boxes.csv", "test", 64, 64)
    assert found.pixels[0].tolist() == [[13, 11, 50, 30]]
    assert found.pixels[1].tolist() == [[0, 0, 63, 63]]


@pytest.mark.parametrize("step", ["05", "01"])
def test_hits_overlaps_and_accuracies_are_the_released_ones(step: str) -> None:
    interval = float(f".{step}")
    np.testing.assert_array_equal(np.arange(0, 1, interval), GOLDEN[f"thresholds_{step}"])
    hits, overlaps = maxbox_hits(MAPS, TRUTH, interval), maxbox_overlaps(MAPS, TRUTH, interval)
    for name in ("v1", "v2"):
        np.testing.assert_array_equal(getattr(hits, name), GOLDEN[f"expected_{name}_hits_{step}"])
        best = GOLDEN[f"expected_{name}_best_iou_{step}"]
        np.testing.assert_allclose(getattr(overlaps, name), best, rtol=0, atol=1e-12)
    first, second = maxbox_acc(*hits, np.ones((1, len(MAPS)), np.float32))
    assert 100 * first[0] == pytest.approx(GOLDEN[f"expected_v1_accuracy_percent_{step}"][0], abs=1e-9)
    by_iou = 100 * hits.v2.mean(0).max(0)
    np.testing.assert_allclose(by_iou, GOLDEN[f"expected_v2_accuracy_percent_{step}"], rtol=0, atol=1e-9)
    assert 100 * second[0] == pytest.approx(GOLDEN[f"expected_v2_accuracy_percent_{step}"].mean(), abs=1e-5)


def test_boxes_of_maps_are_the_released_ones() -> None:
    levels = (GOLDEN["thresholds_05"] * 255).astype(int)
    counts = GOLDEN["expected_v2_box_count_05"].ravel()
    expected = np.split(GOLDEN["expected_v2_boxes_05"], counts.cumsum()[:-1])
    masks = _bytes(MAPS)[:, None] > levels[:, None, None]
    found = contours(masks.reshape(-1, 64, 64))
    np.testing.assert_array_equal(found.largest, GOLDEN["expected_v1_boxes_05"].reshape(-1, 4))
    for plane, boxes in enumerate(expected):
        # Without any contour, the released code puts one box of zeros.
        ours = found.boxes[found.owner == plane].tolist() or [[0, 0, 0, 0]]
        assert sorted(ours) == sorted(boxes.tolist())
