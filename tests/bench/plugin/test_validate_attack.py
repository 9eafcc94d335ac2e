"""`validate-attack`: every fault that an attack can have is found and named, and sound ones have none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from subnetbench.attacks.foolbox import BIM, DeepFool
from subnetbench.attacks.presets import build
from subnetbench.bench import AttackInfo, UserError, check_attack
from subnetbench.bench.core import registry
from subnetbench.bench.plugin.attack_claims import ATTACK_CLAIMS, ATTACK_ROOTS
from subnetbench.bench.plugin.attack_worth import WORTH

from ..cli.test_commands import call


class Good:
    """One signed gradient from a random start; the faulty ones below change one thing of it."""

    stated = AttackInfo("Good", 2026, "budget", "Linf", "mine", "1", epsilon=0.3)

    def __init__(self, epsilon: float = 0.3) -> None:
        self.epsilon = epsilon

    @property
    def info(self) -> Any:
        return replace(self.stated, epsilon=self.epsilon)

    @property
    def parameters(self) -> Any:
        return {"epsilon": self.epsilon}

    def passes(self, classes: int) -> float:
        return 3.0

    def __call__(self, classifier: Any, images: Any, labels: Any, *, generator: Any) -> Any:
        if not len(images):
            return images.clone()
        start = (images + 0.01 * torch.randn(images.shape, generator=generator)).clamp(0, 1).requires_grad_()
        loss = F.cross_entropy(classifier(start), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, start)
        return self.moved(classifier, images, labels, gradient)

    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        return (images + self.epsilon * gradient.sign()).clamp(0, 1)


Moved = Callable[..., Any]


def faulty(moved: Moved, **more: Any) -> type[Good]:
    """`Good` with another last step; ``good`` makes what it would have returned."""

    def step(self: Any, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        return moved(self, classifier, images, Good.moved(self, classifier, images, labels, gradient), gradient)

    return type("Faulty", (Good,), {"moved": step, **more})


def declared(**fields: Any) -> type[Good]:
    return type("Declared", (Good,), {"info": property(lambda self: replace(Good().info, **fields))})


def changed(tensor: torch.Tensor, good: Any) -> Any:
    tensor.data.mul_(0.5)
    return good


def meddled(act: Callable[[Any], Any]) -> type[Good]:
    """`Good` that does something to the classifier on its way."""

    def step(self: Any, classifier: Any, images: Any, good: Any, gradient: Any) -> Any:
        act(classifier)
        return good

    return faulty(step)


def left_a_gradient(classifier: Any) -> None:
    classifier(torch.zeros(1, *classifier.shape)).sum().backward()


class Empty(Good):
    def __call__(self, classifier: Any, images: Any, labels: Any, *, generator: Any) -> Any:
        if not len(images):
            raise ValueError("no images")
        return super().__call__(classifier, images, labels, generator=generator)


class Remembers(Good):
    """Warm starts: the first batch's step is added to the next one's images."""

    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        before, self.last = getattr(self, "last", 0), float(gradient.sign().mean())
        return (super().moved(classifier, images, labels, gradient) - 0.2 * abs(before) - 0.01 * bool(before)).clamp(
            0, 1
        )


class Targets(Good):
    """Takes a label for the class to reach, as with the sign turned round."""

    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        return super().moved(classifier, images, labels, -gradient)


class SkipsZero(Good):
    """Takes class 0 for no label at all."""

    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        return torch.where((labels == 0).view(-1, 1, 1, 1), images, super().moved(classifier, images, labels, gradient))


class Shrinks(Good):
    """The mean of the losses: with more images, a step of each is shorter."""

    def __call__(self, classifier: Any, images: Any, labels: Any, *, generator: Any) -> Any:
        start = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(classifier(start), labels, reduction="sum"), start)
        step = gradient.sign() * self.epsilon / max(1, len(images))
        return (images + step).clamp(0, 1)


class Unseeded(Good):
    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        noise = torch.randn(
            images.shape, generator=torch.Generator().manual_seed(random.SystemRandom().getrandbits(32))
        )
        return (super().moved(classifier, images, labels, gradient) + 0.01 * noise).clamp(0, 1)


COUPLED = faulty(lambda s, c, x, good, g: (good - x.mean(0) / 4).clamp(0, 1))
ROOT = "it gives images: float32, of their shape, finite, in [0, 1]"

FAULTS: dict[str, tuple[Any, str, str]] = {
    "raises": (faulty(lambda s, c, x, good, g: 1 / 0), "it runs", "ZeroDivisionError: division by zero"),
    "tuple": (faulty(lambda s, c, x, good, g: (good, 1)), ROOT, "returned tuple; it must return a torch tensor"),
    "numpy": (faulty(lambda s, c, x, good, g: good.numpy()), ROOT, "returned ndarray; it must return a torch tensor"),
    "shape": (faulty(lambda s, c, x, good, g: good[:, :, :4]), ROOT, "of shape (60, 1, 4, 8); it must return"),
    "dtype": (faulty(lambda s, c, x, good, g: good.double()), ROOT, "returned torch.float64"),
    "nan": (faulty(lambda s, c, x, good, g: good / (good > 0.1)), ROOT, "images have NaN or infinity"),
    "box": (faulty(lambda s, c, x, good, g: x + 0.3 * g.sign()), ROOT, "it must stay within [0, 1]"),
    "unseeded": (Unseeded, "the same images and generator give the same result", "it is not reproducible"),
    "no info": (type("NoInfo", (Good,), {"info": None}), "info says what it is", "not of the class AttackInfo"),
    "year": (declared(year="2026"), "info says what it is", "its info.year is '2026'"),
    "title": (declared(title=""), "info says what it is", "info.title is empty"),
    "no epsilon": (declared(epsilon=None), "info says what it is", "state the budget in pixel units"),
    "no budget": (declared(threat="minimum-norm"), "info says what it is", "only an attack with threat='budget'"),
    "attribute": (type("A", (Good,), {"batch_coupled": True}), "info says what it is", "declare it as info.batch_c"),
    "parameters": (
        type("P", (Good,), {"parameters": {"steps": 3}}), "it can be made again from its parameters", "does not take"
    ),
    "images": (faulty(lambda s, c, x, good, g: changed(x, good)), "images and labels are left", "the images handed in"),
    "weights": (meddled(lambda c: c.head.weight.data.mul_(0.9)), "the classifier is left as", "weights changed"),
    "gradients": (meddled(left_a_gradient), "the classifier is left as it was", "gradients were left"),
    "requires_grad": (meddled(lambda c: c.requires_grad_(False)), "the classifier is left as it was", "requires_grad"),
    "hooks": (meddled(lambda c: c.head.register_forward_hook(print)), "the classifier is left as it was", "hooks were"),
    "eval": (meddled(lambda c: c.eval()), "train and evaluation mode are left as they were", "restore it"),
    "torch": (meddled(lambda c: torch.manual_seed(0)), "global random state is left as it was", "torch's global gen"),
    "numpy's": (meddled(lambda c: np.random.rand()), "global random state is left as it was", "numpy's global"),  # noqa: NPY002
    "no_grad": (
        meddled(lambda c: torch.set_grad_enabled(False)), "global random state is left as it was", "switch for grad"
    ),
    "memory": (Remembers, "what was attacked before does not matter", "keep nothing between calls"),
    "coupled": (COUPLED, "an image does not depend on its neighbours", "does not declare batch_coupled"),
    "coupled by misclassified ones": (
        type("All", (Good,), {"moved": lambda s, c, x, y, g: x + 0.1 * (c(x).argmax(1) == y).all() * (0.5 - x).sign()}),
        "an image does not depend on its neighbours", "beside images that are misclassified, its images depend",
    ),
    "batch size": (Shrinks, "any batch size is taken", "the batch size matters: 11 of 11 images"),
    "empty": (Empty, "an empty batch gives an empty batch", "ValueError: no images"),
    "targets": (Targets, "labels are classes to leave", "a label is the class to leave"),
    "sign": (Targets, "it fools the net", "turn the sign?"),
    "budget": (declared(epsilon=0.1), "its budget is kept", "declares a budget of 0.1 in Linf and moved 60 of 60"),
    "zero": (SkipsZero, "class 0 is a class like others", "0 of 20 images fooled, and "),
    "passes": (type("Few", (Good,), {"passes": lambda s, n: 100.0}), "its passes are about", "it states 100 forward"),
    "no number": (type("No", (Good,), {"passes": lambda s, n: "x"}), "its passes are about", "gives no number"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_named(name: str) -> None:
    attack, check, words = FAULTS[name]
    report = check_attack(attack)
    (fault,) = [each for each in report if each.name.startswith(check)]
    assert fault.outcome == "fails", report
    assert words in fault.message
    assert "\n" not in fault.message
    assert not fault.message.endswith(".")


class Blocks(Good):
    """Declares that it needs batches of 20, which its images then depend on."""

    stated = replace(Good.stated, batch_size=20, batch_coupled=True)

    def moved(self, classifier: Any, images: Any, labels: Any, gradient: Any) -> Any:
        assert len(images) <= 20
        return images + (super().moved(classifier, images, labels, gradient) - images) * (1 - images.mean() / 2)


@pytest.mark.parametrize(
    "attack",
    [Good, Good(epsilon=0.2), lambda: Good(0.25), Blocks, BIM(epsilon=0.2, step_size=0.05), DeepFool(steps=10)],
    ids=["class", "instance", "function", "declared", "bim", "deepfool"],
)
def test_a_sound_attack_passes_every_check(attack: Any) -> None:
    report = check_attack(attack)
    assert [check for check in report if check.outcome in ("fails", "warning")] == []
    assert [check.name for check in report] == [*ATTACK_ROOTS, *ATTACK_CLAIMS, *WORTH]
    assert str(report).splitlines()[-1] == f"{report.summary}."


def message(report: Any, start: str) -> str:
    return next(f"{check.outcome}: {check.message}" for check in report if check.name.startswith(start))


def test_what_is_declared_is_measured_and_not_held_against_it() -> None:
    report = check_attack(Blocks)
    assert message(report, "an image does not").startswith("measured: it declares batch_coupled, and so it is beside")
    assert "batches of 1, 19, 20 are taken; it declares 20" in message(report, "any batch size")
    assert "60 images" in message(report, "it gives images")


def test_what_it_is_worth_stands_beside_fgsm_and_bim_of_the_same_budget() -> None:
    report = check_attack(BIM(epsilon=0.2, step_size=0.04, steps=10))
    mine, rivals = message(report, "it fools the net"), message(report, "beside FGSM and BIM")
    figures = mine.removeprefix("passes: ").split("; noise")[0]
    assert rivals.startswith("measured: Linf 0.2, fgsm: ")
    assert rivals.endswith(f"; bim: {figures}")
    assert "11 forward and 10 backward passes an image" in figures


def test_mere_noise_is_warned_of() -> None:
    signs = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).sign()  # the same for every image
    noise = faulty(lambda s, c, x, good, g: (x + 0.3 * signs).clamp(0, 1))
    assert message(check_attack(noise), "it fools the net").startswith("warning: ")


def test_a_check_changes_nothing_of_the_session() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    check_attack(Good)  # trains the net where no other test has
    for _ in range(2):  # what one does to the net is not held against the next
        report = check_attack(meddled(lambda c: c.head.weight.data.zero_()))
        assert message(report, "the classifier").startswith("fails: the classifier's weights changed")
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert message(check_attack(Good), "the classifier").startswith("passes")


@pytest.fixture
def registered() -> Any:
    """Register attacks for one test."""
    list(registry.attacks)
    before = dict(registry.attacks._items)
    yield registry.register_attack
    registry.attacks._items.clear()
    registry.attacks._items.update(before)


def test_the_command_prints_the_report_and_ends_with_1_where_something_fails(registered: Any) -> None:
    registered("good")(Good)
    registered("coupled")(COUPLED)
    said = call("validate-attack", "good")
    assert said.code == 0, said.err
    untimed = [line for line in str(check_attack("good")).splitlines()[:-2] if "measured time" not in line]
    assert [line for line in said.out.splitlines()[:-2] if "measured time" not in line] == untimed
    assert said.out.splitlines()[-1].startswith("good: 18 checks pass, 0 fail, 0 warnings (")
    said = call("validate-attack", "coupled")
    assert said.code == 1
    assert "fails    an image does not depend on its neighbours: beside other images, its images depend" in said.out


def test_an_attack_that_raises_is_one_line_and_with_debug_a_traceback(registered: Any) -> None:
    registered("raises")(FAULTS["raises"][0])
    said = call("validate-attack", "raises")
    assert said.code == 1
    assert said.out.startswith("fails    it runs: ZeroDivisionError: division by zero (test_validate_attack.py:")
    assert said.out.splitlines()[-1].startswith("raises: 0 checks pass, 1 fail, 0 warnings")
    with pytest.raises(ZeroDivisionError):
        call("validate-attack", "raises", "--debug")


def test_what_is_no_attack_is_one_sentence() -> None:
    assert (
        "There is no attack named 'foolbox/bimm'. Did you mean 'foolbox/bim'"
        in call("validate-attack", "foolbox/bimm").mistake
    )
    with pytest.raises(UserError, match="3 is no attack; give a class with __call__, an instance or a registered"):
        check_attack(3)
    with pytest.raises(UserError, match=r"The class dict has no method __call__, so it is no attack"):
        check_attack(dict)


def test_ours_are_built_from_presets_and_checked_as_they_are_run() -> None:
    report = check_attack(build("mi-fgsm", "foolbox", "quick", {"epsilon": 0.2, "step_size": 0.05}))
    assert report.name == "foolbox_mi-fgsm-epsilon0.2-step_size0.05"
    assert all(check.passed for check in report)
