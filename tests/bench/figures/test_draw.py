"""Figures: drawn of what a folder holds, the same to the byte, and one sentence for what cannot be drawn."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from scipy.integrate import trapezoid
from subnetbench.bench import UserError
from subnetbench.bench.analysis.arrays import FEATURES, GATES, PLAIN_FEATURES, content_hash, read_arrays, write_arrays
from subnetbench.bench.analysis.features import gate_arrays
from subnetbench.bench.cli import console
from subnetbench.bench.cli import main as cli
from subnetbench.bench.detection.entry import Entry
from subnetbench.bench.detection.scores import GRID, mean_roc, seen_sides
from subnetbench.bench.figures import features as maps
from subnetbench.bench.figures.draw import write_plots
from subnetbench.bench.figures.features import check_data
from subnetbench.bench.harness.entry import SCHEMA
from subnetbench.bench.stats.metrics import auroc

if importlib.util.find_spec("matplotlib") is None:
    pytest.skip("matplotlib is not installed (the extra `plots`)", allow_module_level=True)

ATTACKS = ("fgsm", "cw")


ATTACK = {
    "name": "made",
    "library": "foolbox",
    "version": "3",
    "preset": "standard",
    "parameters": {},
    "threat": "budget",
    "norm": "Linf",
    "clean_correct": 30,
    "successes": 30,
    "seconds_per_image": 0.001,
    "l2_median": 1.5,
    "linf_median": 0.2,
    "margin_median": 0.1,
    "survives_8bit": 0.9,
}


def entry(protocol: str, label: str, control: bool) -> Entry:
    figures = {"auroc": 0.9, "low": 0.8, "high": 1.0, "fpr95": 0.5, "n": [], "n_fit": [], "remark": ""}
    cells = [{"fit_on": a, "test_on": b, "seen": a == b, **figures} for a in ATTACKS for b in ATTACKS]
    content = {
        "schema": SCHEMA,
        "suite": {"name": "made"},
        "dataset": {"name": "cifar10", "sha256": "d" * 64, "train_images": 80, "attacked_images": 30},
        "model": {"name": "net", "parameters": {}, "sha256": "e" * 64, "accuracy": 0.9},
        "protocol": {"name": protocol, "ties": "half"},
        "detector": {
            "label": label,
            "name": label,
            "control": control,
            "title": "A paper",
            "year": 2026,
            "needs": ["clean"],
            "formula": "f(x)",
        },
        "attacks": dict.fromkeys(ATTACKS, ATTACK),
        "statistics": {"level": 0.95},
        "seed": 0,
        "cells": cells,
        "cost": {},
        "versions": {},
    }
    return Entry.model_validate(content)


def scores(seed: int) -> pd.DataFrame:
    """Two sets of gates x two splits, with clean images that all test columns share."""
    rng = np.random.default_rng(seed)
    frames = []
    for gate in range(2):
        for split in range(2):
            for fit_on in ATTACKS:
                for test_on, kind, shift in (("*", "clean", 0), ("fgsm", "adversarial", 1), ("cw", "adversarial", 2)):
                    frames.append(
                        pd.DataFrame(
                            {
                                "gate": gate,
                                "split": split,
                                "fit_on": fit_on,
                                "test_on": test_on,
                                "kind": kind,
                                "image": np.arange(30),
                                "score": rng.normal(shift, 1, 30),
                            }
                        )
                    )
    return pd.concat(frames, ignore_index=True)


def gates() -> dict[str, torch.Tensor]:
    return {"conv": (torch.rand(10, 40, generator=torch.Generator().manual_seed(0)) > 0.3).float()}


def features(seed: int = 0, count: int = 25) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        **{name: rng.normal(size=(2 * count, 6)).astype(np.float16) for name in ("full", "subnet")},
        "predicted": rng.integers(0, 10, 2 * count).astype(np.int16),
        "adversarial": np.repeat([0, 1], count).astype(np.uint8),
        "image": np.tile(np.arange(count), 2).astype(np.int32),
    }


POINTS = [
    {
        "l1": norm,
        "gamma": 0.1,
        "position": position,
        "binary": True,
        "active": active,
        "tau_met": 9,
        "collapsed": 0,
        "subnets": 10,
        "balanced_accuracy": 0.9,
        "attack": attack,
        "difference": 0.1,
        "low": 0.05,
        "high": 0.15,
        **({"random_difference": 0.02, "random_low": -0.01, "random_high": 0.04} if position == "units" else {}),
    }
    for attack in ATTACKS
    for position, norm, active in (("units", "sum", 0.4), ("late", "layersum", 0.7))
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots") / "made"
    for protocol in ("strict", "lee2018"):
        for number, (label, control) in enumerate((("mahalanobis", False), ("energy", True))):
            entry(protocol, label, control).write(folder, scores(number))
    write_arrays(folder / FEATURES, features(), {"dataset": "cifar10", "attack": "cw"})
    write_arrays(folder / GATES, gate_arrays(gates()), {"dataset": "cifar10"})
    (folder / "sensitivity.json").write_text(json.dumps({"suite": "made", "points": POINTS}))
    return folder


@pytest.fixture
def results(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "made"))


@pytest.fixture
def fake_umap(monkeypatch):
    """In the place of UMAP, which takes long to compile; counts how often it was needed."""
    calls = []

    def reduce(values):
        calls.append(len(values))
        return values[:, :2]

    monkeypatch.setattr(maps, "_umap", lambda: reduce)
    monkeypatch.setattr(maps, "version", lambda name: "0")
    return calls


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in (folder / "figures").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_everything_is_drawn_and_a_redraw_changes_no_byte(results, fake_umap):
    written = write_plots(results, formats="svg")
    names = {path.relative_to(results / "figures").as_posix() for path in written}
    assert names == {"roc-strict.svg", "roc-lee2018.svg", "figure2.svg", "figure3.svg", "sensitivity.svg"} | {
        f"{protocol}/{label}.svg" for protocol in ("strict", "lee2018") for label in ("mahalanobis", "energy")
    }
    first = contents(results)
    assert {"figures/figure2.csv", "figures/figure3.csv"} < set(first)
    shutil.rmtree(results / "figures")
    write_plots(results, formats="svg")
    assert contents(results) == first
    assert len(fake_umap) == 4  # two nets, twice


def test_pictures_are_svg_and_png_without_a_date(results):
    for path in write_plots(results, only="figure3,roc"):
        blob = path.read_bytes()
        assert blob.startswith(b"\x89PNG") if path.suffix == ".png" else b"<svg" in blob
        assert b"<dc:date>" not in blob
        assert b"Matplotlib v" not in blob


def test_coordinates_are_read_again_while_the_features_are_the_same(results, fake_umap):
    write_plots(results, only="figure2", formats="svg")
    frame = pd.read_csv(results / "figures" / "figure2.csv")
    assert list(frame.columns) == ["net", "image", "predicted", "adversarial", "x", "y"]
    assert len(frame) == 2 * 50
    write_plots(results, only="figure2", formats="svg")
    assert len(fake_umap) == 2
    (results / "figures" / "figure2.csv").write_text("net,image\n")  # damaged: made again
    write_plots(results, only="figure2", formats="svg")
    assert len(fake_umap) == 4
    write_arrays(results / FEATURES, features(seed=1), {"dataset": "cifar10", "attack": "cw"})
    write_plots(results, only="figure2", formats="svg")
    assert len(fake_umap) == 6


def test_coordinates_that_an_earlier_version_made_of_plain_arrays_are_kept(results, fake_umap):
    write_arrays(results / PLAIN_FEATURES, *read_arrays(results / FEATURES))
    (results / FEATURES).unlink()
    write_plots(results, only="figure2", formats="svg")
    assert len(fake_umap) == 2
    write_arrays(results / FEATURES, *read_arrays(results / PLAIN_FEATURES))
    (results / PLAIN_FEATURES).unlink()
    write_plots(results, only="figure2", formats="svg")
    assert len(fake_umap) == 2
    assert [path.name for path in check_data(results)] == ["figure2.csv"]


def test_a_redraw_needs_no_umap(results, fake_umap, monkeypatch):
    write_plots(results, only="figure2", formats="svg")
    first = contents(results)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "umap", None)
    write_plots(results, only="figure2", formats="svg")
    assert contents(results) == first


def test_without_umap_the_other_figures_are_drawn_and_it_is_said(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    notes: list[str] = []
    names = {path.stem for path in write_plots(results, formats="png", note=notes.append)}
    assert {"figure3", "sensitivity", "roc-strict", "energy"} <= names
    assert "figure2" not in names
    assert notes == [
        "figure2 is left out: umap-learn is not installed; "
        "`pip install 'subnetbench[plots]'` installs the packages that figures need."
    ]
    with pytest.raises(UserError, match=r"^umap-learn is not installed; `pip install 'subnetbench\[plots\]'`"):
        write_plots(results, only="figure2")


def test_without_matplotlib_it_is_one_sentence(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"^matplotlib is not installed; `pip install 'subnetbench\[plots\]'` .*\.$"):
        write_plots(results)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ImportError('needs llvmlite 0.44\\nor later')", "ImportError: needs llvmlite 0.44); install it again"),
        ("raise RuntimeError('cannot cache function: no locator')", "RuntimeError: cannot cache function: no locator"),
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("", "another package than umap-learn"),
        (
            "class UMAP:\n    def __init__(self, **_): raise RuntimeError('no cache')",
            "umap-learn does not work here (RuntimeError: no cache)",
        ),
    ],
)
def test_a_umap_that_does_not_work_gives_its_reason_and_the_figure_is_left_out(
    results, tmp_path, monkeypatch, source, words
):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "umap.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "umap", raising=False)
    notes: list[str] = []
    names = {path.stem for path in write_plots(results, formats="svg", note=notes.append)}
    assert "figure3" in names
    assert "figure2" not in names
    assert len(notes) == 1
    assert notes[0].startswith("figure2 is left out: ")
    assert words in notes[0]
    sys.modules.pop("umap", None)


def test_umap_itself_draws_figure_2(results):
    if importlib.util.find_spec("umap") is None:
        pytest.skip("umap-learn is not installed (the extra `plots`)")
    before = torch.get_num_threads()
    write_plots(results, only="figure2", formats="png")
    assert torch.get_num_threads() == before  # else figures of the same process that come later would differ by a bit
    frame = pd.read_csv(results / "figures" / "figure2.csv")
    assert np.isfinite(frame[["x", "y"]]).all(axis=None)
    card = json.loads((results / "figures" / "figure2.json").read_text())
    assert card["features_sha256"] == content_hash(results / FEATURES)


def test_what_a_folder_lacks_is_left_out_unless_it_was_asked_for(results):
    for file, name in ((FEATURES, "figure2"), (GATES, "figure3"), (Path("sensitivity.json"), "sensitivity")):
        (results / file).unlink()
        with pytest.raises(UserError, match=rf"has no {file.as_posix()}, which {name} is drawn from; .*\.$"):
            write_plots(results, only=name)
    assert {path.stem for path in write_plots(results, only="roc", formats="svg")} == {"roc-strict", "roc-lee2018"}
    names = {path.stem for path in write_plots(results, formats="svg")}
    assert not names & {"figure2", "figure3", "sensitivity"}


def test_each_folder_of_several_has_its_own_figures(results, tmp_path):
    shutil.copytree(results, tmp_path / "other")
    (tmp_path / "other" / GATES).unlink()
    assert write_plots(tmp_path, only="figure3", formats="svg") == [results / "figures" / "figure3.svg"]


def test_curves_have_the_area_that_the_scores_have():
    frame = scores(3)
    sides = seen_sides(frame, "cw")
    assert len(sides) == 4  # two sets of gates x two splits
    assert all(len(positive) == len(negative) == 30 for positive, negative in sides)
    area = float(trapezoid(mean_roc(sides), GRID))
    assert area == pytest.approx(np.mean([auroc(*each) for each in sides]), abs=0.01)
    infinite = [(np.array([np.inf, 1.0]), np.array([-np.inf, 0.0]))]
    assert (mean_roc(infinite) == 1).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no json", "sensitivity.json cannot be read"),
        (
            '{"points": [{"l1": "sum"}]}',
            r"points.0.position: this key .* missing .*; run its suite again",
        ),
        ('{"points": []}', r"sensitivity.json: points: .*at least 1 item"),
        ("[]", "sensitivity.json is not as a run writes it"),
    ],
)
def test_damaged_sensitivity_is_one_sentence(results, text, sentence):
    (results / "sensitivity.json").write_text(text)
    with pytest.raises(UserError, match=sentence):
        write_plots(results, only="sensitivity")


def run(monkeypatch, *arguments: object) -> tuple[int, str, str]:
    streams = {"out": io.StringIO(), "err": io.StringIO()}
    for name, stream in streams.items():
        monkeypatch.setattr(console, name, Console(file=stream, width=200))
    monkeypatch.setattr(sys, "argv", ["subnetbench", "plot", *map(str, arguments)])
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, streams["out"].getvalue(), streams["err"].getvalue()


def test_the_command_says_what_it_wrote(results, monkeypatch):
    code, said, _ = run(monkeypatch, results, "--only", "figure3,sensitivity", "--format", "svg")
    assert code == 0
    assert said == f"{results / 'figures'}: 2 pictures written\n"


def test_mistakes_are_one_sentence_and_exit_code_2(results, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (results / GATES).unlink()
    for arguments, sentence in (
        (
            (results, "--only", "roc,figure9"),
            "--only figure9 is unknown; choose among roc, histograms, adaptive, figure2,",
        ),
        ((results, "--only", ","), "--only ',' is unknown; choose among roc"),
        ((results, "--format", "bmp"), "--format bmp is unknown; choose among png, svg, pdf."),
        ((results, "--only", "figure3"), "has no subnets/gates.safetensors, which figure3 is drawn from;"),
        ((tmp_path / "empty",), "There are no entries under"),
        ((tmp_path / "nowhere",), "There is no results folder"),
    ):
        code, said, complaint = run(monkeypatch, *arguments)
        assert code == 2
        assert said == ""
        assert complaint.startswith("error: ")
        assert sentence in complaint.replace("\n", " ")
        assert "Traceback" not in complaint


def test_the_data_behind_figures_2_and_3_can_be_checked(results, fake_umap):
    write_plots(results, "figure2,figure3", "svg")
    assert [path.name for path in check_data(results)] == ["figure2.csv", "figure3.csv"]
    for name in ("figure2.csv", "figure3.csv"):
        path = results / "figures" / name
        before = path.read_text()
        path.write_text(before.replace("0.", "1.", 1))
        with pytest.raises(UserError, match=rf"{name} is not what its entries give"):
            check_data(results)
        path.write_text(before)
    write_arrays(results / FEATURES, features(seed=1), {"dataset": "cifar10", "attack": "cw"})
    with pytest.raises(UserError, match=r"figure2.csv is not what its entries give"):
        check_data(results)
