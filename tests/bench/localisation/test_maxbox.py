from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from subnetbench.bench import UserError
from subnetbench.bench.localisation import maxbox
from subnetbench.bench.localisation.maxbox import contours, maxbox_hits
from subnetbench.bench.localisation.metrics import maxbox_acc


def traced(mask: np.ndarray) -> list[tuple[float, list[int]]]:
    """OpenCV's contours of one mask, in its order: area and box as the reference makes it."""
    cv2 = pytest.importorskip("cv2")
    height, width = mask.shape
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    result = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        result.append((cv2.contourArea(contour), [x, y, min(x + w, width - 1), min(y + h, height - 1)]))
    return result


def iou(a: list[int], b: list[int]) -> float:
    across = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    down = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return across * down / (sum(areas) - across * down)


def by_opencv(heat: np.ndarray, truth: list[list[list[int]]], interval: float) -> tuple[np.ndarray, np.ndarray]:
    """The metric in words, map by map and threshold by threshold; ``truth`` holds first and last pixels."""
    cv2 = pytest.importorskip("cv2")
    v1, v2 = [], []
    for image, known in zip(heat, truth, strict=True):
        scores = image.astype(np.float64)
        scores = np.zeros_like(scores) if np.ptp(scores) == 0 else (scores - scores.min()) / np.ptp(scores)
        gray = (scores * 255).astype(np.uint8)
        for t in np.arange(0, 1, interval):
            _, mask = cv2.threshold(gray, int(t * gray.max()), 255, cv2.THRESH_BINARY)
            found = traced(mask) or [(0.0, [0, 0, 0, 0])]
            largest = max(found, key=lambda contour: contour[0])[1]
            v1.append(max(iou(largest, box) for box in known) >= 0.5)
            best = max(iou(box, true) for _, box in found for true in known)
            v2.append([best >= 0.3, best >= 0.5, best >= 0.7])
    return np.array(v1).reshape(len(heat), -1), np.array(v2).reshape(len(heat), -1, 3)


def noise(seed: int, shape: tuple[int, ...], blur: float) -> np.ndarray:
    drawn = np.random.default_rng(seed).random(shape)
    return gaussian_filter(drawn, (0, blur, blur)) if blur else drawn


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 14), st.integers(1, 14), st.floats(0.2, 0.9))
def test_contours_are_opencvs_on_every_small_mask(seed, count, height, width, share):
    # Without blur such masks are full of diagonal links, nested holes and equal areas.
    masks = np.random.default_rng(seed).random((count, height, width)) < share
    found = contours(masks)
    for plane, mask in enumerate(masks):
        expected = traced(mask)
        largest = max(expected, key=lambda contour: contour[0])[1] if expected else [0, 0, 0, 0]
        assert found.largest[plane].tolist() == largest
        assert sorted(found.boxes[found.owner == plane].tolist()) == sorted(box for _, box in expected)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(8, 40), st.integers(8, 40), st.sampled_from([0, 0.6, 1, 2.5]),
    st.sampled_from([0.05, 0.11, 0.02]),
)  # fmt: skip
def test_hits_are_those_of_the_metric_computed_by_opencv(seed, height, width, blur, interval):
    heat = noise(seed, (3, height, width), blur).astype(np.float32)
    rng = np.random.default_rng(seed)
    truth = []
    for images in range(3):
        x, y = np.sort(rng.integers(0, width, (images + 1, 2))), np.sort(rng.integers(0, height, (images + 1, 2)))
        truth.append(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).tolist())
    found = maxbox_hits(heat, [np.array(boxes) for boxes in truth], interval)
    v1, v2 = by_opencv(heat, truth, interval)
    np.testing.assert_array_equal(found.v1, v1)
    np.testing.assert_array_equal(found.v2, v2)


def hits(heat: list[list[float]], *truth: tuple[int, int, int, int], interval: float = 0.05) -> maxbox.MaxBoxHits:
    """Hits of one map at each threshold; ``truth`` holds first and last pixels."""
    found = maxbox_hits(np.array([heat]), [np.array(truth)], interval)
    return maxbox.MaxBoxHits(found.v1[0], found.v2[0])


def test_a_plateau_is_found_at_every_threshold_below_it_and_its_box_is_one_pixel_too_large():
    heat = np.zeros((12, 12))
    heat[2:6, 3:7] = 0.5
    heat[3, 4] = 1
    # 2..5 by 3..6 gives the box 3, 2, 7, 6. Up to t = .45 byte 127 is above int(t * 255); at .5 it is not.
    found = hits(heat.tolist(), (3, 2, 7, 6), interval=0.1)
    assert found.v2[:, 2].tolist() == found.v1.tolist() == [True] * 5 + [False] * 5
    # At .5 and above the peak alone stands, whose box is 4, 3, 5, 4: 2 x 2 of 25 pixels.
    assert hits(heat.tolist(), (4, 3, 5, 4), interval=0.1).v1.tolist() == [False] * 5 + [True] * 5


def test_a_box_at_the_border_is_not_too_large():
    mask = np.zeros((1, 6, 8), bool)
    mask[0, 3:, 5:] = True
    assert contours(mask).largest.tolist() == [[5, 3, 7, 5]]


def test_v1_takes_the_largest_polygon_and_v2_whichever_fits():
    mask = np.zeros((1, 9, 12), bool)
    mask[0, 1, :] = True  # twelve pixels, no area
    mask[0, 4:6, 2:4] = True  # four pixels, area 1
    found = contours(mask)
    assert found.largest.tolist() == [[2, 4, 4, 6]]
    assert sorted(found.boxes.tolist()) == [[0, 1, 11, 2], [2, 4, 4, 6]]
    assert found.owner.tolist() == [0, 0]


