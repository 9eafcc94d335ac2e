"""Objects in a run: from a cell to rows, computed anew after an edit and only then, and nothing stays registered."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from subnetbench.attacks.foolbox import BIM
from subnetbench.bench import Classifier, run
from subnetbench.bench.core import registry
from subnetbench.bench.data.dataset import Dataset, Split
from subnetbench.bench.detection import scoring
from subnetbench.detectors.controls import Energy, MaxSoftmax
from torch import nn

from ...conftest import TrainedDigits
from .conftest import ATTACK, CELLS, DETECTOR, HELPER, Notebook, Place


def stated(place: Place, suite: str, label: str) -> dict[str, Any]:
    path = place.output / suite / "entries" / "strict" / f"{label}.json"
    entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return entry


def test_classes_instances_and_names_are_added_to_a_suite(place: Place, cells: dict[str, Any]) -> None:
    mine = cells["MyDetector"]
    frame = place.run(detectors=[mine, mine(k=3), "energy"])
    assert list(dict.fromkeys(frame["detector"])) == [
        *("mahalanobis", "max-softmax", "my-detector", "my-detector-k3", "energy")
    ]
    assert (frame["remark"] == "").all()
    assert frame["auroc"].notna().all()
    entry = stated(place, "small", "my-detector-k3")["detector"]
    assert entry["from"] == "an object of this session: the class MyDetector of a console"
    assert len(entry["source"]) == 16
    assert entry["candidates"] == [{"k": 3}]
    assert "from" not in stated(place, "small", "energy")["detector"]


def test_entries_of_benign_shift_state_where_a_detector_comes_from(place: Place, cells: dict[str, Any]) -> None:
    file = place.folder / "shifted.toml"
    shift = '\n[shift]\nimages = 10\nkinds = ["contrast"]\nseverities = [3]\nrate = 0.1\n'
    file.write_text(place.suite.read_text().replace('name = "small"', 'name = "shifted"', 1) + shift)
    run(file, detectors=[cells["MyDetector"]], store=place.folder / "store", output=place.output)
    folder = place.output / "shifted" / "shift" / "strict"
    mine, own = (
        json.loads((folder / f"{name}.json").read_text())["detector"] for name in ("my-detector", "max-softmax")
    )
    assert mine["from"] == "an object of this session: the class MyDetector of a console"
    assert len(mine["source"]) == 16
    assert "from" not in own


def test_what_a_suite_has_already_is_its_own(place: Place, cells: dict[str, Any]) -> None:
    frame = place.run(detectors=[MaxSoftmax], attacks=["foolbox/fgsm", "art/fgsm"])
    assert list(dict.fromkeys(frame["detector"])) == ["mahalanobis", "max-softmax"]
    assert list(dict.fromkeys(frame["test_on"])) == ["fgsm", "art-fgsm", "worst case"]
    assert set(frame["suite"]) == {"small-art-fgsm"}
    assert set(place.run(detectors=["max-softmax"], attacks=["fgsm"])["suite"]) == {"small"}


def test_one_alone_needs_no_brackets(place: Place, cells: dict[str, Any]) -> None:
    assert "my-detector" in set(place.run(detectors=cells["MyDetector"])["detector"])


def test_only_leaves_the_suites_own_out_and_its_results_as_they_are(place: Place, cells: dict[str, Any]) -> None:
    place.run()
    frame = place.run(detectors=[cells["MyDetector"], "max-softmax"], only=True)
    assert set(frame["detector"]) == {"my-detector", "max-softmax"}
    assert set(frame["suite"]) == {"small-my-detector-max-softmax"}
    assert stated(place, "small", "mahalanobis")["suite"]["name"] == "small"


@pytest.mark.parametrize("kept", [False, True], ids=["console", "ipython"])
def test_an_edited_cell_computes_anew_and_an_unedited_one_is_read(
    place: Place, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[str] = []
    inner = scoring.Scoring._characteristics

    def counted(self: Any, shown: Any, *rest: Any) -> Any:
        fits.append(shown.part.title)
        return inner(self, shown, *rest)

    monkeypatch.setattr(scoring.Scoring, "_characteristics", counted)
    notebook = Notebook(kept=kept)

    def auroc(*cells: str) -> tuple[float, bool]:
        fits.clear()
        value = place.auroc("my-detector", detector=notebook.run(*cells)["MyDetector"])
        return value, bool(fits)

    anew = f"# {kept}\nMARK = {kept}\n"  # so that the two runs of this test do not share what is stored
    first = DETECTOR.replace("self.k = k", f"self.k = k\n        self.mark = {kept}")
    before, computed = auroc(HELPER + anew, first)
    assert computed
    assert auroc() == (before, False)
    assert auroc(first) == (before, False)  # the same cell once more
    turned = first.replace("return -(gap", "return (gap")
    after, computed = auroc(turned)
    assert computed
    assert after == pytest.approx(1 - before)
    assert auroc(HELPER.replace("SCALE = 1.0", "SCALE = -1.0"))[1]  # a global that a helper names
    assert auroc(HELPER.replace("SCALE * (first - second)", "SCALE * (first - 2 * second)"))[1]
    assert auroc(HELPER + anew, first) == (before, False)


def test_a_fitted_instance_is_run_as_a_fresh_one(place: Place, cells: dict[str, Any]) -> None:
    detector = cells["MyDetector"](k=5)
    detector.scale = 1e9
    place.run(detectors=[detector])
    assert detector.scale == 1e9
    assert stated(place, "small", "my-detector-k5")["detector"]["candidates"] == [{"k": 5}]


def test_a_function_that_makes_a_detector_is_one(place: Place, cells: dict[str, Any]) -> None:
    notebook = Notebook()
    names = notebook.run(*CELLS, "weights = np.ones(3)\n\n\ndef weighted():\n    return Weighted(weights)\n")
    notebook.run(
        "class Weighted(MyDetector):\n    def __init__(self, w):\n        super().__init__()\n        self.w = w\n"
    )
    frame = place.run(detectors=[names["weighted"], lambda: names["MyDetector"](k=7)])
    assert {"weighted", "my-detector-k7"} <= set(frame["detector"])
    before = stated(place, "small", "weighted")["detector"]["source"]
    notebook.run("weights = np.zeros(3)")
    place.run(detectors=[names["weighted"]])
    assert stated(place, "small", "weighted")["detector"]["source"] != before


def test_a_class_of_ours_keeps_its_name_and_can_be_run_again(place: Place) -> None:
    frame = place.run(detectors=[Energy])
    assert "energy" in set(frame["detector"])
    assert "from" not in stated(place, "small", "energy")["detector"]


def test_a_class_that_is_called_as_one_of_ours_is_not_taken_for_it(place: Place) -> None:
    names = Notebook().run(HELPER, DETECTOR.replace("MyDetector", "LID"))
    assert "my-lid" in set(place.run(detectors=[names["LID"]])["detector"])


def test_attacks_are_added_too(place: Place, cells: dict[str, Any]) -> None:
    bim = BIM(epsilon=0.3, step_size=0.1, steps=3)
    frame = place.run(attacks=[cells["MyAttack"], bim, "art/bim"], detectors=["energy"])
    label = "bim-epsilon0.3-step_size0.1-steps3"
    assert {"fgsm", "my-attack", label, "bim"} <= set(frame["test_on"])
    suite = frame["suite"].iloc[0]
    assert suite.startswith("small-my-attack")
    attacks = stated(place, suite, "energy")["attacks"]
    assert attacks["my-attack"]["from"].startswith("an object of this session: the class MyAttack")
    assert attacks["bim"]["library"] == "art"
    assert attacks[label]["parameters"]["steps"] == 3
    assert "from" not in attacks[label]


def test_an_attack_called_as_one_of_foolbox_is_not_taken_for_it(place: Place) -> None:
    names = Notebook().run(HELPER, ATTACK.replace("MyAttack", "FGSM"))
    frame = place.run(attacks=[names["FGSM"](epsilon=0.25)], detectors=["energy"], only=True)
    assert set(frame["test_on"]) == {"my-fgsm-epsilon0.25", "worst case"}


def test_numbers_of_numpy_are_parameters_and_odd_names_are_names(place: Place) -> None:
    cell = DETECTOR.replace("MyDetector", "AUX").replace("k=1", "k: int = 1, word='', sizes=(1, 2)")
    cell = cell.replace("self.k = k", "self.k, self.word, self.sizes = k, word, sizes")
    names = Notebook().run(HELPER, cell)
    frame = place.run(detectors=[names["AUX"], names["AUX"](np.int64(3), "a/b.", (np.float32(0.5), 4))], only=True)
    assert set(frame["detector"]) == {"my-aux", "my-aux-k3-word-a_b.-sizes-_0.5_4_"}
    assert (frame["remark"] == "").all()


def test_a_class_that_a_cell_registers_is_of_the_session_too(place: Place) -> None:
    cell = DETECTOR.replace("class MyDetector", "@register_detector('by-hand')\nclass MyDetector")
    notebook = Notebook()
    list(registry.detectors)
    try:
        for turned in (cell, cell.replace("return -(gap", "return (gap")):
            names = notebook.run("from subnetbench.bench import register_detector", HELPER, turned)
            place.run(detectors=[names["MyDetector"]], only=True)
    finally:
        registry.detectors._items.pop("by-hand", None)
    entry = stated(place, "small-by-hand", "by-hand")["detector"]
    assert entry["from"].startswith("an object of this session: the class MyDetector")


def test_any_module_is_wrapped_for_the_data(
    place: Place, trained_digits: TrainedDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def wrap(module: nn.Module, **given: Any) -> Classifier:
        asked.update(given)
        assert isinstance(module, nn.Sequential)
        more = {"mean": (0.0,), "std": (1.0,), "taps": (), "gate_positions": {}}
        return Classifier(module, **more, **given)

    monkeypatch.setattr(Classifier, "wrap", wrap, raising=False)
    module = copy.deepcopy(trained_digits.classifier.net).train()
    frame = place.run(model=module, detectors=["energy"], only=True)
    assert asked == {"classes": 10, "shape": (1, 8, 8)}
    assert set(frame["model"]) == {"my-net"}
    assert module.training


def test_a_net_and_arrays_take_the_place_of_the_suites(
    place: Place, cells: dict[str, Any], trained_digits: TrainedDigits
) -> None:
    net, data = trained_digits.classifier, trained_digits.dataset
    training = net.training
    arrays = (data.train.images, data.train.labels, data.test.tensor(), data.test.labels)
    frame = place.run(detectors=[cells["MyDetector"]], model=net, dataset=arrays)
    assert set(frame["suite"]) == {"small-my-data-my-net"}
    assert frame["auroc"].notna().all()
    entry = stated(place, "small-my-data-my-net", "my-detector")
    assert entry["model"]["from"] == "an object of this session: the net Classifier"
    assert entry["model"]["accuracy"] > 0.9
    assert entry["dataset"]["from"] == "an object of this session: arrays"
    assert entry["dataset"]["sha256"] == Dataset("", plain(data.train), plain(data.test), 10).content_hash
    assert net.training == training
    again = place.run(detectors=[cells["MyDetector"]], model=net, dataset={**named(arrays)})
    assert again.equals(frame)


def plain(split: Split) -> Split:
    """The split with its images numbered from 0, as those of arrays are."""
    return Split(split.images, split.labels)


def named(arrays: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("train_images", "train_labels", "test_images", "test_labels"), arrays, strict=True))


MODULE = """
from torch import nn


