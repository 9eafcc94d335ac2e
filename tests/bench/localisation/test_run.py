"""The localisation track from images to tables, on digits drawn into a folder with the boxes of their ink."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision.transforms as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from subnetbench.bench import runner
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.data.annotations import annotated
from subnetbench.bench.data.folders import placed
from subnetbench.bench.figures.draw import write_plots
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.scores import read_frame
from subnetbench.bench.harness.tables import write_tables
from subnetbench.bench.localisation import run as wsol
from subnetbench.bench.localisation import variants, walk
from subnetbench.bench.localisation.contract import SaliencyInfo
from subnetbench.bench.localisation.entry import read_entries
from subnetbench.bench.localisation.images import Images
from subnetbench.bench.localisation.measure import Measured
from subnetbench.bench.localisation.metrics import claims, drawn_counts
from subnetbench.bench.localisation.suite import SaliencyPart
from subnetbench.bench.localisation.tables import recomputed
from subnetbench.bench.localisation.tables import report as report_of
from subnetbench.bench.localisation.variants import redrawn, wrong_classes
from subnetbench.bench.tracks import load_suite

SUITE = """
name = "wsol-digits"

[dataset]
name = "folder"
parameters = { size = 24 }

[boxes]
heldout_per_class = 8

[[models]]
name = "digits-cnn"
parameters = { width = 8 }

[models.train]
epochs = 8
batch_size = 20
learning_rate = 0.1
flip = false

[subnets]
l1 = "mean"
gamma = 0.5
images_per_class = 20
batch_size = 4
epochs = 4
learning_rate = 0.05

[[saliency]]
name = "saliency"

[[saliency]]
name = "grad-cam"

[[saliency]]
name = "smooth-grad"
parameters = { samples = 3 }

[localisation]
resamples = 500
pictures = 2
"""

CLASSES = ("n00000000", "n00000001", "n00000007")


def draw(folder: Path) -> None:
    """Three digits, 24 to train and 10 to test each: 12 pixels somewhere in 24, with the box of the ink."""
    bunch = load_digits()
    generator = np.random.default_rng(0)
    rows = []
    for name in CLASSES:
        own = bunch.images[bunch.target == int(name[1:])]
        for place, image in enumerate(own[:34]):
            split, index = ("train", place) if place < 24 else ("val", place - 24)
            picture = np.zeros((24, 24), np.uint8)
            top, left = generator.integers(0, 16, 2)
            picture[top : top + 8, left : left + 8] = np.minimum(255, image * 16)
            y, x = np.nonzero(picture)
            path = folder / split / name / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).convert("RGB").save(path)
            rows.append([path.relative_to(folder).as_posix(), name, x.min(), y.min(), x.max(), y.max()])
    write_boxes(folder, rows)


def write_boxes(folder: Path, rows: list[list[object]]) -> None:
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "wnid", "xmin", "ymin", "xmax", "ymax"], *rows])


def boxes_of(folder: Path) -> list[list[object]]:
    with (folder / "boxes.csv").open() as file:
        return [list(row) for row in list(csv.reader(file))[1:]]


@dataclass
class Digits:
    root: Path
    file: Path
    store: Path
    output: Path

    @property
    def folder(self) -> Path:
        return self.output / "wsol-digits"

    def run(self) -> tuple[runner.Result, Silent]:
        context = self.context()
        return runner.execute(load_suite(self.file), context, self.output), context.report

    def context(self) -> Context:
        return Context(Store(self.store), torch.device("cpu"), self.root)

    def copy(self, folder: Path, text: str = SUITE) -> Digits:
        """The same images, a suite and an output of one's own, and the same store."""
        shutil.copytree(self.root, folder / "data")
        (folder / "suite.toml").write_text(text)
        return Digits(folder / "data", folder / "suite.toml", self.store, folder / "out")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wsol")
    draw(folder / "data")
    (folder / "suite.toml").write_text(SUITE)
    made = Digits(folder / "data", folder / "suite.toml", folder / "store", folder / "out")
    made.run()
    return made


