"""Linear net and linear detector: the least radius at which an image is wrong and accepted is known."""

from __future__ import annotations

import pytest

from .planted import RADIUS, WITH_GRADIENT, attacked, clean, succeeded, two_linear


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_an_arm_succeeds_just_above_the_least_radius(name):
    net, score, tau = two_linear()
    images, labels = clean()
    found = attacked(name, net, score, tau, images, labels, epsilon=1.05 * RADIUS)
    assert succeeded(net, score, tau, found.images, labels).all()
    assert found.ever.all()
    assert (found.course[-1] > 0).all()


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_nothing_succeeds_just_below_it(name):
    net, score, tau = two_linear()
    images, labels = clean()
    found = attacked(name, net, score, tau, images, labels, epsilon=0.95 * RADIUS, restarts=2)
    assert not succeeded(net, score, tau, found.images, labels).any()
    assert not found.ever.any()
    assert (found.course[-1] < 0).all()


@pytest.mark.parametrize("name", ["selective-pgd", "orthogonal-pgd"])
@pytest.mark.parametrize("targeted", [False, True])
def test_both_ways_of_stepping_succeed_with_a_target_and_without(name, targeted):
    net, score, tau = two_linear(classes=4)
    images, labels = clean(2)
    for step in ("Linf", "L2"):
        found = attacked(name, net, score, tau, images, labels, epsilon=1.1 * RADIUS, step=step, targeted=targeted)
        assert succeeded(net, score, tau, found.images, labels).all(), step


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_more_steps_or_a_larger_ball_never_help_the_defender(name):
    net, score, tau = two_linear()
    images, labels = clean()
    successes = [
        bool(attacked(name, net, score, tau, images, labels, epsilon=share * RADIUS, steps=steps).ever.all())
        for share, steps in ((0.9, 30), (1.2, 50), (1.2, 100), (2.0, 100))
    ]
    assert successes == sorted(successes)
    assert successes[-1]
