"""Further attacks are their libraries' own, called directly with the same seed, and say what else they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.attacks.presets import build
from subnetbench.attacks.verify import check_budget, verify
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import attacks
from subnetbench.bench.core.seeding import seeded
from subnetbench.bench.models.classifier import Classifier
from torch import nn

from .conftest import Digits


def made(digits: Digits, name: str, count: int = 8, **parameters: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    attack = attacks.get(name)(**parameters)
    adversarial: torch.Tensor = attack(
        digits.classifier, digits.images[:count], digits.labels[:count], generator=generator
    )
    return adversarial


def seed() -> int:
    """What an attack's generator, seeded with 3, seeds the libraries with."""
    return int(torch.randint(2**31 - 1, (1,), generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize(
    ("name", "parameters", "direct", "epsilon"),
    [
        (
            "foolbox/pgd-linf",
            {"epsilon": 0.2, "step_size": 0.05, "steps": 5, "restarts": 1},
            lambda a: a.LinfProjectedGradientDescentAttack(abs_stepsize=0.05, steps=5, random_start=True),
            0.2,
        ),
        (
            "foolbox/pgd-l2",
            {"epsilon": 1.0, "step_size": 0.3, "steps": 5, "restarts": 1},
            lambda a: a.L2ProjectedGradientDescentAttack(abs_stepsize=0.3, steps=5, random_start=True),
            1.0,
        ),
        (
            "foolbox/mi-fgsm",
            {"epsilon": 0.2, "step_size": 0.05, "steps": 5},
            lambda a: a.LinfMomentumIterativeFastGradientMethod(abs_stepsize=0.05, steps=5),
            0.2,
        ),
        ("foolbox/ddn", {"steps": 20}, lambda a: a.DDNAttack(steps=20), None),
        ("foolbox/fmn-l0", {"steps": 20}, lambda a: a.L0FMNAttack(steps=20), None),
        ("foolbox/fmn-l1", {"steps": 20}, lambda a: a.L1FMNAttack(steps=20), None),
        ("foolbox/fmn-l2", {"steps": 20}, lambda a: a.L2FMNAttack(steps=20), None),
        ("foolbox/fmn-linf", {"steps": 20}, lambda a: a.LInfFMNAttack(steps=20), None),
        (
            "foolbox/ead",
            {"steps": 20, "step_size": 0.1, "binary_search_steps": 3, "initial_const": 1.0},
            lambda a: a.EADAttack(3, 20, 0.1, 0.0, 1.0, 0.01, "L1", False),
            None,
        ),
    ],
)
def test_it_is_foolboxs_image_by_image(
    digits: Digits, name: str, parameters: dict[str, Any], direct: Any, epsilon: float | None
) -> None:
    import foolbox

    ours = made(digits, name, **parameters)
    model = foolbox.PyTorchModel(digits.classifier, bounds=(0, 1), device="cpu")
    images, labels = digits.images[:8].clone(), digits.labels[:8]
    with seeded(seed()):
        _, theirs, _ = direct(foolbox.attacks)(
            model, images, foolbox.criteria.Misclassification(labels), epsilons=epsilon
        )
    found = theirs.flatten(1).ne(0).any(1)
    assert found.sum() >= 6
    torch.testing.assert_close(ours[found], theirs[found], atol=1e-6, rtol=0)
    assert torch.equal(ours[~found], images[~found])


@pytest.mark.parametrize(
    ("name", "parameters", "direct"),
    [
        (
            "art/apgd-ce",
            {"epsilon": 0.2, "steps": 8, "restarts": 2},
            lambda e, net: e.AutoProjectedGradientDescent(
                net, np.inf, 0.2, 0.4, 8, False, 2, 8, "cross_entropy", verbose=False
            ),
        ),
        (
            "art/apgd-dlr",
            {"epsilon": 0.2, "steps": 8, "restarts": 2},
            lambda e, net: e.AutoProjectedGradientDescent(
                net, np.inf, 0.2, 0.4, 8, False, 2, 8, "difference_logits_ratio", verbose=False
            ),
        ),
        (
            "art/square",
            {"epsilon": 0.2, "queries": 50},
            lambda e, net: e.SquareAttack(net, np.inf, max_iter=50, eps=0.2, p_init=0.8, batch_size=8, verbose=False),
        ),
    ],
)
def test_it_is_arts_image_by_image(digits: Digits, name: str, parameters: dict[str, Any], direct: Any) -> None:
    import art.attacks.evasion as evasion
    from art.estimators.classification import PyTorchClassifier

    ours = made(digits, name, **parameters)
    net = PyTorchClassifier(
        digits.classifier, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    onehot = np.eye(10, dtype=np.float32)[digits.labels[:8].numpy()]
    with seeded(seed()):
        theirs = direct(evasion, net).generate(digits.images[:8].numpy(), onehot)
    torch.testing.assert_close(ours, torch.from_numpy(theirs).clamp(0, 1), atol=1e-6, rtol=0)


def test_jsma_raises_few_values_until_the_second_likeliest_class_is_predicted(digits: Digits) -> None:
    images, labels = digits.images[:8], digits.labels[:8]
    adversarial = made(digits, "art/jsma", theta=1.0, gamma=0.5)
    facts = verify(digits.classifier, images, adversarial, labels)
    assert facts["success"].mean() >= 0.7
    assert (adversarial >= images - 1e-6).all()
    assert (facts["l0"] <= 0.5 * 64 + 2).all()
    with torch.no_grad():
        second = digits.classifier(images).scatter(1, labels.unsqueeze(1), -torch.inf).argmax(1)
        assert (digits.classifier(adversarial).argmax(1)[facts["success"]] == second[facts["success"]]).all()


def test_hopskipjump_comes_nearer_with_more_steps_and_starts_from_noise(digits: Digits) -> None:
    images, labels = digits.images[:8], digits.labels[:8]
    norms = []
    for steps in (1, 12):
        adversarial = made(digits, "foolbox/hopskipjump", steps=steps, evaluations=30)
        facts = verify(digits.classifier, images, adversarial, labels)
        assert facts["success"].all()
        norms.append(float(np.median(facts["l2"])))
    assert norms[1] < 0.8 * norms[0]


class Always(nn.Module):
    """A net that sees one class in everything."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.mean((1, 2, 3)) * 0 + 1, x.mean((1, 2, 3))], 1)


def net_of(module: nn.Module, classes: int) -> Classifier:
    net = nn.Sequential()
    net.add_module("only", module)
    return Classifier(net, mean=[0.0], std=[1.0], taps=[], gate_positions={}, classes=classes, shape=(1, 8, 8))


def test_an_image_for_which_no_noise_is_of_another_class_comes_back_unchanged(digits: Digits) -> None:
    images, labels = digits.images[:3] * 0.5, torch.zeros(3, dtype=torch.int64)
    attack = attacks.get("foolbox/hopskipjump")(steps=1, evaluations=5)
    adversarial = attack(net_of(Always(), 2), images, labels, generator=torch.Generator())
    assert torch.equal(adversarial, images)


def test_two_classes_are_too_few_for_the_difference_of_logits_ratio(digits: Digits) -> None:
    images, labels = digits.images[:3], torch.zeros(3, dtype=torch.int64)
    with pytest.raises(UserError, match="needs a net of three classes or more"):
        attacks.get("art/apgd-dlr")()(net_of(Always(), 2), images, labels, generator=torch.Generator())


def test_the_union_takes_the_first_member_that_succeeds(digits: Digits) -> None:
    images, labels = digits.images, digits.labels
    parameters = {"epsilon": 0.12, "steps": 1, "restarts": 1, "queries": 200}
    union = attacks.get("autoattack-without-fab")(**parameters)
    adversarial = union(digits.classifier, images, labels, generator=torch.Generator().manual_seed(0))
    facts = verify(digits.classifier, images, adversarial, labels)
    check_budget(union.info, facts)
    first = union.members[0](digits.classifier, images, labels, generator=torch.Generator().manual_seed(0))
    alone = verify(digits.classifier, images, first, labels)["success"]
    assert facts["success"].sum() > alone.sum() > 0
    assert [type(member).__name__ for member in union.members] == ["APGDCE", "APGDDLR", "Square"]


def test_norms_are_measured_as_they_are_counted(digits: Digits) -> None:
    clean = digits.images[:2]
    moved = clean.clone()
    moved[0, 0, 0, :3] = (clean[0, 0, 0, :3] - 0.25).abs()
    facts = verify(digits.classifier, clean, moved, digits.labels[:2])
    change = (moved - clean).abs()[0]
    assert facts["l0"].tolist() == [int((change > 0).sum()), 0]
    assert facts["l1"][0] == pytest.approx(float(change.sum()))


@pytest.mark.parametrize("state", ["torch", "numpy"])
@pytest.mark.parametrize("name", [name for name in attacks if getattr(attacks.get(name), "draws", False)])
def test_global_generators_are_left_as_they_were(digits: Digits, name: str, state: str) -> None:
    small = {"steps": 1, "evaluations": 2, "restarts": 1, "queries": 2}
    fields = attacks.get(name).__dataclass_fields__
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    made(digits, name, 2, **{key: value for key, value in small.items() if key in fields})
    drawn = (float(torch.rand(1)), float(np.random.rand()))  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert drawn == (float(torch.rand(1)), float(np.random.rand()))  # noqa: NPY002


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("foolbox/pgd-linf", {"epsilon": 1.5}, "epsilon of PGDLinf is 1.5; give a number above 0 and at most 1"),
        ("foolbox/pgd-l2", {"restarts": 0}, "restarts of PGDL2 is 0; give a whole number of at least 1"),
        ("foolbox/mi-fgsm", {"momentum": -1}, "momentum of MIFGSM is -1"),
        ("foolbox/ddn", {"gamma": 1}, "gamma of DDN is 1; give a number above 0 and at most 0.999"),
        ("foolbox/fmn-l0", {"steps": 0}, "steps of FMNL0 is 0"),
        ("foolbox/ead", {"initial_const": 0}, "initial_const of EAD is 0"),
        ("foolbox/hopskipjump", {"evaluations": 1.5}, "evaluations of HopSkipJump is 1.5"),
        ("art/apgd-ce", {"epsilon": 0}, "epsilon of APGDCE is 0"),
        ("art/square", {"share": 1}, "share of Square is 1"),
        ("art/jsma", {"gamma": 2}, "gamma of JSMA is 2"),
        ("autoattack-without-fab", {"queries": 0}, "queries of AutoAttackWithoutFAB is 0"),
    ],
)
def test_a_mistake_is_one_sentence(name: str, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        attacks.get(name)(**parameters)
    assert sentence in str(caught.value)


def test_a_name_that_one_library_has_needs_no_library() -> None:
    assert build("apgd-ce", "foolbox", "quick", {}).info.library == "art"
    assert build("autoattack-without-fab", "foolbox", "quick", {}).info.norm == "Linf"
    assert build("fmn-l0", "art", "quick", {}).info.norm == "L0"