def test_every_method_and_variant_has_an_entry_and_controls_stand_beside(digits):
    entries = read_entries(digits.folder)
    kinds = {entry.key for entry in entries}
    variants = ("normal", "subnet", "random-gates", "wrong-class", "random-weights")
    methods = ("saliency", "grad-cam", "smooth-grad")
    assert kinds == {("digits-cnn", m, v) for m in methods for v in variants} | {
        ("no-net", "edges", "control"),
        ("no-net", "constant-box", "control"),
    }
    assert all(entry.images == 30 and entry.heldout_images == 24 for entry in entries)


def test_stated_metrics_are_those_of_the_stored_images(digits):
    for entry in read_entries(digits.folder):
        frame = read_frame(digits.folder, entry)
        assert recomputed(digits.folder, entry) == {name: metric.model_dump() for name, metric in entry.metrics.items()}
        assert entry.metrics["error"].value == pytest.approx(1 - (frame["iou"] >= 0.5).mean(), abs=1e-6)
        named = (frame["iou"] >= 0.5) & frame["correct"]
        assert entry.metrics["top1_error"].value == pytest.approx(1 - named.mean(), abs=1e-6)
        error = entry.metrics["error"]
        assert error.low <= error.value <= error.high


def test_edges_are_measured_as_a_loop_over_images_and_alphas_measures_them(digits):
    """The whole way from files to the error, once more by hand: folder order, Sobel, boxes, alpha."""
    from scipy import ndimage

    def ious(split: str, chosen: list[str]) -> np.ndarray:
        truth = {row[0]: [float(v) for v in row[2:]] for row in boxes_of(digits.root)}
        found = []
        for path in chosen:
            grey = np.asarray(Image.open(digits.root / path).convert("RGB"), np.float32).mean(2) / 255
            heat = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
            left, top, right, bottom = truth[path]
            row = []
            for alpha in np.arange(21) * 0.5:
                y, x = np.nonzero(heat > alpha * heat.mean())
                if not len(y):
                    row.append(0.0)
                    continue
                wide = min(right, x.max()) - max(left, x.min()) + 1
                high = min(bottom, y.max()) - max(top, y.min()) + 1
                both = max(0, wide) * max(0, high)
                own = (x.max() - x.min() + 1) * (y.max() - y.min() + 1)
                row.append(both / (own + (right - left + 1) * (bottom - top + 1) - both))
            found.append(row)
        return np.array(found)

    entry = next(e for e in read_entries(digits.folder) if e.method.label == "edges")
    paths = [f"val/{name}/{index:02}.png" for name in CLASSES for index in range(10)]
    index = round(entry.alpha / 0.5)
    expected = ious("val", paths)[:, index]
    assert read_frame(digits.folder, entry)["iou"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert entry.alpha == 0.5 * int(np.argmin(entry.heldout_errors))


@pytest.mark.parametrize(("limit", "test", "heldout"), [(None, 30, 24), (60, 30, 24), (21, 21, 11), (20, 20, 10)])
def test_limited_test_images_take_at_most_half_as_many_held_out_ones(digits, limit, test, heldout):
    images = Images(load_suite(digits.file).overridden(limit=limit), digits.context())
    assert (len(images.test.split), len(images.heldout.split)) == (test, heldout)
    assert set(images.heldout.split.labels) == {0, 1, 2}


def test_alpha_does_not_look_at_test_images(digits, tmp_path):
    moved = digits.copy(tmp_path)
    rows = [[r[0], r[1], 0, 0, 2, 2] if str(r[0]).startswith("val") else r for r in boxes_of(moved.root)]
    write_boxes(moved.root, rows)
    moved.run()
    for before, after in zip(read_entries(digits.folder), read_entries(moved.folder), strict=True):
        assert before.alpha == after.alpha
    assert any(
        before.metrics["error"] != after.metrics["error"]
        for before, after in zip(read_entries(digits.folder), read_entries(moved.folder), strict=True)
    )


def test_a_second_run_reads_everything_and_changes_no_byte(digits, monkeypatch):
    def nothing(*_):
        raise AssertionError("a map was made again")

    monkeypatch.setattr(variants.Variants, "batches", nothing)
    before = {p: p.read_bytes() for p in sorted(digits.folder.rglob("*")) if p.is_file()}
    result, _ = digits.run()
    assert result.computed == 0
    assert {p: p.read_bytes() for p in sorted(digits.folder.rglob("*")) if p.is_file()} == before


def test_everything_anew_gives_the_same_bytes(digits, tmp_path):
    again = digits.copy(tmp_path)
    again.store = tmp_path / "store"
    again.run()
    for path in sorted((digits.folder / "tables").iterdir()):
        if path.stem not in ("cost", "report", "subnets"):  # these hold seconds
            assert (again.folder / "tables" / path.name).read_bytes() == path.read_bytes(), path.name


def test_all_nets_of_a_suite_share_the_images_in_memory(digits):
    suite = load_suite(digits.file)
    run = wsol.Run(suite, digits.context())
    first, second = (run._measured(suite.models[0]).gates.setup for _ in range(2))
    assert first is not second
    assert first.dataset is second.dataset


def test_tables_are_checked_against_their_entries(digits, tmp_path):
    results = shutil.copytree(digits.folder, tmp_path / "results")
    write_tables(results, report_of(results), check=True)
    path = results / "tables" / "table1.csv"
    path.write_text(path.read_text().replace("saliency", "saliencz"))
    with pytest.raises(UserError, match="not what its entries give"):
        write_tables(results, report_of(results), check=True)


def test_images_without_a_usable_box_are_left_out_counted_and_named(digits, tmp_path):
    bad = digits.copy(tmp_path)
    rows = boxes_of(bad.root)
    names = [str(row[0]) for row in rows]
    rows[names.index("val/n00000000/00.png")][2:] = [9, 9, 3, 3]
    rows[names.index("val/n00000001/01.png")][2:] = [30, 30, 40, 40]
    rows[names.index("val/n00000007/02.png")][2] = "x"
    del rows[names.index("val/n00000007/03.png")]
    rows.append(["val/n00000000/99.png", "n00000000", 1, 1, 5, 5])
    rows.append(["val/n00000000/01.png", "n09999999", 1, 1, 5, 5])
    write_boxes(bad.root, rows)
    result, report = bad.run()
    assert result.entries[0].images == 26
    said = " ".join(report.warnings)
    for word in ("inverted", "outside", "is no number", "no image val/n00000000/99.png", "n09999999"):
        assert word in said, word
    assert json.loads((bad.folder / "localisation" / "claims.json").read_text())["left_out"]["test"] == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "boxes.csv").unlink(), "There are no boxes at"),
        (lambda root: (root / "boxes.csv").write_text("path,wnid\n"), "has no column 'xmin'"),
        (lambda root: (root / "boxes.csv").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda root: write_boxes(root, []), "has a usable box"),
    ],
)
def test_boxes_that_cannot_be_used_at_all_end_in_one_sentence(digits, tmp_path, change, said):
    bad = digits.copy(tmp_path)
    change(bad.root)
    with pytest.raises(UserError, match=said) as caught:
        bad.run()
    assert "\n" not in str(caught.value)


