"""The estimate of a run asks attacks and detectors what they cost; no name of theirs counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from subnetbench.attacks.contract import AttackInfo
from subnetbench.attacks.presets import build
from subnetbench.bench import DetectorInfo
from subnetbench.bench.core import registry
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.attacked import attack_passes
from subnetbench.bench.detection.estimate import _Grid, roughly
from subnetbench.bench.detection.run import Run
from subnetbench.bench.detection.scoring import Scoring
from subnetbench.bench.harness.context import Context
from subnetbench.bench.tracks import load_suite
from subnetbench.detectors.contract import Need

SUITE = """
name = "priced"
limit = 100

[dataset]
name = "digits"
train_limit = 500

[model]
name = "digits-cnn"

[model.train]

[subnets]
images_per_class = 40
epochs = 3
seeds = 2

[[attacks]]
name = "{attack}"
library = "{library}"

[[detectors]]
name = "{detector}"

[[protocols]]
name = "strict"
"""

Price = Callable[..., dict[str, int]]


@pytest.fixture
def price(tmp_path: Path) -> Price:
    """Forward passes of each row of the grid, by what it is about."""

    def passes(attack: str = "fgsm", library: str = "foolbox", detector: str = "max-softmax") -> dict[str, int]:
        file = tmp_path / "suite.toml"
        file.write_text(SUITE.format(attack=attack, library=library, detector=detector))
        _, rows = Run(load_suite(file), Context(Store(tmp_path / "store"), torch.device("cpu"))).estimate()
        return {row["what"]: int(row["forward passes"].replace(",", "")) for row in rows}

    return passes


@dataclass(frozen=True)
class Strange:
    """A third-party attack that does not say what it costs."""

    steps: int = 7
    info: ClassVar[AttackInfo] = AttackInfo("Strange", 2026, "minimum-norm", "L2", "strange", "1")

    @property
    def parameters(self) -> dict[str, Any]:
        return asdict(self)

    def __call__(self, classifier: Any, images: Any, labels: Any, *, generator: Any) -> Any:
        return images


class Priced(Strange):
    """One that does: two forward passes a class."""

    def passes(self, classes: int) -> float:
        return 2.0 * classes


def detector(*needs: Need) -> type:
    class Detector:
        info = DetectorInfo(title="Third-party", formula="0", year=2026, needs=needs)
        candidates: ClassVar[list[dict[str, Any]]] = []

        def __init__(self, *, classes: str = "predicted", k: int = 3) -> None: ...

    return Detector


@pytest.mark.parametrize(
    ("name", "library", "preset", "passes"),
    [
        ("fgsm", "foolbox", "standard", 3),
        ("bim", "art", "standard", 10 * 3),
        ("deepfool", "foolbox", "standard", 4 * 6 * 3),  # 10 candidates of 6 classes
        ("deepfool", "art", "quick", 11 * (2 * 6 + 7)),  # ten steps and a last look; gradients of a batch's classes
        ("cw", "foolbox", "quick", 40 * 4 * 3),
        ("bim", "lee2018", "lee2018", 6 * 3),
        ("deepfool", "lee2018", "lee2018", 4 * 6 * 3),
        ("cw", "lee2018", "lee2018", 100 * 3),
    ],
)
def test_our_attacks_say_what_an_image_costs(name: str, library: str, preset: str, passes: int) -> None:
    assert attack_passes(build(name, library, preset, {}), classes=6) == passes


@pytest.mark.parametrize("name", ["strange", "deepfool"])
def test_a_third_party_attack_costs_what_it_says_or_a_gradient_a_step(
    price: Price, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    list(registry.attacks)
    monkeypatch.setitem(registry.attacks._items, f"mine/{name}", Strange)
    assert price(attack=name, library="mine")[name] == 100 * 7 * 3
    monkeypatch.setitem(registry.attacks._items, f"mine/{name}", Priced)
    assert price(attack=name, library="mine")[name] == 100 * 2 * 10


def test_a_third_party_detector_that_needs_subnets_is_priced_with_them(
    price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(registry.detectors)
    monkeypatch.setitem(registry.detectors._items, "cut-score", detector("clean", "subnets"))
    scored = (1 + 2) * 100 + 799  # clean images, attacked ones and their noise; the rest of the test split
    assert price(detector="cut-score")["cut-score"] == 2 * (scored + 500)  # for each of two sets of gates


@pytest.mark.parametrize("name", ["subnet-free", "subnet-mahalanobis-identity"])
def test_a_detector_that_only_is_called_after_subnets_is_not(
    price: Price, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    list(registry.detectors)
    monkeypatch.setitem(registry.detectors._items, "subnet-free", detector("clean"))
    monkeypatch.setattr(registry.detectors.get("subnet-mahalanobis-identity"), "candidates", ({"magnitude": 0.0},))
    assert price(detector=name)[name] == 0


def test_every_stage_is_in_the_grid(price: Price) -> None:
    rows = price(attack="bim", detector="subnet-mahalanobis")
    assert rows["digits-cnn"] == 3 * 10 * 898  # the recipe's epochs over all training images
    assert rows["bim"] == 100 * 10 * 3
    assert rows["units"] == 2 * (2 * 40 * 10 * 3 * 3)
    assert rows["all detectors together"] == 500 + 300 + 799
    assert list(rows)[-2:] == ["subnet-mahalanobis", ""]
    assert rows[""] == sum(passes for what, passes in rows.items() if what)  # the total


def test_work_besides_passes_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(SUITE.format(attack="fgsm", library="foolbox", detector="kd-pu"))
    suite = load_suite(file)
    scoring = Scoring(suite, Context(Store(tmp_path / "store"), torch.device("cpu")))
    costs = list(_Grid(scoring, scoring.setup.blank_net()).costs())
    assert [cost.seconds > 0 for cost in costs] == [cost.what == "kd-pu" for cost in costs]


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_an_estimate_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def never(**_: Any) -> Any:
        raise AssertionError("a download")

    list(registry.datasets)
    monkeypatch.setitem(registry.datasets._items, name, never)
    file = tmp_path / "suite.toml"
    text = SUITE.format(attack="fgsm", library="foolbox", detector="max-softmax")
    file.write_text(text.replace('name = "digits"', f'name = "{name}"').replace("digits-cnn", "wide7"))
    context = Context(Store(tmp_path / "store"), torch.device("cpu"), tmp_path)
    title, rows = Run(load_suite(file), context).estimate()
    assert f"{name} is not here yet and would be downloaded first" in title
    assert rows[0]["forward passes"] == f"{3 * 10 * {'cifar10': 50_000, 'svhn': 73_257}[name]:,}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "< 1 s"), (90, "90 s"), (600, "10 min"), (7100, "118 min"), (9000, "2.5 h"), (32520, "9 h"), (9e5, "250 h")],
)
def test_a_long_time_is_given_in_hours(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
