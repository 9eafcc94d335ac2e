from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from subnetbench.bench import UserError
from subnetbench.bench.data.box import check_boxes, clipped, from_inclusive, scaled
from subnetbench.bench.localisation import boxes
from subnetbench.bench.localisation.boxes import (
    ALPHAS,
    best_iou,
    choose_alpha,
    constant_box,
    pointing,
    threshold_boxes,
    usable,
)
from torchvision.ops import box_iou


def test_alphas_are_the_papers_21():
    assert ALPHAS.tolist() == [i / 2 for i in range(21)]


def test_the_box_of_a_synthetic_map_is_known_alpha_by_alpha():
    heat = np.zeros((10, 10))
    heat[1:9, 0:8] = 1  # nested: 48 pixels of 1, 15 of 3 and one of 9 make a mean of 1.02
    heat[2:6, 3:7] = 3
    heat[4, 5] = 9
    outer, inner, peak, nothing = [0, 1, 8, 9], [3, 2, 7, 6], [5, 4, 6, 5], [0, 0, 0, 0]
    expected = [outer] * 2 + [inner] * 4 + [peak] * 12 + [nothing] * 3  # up to alpha .5 (.51), 2.5 (2.55), 8.5 (8.67)
    assert threshold_boxes(heat[None])[0].tolist() == expected


def test_all_pixels_above_count_not_the_largest_component():
    heat = np.zeros((1, 6, 9))
    heat[0, 0:3, 0:3] = 1
    heat[0, 5, 8] = 1
    assert threshold_boxes(heat, np.array([1.0])).tolist() == [[[0, 0, 9, 6]]]


def naive_box(heat: np.ndarray, alpha: float) -> list[int]:
    above = [(y, x) for y, x in np.ndindex(heat.shape) if heat[y, x] > alpha * heat.mean()]
    if not above or not usable(heat[None])[0]:
        return [0, 0, 0, 0]
    rows, columns = zip(*above, strict=True)
    return [min(columns), min(rows), max(columns) + 1, max(rows) + 1]


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.floats(0.3, 4),
    st.sampled_from([np.float16, np.float32, np.float64]),
)  # fmt: skip
def test_threshold_boxes_are_those_found_pixel_by_pixel(seed, height, width, power, dtype):
    heat = (np.random.default_rng(seed).random((5, height, width)) ** power).astype(dtype)
    heat[4] -= heat[4].max() / 2  # a signed map is taken as it is
    expected = [[naive_box(one.astype(np.float64), alpha) for alpha in ALPHAS] for one in heat]
    assert threshold_boxes(heat).tolist() == expected


def test_chunks_and_neighbours_do_not_show(monkeypatch):
    heat = np.random.default_rng(0).random((11, 7, 5)) ** 6
    whole = threshold_boxes(heat)
    monkeypatch.setattr(boxes, "CHUNK", 300)
    np.testing.assert_array_equal(threshold_boxes(heat), whole)
    np.testing.assert_array_equal(np.concatenate([threshold_boxes(one[None]) for one in heat]), whole)


def test_a_constant_or_infinite_or_nan_map_misses_at_every_alpha_and_in_the_pointing_game():
    heat = np.random.default_rng(0).random((5, 4, 4))
    heat[1], heat[2, 0, 0], heat[3, 1, 1], heat[4, 3, 3] = 3, np.nan, np.inf, -np.inf
    everything = [np.array([[0.0, 0, 4, 4]])] * 5
    assert usable(heat).tolist() == [True, False, False, False, False]
    assert not threshold_boxes(heat)[1:].any()
    assert not best_iou(threshold_boxes(heat), everything)[1:].any()
    assert best_iou(threshold_boxes(heat), everything)[0, 0] == 1
    assert pointing(heat, everything).tolist() == [True, False, False, False, False]


def test_best_iou_is_that_of_the_best_true_box_and_counts_whole_pixels():
    truth = [from_inclusive(np.array([[0, 0, 4, 9], [8, 8, 9, 9]])), from_inclusive(np.array([[2, 2, 2, 2]]))]
    found = np.array([[[0.0, 0, 10, 10], [8, 8, 10, 9]], [[0, 0, 0, 0], [2, 2, 3, 3]]])
    assert best_iou(found, truth).tolist() == [[0.5, 0.5], [0, 1]]  # exactly one half, which is a hit
    assert choose_alpha(best_iou(found, truth), np.array([0.0, 0.5]))[1].tolist() == [0.5, 0]


def test_alpha_is_that_of_least_error_and_the_smallest_among_equals():
    ious = np.array([[0.4, 0.5, 0.6, 0.1], [0.5, 0.5, 0.7, 0.49], [0.9, 0.2, 0.1, 0.5]])
    index, errors = choose_alpha(ious, np.array([0.0, 0.5, 1.0, 1.5]))
    assert errors.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert index == 0
    assert choose_alpha(ious, np.array([1.5, 1.0, 0.5, 0.0]))[0] == 2
    assert choose_alpha(ious[:, 2:], np.array([1.0, 1.5]))[0] == 0
    assert choose_alpha(ious, np.array([0.0, 0.5, 1.0, 1.5]), threshold=0.6)[0] == 2