def test_a_ring_counts_with_the_area_that_it_encloses_and_its_hole_is_a_contour():
    mask = np.zeros((1, 12, 12), bool)
    mask[0, 1:7, 1:7] = True
    mask[0, 2:6, 2:6] = False  # 20 pixels, area 25
    mask[0, 3, 3] = True  # inside the hole: a contour of its own
    mask[0, 8:12, 0:8] = True  # 32 pixels, area 21
    found = contours(mask)
    assert found.largest.tolist() == [[1, 1, 7, 7]]
    assert sorted(found.boxes.tolist()) == [[0, 8, 8, 11], [1, 1, 7, 7], [1, 1, 7, 7], [3, 3, 4, 4]]


def test_diagonal_neighbours_are_one_object_and_do_not_leak_a_hole():
    mask = np.zeros((1, 5, 5), bool)
    mask[0, [1, 2, 2, 3], [2, 1, 3, 2]] = True  # a diamond around one empty pixel
    found = contours(mask)
    assert found.largest.tolist() == [[1, 1, 4, 4]]
    assert found.boxes.tolist() == [[1, 1, 4, 4], [1, 1, 4, 4]]


def test_among_equal_areas_the_lowest_then_the_rightmost_is_taken():
    mask = np.zeros((1, 6, 9), bool)
    mask[0, [0, 3, 3], [0, 2, 6]] = True
    assert contours(mask).largest.tolist() == [[6, 3, 7, 4]]


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf])
def test_a_map_without_contrast_gives_the_pixel_at_the_origin(value):
    heat = np.arange(36.0).reshape(6, 6)
    heat[:] = value if np.isfinite(value) else heat
    heat[2, 2] = value
    assert hits(heat.tolist(), (0, 0, 0, 1)).v1.all()  # one pixel of two
    assert hits(heat.tolist(), (0, 0, 0, 1)).v2.tolist() == [[True, True, False]] * 20
    assert not hits(heat.tolist(), (1, 1, 3, 3)).v2.any()


def test_the_lowest_255th_is_background_at_threshold_0():
    heat = np.zeros((8, 8))
    heat[0:4, 0:4] = 1.1 / 255
    heat[0, 0] = 1
    found = hits(heat.tolist(), (0, 0, 4, 4))
    assert found.v1.tolist() == [True] + [False] * 19
    heat[0:4, 0:4][heat[0:4, 0:4] < 1] = 0.9 / 255
    assert not hits(heat.tolist(), (0, 0, 4, 4)).v1.any()


def test_accuracy_takes_the_best_threshold_over_images_not_the_best_of_each():
    v1 = np.array([[True, False, True], [False, True, True], [False, True, False], [False, False, False]])
    v2 = np.stack([v1 | np.array([False, True, False]), v1, np.zeros_like(v1)], 2)
    first, second = maxbox_acc(v1, v2, np.ones((1, 4), np.float32))
    assert (first[0], second[0]) == pytest.approx((0.5, (1 + 0.5 + 0) / 3))
    # A resample chooses its own threshold: of the second and third image alone the second is best.
    first, second = maxbox_acc(v1, v2, np.array([[0, 1, 1, 0]], np.float32))
    assert (first[0], second[0]) == pytest.approx((1, (1 + 1 + 0) / 3))


def test_one_of_several_true_boxes_is_enough_and_the_order_of_images_does_not_matter():
    heat = noise(3, (5, 20, 20), 2)
    truth = [np.random.default_rng(i).integers([0, 0, 10, 10], [10, 10, 20, 20], (i + 1, 4)) for i in range(5)]
    found = maxbox_hits(heat, truth)
    singly = [[maxbox_hits(heat[i : i + 1], [box]) for box in own] for i, own in enumerate(truth)]
    for image, own in enumerate(singly):
        np.testing.assert_array_equal(found.v1[image], np.any([each.v1[0] for each in own], 0))
        np.testing.assert_array_equal(found.v2[image], np.any([each.v2[0] for each in own], 0))


def test_chunks_do_not_show(monkeypatch):
    heat, truth = noise(4, (7, 15, 17), 1), [np.array([[2.0, 3, 9, 12]])] * 7
    whole = maxbox_hits(heat, truth, 0.01)
    monkeypatch.setattr(maxbox, "CHUNK", 3 * 15 * 17)
    pieces = maxbox_hits(heat, truth, 0.01)
    np.testing.assert_array_equal(whole.v1, pieces.v1)
    np.testing.assert_array_equal(whole.v2, pieces.v2)
    assert 0 < whole.v2.mean() < 1


def test_nothing_to_count_and_a_wrong_interval_are_refused_in_one_sentence():
    assert maxbox_hits(np.zeros((0, 4, 4)), []).v1.shape == (0, 20)
    with pytest.raises(UserError, match="no maps, so no MaxBoxAcc"):
        maxbox_acc(*maxbox_hits(np.zeros((0, 4, 4)), []), np.ones((1, 0), np.float32))
    with pytest.raises(UserError, match="interval of MaxBoxAcc is 0;"):
        maxbox_hits(np.zeros((1, 4, 4)), [np.ones((1, 4))], 0)
    with pytest.raises(UserError, match="Image 1 has no true box"):
        maxbox_hits(np.zeros((2, 4, 4)), [np.array([[0, 0, 1, 1]]), np.zeros((0, 4))])
