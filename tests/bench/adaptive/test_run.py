"""A suite's part `[adaptive]` from end to end: entries, tables, verification, resumption, and mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from subnetbench.bench import load_results
from subnetbench.bench.adaptive.entry import Entry, read_entries
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.harness.entry import read_entry

from ..cli.test_commands import call
from ..conftest import Tiny

PART = """
[adaptive]
images = 20
steps = 8
epsilons = [0.05, "51/255"]
detectors = ["mahalanobis", "max-softmax"]
arms = [{ name = "selective-pgd" }, { name = "logit-matching" }]

[adaptive.proof]
images = 20
inner = 40
draws = 20

[statistics]
"""


def with_part(tiny: Tiny, folder: Path, part: str = PART, *more: tuple[str, str]) -> Tiny:
    return tiny.variant(folder, ("[statistics]\n", part), *more)


def with_detector(tiny: Tiny, folder: Path, name: str) -> Tiny:
    """The part with a registered detector in place of softmax."""
    part = PART.replace('"max-softmax"]', f'"{name}"]')
    listed = 'name = "max-softmax"\n'
    return with_part(tiny, folder, part, (listed, f'{listed}\n[[detectors]]\nname = "{name}"\n'))


@pytest.fixture(scope="module")
def attacked(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One finished run with attackers who know the detector."""
    made = with_part(tiny, tmp_path_factory.mktemp("adaptive"))
    assert made.run().failures == []
    return made


@pytest.fixture
def folder(attacked: Tiny, tmp_path: Path) -> Path:
    shutil.copytree(attacked.folder, tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def registered() -> Iterator[Any]:
    """Registers detectors for one test."""
    before = dict(registry.detectors._items)
    yield registry.register_detector
    registry.detectors._items.clear()
    registry.detectors._items.update(before)


def entry(folder: Path, label: str = "mahalanobis") -> Entry:
    return next(e for e in read_entries(folder) if e.label == label)


def test_every_detector_has_an_entry_with_budgets_arms_costs_and_every_image(attacked: Tiny) -> None:
    assert sorted(e.label for e in read_entries(attacked.folder)) == ["mahalanobis", "max-softmax"]
    one = entry(attacked.folder)
    assert [cell.epsilon for cell in one.cells] == [0.05, 0.2]
    assert one.threshold is not None
    assert one.threshold.calibration_images > 100
    assert one.gradient is not None
    assert one.gradient.offered
    first = one.cells[0].arms["selective-pgd"]
    assert first.tried == one.cells[0].images == 20
    assert first.forward_per_image >= 2 * 8
    assert first.backward_per_image >= 8
    rows = pd.read_parquet(attacked.folder / "adaptive" / "strict" / "mahalanobis.parquet")
    assert set(rows["arm"]) >= {"clean", "calibration", "static", "selective-pgd"}
    clean = rows[rows["arm"] == "clean"]
    assert sorted(clean["image"]) == sorted(set(clean["image"]))


def test_robust_shares_fall_with_the_budget_and_a_beaten_image_is_not_tried_again(attacked: Tiny) -> None:
    for one in read_entries(attacked.folder):
        small, large = one.cells
        assert large.robust <= small.robust
        beaten = sum(arm.beaten for arm in small.arms.values()) + small.transferred
        assert large.arms.get("selective-pgd") is None or large.arms["selective-pgd"].tried == 20 - beaten


def test_a_cell_that_is_not_beaten_has_its_proof_and_counts_only_with_it(attacked: Tiny) -> None:
    for one in read_entries(attacked.folder):
        for cell in one.cells:
            assert (len(cell.proof) > 0) == (cell.robust > 0)
            assert cell.proven == (cell.robust == 0 or any(note.passed for note in cell.proof))
            assert (cell.verdict == "not tested hard enough") == (not cell.proven)


def test_tables_terminal_and_the_frame_show_it(attacked: Tiny, tmp_path: Path) -> None:
    tables = attacked.tables()
    assert {"adaptive.md", "adaptive-curve.md", "adaptive-arms.md", "adaptive-report.md"} <= tables.keys()
    assert b"RA at" in tables["adaptive.md"]
    assert b"attackers who know the detector" in tables["adaptive-report.md"]
    frame = load_results(attacked.folder)
    assert len(frame.dropna(subset=["robust"])) == 2 * 2
    said = call("run", attacked.file, "--store", attacked.store, "--output", attacked.output)
    assert said.code == 0
    assert "under attackers who know the detector" in said.out
    assert said.computed == 0
    assert call("tables", attacked.folder, "--check").code == 0
    planned = call("run", attacked.file, "--store", attacked.store, "--output", tmp_path, "--dry-run")
    assert "selective-pgd" in planned.out


def test_verify_computes_every_figure_again(folder: Path) -> None:
    said = call("verify", folder)
    assert said.code == 0, said.out
    assert "0 with a mismatch" in said.out


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("robust", 0.999, "robust at"),
        ("fooled", 3, "fooled at"),
        ("accuracy_low", 0.0001, "accuracy_low at"),
    ],
)
def test_a_figure_that_is_not_the_rows_is_found(folder: Path, key: str, value: Any, word: str) -> None:
    path = folder / "adaptive" / "strict" / "mahalanobis.json"
    content = json.loads(path.read_text())
    content["cells"][0][key] = value
    if key == "robust":
        content["cells"][0]["robust_high"] = 1.0
    path.write_text(json.dumps(content))
    said = call("verify", folder)
    assert said.code == 1
    assert word in said.out