class Body(nn.Module):
    def forward(self, x):
        return x.flatten(1)
"""


def test_a_module_of_a_cell_is_known_by_its_code() -> None:
    """Both print the same and have no tensors."""

    def hashed(cell: str) -> str:
        body = Notebook().run(cell)["Body"]()
        net = nn.Sequential(OrderedDict(body=body, head=nn.Linear(4, 2)))
        nn.init.ones_(net.head.weight)
        nn.init.zeros_(net.head.bias)
        more: dict[str, Any] = {"mean": (0.0,), "std": (1.0,), "taps": ("body",), "gate_positions": {}}
        return Classifier(net, classes=2, shape=(1, 2, 2), **more).content_hash()

    assert hashed(MODULE) == hashed(MODULE)
    assert hashed(MODULE.replace("x.flatten(1)", "-x.flatten(1)")) != hashed(MODULE)


def test_a_data_set_object_and_registered_names_do_as_well(place: Place, trained_digits: TrainedDigits) -> None:
    data = trained_digits.dataset
    mine = Dataset("Half of them", data.train, data.test.select(np.arange(len(data.test)) % 2 == 0), 10)
    frame = place.run(detectors=["energy"], only=True, dataset=mine, model="digits-cnn")
    assert set(frame["suite"]) == {"small-half-of-them-digits-cnn-energy"}
    assert "from" not in stated(place, frame["suite"].iloc[0], "energy")["model"]


def test_another_net_of_the_same_shape_is_another_in_the_store(
    place: Place, trained_digits: TrainedDigits, cells: dict[str, Any]
) -> None:
    other = copy.deepcopy(trained_digits.classifier)
    other.head.bias.data[0] += 1
    hashes = []
    for net in (trained_digits.classifier, other):
        place.run(detectors=["energy"], only=True, model=net)
        hashes.append(stated(place, "small-my-net-energy", "energy")["model"]["sha256"])
    assert hashes[0] != hashes[1]


SCRIPT = (
    "{cells}\n"
    "if __name__ == '__main__':\n"
    "    from subnetbench.bench import run\n"
    "    frame = run({suite!r}, detectors=[MyDetector(k=3)], attacks=[MyAttack], store={store!r}, output={output!r})\n"
    "    print(sorted(set(frame['detector'])))\n"
)


READER = """
from subnetbench.bench.cli.main import app

