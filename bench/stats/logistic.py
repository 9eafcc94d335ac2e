"""Logistic regression on a few columns, by Newton's method: what scikit-learn gives, without its overhead per fit."""

from __future__ import annotations

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
