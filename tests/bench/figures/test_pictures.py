"""What pictures show: names at the ends of curves, a tree of many classes, boxes whole, colours kept."""

from __future__ import annotations

import importlib.util
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from subnetbench.bench.analysis.arrays import GATES, write_arrays
from subnetbench.bench.analysis.features import gate_arrays
from subnetbench.bench.analysis.semantics import class_map, class_tree
from subnetbench.bench.figures.heatmaps import TIGHTEST, TRUE, _box
from subnetbench.bench.figures.labels import Label, label_ends, spaced
from subnetbench.bench.figures.palette import fewer_colours
from subnetbench.bench.figures.rocs import NAMED, chosen, roc_figure
from subnetbench.bench.figures.style import panels, save, style
from subnetbench.bench.figures.subnets import figure3

from .test_draw import entry, scores

if importlib.util.find_spec("matplotlib") is None:
    pytest.skip("matplotlib is not installed (the extra `plots`)", allow_module_level=True)

PROPOSALS = ("kd-pu", "lid", "mahalanobis", "subnet-mahalanobis", "odds", "nss", "spam")
CONTROLS = ("energy", "max-softmax")


@pytest.fixture(autouse=True)
def in_style():
    with style():
        yield


def of_auroc(label: str, control: bool, auroc: float):
    made = entry("strict", label, control)
    return made.model_copy(update={"cells": [cell.model_copy(update={"auroc": auroc}) for cell in made.cells]})


def texts(figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for axis in figure.axes for text in axis.texts]


def test_six_curves_have_a_name_and_the_rest_is_grey(tmp_path):
    entries = [of_auroc(label, False, 0.9 - 0.05 * k) for k, label in enumerate(PROPOSALS)]
    entries += [of_auroc(label, True, 0.7 + 0.1 * k) for k, label in enumerate(CONTROLS)]
    assert chosen(entries) == {*PROPOSALS[:5], "max-softmax"}
    entries = [e.write(tmp_path, scores(number)) for number, e in enumerate(entries)]
    figure = roc_figure(tmp_path, entries)
    assert figure.get_size_inches()[0] == 3.3
    assert len(texts(figure)) == 2 * NAMED  # two attacks
    assert "max-softmax 80.0" in texts(figure)
    assert not any("spam" in text or "energy" in text for text in texts(figure))
    grey = [line for line in figure.axes[0].lines if line.get_color() == "#bdbdbd"]
    assert len(grey) == len(entries) - NAMED
    said = figure.get_supxlabel()
    assert said == f"black: max-softmax (best control)\ngrey: {len(grey)} others, controls dashed"


def test_a_variant_has_a_name_only_where_there_is_room():
    plain = [of_auroc(label, False, 0.6) for label in PROPOSALS[:5]]
    variant = of_auroc("lid", False, 0.99)
    variant = variant.model_copy(update={"detector": variant.detector.model_copy(update={"label": "lid-k9"})})
    assert "lid-k9" not in chosen([*plain, variant, of_auroc("energy", True, 0.5)])
    assert "lid-k9" in chosen([*plain[:3], variant, of_auroc("energy", True, 0.5)])


@pytest.mark.parametrize("wanted", [[1.0] * 6, [0.9, 0.5, 0.1], [0.02] * 4, [1.0, 0.5, 0.5, 0.0]])
def test_names_do_not_overlap_and_stay_beside_their_axes(wanted):
    sizes = [0.12] * len(wanted)
    middles = spaced(wanted, sizes)
    assert all(above - below >= 0.12 - 1e-9 for above, below in itertools.pairwise(middles))
    assert middles[0] <= 1 - 0.06 + 1e-9
    assert middles[-1] >= 0.06 - 1e-9


def test_a_name_that_has_room_stands_at_the_height_of_its_curve():
    assert spaced([0.9, 0.5, 0.2], [0.1, 0.1, 0.1]) == pytest.approx([0.9, 0.5, 0.2])
    figure, (axis,) = panels(1, 1, 3.3, 2)
    label_ends(axis, [Label("kd-pu 87.2", 0.4, "#0072B2"), Label("subnet-mahalanobis 83.7", 0.8, "#000000")], 1.6, 8)
    assert [text.get_position()[1] for text in axis.texts] == pytest.approx([0.8, 0.4])
    assert texts(figure)[0] == "subnet- mahalanobis 83.7"


