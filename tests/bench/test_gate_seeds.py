"""Several sets of gates: scores of each are kept, intervals cover them, comparisons meet each on the same splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench.cells import _mixed, compare, measure
from subnetbench.bench.compare import compare_entries
from subnetbench.bench.config import Statistics
from subnetbench.bench.entries import read_entries, read_scores, replicates
from subnetbench.bench.tables import write_tables
from subnetbench.bench.types import UserError

from .conftest import Tiny

OPTIONS = Statistics(resamples=300)
SUBNETS = """
[subnets]
epochs = 6
learning_rate = 0.2
images_per_class = 20
gamma = 0.3
seeds = 2

[[attacks]]
name = "fgsm"
"""
DETECTORS = """
[[detectors]]
name = "subnet-mahalanobis"
candidates = [{}]

[[detectors]]
name = "subnet-mahalanobis"
label = "first-set"
candidates = [{}]
gate_seeds = 1

[[detectors]]
name = "subnet-mahalanobis-random"
candidates = [{}]

[[detectors]]
name = "max-softmax"
"""
SWEEP = """
[sensitivity]
position = ["late"]
gamma = { layersum = [0.1], sum = [1.0] }
"""


@pytest.fixture(scope="module")
def gated(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    made = tiny.variant(
        tmp_path_factory.mktemp("gated"),
        ('\n[[attacks]]\nname = "fgsm"\n', SUBNETS),
        ('\n[[detectors]]\nname = "max-softmax"\n', DETECTORS),
        ('[["mahalanobis", "max-softmax"]]', '[["subnet-mahalanobis", "mahalanobis"]]' + "\n" + SWEEP),
    )
    made.run()
    return made


def entry(made: Tiny, label: str) -> dict:
    return next(e for e in read_entries(made.folder)
                if e["detector"]["label"] == label and e["protocol"]["name"] == "strict")  # fmt: skip


def test_detectors_with_subnets_are_scored_under_every_set(gated):
    found = {label: replicates(read_scores(gated.folder, entry(gated, label)))
             for label in ("subnet-mahalanobis", "first-set", "subnet-mahalanobis-random", "mahalanobis")}  # fmt: skip
    both, one = [(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 0), (0, 1)]
    assert found == {"subnet-mahalanobis": both, "first-set": one, "subnet-mahalanobis-random": both,
                     "mahalanobis": one}  # fmt: skip


def test_the_sets_differ_and_the_first_of_several_is_the_one_of_a_single(gated):
    scores = read_scores(gated.folder, entry(gated, "subnet-mahalanobis")).groupby("gate")["score"]
    alone = read_scores(gated.folder, entry(gated, "first-set"))["score"].to_numpy()
    first, second = (scores.get_group(gate).to_numpy() for gate in (0, 1))
    np.testing.assert_array_equal(first, alone)
    assert not np.array_equal(first, second)
    chance = read_scores(gated.folder, entry(gated, "subnet-mahalanobis-random")).groupby("gate")["score"]
    assert not np.array_equal(chance.get_group(0).to_numpy(), chance.get_group(1).to_numpy())


def test_a_cell_says_how_much_the_gates_and_the_splits_move_it(gated):
    cell = entry(gated, "subnet-mahalanobis")["cells"][0]
    assert len(cell["n"]) == 4
    assert cell["gate_sd"] >= 0
    assert cell["split_sd"] >= 0
    assert entry(gated, "mahalanobis")["cells"][0]["gate_sd"] is None
    assert [found["seed"] for found in entry(gated, "subnet-mahalanobis")["subnets"]["sets"]] == [0, 1]


def test_compare_from_scores_gives_what_the_run_wrote(gated):
    written = json.loads((gated.folder / "comparisons" / "strict.json").read_text())["comparisons"]
    rows = next(r for title, r in compare_entries(gated.folder, "subnet-mahalanobis", "mahalanobis")
                if title.endswith("strict"))  # fmt: skip
    for row, record in zip([r for r in rows if r["fitted on"] == "fgsm"], [r for r in written if r["fit_on"] == "fgsm"],
                           strict=True):  # fmt: skip
        assert row["difference"].startswith(f"{100 * record['difference']:+.2f} [{100 * record['low']:+.2f}")


def frame(rng: np.random.Generator, gates: int, shift: float) -> pd.DataFrame:
    parts = []
    for gate in range(gates):
        for split in range(2):
            for kind, mean in (("clean", 0.0), ("adversarial", 1.0 + shift * gate)):
                parts.append(pd.DataFrame({"gate": gate, "split": split, "fit_on": "a", "test_on": "a", "kind": kind,
                                           "image": np.arange(80), "score": rng.normal(mean, 1, 80)}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def fits(gates: int) -> list[dict]:
    return [{"fit_on": "a", "gate": gate, "split": split, "n_fit": 9, "candidate": 0, "remark": ""}
            for gate in range(gates) for split in range(2)]  # fmt: skip


def test_gates_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    widths = {}
    for shift in (0.0, 3.0):
        cells, _ = measure(frame(rng, 3, shift), fits(3), ["a"], ties="half", options=OPTIONS, seed=0)
        widths[shift] = cells[0]["high"] - cells[0]["low"]
    assert widths[3.0] > 1.5 * widths[0.0]


def test_a_detector_without_gates_meets_every_set_on_the_same_splits():
    rng = np.random.default_rng(1)
    several, one = frame(rng, 3, 1.0), frame(rng, 1, 0.0)
    samples = [measure(scores, fits(n), ["a"], ties="half", options=OPTIONS, seed=0)[1]
               for scores, n in ((several, 3), (one, 1))]  # fmt: skip
    values = {"x": {("a", "a"): 0.9}, "y": {("a", "a"): 0.8}}
    record = compare(samples[0], samples[1], values, [("a", "a")], ("x", "y"), OPTIONS)[0]
    by_hand = _mixed(np.concatenate([samples[0]["a", "a"][2 * g : 2 * g + 2] - samples[1]["a", "a"] for g in range(3)]))
    assert record["centre"] == pytest.approx(float(np.median(by_hand)))
    back = compare(samples[1], samples[0], values, [("a", "a")], ("y", "x"), OPTIONS)[0]
    assert back["centre"] == pytest.approx(-record["centre"])


# -- the sweep over choices of gate training ------------------------------------------------------------------------


def test_the_sweep_has_a_point_for_every_choice_and_attack(gated):
    found = json.loads((gated.folder / "sensitivity.json").read_text())
    assert [(p["l1"], p["attack"]) for p in found["points"]] == [
        ("layersum", "fgsm"), ("layersum", "bim"), ("sum", "fgsm"), ("sum", "bim")
    ]  # fmt: skip
    for point in found["points"]:
        assert point["low"] <= point["difference"] <= point["high"]
        assert point["subnets"] == 20
        assert {"random_difference", "balanced_accuracy", "tau_met"} <= point.keys()
    assert found["points"][0]["active"] > found["points"][2]["active"]  # gamma 1 as a plain sum kills nearly all


def test_a_sweep_of_a_label_that_is_not_there_is_one_sentence(gated, tmp_path):
    wrong = gated.variant(tmp_path, ("[sensitivity]\n", '[sensitivity]\nbaseline = "nobody"\n'))
    with pytest.raises(UserError, match=r"sensitivity.baseline is 'nobody', which is no detector label"):
        wrong.run()


def test_tables_and_figure_arrays_are_what_the_files_give(gated):
    write_tables(gated.folder, check=True)
    for name in ("subnets.csv", "sensitivity.csv", "separation.csv"):
        assert (gated.folder / "tables" / name).stat().st_size > 0
    table = pd.read_csv(gated.folder / "tables" / "subnets.csv")
    assert len(table) == 1 + 10
    assert table["tau met"].str.endswith("of 2").sum() == 10
    assert (Path(gated.folder) / "subnets" / "gates.safetensors").is_file()