def test_an_arm_that_claims_more_images_than_its_rows_is_found(folder: Path) -> None:
    path = folder / "adaptive" / "strict" / "mahalanobis.json"
    content = json.loads(path.read_text())
    arm = content["cells"][0]["arms"]["selective-pgd"]
    arm["beaten"] = arm["tried"] if arm["beaten"] != arm["tried"] else 0
    path.write_text(json.dumps(content))
    assert "selective-pgd at 12.8/255: beaten" in call("verify", folder).out


def test_robustness_that_grows_with_the_budget_is_found(folder: Path) -> None:
    path = folder / "adaptive" / "strict" / "max-softmax.json"
    content = json.loads(path.read_text())
    for cell, value in zip(content["cells"], (0.2, 0.9), strict=True):
        cell |= {"robust": value, "robust_low": 0.0, "robust_high": 1.0}
    path.write_text(json.dumps(content))
    assert "does not use what it is allowed" in call("verify", folder).out


def test_an_arm_run_again_beats_the_same_images(attacked: Tiny) -> None:
    said = call("verify", attacked.folder / "adaptive", "--rerun", 2, "--sample-seed", 0)
    assert said.code == 0, said.out
    assert said.out.count("20 alike") == 2
    assert said.out.count("threshold again") == 2


def test_the_median_of_several_draws_decides_for_a_detector_with_randomness() -> None:
    from subnetbench.attacks.arms.contract import Score
    from subnetbench.bench.adaptive.draws import settled

    images = torch.zeros(4, 1, 2, 2)
    draws = torch.Generator().manual_seed(0)
    steady = Score(lambda x: x.flatten(1).sum(1), None, 1.0, 1.0, (images, torch.zeros(4)))
    assert settled(steady, images) is steady
    noisy = Score(lambda x: (torch.rand(len(x), generator=draws) < 0.3).float(), None, 1.0, 1.0, steady.guides)
    decided = settled(noisy, images)
    assert decided.draws
    assert float(torch.stack([decided.exact(images) for _ in range(50)]).mean()) < 0.25  # .16: one lucky draw is not it


def test_a_net_without_a_gradient_is_one_sentence(trained_digits: Any) -> None:
    from subnetbench.bench.adaptive.ground import _refuse_without_gradient

    class Detached(type(trained_digits.classifier)):  # type: ignore[misc]
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).detach()

    net = trained_digits.classifier
    _refuse_without_gradient(net, torch.rand(1, 1, 8, 8))
    blind = object.__new__(Detached)
    blind.__dict__ = net.__dict__
    with pytest.raises(UserError, match="have a gradient to its images"):
        _refuse_without_gradient(blind, torch.rand(1, 1, 8, 8))