def test_of_curves_that_end_together_the_better_stands_above():
    figure, (axis,) = panels(1, 1, 3.3, 2)
    label_ends(axis, [Label("worse", 0.991, "#0072B2", 0.95), Label("better", 0.99, "#000000", 0.99)], 1.6, 8)
    assert texts(figure) == ["better", "worse"]


def test_figure_3_of_many_classes_is_a_heat_map_in_the_order_of_its_tree(tmp_path):
    generator = torch.Generator().manual_seed(0)
    gates = {"conv": (torch.rand(100, 60, generator=generator) > 0.4).float()}
    write_arrays(tmp_path / GATES, gate_arrays(gates), {"dataset": "cifar100"})
    figure = figure3(tmp_path, tmp_path / "figures")
    tree, heat = figure.axes[:2]
    named = [text.get_text() for text in heat.get_yticklabels()]
    frame, distance = class_map(tmp_path)[0], class_tree(tmp_path)[0]
    assert sorted(named) == sorted(f"{row['name']} ({row['superclass']})" for _, row in frame.iterrows())
    order = [frame.index[frame["name"] == text.split(" (")[0]][0] for text in named]
    assert np.array_equal(heat.images[0].get_array(), distance[np.ix_(order, order)])
    assert len(tree.lines) == 99
    assert (tmp_path / "figures" / "figure3.csv").is_file()


def test_figure_3_of_few_classes_is_a_map(tmp_path):
    gates = {"conv": (torch.rand(10, 40, generator=torch.Generator().manual_seed(0)) > 0.3).float()}
    write_arrays(tmp_path / GATES, gate_arrays(gates), {"dataset": "cifar10"})
    assert len(figure3(tmp_path, tmp_path / "figures").axes) == 1


@pytest.mark.parametrize("outline", [TRUE, TIGHTEST])
def test_all_sides_of_a_box_at_the_border_are_drawn(outline):
    _figure, (axis,) = panels(1, 1, 1, 1)
    axis.imshow(np.zeros((64, 64)))
    _box(axis, np.array([0.0, 0.0, 64.0, 64.0]), outline, 0.8)
    left, bottom, width, height = axis.patches[-1].get_bbox().bounds
    half = 0.5 * 1.1 / 72 / 0.8 * 64  # of a line, in pixels of the image
    assert min(left, bottom) - half >= -0.5 - 1e-9
    assert max(left + width, bottom + height) + half <= 63.5 + 1e-9


def test_a_box_inside_the_image_is_where_it_was():
    _figure, (axis,) = panels(1, 1, 1, 1)
    axis.imshow(np.zeros((64, 64)))
    _box(axis, np.array([10.0, 20.0, 30.0, 44.0]), TRUE, 0.8)
    assert axis.patches[-1].get_bbox().bounds == pytest.approx((9.5, 19.5, 20.0, 24.0))


@pytest.mark.parametrize("photographs", [False, True])
def test_a_picture_of_256_colours_keeps_its_white_and_its_lines(photographs):
    rng = np.random.default_rng(0)
    pixels = np.full((80, 80, 3), 255, np.uint8)
    pixels[10:14] = (0, 114, 178)
    pixels[40:60] = rng.integers(0, 256, (20, 80, 3))
    before = io.BytesIO()
    Image.fromarray(pixels).save(before, format="png")
    after = np.asarray(Image.open(fewer_colours(before, photographs=photographs)).convert("RGB"))
    assert (after[:5] == 255).all()
    assert photographs or (after[10:14] == pixels[10:14]).all()
    assert len(np.unique(after.reshape(-1, 3), axis=0)) <= 256


def test_a_pdf_has_no_date_and_is_the_same_again(tmp_path):
    blobs = []
    for name in ("one", "two"):
        figure, (axis,) = panels(1, 1, 2, 2)
        axis.plot([0, 1], [0, 1], label="text")
        axis.set_title("text")
        (path,) = save(figure, tmp_path / name, ["pdf"])
        blobs.append(Path(path).read_bytes())
    assert blobs[0] == blobs[1]
    assert blobs[0].startswith(b"%PDF")
    assert b"CreationDate" not in blobs[0]
