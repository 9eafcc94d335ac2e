"""The test statistic against loops over images, draws and classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors.odds import NOISES, Odds


def test_the_score_is_the_formula_in_loops(net: Classifier, train_view: View, test_view: View) -> None:
    train = train_view.subset(np.arange(120))
    detector = Odds(noise="normal", strength=0.05, draws=4, seed=3).fit(train)
    patterns = 0.05 * torch.randn((4, 1, 8, 8), generator=torch.Generator().manual_seed(3))

    def logits(images: torch.Tensor) -> list[list[float]]:
        return [[float(z) for z in row] for row in net(images)]

    def moves(images: torch.Tensor) -> tuple[list[int], list[list[list[float]]]]:
        """Predicted classes, and g_{y,z} by image, draw and class."""
        plain = logits(images)
        noisy = [logits(images + pattern) for pattern in patterns]
        predicted = [max(range(10), key=lambda c: row[c]) for row in plain]
        return predicted, [
            [[(n[i][z] - n[i][y]) - (plain[i][z] - plain[i][y]) for z in range(10)] for n in noisy]
            for i, y in enumerate(predicted)
        ]

    of_train, trained = moves(train.images)
    of_test, tested = moves(test_view.images[:5])
    score = detector.characteristics(View(net, test_view.images[:5], key="five"))
    for index, y in enumerate(of_test):
        standard = []
        for z in set(range(10)) - {y}:
            values = [draw[z] for i, draws in enumerate(trained) if of_train[i] == y for draw in draws]
            mu = sum(values) / len(values)
            sigma = math.sqrt(sum((v - mu) ** 2 for v in values) / len(values))
            standard.append((sum(draw[z] for draw in tested[index]) / 4 - mu) / sigma)
        assert score[index, 0] == pytest.approx(max(standard), rel=1e-3, abs=1e-4)


def test_clean_training_images_move_by_their_own_mean(train_view: View) -> None:
    """By construction, z-scores of one pair average to 0 over the images they were made of."""
    detector = Odds(draws=4, train_images=10_000).fit(train_view)
    normal, moves = detector._normal, detector._moves(train_view)
    assert normal is not None
    for y in range(10):
        rows = train_view.predicted == y
        centred = np.delete((moves.mean[rows] - normal.mean[y]) / normal.deviation[y], y, axis=1)
        np.testing.assert_allclose(centred.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_the_noise_is_of_its_kind_and_strength(noise: str) -> None:
    patterns = Odds(noise=noise, strength=0.1, draws=200)._patterns((1, 8, 8)).double()
    deviation = {"normal": 0.1, "uniform": 0.1 / math.sqrt(3), "sign": 0.1}[noise]
    assert float(patterns.std()) == pytest.approx(deviation, rel=0.02)
    assert noise == "normal" or float(patterns.abs().max()) <= 0.1 + 1e-6
    again = Odds(noise=noise, strength=0.1, draws=200)._patterns((1, 8, 8)).double()
    assert torch.equal(patterns, again)
    assert not torch.equal(patterns, Odds(noise=noise, strength=0.1, draws=200, seed=1)._patterns((1, 8, 8)).double())


def test_a_class_that_the_net_never_predicts_gets_the_figures_of_all(train_view: View, test_view: View) -> None:
    few = train_view.subset(train_view.predicted != 3)
    few.labels = train_view.labels[train_view.predicted != 3]  # type: ignore[index]
    few.labels[:1] = 3
    scores = Odds(draws=2).fit(few).characteristics(test_view)
    assert np.isfinite(scores).all()


def test_every_draw_costs_a_pass(test_view: View, train_view: View) -> None:
    detector = Odds(draws=3).fit(train_view)
    test_view.logits  # noqa: B018
    with counted(test_view.classifier) as passes:
        detector.characteristics(test_view)
    assert passes.forward == 4 * len(test_view)


def test_wrong_parameters_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"odds: noise is 'salt'; it must be one of normal, uniform, sign\."):
        Odds(noise="salt")
    with pytest.raises(UserError, match="odds: strength is 0; it must be at least"):
        Odds(strength=0)
    with pytest.raises(UserError, match="odds: draws is 0; it must be at least 1"):
        Odds(draws=0)
