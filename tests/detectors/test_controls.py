"""The trivial baselines in closed form, and that controls say that they are."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from subnetbench.bench.core.arrays import Floats
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.detection.protocol import combine
from subnetbench.bench.stats.metrics import auroc
from subnetbench.bench.views import View
from subnetbench.detectors.controls import BothMaxSoftmax, Energy, MaxSoftmax


class Logits:
    """As much of a view as these two read."""

    def __init__(self, *rows: list[float]) -> None:
        self.logits = np.array(rows, np.float32)


def score(detector: MaxSoftmax | Energy, *rows: list[float]) -> list[float]:
    view = cast(View, Logits(*rows))
    return [float(v) for v in detector.fit(view).characteristics(view)[:, 0]]


def test_max_softmax_in_closed_form() -> None:
    assert score(MaxSoftmax(), [0, 0], [math.log(3), 0]) == pytest.approx([0.5, 0.25])
    assert score(MaxSoftmax(), [0, 0, 0, 0]) == pytest.approx([0.75])


def test_max_softmax_does_not_tie_where_the_net_is_sure() -> None:
    sure = score(MaxSoftmax(), [60, 0], [61, 0], [90, 0], [1000, 0])
    assert sure[:3] == pytest.approx([math.exp(-60), math.exp(-61), math.exp(-90)])
    assert sure[3] == 0


def both(*rows: list[float]) -> Floats:
    view = cast(View, Logits(*rows))
    return BothMaxSoftmax().fit(view).characteristics(view)


def test_both_sides_of_the_softmax_in_closed_form() -> None:
    expected = [[-math.log(0.75), -math.log(0.25)], [-math.log(0.25), -math.log(0.75)]]
    np.testing.assert_allclose(both([math.log(9), 0, 0, 0], [0, 0, 0, 0]), expected, rtol=1e-6)
    np.testing.assert_allclose(both([60, 0], [1000, 0]), [[math.exp(-60), 60], [0, 1000]])


def test_both_sides_find_what_makes_the_net_surer_and_what_makes_it_unsure() -> None:
    """BIM leaves every margin far above the clean ones, DeepFool leaves it near 0."""
    rng = np.random.default_rng(0)
    clean, surer, unsure = (np.abs(rng.normal(m, s, 400)) for m, s in ((8, 2), (20, 2), (0, 0.1)))

    def found(moved: Floats) -> tuple[float, float]:
        rows = [[margin, 0.0] for margin in (*clean, *moved)]
        columns, one = both(*rows), np.array(score(MaxSoftmax(), *rows))
        scored = combine(columns, np.repeat([0, 1], 400))(columns)
        return auroc(one[400:], one[:400]), auroc(scored[400:], scored[:400])

    assert found(surer) == pytest.approx((0, 1), abs=0.01)
    assert found(unsure) == pytest.approx((1, 1), abs=0.01)
    # Two tails at once, which no sign of one column gives.
    one, two = found(np.concatenate([surer[:200], unsure[:200]]))
    assert one == pytest.approx(0.5, abs=0.02)
    assert two > 0.95


def test_energy_in_closed_form() -> None:
    assert score(Energy(), [0, 0], [math.log(3), 0]) == pytest.approx([-math.log(2), -math.log(4)])
    assert score(Energy(temperature=2), [2, 2]) == pytest.approx([-2 * (1 + math.log(2))])
    assert score(Energy(), [1000, 0]) == pytest.approx([-1000])


def test_higher_is_more_adversarial_where_the_net_is_unsure() -> None:
    for detector in (MaxSoftmax(), Energy()):
        sure, unsure = score(detector, [10, 0, 0], [1, 0.9, 0.8])
        assert unsure > sure


def test_temperature_must_be_positive() -> None:
    with pytest.raises(UserError, match="temperature is 0; it must be above 0"):
        Energy(temperature=0)


def test_controls_are_marked_and_proposals_are_not() -> None:
    controls = {name for name in detectors if detectors.is_ours(name) and detectors.get(name).info.control}
    assert controls == {
        "energy",
        "mahalanobis-both",
        "mahalanobis-predicted",
        "max-softmax",
        "max-softmax-both",
        "nss",
        "spam",
        "subnet-mahalanobis-identity",
        "subnet-mahalanobis-random",
    }