def test_imagenets_xml_gives_the_same_boxes_as_the_csv(digits, tmp_path):
    for path, _, left, top, right, bottom in boxes_of(digits.root):
        name = str(path).replace("/", "_").removesuffix(".png")
        if not str(path).startswith("val"):
            continue
        shutil.copy(digits.root / str(path), _made(tmp_path / Path(str(path)).parent) / f"{name}.png")
        (_made(tmp_path / "xml") / f"{name}.xml").write_text(
            f"<annotation><object><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object></annotation>"
        )
    by_csv, by_xml = (
        annotated(root, source, "test", 24, 24) for root, source in ((digits.root, "boxes.csv"), (tmp_path, "xml"))
    )
    assert len(by_xml.boxes) == 30
    assert by_csv.content_hash == by_xml.content_hash


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_boxes_follow_an_image_through_resizing_and_the_centre_cut(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            Image.new("RGB", (40, 20)).save(_made(tmp_path / split / name) / "x.png")
    # 40 x 20 -> 20 x 10 (shorter side 10) -> the columns 5 to 14 are kept.
    write_boxes(tmp_path, [["val/a/x.png", "a", 12, 4, 21, 11], ["val/b/x.png", "b", 0, 0, 7, 19]])
    found = annotated(tmp_path, "boxes.csv", "test", 10, 10)
    assert found.boxes[0].tolist() == [[1, 2, 6, 6]]
    assert 1 not in found.boxes
    assert found.left_out == ("val/b/x.png: its box lies outside of the part that the net sees",)


@settings(max_examples=200)
@given(st.integers(224, 900), st.integers(224, 900))
def test_boxes_are_moved_as_torchvision_moves_the_image(height, width):
    """Against torchvision's own resizing and cutting, of a picture of each pixel's place."""
    resize, size = 256, 224
    (high, wide), (top, left) = placed(height, width, resize, size)
    image = torch.zeros(1, height, width)
    assert tf.Resize(resize)(image).shape[1:] == (high, wide)
    places = torch.arange(high * wide).view(1, high, wide)
    assert tf.CenterCrop(size)(places)[0, 0, 0].item() == top * wide + left


def test_a_map_that_says_nothing_is_a_miss_and_counted(digits, tmp_path):
    class Nothing:
        info: ClassVar = SaliencyInfo(title="Nothing", year=2026, formula="0")
        parameters: ClassVar = {}

        def __call__(self, net, images, targets, *, ids, seed):
            heat = torch.zeros(len(images), *images.shape[2:])
            heat[0, 0, 0] = torch.nan
            return heat

    registry.saliency.register("nothing")(Nothing)
    try:
        own = digits.copy(tmp_path, SUITE.replace('name = "grad-cam"', 'name = "nothing"'))
        own.run()
    finally:
        del registry.saliency._items["nothing"]
    entry = next(e for e in read_entries(own.folder) if e.method.label == "nothing")
    assert entry.unusable_maps == 30
    assert entry.metrics["error"].value == 1
    assert entry.metrics["pointing"].value == 0


def test_a_method_that_a_net_cannot_be_given_is_a_reported_entry_and_the_others_go_on(digits, tmp_path):
    own = digits.copy(tmp_path, SUITE.replace('name = "grad-cam"', 'name = "grad-cam"\nparameters = { layer = "no" }'))
    result, report = own.run()
    assert len(result.failures) == 5
    assert all("\n" not in failure for failure in result.failures)
    reasons = [e.reason for e in read_entries(own.folder) if e.reason]
    assert len(reasons) == 5
    assert "'no'" in reasons[0]
    text = (own.folder / "tables" / "report.md").read_text()
    assert "What could not be run" in text
    assert report.warnings


def test_subnets_localise_by_their_own_gates(digits, tmp_path):
    """With gates of a wrong class the maps differ, and without gates they are the whole net's."""
    frames = {
        e.variant: read_frame(digits.folder, e)["iou"]
        for e in read_entries(digits.folder)
        if e.method.label == "saliency"
    }
    subnets = json.loads((digits.folder / "localisation" / "subnets.json").read_text())["nets"]["digits-cnn"]
    assert min(row["active_total"] for row in subnets["report"]) < 1
    page = (digits.folder / "tables" / "report.md").read_text()
    assert "The paper asks every subnet to meet tau (at most" in page
    assert "binary gates (factors of 0 and above)" in page
    assert not frames["subnet"].equals(frames["normal"])
    assert not frames["subnet"].equals(frames["wrong-class"])


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_a_wrong_class_is_another_one_and_each_serves_once(classes):
    wrong = wrong_classes(classes, 0)
    assert sorted(wrong) == list(range(classes))
    assert (wrong != np.arange(classes)).all()


def test_a_redrawn_net_shares_no_weight_and_leaves_the_global_generator(digits):
    net = registry.models.get("digits-cnn")(classes=3, shape=(3, 24, 24))
    state = torch.random.get_rng_state()
    first, second = redrawn(net, 1), redrawn(net, 1)
    assert torch.equal(state, torch.random.get_rng_state())
    own = dict(net.net.named_parameters())
    for name, weight in first.net.named_parameters():
        if weight.ndim > 1:
            assert not torch.equal(weight, own[name])
        assert torch.equal(weight, dict(second.net.named_parameters())[name])


def test_claims_are_paired_and_better_means_fewer_misses():
    generator = np.random.default_rng(0)
    hit = generator.random(400) < 0.5
    frames = {
        ("net", "map", "normal"): pd.DataFrame({"hit": hit}),
        ("net", "map", "subnet"): pd.DataFrame({"hit": hit | (generator.random(400) < 0.3)}),
        ("net", "map", "random-gates"): pd.DataFrame({"hit": hit}),
    }
    found = {c["second"]: c for c in claims(frames, drawn_counts(400, 2000, 0), 0.95)}
    assert found["normal"]["verdict"] == "better"
    assert found["normal"]["difference"] < 0
    gained = (frames["net", "map", "subnet"]["hit"] & ~hit).mean()
    assert found["normal"]["difference"] == pytest.approx(-gained)
    # Paired: the spread is that of the images that differ, not that of two independent shares.
    width = found["normal"]["high"] - found["normal"]["low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(gained * (1 - gained) / 400), rel=0.1)


def test_no_difference_is_not_separable():
    hit = pd.DataFrame({"hit": np.random.default_rng(0).random(100) < 0.5})
    frames = {("net", "map", v): hit for v in ("normal", "subnet")}
    (found,) = claims(frames, drawn_counts(100, 500, 0), 0.95)
    assert (found["difference"], found["verdict"]) == (0, "not separable")


def test_figure_4_is_drawn_twice_as_the_same_bytes(digits):
    pytest.importorskip("matplotlib")
    first = {p: p.read_bytes() for p in write_plots(digits.folder, "figure4", "png,svg")}
    assert {path.name for path in first} == {"figure4-digits-cnn.png", "figure4-digits-cnn.svg"}
    assert {p: p.read_bytes() for p in write_plots(digits.folder, "figure4", "png,svg")} == first


def test_what_is_computed_before_a_kill_is_kept(digits, tmp_path, monkeypatch):
    own = digits.copy(tmp_path)
    own.store = tmp_path / "store"
    shutil.copytree(digits.store, own.store)
    shutil.rmtree(own.store / "localisation")
    plain = wsol.Run._entries

    def stop(self, measured, variant):
        if variant == "wrong-class":
            raise KeyboardInterrupt
        return plain(self, measured, variant)

    monkeypatch.setattr(wsol.Run, "_entries", stop)
    with pytest.raises(KeyboardInterrupt):
        own.run()
    monkeypatch.undo()
    result, _ = own.run()
    assert result.computed == 2 * 2 * 3  # two variants, two splits, three methods


def test_what_a_walk_made_before_a_kill_is_kept_portion_by_portion(digits, tmp_path, monkeypatch):
    own = digits.copy(tmp_path)
    own.store = tmp_path / "store"
    shutil.copytree(digits.store, own.store)
    for kind in ("localisation", "portion"):
        shutil.rmtree(own.store / kind)
    monkeypatch.setattr(walk, "PORTION", 10)
    walked: list[int] = []
    plain = walk.Walk._made

    def made(self, asked, portion):
        if len(walked) == 4:
            raise KeyboardInterrupt
        if asked:
            walked.append(sum(len(index) for _, index in portion))
        return plain(self, asked, portion)

    monkeypatch.setattr(walk.Walk, "_made", made)
    with pytest.raises(KeyboardInterrupt):
        own.run()
    before, total = list(walked), 5 * (24 + 30)  # variants x held-out and test images
    walked.append(0)  # the second run is not stopped
    own.run()
    assert sum(before) >= 40
    assert sum(walked) == total  # nothing was walked twice
    for path in (digits.folder / "localisation").rglob("*.parquet"):
        assert (own.folder / path.relative_to(digits.folder)).read_bytes() == path.read_bytes()


class Fragile:
    """A third-party method that fails on whatever it is given, or gives something else than maps."""

    info = registry.saliency.get("saliency").info
    parameters: ClassVar[dict[str, object]] = {}

    def __init__(self, *, raises: bool = True) -> None:
        self.raises = raises

    def __call__(self, net, x, targets, *, ids, seed):
        if self.raises:
            raise RuntimeError("out of memory")
        return x


class Layered(Fragile):
    """A third-party method that explains a layer."""

    info = SaliencyInfo(title="Layered", year=2026, formula="0", takes_layer=True)

    def __init__(self, *, layer: str | None = None) -> None:
        self.layer = layer


def test_a_nets_layer_goes_to_the_methods_that_take_one_whatever_they_are_called(digits, tmp_path, monkeypatch):
    list(registry.saliency)
    monkeypatch.setitem(registry.saliency._items, "layered", Layered)
    monkeypatch.setitem(registry.saliency._items, "grad-cam", Fragile)  # takes none
    own = digits.copy(tmp_path, SUITE.replace("{ width = 8 }", '{ width = 8 }\ngradcam_layer = "conv3"'))
    suite = load_suite(own.file)
    measured = Measured(None, suite, suite.models[0])
    assert measured.method(SaliencyPart(name="layered")).layer == "conv3"
    assert measured.method(SaliencyPart(name="layered", parameters={"layer": "conv1"})).layer == "conv1"
    assert isinstance(measured.method(SaliencyPart(name="grad-cam")), Fragile)


def test_of_our_methods_only_grad_cam_takes_a_layer():
    assert [name for name in registry.saliency if registry.saliency.get(name).info.takes_layer] == ["grad-cam"]


@pytest.mark.parametrize(("raises", "words"), [("true", "RuntimeError: out of memory"), ("false", "maps of shape")])
def test_a_third_party_method_that_fails_is_a_reported_entry(digits, tmp_path, monkeypatch, raises, words):
    list(registry.saliency)
    monkeypatch.setitem(registry.saliency._items, "fragile", Fragile)
    own = digits.copy(tmp_path, SUITE + f'\n[[saliency]]\nname = "fragile"\nparameters = {{ raises = {raises} }}\n')
    result, _ = own.run()
    assert len(result.failures) == 5
    assert all(words in failure for failure in result.failures)
    assert all(e.metrics for e in read_entries(own.folder) if e.method.label != "fragile")


def test_a_third_party_method_that_does_not_say_its_parameters_is_refused_before_a_map_is_made(
    digits, tmp_path, monkeypatch
):
    class Silent:
        info = Fragile.info

    list(registry.saliency)
    monkeypatch.setitem(registry.saliency._items, "mute", Silent)
    own = digits.copy(tmp_path, SUITE + '\n[[saliency]]\nname = "mute"\n')
    with pytest.raises(UserError, match=r"^saliency.mute: .* has no attribute 'parameters'\)\.$"):
        own.run()


def test_a_third_party_method_that_cannot_be_made_is_a_reported_entry(digits, tmp_path, monkeypatch):
    class Unmade(Fragile):
        def __init__(self) -> None:
            raise ImportError("no such backend")

    list(registry.saliency)
    monkeypatch.setitem(registry.saliency._items, "unmade", Unmade)
    own = digits.copy(tmp_path, SUITE + '\n[[saliency]]\nname = "unmade"\n')
    result, _ = own.run()
    assert len(result.failures) == 5
    assert all("its constructor raised ImportError: no such backend" in failure for failure in result.failures)
    assert all(e.metrics for e in read_entries(own.folder) if e.method.label != "unmade")


def test_the_command_line_runs_a_localisation_suite_and_shows_its_errors(digits, capsys, monkeypatch):
    said = call(
        capsys,
        monkeypatch,
        "run",
        digits.file,
        "--data-root",
        digits.root,
        "--store",
        digits.store,
        "--output",
        digits.output,
    )
    assert said[0] == 0
    for word in (
        "suite wsol-digits, data folder, net digits-cnn",
        "smooth-grad",
        "constant-box",
        "0 artifacts computed",
    ):
        assert word in said[1]


def test_a_dry_run_computes_nothing(digits, capsys, monkeypatch, tmp_path):
    code, out, _ = call(capsys, monkeypatch, "run", digits.file, "--dry-run", "--store", tmp_path / "store")
    assert code == 0
    assert "random-weights" in out
    assert not list((tmp_path / "store").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "wsol-tiny"], "data root was not given"),
        (["run", "wsol-tiny", "--data-root", "no/such"], "no/such does not exist"),
        (["run", "wsol-tiny", "--classes", "n1,n2"], "--classes goes with suites of detectors"),
        (["run", "wsol-tiny", "--detector", "lid"], "--detector goes with suites of detectors"),
        (["run", "wsol-tiny", "--limit", "3"], "at least 20"),
        (["train", "wsol-tiny-nets", "--net", "vgg"], "no net labelled 'vgg'; it has alexnet64, vgg64, bottleneck64"),
        (["train", "wsol-tiny-nets", "--out", "x.safetensors"], "choose one with --net"),
        (["train", "digits", "--net", "x"], "has one net, 'digits-cnn'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(capsys, monkeypatch, tmp_path, arguments, said):
    code, _, error = call(capsys, monkeypatch, *arguments, "--store", tmp_path / "store")
    assert code == 2
    assert said in error
    assert error.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "grad-cam"', 'name = "gradcam"', "no saliency method named 'gradcam'. Did you mean 'grad-cam'"),
        ('name = "grad-cam"', 'name = "saliency"', "two entries are labelled 'saliency'"),
        ("samples = 3", "sample = 3", "does not take them"),
        ("[subnets]", "[subnet]", "no such key"),
        ("resamples = 500", 'variants = ["normal", "subnets"]', "localisation.variants"),
        ("gamma = 0.5", "gama = 0.5", "subnets.gama"),
    ],
)
def test_a_mistake_in_a_suite_is_named(capsys, monkeypatch, tmp_path, old, new, said):
    assert old in SUITE
    (tmp_path / "suite.toml").write_text(SUITE.replace(old, new))
    code, _, error = call(capsys, monkeypatch, "validate", tmp_path / "suite.toml")
    assert code == 2
    assert said in error


def test_gated_variants_need_subnets(capsys, monkeypatch, tmp_path):
    begin, end = SUITE.index("[subnets]"), SUITE.index("[[saliency]]")
    (tmp_path / "suite.toml").write_text(SUITE[:begin] + SUITE[end:])
    code, _, error = call(capsys, monkeypatch, "validate", tmp_path / "suite.toml")
    assert code == 2
    assert "no [subnets] table" in error


def call(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    """The command line in this process: exit code and what it said."""
    monkeypatch.setattr("sys.argv", ["subnetbench", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