def test_the_pointing_game_takes_the_first_maximum_and_the_tolerance_in_pixels():
    heat = np.zeros((1, 10, 12))
    heat[0, 2, 9] = heat[0, 5, 1] = 1  # the first in row-major order is at x = 9, y = 2
    for box, hit in (([9, 2, 9, 2], True), ([1, 5, 1, 5], False), ([9, 3, 9, 9], False), ([0, 0, 8, 9], False)):
        assert pointing(heat, [from_inclusive(np.array(box))]).tolist() == [hit]
    assert pointing(heat, [from_inclusive(np.array([[1, 5, 1, 5], [8, 1, 9, 3]]))]).all()
    # The centre (9.5, 2.5) is 3.5 left and 1.5 above this box: 3.81 away.
    corner = [np.array([[0.0, 4, 6, 9]])]
    assert pointing(heat, corner, tolerance=3.9).all()
    assert not pointing(heat, corner, tolerance=3.7).any()


def test_boxes_follow_the_image_when_it_is_stretched_and_clipped():
    box = from_inclusive(np.array([0, 2, 63, 7]))
    assert box.tolist() == [[0, 2, 64, 8]]
    assert scaled(box, (32, 64), (48, 224)).tolist() == [[0, 3, 224, 12]]
    # 49 * (1 / 49) is below 1: whole pixels stay whole.
    assert scaled(np.array([[0.0, 0, 49, 98]]), (98, 49), (2, 1)).tolist() == [[0, 0, 1, 2]]
    assert clipped(np.array([[-3.0, 2, 99, 40], [70, 1, 80, 4]]), (32, 64)).tolist() == [[0, 2, 64, 32], [64, 1, 64, 4]]


def test_boxes_that_cannot_be_used_are_named_with_their_reason_in_one_sentence():
    rows = from_inclusive(
        np.array(
            [
                [1, 1, 5, 5],
                [30, 4, 10, 9],
                [3, 4, 2, 9],
                [64, 0, 70, 5],
                [-9, -9, -1, 3],
                [0, np.nan, 3, 3],
                [-5, -5, 99, 99],
                [7, 7, 7, 7],
            ]
        )
    )
    bad = check_boxes(rows, [(32, 64)] * 8, [f"val_{i}.JPEG" for i in range(8)])
    assert list(bad) == [1, 2, 3, 4, 5]
    assert bad[1] == "the box of val_1.JPEG (30, 4, 10, 9) is inverted"
    assert bad[2] == "the box of val_2.JPEG (3, 4, 2, 9) is empty"
    assert bad[3] == bad[4].replace("4.JPEG (-9, -9, -1, 3)", "3.JPEG (64, 0, 70, 5)")
    assert bad[3].endswith("is outside its image of 64 x 32 pixels")
    assert bad[5] == "the box of val_5.JPEG (0, nan, 3, 3) is not finite"


def naive_constant_box(truth: list[np.ndarray], size: tuple[int, int]) -> list[float]:
    height, width = size
    candidates = []
    for steps, centred in ((16, False), (64, True)):
        for ymin in range(steps):
            for ymax in range(ymin + 1, steps + 1):
                if centred and ymin + ymax != steps:
                    continue
                for xmin in range(steps):
                    for xmax in range(xmin + 1, steps + 1):
                        if not centred or xmin + xmax == steps:
                            edges = (xmin * width, ymin * height, xmax * width, ymax * height)
                            candidates.append([edge / steps for edge in edges])
    tried = np.array(candidates)
    hits = sum((box_iou(torch.from_numpy(tried), torch.from_numpy(own)).amax(1) >= 0.5).numpy() for own in truth)
    area = (tried[:, 2] - tried[:, 0]) * (tried[:, 3] - tried[:, 1])
    keys = [(-h, -a, b[1], b[0], b[3], b[2]) for h, a, b in zip(hits, area, tried.tolist(), strict=True)]
    best = min(keys)
    return [best[3], best[2], best[5], best[4]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [(64, 64), (16, 32)])
def test_the_constant_box_is_the_best_of_all_tried(seed, size, monkeypatch):
    rng = np.random.default_rng(seed)
    truth = []
    for _ in range(12):
        count = rng.integers(1, 4)
        x = np.sort(rng.permuted(np.tile(np.arange(size[1] + 1), (count, 1)), axis=1)[:, :2])
        y = np.sort(rng.permuted(np.tile(np.arange(size[0] + 1), (count, 1)), axis=1)[:, :2])
        truth.append(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(float))
    found = constant_box(truth, size)
    assert found.tolist() == naive_constant_box(truth, size)
    monkeypatch.setattr(boxes, "CHUNK", 1)
    assert constant_box(truth, size).tolist() == found.tolist()


def test_the_constant_box_of_one_shape_everywhere_overlaps_it_by_half():
    box = np.array([[5.0, 9, 40, 30]])
    found = constant_box([box] * 4, (64, 64))
    assert best_iou(found[None, None].repeat(4, 0), [box] * 4).min() >= 0.5


def test_nothing_to_choose_from_and_an_image_without_box_are_refused_in_one_sentence():
    with pytest.raises(UserError, match="no held-out images to choose alpha"):
        choose_alpha(np.zeros((0, 21)))
    with pytest.raises(UserError, match="no held-out images to choose a constant box"):
        constant_box([], (64, 64))
    with pytest.raises(UserError, match="Image 1 has no true box"):
        best_iou(np.zeros((2, 21, 4)), [np.ones((1, 4)), np.ones((0, 4))])
    with pytest.raises(UserError, match="There are 3 maps and true boxes of 1 images"):
        pointing(np.zeros((3, 2, 2)), [np.ones((1, 4))])
