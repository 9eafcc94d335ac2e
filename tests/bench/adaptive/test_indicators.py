"""Each indicator is flagged by the fault that it is for, and none by an attack that works."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from subnetbench.attacks.arms.best import Found
from subnetbench.bench.adaptive.indicators import Indicators, indicators, without_bound

from .made import Ascent, Case, quantised

ARM = Ascent(epsilon=0.4, steps=50)


def run(case: Case, arm: Ascent = ARM) -> Found:
    generator = torch.Generator().manual_seed(0)
    return arm(case.classifier, case.score, case.tau, case.images, case.labels, generator=generator)


def measured(case: Case, found: Found, **more) -> Indicators:
    generator = torch.Generator().manual_seed(1)
    return indicators(
        case.classifier, case.score, case.tau, case.images, case.labels, found, generator=generator, **more
    )


@pytest.fixture(scope="module")
def some(case: Case) -> Case:
    """Twelve images that the attack solves: which ones these are depends on the net that this processor trained."""
    solved = run(case).ever.nonzero().flatten()[:12]
    assert len(solved) == 12
    return case._replace(images=case.images[solved], labels=case.labels[solved])


@pytest.fixture(scope="module")
def found(some: Case) -> Found:
    found = run(some)
    assert found.ever.all()
    return found


def test_an_attack_that_works_has_no_flag(some, found):
    free = without_bound(ARM, some.images)
    result = measured(some, found, unbounded=lambda: run(some, free))
    assert result.flagged == ()
    assert result.incomplete.share == 0
    assert result.transfer_failure.share == 0
    assert result.unbounded_failure.share == 0


def test_a_masked_gradient_is_flagged_as_none(some):
    masked = quantised(some)
    result = measured(masked, run(masked))
    assert result.gradients_unavailable.share == 1
    assert "gradients_unavailable" in result.flagged


def test_a_masked_detector_is_flagged_even_where_the_arm_counted_other_gradients(some):
    masked = quantised(some)
    found = replace(run(masked), gradients=torch.ones(len(some.images)))
    assert measured(masked, found).gradients_unavailable.share == 1


def test_a_gradient_that_is_not_finite_or_cut_off_is_none(some, found):
    smooth = some.score.smooth
    assert smooth is not None
    for broken in (lambda x: smooth(x) / 0, lambda x: smooth(x.detach())):
        score = replace(some.score, smooth=broken)
        assert measured(some._replace(score=score), found).gradients_unavailable.share == 1


def test_steps_without_a_gradient_are_flagged(some, found):
    gradients = torch.ones(len(some.images))
    gradients[:3] = 0.4
    assert measured(some, replace(found, gradients=gradients)).gradients_unavailable.share == 0.25


def test_a_score_that_draws_is_unstable(some, found):
    exact, draw = some.score.exact, torch.Generator().manual_seed(0)

    def noisy(x: torch.Tensor) -> torch.Tensor:
        return exact(x) + some.score.spread * torch.randn(len(x), generator=draw)

    result = measured(some._replace(score=replace(some.score, exact=noisy)), found)
    assert result.unstable.share > 0.9


def test_a_score_that_breaks_under_tiny_noise_is_unstable(some, found):
    exact = some.score.exact

    def brittle(x: torch.Tensor) -> torch.Tensor:
        return exact(x) + some.score.spread * torch.sin(1e6 * x.double().flatten(1).sum(1))

    result = measured(some._replace(score=replace(some.score, exact=brittle)), found)
    assert result.unstable.share > 0.5


def test_a_success_that_was_not_returned_is_silent(some, found):
    forgotten = replace(found, images=some.images)
    result = measured(some, forgotten)
    assert result.silent_success.share == 1
    assert "silent_success" in result.flagged
    assert result.transfer_failure.share == 0


def test_a_search_that_still_gets_better_is_incomplete_where_it_has_not_succeeded(some, found):
    count = len(some.images)
    rising = torch.linspace(-3, -1, 41).unsqueeze(1).expand(-1, count)
    flat = torch.cat([rising, torch.full((11, count), -1.0)])
    unsolved = replace(found, images=some.images, ever=torch.zeros(count, dtype=torch.bool))
    assert measured(some, replace(unsolved, course=rising)).incomplete.share == 1
    assert measured(some, replace(unsolved, course=flat)).incomplete.share == 0
    assert measured(some, replace(unsolved, course=torch.full((5, count), -torch.inf))).incomplete.share == 0
    assert measured(some, replace(found, course=rising)).incomplete.share == 0


def test_success_by_the_smooth_score_alone_is_a_failure_of_transfer(some, found):
    score = replace(some.score, exact=lambda x: torch.full((len(x),), torch.inf))
    result = measured(some._replace(score=score), found)
    assert result.transfer_failure.share > 0.9
    assert result.silent_success.share > 0.9
    assert "transfer_failure" in result.flagged


def test_failure_without_a_bound_is_flagged(some, found):
    result = measured(some, found, unbounded=lambda: replace(found, images=some.images))
    assert result.unbounded_failure.share == 1
    assert set(result.flagged) - {"incomplete"} == {"unbounded_failure"}


def test_without_a_bound_every_image_of_the_box_is_in_the_ball(some):
    assert without_bound(ARM, some.images) == replace(ARM, epsilon=1.0)
    assert without_bound(replace(ARM, norm="L2"), some.images).epsilon == 8.0


def test_what_cannot_be_measured_is_none_and_not_flagged(some, found):
    blind = some._replace(score=replace(some.score, smooth=None))
    result = measured(blind, found)
    assert (result.transfer_failure.share, result.unbounded_failure.share) == (None, None)
    none = some._replace(images=some.images[:0], labels=some.labels[:0])
    empty = measured(none, run(none))
    assert empty.flagged == ()
    assert all(one["share"] is None for one in empty.as_dict().values())


def test_json_has_a_share_and_a_verdict_for_each(some, found):
    words = json.loads(json.dumps(measured(some, found).as_dict()))
    assert len(words) == 6
    assert words["incomplete"].keys() == {"share", "flagged"}


def test_images_and_the_mode_of_the_net_stay(some, found):
    before, images = found.images.clone(), some.images.clone()
    measured(some, found)
    assert torch.equal(found.images, before)
    assert torch.equal(some.images, images)
    assert not some.classifier.training
