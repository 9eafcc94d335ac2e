"""Several sets of gates: scores of each are kept, intervals cover them, comparisons meet each on the same splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.cells import (
    Column,
    Measuring,
    columns,
    compare,
    leaders,
    matched,
    measure,
)
from subnetbench.bench.detection.compare import compare_detectors
from subnetbench.bench.detection.entry import read_entries, read_scores
from subnetbench.bench.detection.suite import NO_GATES
from subnetbench.bench.detection.tables import report
from subnetbench.bench.harness.tables import write_tables
from subnetbench.bench.stats.splits import Design, Replicates

from ..conftest import Tiny

HOW = Measuring("half", 0.95, Design(0.5, 2))
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
    folder = tmp_path_factory.mktemp("gated")
    made = tiny.variant(
        folder,
        ('\n[[attacks]]\nname = "fgsm"\n', SUBNETS),
        ('\n[[detectors]]\nname = "max-softmax"\n', DETECTORS),
        ('[["mahalanobis", "max-softmax"]]', '[["subnet-mahalanobis", "mahalanobis"]]' + "\n" + SWEEP),
    )
    made.run()
    return made


def replicates(scores: pd.DataFrame) -> list[tuple[int, int]]:
    return sorted({(int(gate), int(split)) for gate, split in zip(scores["gate"], scores["split"], strict=True)})


def entry(made: Tiny, label: str) -> dict:
    return next(e for e in read_entries(made.folder) if e.label == label and e.protocol_name == "strict")


def by_place(made: Tiny, label: str) -> dict[tuple[int, int], float]:
    """AUROC of the seen attack by set of gates and split."""
    own = entry(made, label)
    cell = own.by_pair()["fgsm", "fgsm"]
    return dict(zip(own.places(cell), cell.auroc_by_split, strict=True))


def test_detectors_with_subnets_are_scored_under_every_set_and_scores_of_the_first_are_kept(gated):
    both, one = [(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 0), (0, 1)]
    without = [(NO_GATES, 0), (NO_GATES, 1)]
    expected = {
        "subnet-mahalanobis": (both, one),
        "first-set": (one, one),
        "subnet-mahalanobis-random": (both, one),
        "mahalanobis": (without, without),
    }
    found = {
        label: (sorted(by_place(gated, label)), replicates(read_scores(gated.folder, entry(gated, label))))
        for label in expected
    }
    assert found == expected


def test_the_sets_differ_and_the_first_of_several_is_the_one_of_a_single(gated):
    several, alone = (read_scores(gated.folder, entry(gated, label)) for label in ("subnet-mahalanobis", "first-set"))
    np.testing.assert_array_equal(several["score"], alone["score"])
    for label in ("subnet-mahalanobis", "subnet-mahalanobis-random"):
        figures = by_place(gated, label)
        assert [figures[0, 0], figures[0, 1]] != [figures[1, 0], figures[1, 1]]


def test_a_cell_says_how_much_the_gates_and_the_splits_move_it(gated):
    cell = entry(gated, "subnet-mahalanobis").cells[0]
    assert len(cell.n) == 4
    assert cell.gate_sd >= 0
    assert cell.split_sd >= 0
    assert entry(gated, "mahalanobis").cells[0].gate_sd is None
    assert [gates.seed for gates in entry(gated, "subnet-mahalanobis").subnets.sets] == [0, 1]


def test_compare_from_scores_gives_what_the_run_wrote(gated):
    written = json.loads((gated.folder / "comparisons" / "strict.json").read_text())["comparisons"]
    rows = next(
        each.all_rows
        for each in compare_detectors(gated.folder, "subnet-mahalanobis", "mahalanobis")
        if each.title.endswith("strict")
    )
    for row, record in zip(
        [r for r in rows if r["fitted on"] == "fgsm"], [r for r in written if r["fit_on"] == "fgsm"], strict=True
    ):
        assert row["difference"].startswith(f"{100 * record['difference']:+.2f} [{100 * record['low']:+.2f}")


def frame(rng: np.random.Generator, gates: int, shift: float) -> pd.DataFrame:
    parts = []
    for gate in range(gates):
        for split in range(2):
            for kind, mean in (("clean", 0.0), ("adversarial", 1.0 + shift * gate)):
                parts.append(
                    pd.DataFrame(
                        {
                            "gate": gate,
                            "split": split,
                            "fit_on": "a",
                            "test_on": "a",
                            "kind": kind,
                            "image": np.arange(80) + 80 * split,
                            "score": rng.normal(mean, 1, 80),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def fits(gates: int, first: int = 0) -> list[dict]:
    return [
        {"fit_on": "a", "gate": first + gate, "split": split, "n_fit": 9, "candidate": 0, "remark": ""}
        for gate in range(gates)
        for split in range(2)
    ]


def test_gates_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    widths = {}
    for shift in (0.0, 3.0):
        cells = measure(frame(rng, 3, shift), fits(3), ["a"], HOW)
        widths[shift] = cells[0]["high"] - cells[0]["low"]
    assert widths[3.0] > 1.5 * widths[0.0]


def test_a_detector_without_gates_meets_every_set_on_the_same_splits():
    rng = np.random.default_rng(1)
    several, one = frame(rng, 3, 1.0), frame(rng, 1, 0.0)
    one["gate"] = NO_GATES
    first, second = (
        columns(measure(scores, records, ["a"], HOW), [(r["gate"], r["split"]) for r in records])
        for scores, records in ((several, fits(3)), (one, fits(1, NO_GATES)))
    )
    record = compare(first, second, [("a", "a")], ("x", "y"), HOW)[0]
    values, other = first["a", "a"].replicates.values, second["a", "a"].replicates.values
    assert record["replicates"] == 6
    assert record["difference"] == pytest.approx(np.mean(values.reshape(3, 2) - other))
    back = compare(second, first, [("a", "a")], ("y", "x"), HOW)[0]
    assert (back["low"], back["high"], back["p"]) == pytest.approx((-record["high"], -record["low"], record["p"]))


def column_at(*places: tuple[int, int]) -> Column:
    values = np.array([0.5 + gate / 10 + split / 100 for gate, split in places])
    return Column(Replicates(places, values, np.zeros(len(values))), 50)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (((0, 0), (0, 1), (1, 0), (1, 1)), ((0, 0), (0, 1)), 2),  # one set against two: the set that both have
        (((0, 0), (1, 0), (0, 1), (1, 1)), ((NO_GATES, 1),), 2),  # a split that one of them could not run
        (((NO_GATES, 0), (NO_GATES, 1)), ((NO_GATES, 0), (NO_GATES, 1)), 2),
        (((0, 0), (0, 1)), ((1, 0), (1, 1)), 0),
    ],
)
def test_only_what_belongs_together_is_subtracted(first, second, together):
    left, right = column_at(*first), column_at(*second)
    pairs = matched(left.replicates, right.replicates)
    assert len(pairs) == together
    for i, j in pairs:
        assert left.replicates.places[i][1] == right.replicates.places[j][1]
    found = compare({("a", "a"): left}, {("a", "a"): right}, [("a", "a")], ("x", "y"), HOW)
    assert [record["replicates"] for record in found] == ([together] if together else [])


def test_what_cannot_be_compared_with_the_best_is_not_called_worse():
    detectors = {"x": {("a", "a"): column_at((1, 0))}, "y": {("a", "a"): column_at((0, 0))}}
    assert leaders(detectors, [("a", "a")], HOW)[0]["not_separable"] == ["y"]


# -- the sweep over choices of gate training ------------------------------------------------------------------------


def test_the_sweep_has_a_point_for_every_choice_and_attack(gated):
    found = json.loads((gated.folder / "sensitivity.json").read_text())
    assert [(p["l1"], p["attack"]) for p in found["points"]] == [
        ("layersum", "fgsm"),
        ("layersum", "bim"),
        ("sum", "fgsm"),
        ("sum", "bim"),
    ]
    for point in found["points"]:
        assert point["low"] <= point["difference"] <= point["high"]
        assert point["subnets"] == 20
        assert {"random_difference", "balanced_accuracy", "tau_met"} <= point.keys()
    assert found["points"][0]["active"] > found["points"][2]["active"]  # gamma 1 as a plain sum kills nearly all


def test_a_sweep_of_a_label_that_is_not_there_is_one_sentence(gated, tmp_path):
    wrong = gated.variant(tmp_path, ("[sensitivity]\n", '[sensitivity]\nbaseline = "nobody"\n'))
    with pytest.raises(UserError, match=r"sensitivity.baseline is 'nobody', which is not a detector label"):
        wrong.run()


def test_tables_and_figure_arrays_are_what_the_files_give(gated):
    write_tables(gated.folder, report(gated.folder), check=True)
    for name in ("subnets.csv", "sensitivity.csv", "separation.csv"):
        assert (gated.folder / "tables" / name).stat().st_size > 0
    table = pd.read_csv(gated.folder / "tables" / "subnets.csv")
    assert len(table) == 1 + 10
    assert table["tau met"].str.endswith("of 2").sum() == 10
    assert (Path(gated.folder) / "subnets" / "gates.safetensors").is_file()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('position = ["late"]', 'position = ["nowhere"]', "no gate position 'nowhere'"),
        ("layersum = [0.1]", "layersum = [-0.1]", "subnets with sensitivity.gamma"),
        ("layersum = [0.1]", "layersum = []", "sensitivity.gamma.layersum"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_before_anything_is_scored(gated, tmp_path, old, new, sentence):
    wrong = gated.variant(tmp_path, (old, new))
    with pytest.raises(UserError, match=sentence):
        wrong.run()
    assert not wrong.folder.exists()


def test_a_sweep_that_is_not_stored_is_left_out_and_an_earlier_one_does_not_stay(gated, tmp_path):
    other = gated.variant(tmp_path, ("sum = [1.0]", "sum = [2.0]"))
    other.folder.mkdir(parents=True)
    (other.folder / "sensitivity.json").write_text("{}")
    other.run(when="never")
    assert not (other.folder / "sensitivity.json").exists()


def test_gates_that_cannot_fall_far_enough_are_refused(gated, tmp_path):
    short = gated.variant(tmp_path, ("learning_rate = 0.2", "learning_rate = 0.02"))
    with pytest.raises(UserError, match=r"subnets: 6 steps of 0.02 cannot take a gate from 1 to 0.05, so every subnet"):
        short.run()
