"""Logistic regression against scikit-learn's, separable classes and nearly dependent columns included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from subnetbench.bench.stats.logistic import fit_cross_validated, fit_logistic


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0, 50.0])
@pytest.mark.parametrize("columns", [1, 2, 12])
def test_weights_are_those_of_scikit_learn(seed, shift, columns):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(120, columns))
    target = np.repeat([0, 1], [50, 70])
    values[target == 1] += shift
    if columns == 2:
        values[:, 1] = values[:, 0] + 1e-6 * values[:, 1]
    weights, intercept = fit_logistic(values, target)
    reference = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(values, target)
    assert weights == pytest.approx(reference.coef_[0], rel=1e-6, abs=1e-7)
    assert intercept == pytest.approx(reference.intercept_[0], rel=1e-6, abs=1e-7)


def test_one_class_alone_ends():
    weights, intercept = fit_logistic(np.random.default_rng(0).normal(size=(20, 3)), np.ones(20, np.int64))
    assert np.isfinite(weights).all()
    assert intercept > 5


@pytest.mark.parametrize("seed", range(6))
def test_the_cross_validated_path_is_that_of_scikit_learn(seed):
    """On columns so alike that the fits converge; tests/golden has unscaled ones, where they stop early."""
    rng = np.random.default_rng(seed)
    scales = np.array([1.0, 2.0, 5.0, 0.5])
    values = rng.normal(size=(150, 4)) * scales
    target = np.repeat([0, 0, 1], 50)
    values[target == 1] += rng.uniform(0.2, 2) * scales
    reference = LogisticRegressionCV(Cs=10, cv=3, max_iter=100, scoring="accuracy").fit(values, target)
    weights, intercept = fit_cross_validated(values, target, 3)
    found = 1 / (1 + np.exp(-(values @ weights + intercept)))
    assert found == pytest.approx(reference.predict_proba(values)[:, 1], rel=1e-5, abs=1e-8)