def test_the_same_run_again_gives_the_same_bytes(attacked: Tiny, tmp_path: Path) -> None:
    shutil.copytree(attacked.store, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "adaptive")
    shutil.rmtree(tmp_path / "store" / "proof")
    again = Tiny(attacked.file, tmp_path / "store", tmp_path / "out")
    again.run()
    for name in ("mahalanobis", "max-softmax"):
        files = [one.folder / "adaptive" / "strict" / f"{name}.parquet" for one in (attacked, again)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_batch_that_is_stored_is_not_attacked_again(attacked: Tiny, tmp_path: Path) -> None:
    other = attacked.variant(tmp_path, ("steps = 8\n", "steps = 8\nbatch_size = 20\n"))
    before = len(list((other.store / "adaptive").iterdir()))
    other.run()
    assert len(list((other.store / "adaptive").iterdir())) == before


class Certain:
    """1 minus the largest softmax, rounded to a twentieth: its gradient is 0 wherever it exists."""

    candidates = ()

    def fit(self, train: Any) -> Any:
        return self

    def characteristics(self, x: Any) -> Any:
        return np.round(20 * (1 - torch.from_numpy(x.logits).softmax(1).amax(1).numpy()))[:, None] / 20

    def differentiable(self, classifier: Any) -> Any:
        def smooth(images: torch.Tensor) -> torch.Tensor:
            return torch.round(20 * (1 - classifier(images).softmax(1).amax(1)))[:, None] / 20

        return smooth


def test_a_detector_with_a_masked_gradient_is_attacked_without_it_and_its_row_says_so(
    tiny: Tiny, tmp_path: Path, registered: Any
) -> None:
    from subnetbench.bench import DetectorInfo

    Certain.info = DetectorInfo(title="masked", formula="round(20 (1 - p)) / 20", year=2026)  # type: ignore[attr-defined]
    registered("masked")(Certain)
    other = with_detector(tiny, tmp_path, "masked")
    other.run()
    one = entry(other.folder, "masked")
    assert one.gradient is not None
    assert not one.gradient.offered
    assert "zero" in one.gradient.reason
    assert all("selective-pgd" not in cell.arms for cell in one.cells)
    assert not (one.cells[-1].robust > 0 and one.cells[-1].proven)
    assert "§" in (other.folder / "tables" / "adaptive.md").read_text()


def test_a_detector_that_flags_everything_says_n_0(tiny: Tiny, tmp_path: Path, registered: Any) -> None:
    from subnetbench.bench import DetectorInfo

    class Flags(Certain):
        info = DetectorInfo(title="flags", formula="1 on attacked images", year=2026)

        def characteristics(self, x: Any) -> Any:
            return np.full((len(x), 1), float(len(x) == 20))  # the attacked images come alone

    Flags.differentiable = None  # type: ignore[assignment]
    registered("flags")(Flags)
    other = with_detector(tiny, tmp_path, "flags")
    other.run()
    one = entry(other.folder, "flags")
    assert [cell.verdict for cell in one.cells] == ["flags everything (n = 0)"] * 2
    assert "n = 0" in (other.folder / "tables" / "adaptive.md").read_text()


def test_a_detector_that_raises_is_an_entry_with_its_reason(tiny: Tiny, tmp_path: Path, registered: Any) -> None:
    from subnetbench.bench import DetectorInfo

    class Raises(Certain):
        info = DetectorInfo(title="raises", formula="none", year=2026)

        def characteristics(self, x: Any) -> Any:
            raise ZeroDivisionError("no luck")

    registered("raises")(Raises)
    other = with_detector(tiny, tmp_path, "raises")
    result = other.run()
    assert any("no luck" in failure for failure in result.failures)
    path = other.folder / "adaptive" / "strict" / "raises.json"
    assert "no luck" in read_entry(Entry, path).reason
    assert entry(other.folder).cells
    assert call("verify", other.folder / "adaptive").code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('epsilons = [0.05, "51/255"]', "epsilons = [0.0]", "epsilons"),
        ('epsilons = [0.05, "51/255"]', "epsilons = [1.5]", "epsilons"),
        ('epsilons = [0.05, "51/255"]', 'epsilons = ["8 of 255"]', "epsilons"),
        ('epsilons = [0.05, "51/255"]', "epsilons = [0.2, 0.1]", "the smallest first"),
        ('name = "selective-pgd"', 'name = "selectiv-pgd"', "Did you mean 'selective-pgd'"),
        ('name = "selective-pgd"', 'name = "selective-pgd", parameters = { epsilon = 0.1 }', "adaptive.epsilons"),
        ('name = "selective-pgd"', 'name = "selective-pgd", parameters = { nonsense = 1 }', "nonsense"),
        ('name = "selective-pgd"', 'name = "selective-pgd", label = "transfer"', "another label"),
        ('detectors = ["mahalanobis"', 'detectors = ["mahalanobi"', "mahalanobi"),
        ("steps = 8", "steps = 0", "steps"),
        ("steps = 8", 'steps = 8\nfit_on = "bin"', "fit_on"),
        ("steps = 8", "steps = 8\nrate = 0.7", "rate"),
    ],
)
def test_a_mistake_in_the_part_is_one_sentence(tiny: Tiny, tmp_path: Path, old: str, new: str, words: str) -> None:
    other = with_part(tiny, tmp_path, PART.replace(old, new, 1))
    assert words in call("validate", other.file).mistake


def test_fewer_calibration_images_than_the_rate_asks_for_is_one_sentence(tiny: Tiny, tmp_path: Path) -> None:
    other = with_part(tiny, tmp_path, PART, ("splits = 2", "splits = 2\ncalibration = 10"))
    with pytest.raises(UserError, match=r"at a false-positive rate of 5\.0%, for which \d+ correctly"):
        other.run()
