"""The statistic, its p-values and their combinations, against scipy and scalar loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import combine_pvalues, power_divergence
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.views import View
from subnetbench.detectors.jtla import Jtla, Null, combined, likelihood_ratio
from subnetbench.detectors.neighbours import Index, Split


def test_the_statistic_is_half_of_scipys_g_test(rng: np.random.Generator) -> None:
    counts = rng.multinomial(25, np.full(10, 0.1), size=20)
    counts[0] = [25, *[0] * 9]
    expected = rng.dirichlet(np.ones(10), size=3)
    ratios = likelihood_ratio(counts, expected)
    for i in range(20):
        for h in range(3):
            g, _ = power_divergence(counts[i], 25 * expected[h], lambda_="log-likelihood")
            assert ratios[i, h] == pytest.approx(g / 2, rel=1e-9)


def test_fisher_is_scipys_and_the_others_are_their_definitions(rng: np.random.Generator) -> None:
    p = rng.uniform(1e-4, 1, size=(30, 4))
    for row, fisher, cauchy, harmonic in zip(
        p, *(combined(p, how) for how in ("fisher", "cauchy", "harmonic")), strict=True
    ):
        assert fisher == pytest.approx(math.log(combine_pvalues(row, "fisher").pvalue), rel=1e-9)
        mean = sum(math.tan((0.5 - value) * math.pi) for value in row) / 4
        assert cauchy == pytest.approx(math.log(0.5 - math.atan(mean) / math.pi), abs=1e-9)
        assert harmonic == pytest.approx(math.log(4 / sum(1 / value for value in row)), abs=1e-12)
    for how in ("fisher", "cauchy", "harmonic"):
        assert combined(np.ones((1, 3)), how) == pytest.approx(0, abs=1e-12)
        assert np.isfinite(combined(np.full((1, 30), 1e-12), how)).all()


def test_p_values_of_a_null_are_uniform_on_its_own_images(rng: np.random.Generator) -> None:
    counts, groups = rng.multinomial(50, rng.dirichlet(np.ones(10)), size=400), np.zeros(400, np.int64)
    null = Null.fit(counts, groups)
    p = np.sort(null.p_values(counts)[:, 0])
    assert p[0] == pytest.approx(2 / 401)
    assert p.mean() == pytest.approx(0.5, abs=0.02)
    assert (null.p_values(counts)[:, 1] == 1).all()  # a class without images


@pytest.mark.parametrize("score", ["adversarial", "ood"])
def test_the_score_equals_a_scalar_loop(score: str, train_view: View, test_view: View) -> None:
    measured = Jtla(k=25, score=score).fit(train_view).characteristics(test_view)[:, 0]
    split, labels = Split.of(train_view, 0), train_view.labels
    assert labels is not None
    held, taps = train_view.subset(split.calibration), train_view.classifier.taps
    groups = (held.predicted, labels[split.calibration])
    counts = {tap: Index.of(train_view, tap, "cosine", 0).counts(held, 25, 10) for tap in taps}
    queries = {tap: Index.of(train_view, tap, "cosine", 0).counts(test_view, 25, 10) for tap in taps}

    def p_value(tap: str, row: np.ndarray, group: np.ndarray, c: int) -> float:
        pi = counts[tap][group == c].sum(0) + 1.0
        pi /= pi.sum()

        def ratio(k: np.ndarray) -> float:
            return sum(n * math.log(n / (25 * q)) for n, q in zip(k.tolist(), pi, strict=True) if n)

        null = [ratio(k) for k in counts[tap][group == c]]
        return (1 + sum(t >= ratio(row) - 1e-8 for t in null)) / (1 + len(null))

    for i in range(0, len(test_view), 9):
        t = int(test_view.predicted[i])
        q = [[p_value(tap, queries[tap][i], group, c) for tap in taps] for group, c in [(groups[0], t)]]
        own = math.log(combine_pvalues(q[0], "fisher").pvalue)
        others = [
            math.log(combine_pvalues([p_value(tap, queries[tap][i], groups[1], c) for tap in taps], "fisher").pvalue)
            for c in range(10)
            if c != t
        ]
        expected = -own if score == "ood" else max(others) - own
        assert measured[i] == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("name", "value"), [("k", 0), ("combine", "stouffer"), ("score", "both"), ("metric", "l1")])
def test_a_bad_parameter_is_one_sentence(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"jtla: {name}"):
        Jtla(**{name: value})  # type: ignore[arg-type]
