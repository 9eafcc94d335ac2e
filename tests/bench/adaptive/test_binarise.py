"""The proof of strength passes a good attack, fails a blind one, and says where it could not be made."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from subnetbench.attacks.arms.best import Found
from subnetbench.attacks.arms.contract import Score
from subnetbench.attacks.base import attacking
from subnetbench.bench.adaptive import heads
from subnetbench.bench.adaptive.balls import allowed, distance, inside, reaches, surface
from subnetbench.bench.adaptive.binarise import accepts, binarise, negated
from subnetbench.bench.adaptive.heads import BinarisedNet, Head, head_between
from subnetbench.bench.adaptive.proof import FEWEST, Proof
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.classifier import PENULTIMATE
from subnetbench.bench.stats.logistic import fit_logistic

from .made import EPSILON, Ascent, Case, quantised


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def proof_of(case: Case, *, epsilon: float = 0.1, norm="Linf", steps: int = 50, **changes) -> Proof:
    arms = {"ascent": Ascent(epsilon=epsilon, norm=norm, steps=steps)}
    options = {"epsilon": epsilon, "norm": norm, "arms": arms, "inner": 60, "draws": 20, "generator": seeded()}
    return binarise(case.classifier, case.score, case.tau, case.images, **options | changes)


def few(case: Case, count: int) -> Case:
    return case._replace(images=case.images[:count], labels=case.labels[:count])


@pytest.fixture(scope="module")
def strict(case: Case) -> Case:
    """A threshold that half of the images pass: whoever does not look at the score is detected."""
    tau = float(case.score.exact(case.images).median())
    kept = case.score.exact(case.images) <= tau
    return case._replace(images=case.images[kept], labels=case.labels[kept], tau=tau)


def test_an_attack_that_follows_the_detector_passes_and_random_points_do_not(strict):
    proof = proof_of(strict)
    assert proof.tested >= 0.9 * proof.images
    assert proof.asr >= 0.95
    assert proof.random_asr <= 0.05
    assert proof.verdict == "passed"


def test_a_masked_gradient_fails_the_proof_of_the_same_detector(strict):
    proof = proof_of(quantised(strict))
    assert proof.tested >= 0.9 * proof.images
    assert proof.asr <= 0.8
    assert proof.verdict == "failed"


def test_the_settings_of_the_paper_pass_too(case):
    proof = proof_of(few(case, 24), epsilon=EPSILON, inner=999, draws=200)
    assert (proof.inner, proof.draws, proof.passed) == (999, 200, True)


def test_the_inverted_form_is_passed_by_an_attack_that_can_be_detected_at_will(case):
    proof = proof_of(few(case, 24), epsilon=0.2, inverted=True)
    assert proof.inverted
    assert proof.tested >= FEWEST
    assert proof.asr >= 0.9
    assert proof.random_asr <= 0.1


def test_it_holds_in_l2(case):
    proof = proof_of(few(case, 24), epsilon=0.3, norm="L2")
    assert proof.passed


def test_a_detector_that_flags_everything_is_counted_and_not_passed(case):
    proof = proof_of(few(case, 8)._replace(tau=-1.0))
    assert (proof.images, proof.tested, proof.failures["clean image not accepted"]) == (8, 0, 8)
    assert (proof.asr, proof.random_asr, proof.verdict) == (None, None, "not tested")


def test_a_detector_that_flags_all_but_the_clean_images_leaves_no_boundary_point(case):
    case = few(case, 4)

    def exact(x: torch.Tensor) -> torch.Tensor:
        return (x != case.images).flatten(1).any(1).float()

    proof = proof_of(case._replace(score=replace(case.score, exact=exact), tau=0.5), steps=1)
    assert (proof.tested, proof.failures["no boundary point"], proof.passed) == (0, 4, False)


def test_a_boundary_point_among_the_inner_ones_is_not_separable():
    inner = torch.randn(50, 4, generator=seeded())
    assert head_between(torch.zeros(4), inner, inner.mean(0), margin=1.0, closeness=0.5) is None
    assert head_between(torch.zeros(4), torch.zeros(9, 4), torch.zeros(4), margin=1.0, closeness=0.5) is None


def test_a_head_has_every_inner_point_on_one_side_and_starts_at_its_margin():
    start, inner = torch.ones(16), 1 + 0.1 * torch.randn(300, 16, generator=seeded())
    boundary = start + 0.3 * torch.randn(16, generator=seeded(1)).sign()
    head = head_between(start, inner, boundary, margin=7.0, closeness=0.99)
    assert head is not None
    assert bool((head(inner) < 0).all())
    assert float(head(boundary.unsqueeze(0))) > 0
    assert float(head(start.unsqueeze(0))) == pytest.approx(-7.0)


def test_where_the_closed_form_does_not_separate_a_logistic_regression_does(monkeypatch):
    fits = []
    monkeypatch.setattr(heads, "fit_logistic", lambda *given: fits.append(1) or fit_logistic(*given))
    # A long tail on the boundary's own side: Fisher's mean and spread are drawn into it.
    generator = seeded()
    inner = torch.cat([0.01 * torch.randn(200, 2, generator=generator), torch.tensor([[5.0, 0.0]]).expand(80, 2)])
    boundary = torch.tensor([2.5, 0.2])
    head = head_between(torch.zeros(2), inner, boundary, margin=1.0, closeness=0.5)
    assert fits == [1]
    assert head is not None
    assert bool((head(inner) < 0).all())
    assert float(head(boundary.unsqueeze(0))) > 0


@pytest.mark.parametrize(("norm", "radius"), [("Linf", 0.1), ("L2", 0.5)])
def test_inner_points_lie_in_ball_and_box_and_boundary_points_at_its_radius(case, norm, radius):
    image = case.images[0]
    points = inside(image.expand(300, *image.shape), 0.95 * radius, norm, seeded())
    assert bool(((points >= 0) & (points <= 1)).all())
    apart = distance(points, image.unsqueeze(0), norm)
    assert float(apart.max()) <= 0.95 * radius * (1 + 1e-5)
    assert float(apart.max()) > 0.6 * radius
    edge = surface(case.images, radius, norm, seeded())
    assert distance(edge, case.images, norm).tolist() == pytest.approx([radius] * len(edge), rel=1e-5)
    assert bool((reaches(edge, case.images, radius, norm) & allowed(edge, case.images, radius, norm)).all())


def test_points_beyond_ball_or_box_or_that_are_no_numbers_do_not_count():
    image = torch.full((4, 1, 2, 2), 0.95)
    points = image + torch.tensor([0.02, 0.04, 0.06, math.nan]).view(4, 1, 1, 1)
    assert allowed(points, image, 0.03, "Linf").tolist() == [True, False, False, False]
    assert allowed(points, image, 0.1, "Linf").tolist() == [True, True, False, False]


def test_all_heads_in_one_batch_are_the_heads_one_by_one(case):
    made, images = heads_of(case, 5), case.images[:5] + 0.01
    with torch.no_grad():
        together = BinarisedNet(case.classifier, made)(images)
        alone = [BinarisedNet(case.classifier, [head])(images[i : i + 1])[0] for i, head in enumerate(made)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-5)
    assert len({round(float(t), 4) for t in together[:, 1]}) == 5


def test_the_net_of_a_proof_reads_the_classifiers_taps_and_refuses_other_batches(case):
    net, images = BinarisedNet(case.classifier, heads_of(case, 3)), case.images[:3]
    paths = (*net.taps, PENULTIMATE)
    with torch.no_grad():
        logits, seen = net.observe(images, paths)
        _, expected = case.classifier.observe(images, paths)
    assert logits.shape == (3, net.classes)
    assert all(torch.equal(seen[path], expected[path]) for path in paths)
    assert set(net.observe(images, ())[1]) == set()
    with pytest.raises(UserError, match="a head for each of 3 images and got 2"):
        net(images[:2])


def test_an_attack_leaves_the_classifier_in_its_mode(case):
    for training in (True, False):
        case.classifier.training = training
        net = BinarisedNet(case.classifier, heads_of(case, 2))
        case.classifier.training = False
        assert net.training is training
    with attacking(net):
        assert net(case.images[:2].requires_grad_(True)).requires_grad
    assert not case.classifier.training


def heads_of(case: Case, count: int) -> list[Head]:
    """A head for each image, around its own features, in a random direction."""
    generator, size = seeded(), case.classifier.head.in_features
    with torch.no_grad():
        features = case.classifier.observe(case.images[:count], (PENULTIMATE,))[1][PENULTIMATE]
    return [Head(f, torch.randn(size, generator=generator), -0.1 * i) for i, f in enumerate(features)]


def test_images_stay_as_they_are_and_the_generator_decides(case):
    case = few(case, 6)
    before, mode = case.images.clone(), case.classifier.training
    first, again = (proof_of(case, steps=10) for _ in range(2))
    other = proof_of(case, steps=10, generator=seeded(1), inner=5)
    assert torch.equal(case.images, before)
    assert case.classifier.training == mode
    assert json.dumps(first.as_dict()) == json.dumps(again.as_dict())
    assert torch.equal(first.by_any, again.by_any)
    assert other.inner == 5


def test_the_negated_detector_accepts_exactly_what_the_detector_flags():
    values = torch.tensor([0.1, 0.2, math.nextafter(0.2, 1), 0.3, math.nan, math.inf], dtype=torch.float64)
    case_score = score_of(values)
    score, tau = negated(case_score, 0.2)
    images = torch.zeros(6, 1, 1, 1)
    assert accepts(case_score, 0.2, images).tolist() == [True, True, False, False, False, False]
    assert accepts(score, tau, images).tolist() == [False, False, True, True, False, True]
    assert (score.exact(images).float() <= tau).tolist() == [False, False, True, True, False, True]
    assert torch.equal(score.smooth(images)[:4], score.exact(images)[:4])


def score_of(values: torch.Tensor) -> Score:
    return Score(lambda x: values, lambda x: values, 1.0, 1.0, (torch.zeros(0), torch.zeros(0)))


class Cheat(Ascent):
    """Returns an image beyond the ball, and claims success."""

    def __call__(self, classifier, score, tau, images, labels, *, generator):
        found = super().__call__(classifier, score, tau, images, labels, generator=generator)
        return Found(1 - images, found.course, torch.ones_like(found.ever), found.gradients)


def test_what_an_arm_claims_does_not_count(case):
    proof = proof_of(few(case, 4), arms={"cheat": Cheat(epsilon=0.1, steps=2)})
    assert proof.tested == 4
    assert proof.asr == 0


class Curious(Ascent):
    """Asks the net about as many guides as there are images, as an arm does that trains a surrogate."""

    def __call__(self, classifier, score, tau, images, labels, *, generator):
        guides, known = (part[: len(images)] for part in score.guides)
        assert int(known.max()) < classifier(guides).shape[1]
        return super().__call__(classifier, score, tau, images, labels, generator=generator)


def test_guides_have_a_class_of_the_binarised_net(case):
    assert int(case.score.guides[1].max()) == 9
    assert proof_of(few(case, 3), arms={"curious": Curious(epsilon=0.1, steps=2)}).tested == 3


def test_one_arm_that_solves_a_problem_is_enough_and_later_arms_change_no_earlier_one(case):
    case = few(case, 4)
    good, poor = Ascent(epsilon=0.1, steps=40), Cheat(epsilon=0.1, steps=1)
    both = proof_of(case, arms={"good": good, "poor": poor})
    alone = proof_of(case, arms={"good": good})
    assert torch.equal(both.by_any, alone.by_any)
    tried = {"poor": 0.0} if alone.asr < 1 else {}  # nothing is left to a second arm where the first solves all
    assert both.as_dict()["asr_by_arm"] == {"good": alone.asr, **tried}


def test_no_images_give_an_empty_proof(case):
    proof = proof_of(few(case, 0))
    assert (proof.images, proof.tested, proof.verdict) == (0, 0, "not tested")
    assert proof.as_dict()["asr"] is None


def test_few_images_are_no_proof_however_they_went():
    def proof(count: int, missed: int, lucky: int = 0) -> Proof:
        yes = torch.ones(count, dtype=torch.bool)
        solved, drawn = torch.arange(count) >= missed, torch.arange(count) < lucky
        return Proof(yes, {"arm": solved}, drawn, {}, 1, 1, False)

    assert proof(FEWEST - 1, 0).verdict == "not tested"
    assert proof(FEWEST, 1).verdict == "passed"
    assert proof(FEWEST, 2).verdict == "failed"
    assert proof(FEWEST, 0, lucky=2).verdict == "failed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epsilon": 0.0, "arms": {}}, "epsilon of a proof is 0.0; give a number above 0, at most 1"),
        ({"epsilon": 1.5, "arms": {}}, "epsilon of a proof is 1.5"),
        ({"epsilon": math.nan, "arms": {}}, "epsilon of a proof is nan"),
        ({"norm": "L1", "arms": {}}, "norm of a proof is 'L1'; give Linf or L2"),
        ({"inner": 0}, "inner of a proof is 0; give a whole number of at least 1"),
        ({"draws": 0}, "draws of a proof is 0"),
        ({"arms": {"weak": Ascent(epsilon=0.01)}}, "arm 'weak' is for epsilon 0.01 in Linf and its proof for 0.1"),
    ],
)
def test_what_no_proof_can_be_made_with_is_one_sentence(case, changes, words):
    options = {"epsilon": 0.1, "arms": {}, "generator": seeded()} | changes
    with pytest.raises(UserError, match=words):
        binarise(case.classifier, case.score, case.tau, case.images, **options)
