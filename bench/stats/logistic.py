"""Logistic regressions on a few columns: what scikit-learn gives, without its overhead per fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg, special

from ..core.arrays import Float64, Floats, Ints

#: Newton's method ends when no element of the gradient of the mean loss is larger, or after this many steps.
TOLERANCE, STEPS = 1e-10, 100


def fit_logistic(values: Floats, target: Ints) -> tuple[Float64, float]:
    """Weights ``(K,)`` and intercept that minimise the sum of log losses plus half the squared weights.

    ``values`` are ``(N, K)``, ``target`` 0 or 1. The penalty (scikit-learn's ``C = 1``) makes the optimum finite and
    unique where the classes are separable.
    """
    design = np.column_stack([values, np.ones(len(values))])
    penalty = np.append(np.ones(values.shape[1]), 0.0)
    parameters = np.zeros(design.shape[1])

    def loss(trial: Float64) -> float:
        margin = design @ trial
        return float(np.sum(np.logaddexp(0, margin) - target * margin) + 0.5 * penalty @ trial**2)

    current = loss(parameters)
    for _ in range(STEPS):
        probability = special.expit(design @ parameters)
        gradient = design.T @ (probability - target) + penalty * parameters
        if np.abs(gradient).max() <= TOLERANCE * len(values):
            break
        curvature = (design.T * (probability * (1 - probability))) @ design + np.diag(penalty)
        # The intercept is not penalised: where every probability is 0 or 1, its curvature vanishes.
        curvature[-1, -1] += 1e-12 * len(values)
        step = linalg.solve(curvature, gradient, assume_a="pos", check_finite=False)
        size = 1.0
        while (trial := loss(parameters - size * step)) > current and size > 1e-6:
            size /= 2  # a full step overshoots only far from the optimum
        if trial > current:
            break  # rounding leaves nothing to gain
        parameters, current = parameters - size * step, trial
    return parameters[:-1], float(parameters[-1])


def fit_cross_validated(values: Floats, target: Ints, folds: int) -> tuple[Float64, float]:
    """Weights and intercept of scikit-learn's ``LogisticRegressionCV(Cs=10, scoring="accuracy")`` of 2018.

    Where L-BFGS stops early decides the figures on unscaled columns, so its path is that of scikit-learn: for each of
    the unshuffled stratified folds the ten Cs in order, each from the last one's optimum, at most 100 iterations; then
    all rows with the C of the best mean accuracy, from the mean of the folds' optima.
    """
    from sklearn.model_selection import StratifiedKFold

    strengths = np.logspace(-4, 4, 10)
    paths, accuracy = [], []
    for train, test in StratifiedKFold(folds).split(values, target):
        parameters = np.zeros(values.shape[1] + 1)
        path = []
        for strength in strengths:
            parameters = _lbfgs(values[train], target[train], strength, parameters)
            path.append(parameters)
        paths.append(path)
        accuracy.append([np.mean((values[test] @ p[:-1] + p[-1] > 0) == target[test]) for p in path])
    best = int(np.argmax(np.mean(accuracy, axis=0)))
    parameters = _lbfgs(values, target, strengths[best], np.mean([path[best] for path in paths], axis=0))
    return parameters[:-1], float(parameters[-1])


def _lbfgs(values: Floats, target: Ints, strength: float, start: Float64) -> Float64:
    """One fit as scikit-learn makes it: mean log loss plus squared weights over ``2 N C``, its options of L-BFGS-B."""
    from scipy import optimize  # most of scipy: only `lee2018` waits for its import

    count, decay = len(values), 1 / (strength * len(values))

    def loss(parameters: Float64) -> tuple[float, Float64]:
        weights = parameters[:-1]
        margin = values @ weights + parameters[-1]
        excess = (special.expit(margin) - target) / count
        value = np.sum(np.logaddexp(0, margin) - target * margin) / count + decay / 2 * (weights @ weights)
        return float(value), np.append(excess @ values + decay * weights, excess.sum())

    options = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}
    minimize: Any = optimize.minimize  # its stubs know no function that returns a gradient of float64, too
    found: Float64 = minimize(loss, start, method="L-BFGS-B", jac=True, options=options).x
    return found