folder = "out/small-my-attack"
for words in (
    ["tables", folder],
    ["verify", folder, "--rerun", "2"],
    ["plot", folder],
    ["leaderboard", "out", "--out", "board"],
):
    try:
        app(words)
    except SystemExit as end:
        assert not end.code, words
"""


def test_a_script_runs_its_own_classes_and_another_process_reads_the_folder(place: Place, tmp_path: Path) -> None:
    values = {"suite": str(place.suite), "store": str(place.folder / "store"), "output": str(tmp_path / "out")}
    (tmp_path / "mine.py").write_text(SCRIPT.format(cells="\n".join(CELLS), **values))

    def called(*words: str) -> str:
        ran = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    told = called("mine.py")
    assert "my-detector-k3 keeps the contract (" in told
    assert "['mahalanobis', 'max-softmax', 'my-detector-k3']" in told
    (tmp_path / "reader.py").write_text(READER)
    read = called("reader.py")
    folder = tmp_path / "out" / "small-my-attack"
    assert "| my-detector-k3" in (folder / "tables" / "table2.md").read_text()
    assert "the detector my-detector-k3 was an object of a session: the class MyDetector of __main__" in read
    assert "the file alone cannot run them again" in read
    page = next((tmp_path / "board" / "detector").glob("my-detector-k3*.html")).read_text()
    assert "No command can make this entry again" in page


def test_beside_an_object_of_a_session_the_others_keep_the_command_that_makes_them(
    place: Place, cells: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from subnetbench.bench.board import reproduce
    from subnetbench.bench.board.boards import read_results

    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: {"small": place.suite})
    monkeypatch.setattr(reproduce, "builtin_suites", lambda: {"small": place.suite})
    place.run(detectors=[cells["MyDetector"], "energy"], output=tmp_path)
    runs = {label: run for (_, label), run in reproduce.reruns(read_results(tmp_path).boards).items()}
    assert runs["my-detector"].command is None
    assert runs["my-detector"].toml is None
    assert "was an object of a session" in runs["my-detector"].needed
    assert runs["energy"].command == "subnetbench run small --detector energy"
    assert runs["energy"].toml is not None


def test_a_run_that_computes_nothing_says_nothing_of_contracts(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = Notebook().run(HELPER, DETECTOR.replace("k=1", "k=9"))
    place.run()
    frame = place.run(detectors=[names["MyDetector"]], output=tmp_path, when="never")
    assert frame.query("detector == 'my-detector'")["auroc"].isna().all()
    assert frame.query("detector == 'max-softmax'")["auroc"].notna().all()
    assert "contract" not in capsys.readouterr().out
