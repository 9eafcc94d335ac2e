"""What an attack spends and how near it comes to the best: against closed forms, and in the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subnetbench.attacks.presets import build
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.detection.effort import best_iterate, effort, envelope, good_of
from subnetbench.bench.detection.entry import Entry
from subnetbench.bench.detection.optimality import footnotes, optimality
from subnetbench.bench.detection.strength import below_floor
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.iterates import norms_of, watched
from subnetbench.bench.models.passes import counted

from .test_departures import attacks, changed


@pytest.mark.parametrize(
    ("library", "name", "parameters", "passes"),
    [
        ("foolbox", "fgsm", {}, (1, 1)),
        ("foolbox", "bim", {"steps": 7}, (7, 7)),
        ("foolbox", "cw", {"steps": 4, "binary_search_steps": 2}, (8, 8)),
        ("subnetbench", "fgsm", {}, (1, 1)),
        ("subnetbench", "bim", {"steps": 7}, (7, 7)),
    ],
)
def test_passes_are_those_of_the_attacks_definition(
    library: str, name: str, parameters: dict[str, int], passes: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    net, images = digits_cnn(width=8).eval(), torch.rand(6, 1, 8, 8)
    labels = net(images).argmax(1)
    with counted(net) as seen:
        craft(build(name, library, "quick", parameters), net, images, labels, seed=0)
    beyond = seen.forward / 6 - passes[0]
    assert seen.backward / 6 == passes[1]
    assert beyond in (0, 1)  # a library may look once whether the result fools the net


def test_the_nearest_image_that_fooled_the_net_is_kept() -> None:
    torch.manual_seed(0)
    net, clean = digits_cnn(width=8).eval(), torch.rand(4, 1, 8, 8)
    labels = net(clean).argmax(1)
    other = torch.rand(4, 1, 8, 8)
    wrong = net(other).argmax(1) != labels
    with watched(net, clean, labels, "L2") as seen:
        net(clean)
        net(other)
        net(other + 2)  # no image
    expected = torch.where(wrong, norms_of(other - clean, "L2"), torch.inf)
    np.testing.assert_allclose(seen.nearest, expected.numpy(), rtol=1e-6)
    assert seen.known
    with watched(net, clean, labels, "Linf", 1e-3) as near:
        net(other)
        net(other[:2])
    assert np.isinf(near.nearest).all()  # outside the budget
    assert not near.known  # a part of the batch cannot be told apart
    assert not net._forward_hooks


def test_norms_are_those_of_numpy() -> None:
    change = torch.tensor([[[[0.0, -3.0], [4.0, 1e-7]]]])  # the last value is rounding, which L0 does not count
    assert [float(norms_of(change, norm)) for norm in ("L0", "L1", "L2", "Linf")] == pytest.approx([2, 7, 5, 4])


@pytest.mark.parametrize("norm", ["L0", "L1", "L2", "Linf"])
def test_norms_on_the_way_are_those_that_verification_states(norm: str) -> None:
    torch.manual_seed(0)
    net, clean = digits_cnn(width=8).eval(), torch.rand(5, 1, 8, 8)
    other = clean.clone()
    other[:, 0, :3] += 5e-7
    other[:, 0, 3:5] = torch.rand(5, 2, 8)
    facts = verify(net, clean, other.clamp(0, 1), torch.zeros(5, dtype=torch.long))
    np.testing.assert_allclose(norms_of(other.clamp(0, 1) - clean, norm).numpy(), facts[norm.lower()], rtol=1e-6)


def facts(norms: list[float], fooled: list[bool]) -> dict[str, np.ndarray]:
    return {"l2": np.array(norms), "success": np.array(fooled), "clean_correct": np.ones(len(norms), bool)}


def test_the_envelope_is_the_least_norm_of_each_image() -> None:
    both = {"a": facts([1, 2, 3, 1], [True, True, True, False]), "b": facts([2, 1, 3, 9], [True, True, True, False])}
    a = envelope("a", both, {"a": "L2", "b": "L2"}, 0.95)
    assert (a.attacks, a.images) == (2, 3)  # the last image nobody fools
    assert a.best == pytest.approx(2 / 3)  # its own, and the one that both need as much for
    assert a.ratio == 1  # the median of 1, 2, 1
    assert a.best_low <= a.best <= a.best_high
    assert envelope("a", both, {"a": "L2", "b": "Linf"}, 0.95) is None


def test_what_was_returned_is_measured_by_the_best_iterate() -> None:
    one = facts([2.0, 3.0, 5.0], [True, True, False]) | {"nearest_iterate": np.array([1.0, 3.0, 4.0])}
    best = best_iterate(one, good_of(one), "L2")
    assert (best.successes, best.ratio) == (3, 1.5)  # the third was fooled on the way and lost


def test_below_its_floor_an_attack_is_said_to_be_too_weak() -> None:
    one = facts([1.0] * 4, [True, True, True, False])
    assert below_floor(one, 0.9) == ["it is too weak: it fools 75.0% of the images, and its floor is 90.0%"]
    assert below_floor(one, 0.75) == below_floor(one, None) == []


def test_the_table_has_the_attacks_whose_passes_were_counted_and_says_why_a_dash_is_one() -> None:
    assert optimality([changed()]).empty
    one = facts([1.0, 2.0], [True, False])
    note = effort("fgsm", {"fgsm": one}, {"fgsm": "L2"}, {"forward": 2.0, "backward": 2.0}, 0.99, 0.95)
    stated = attacks(effort=note.model_dump(exclude_unset=True), norm="L2", threat="minimum-norm")
    entry = changed(attacks=stated)
    assert Entry.model_validate(entry.written()) == entry
    row = optimality([entry]).iloc[0]
    assert (row["passes"], row["median norm"], row["best iterate"]) == ("1.0 + 1.0", "1 (1)", "–")
    assert row["remark"].startswith("too weak: it fools 97.5% of the images, and its floor is 99.0%; a minimum-norm")
    lines = "\n".join(footnotes([entry]))
    assert "no best iterate of fgsm" in lines
    assert "no other attack of the suite is one of L2" in lines
