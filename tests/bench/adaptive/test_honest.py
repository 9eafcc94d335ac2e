"""The gradient that a detector offers is followed only where it is one; each fault is found and named."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.adaptive import honest
from subnetbench.bench.adaptive.honest import gradient_of
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View


@pytest.fixture(scope="module")
def net(trained_digits: Any) -> Classifier:
    classifier: Classifier = trained_digits.classifier
    return classifier


@pytest.fixture(scope="module")
def images(trained_digits: Any) -> torch.Tensor:
    """32 test images and their noisy copies."""
    clean = trained_digits.dataset.test.tensor(slice(0, 32))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return torch.cat([clean, (clean + 0.1 * noise).clamp(0, 1)])


def in_torch(net: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Two columns: the energy, and half the squared size of the logits."""
    logits = net(images).double()
    return torch.stack([-logits.logsumexp(1), logits.square().sum(1) / 2], 1)


class Honest:
    """The faulty ones below change one thing of it."""

    def characteristics(self, x: View) -> np.ndarray:
        with torch.no_grad():
            return in_torch(x.classifier, x.images).numpy()

    def differentiable(self, classifier: Classifier) -> Any:
        return lambda images: self.twin(classifier, images)

    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images)


class OtherNumbers(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images) * torch.tensor([1.0, 1.001])


class OtherOrder(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images).flip(0)


class Detached(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images.detach())


class OneDetachedColumn(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        first, second = in_torch(net, images).unbind(1)
        return torch.stack([first, second.detach()], 1)


class Shattered(Honest):
    """The right numbers with the gradient of something else, as a straight-through estimator may have it."""

    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        values = in_torch(net, images)
        return values.detach() + (other := images.square().sum((1, 2, 3)).unsqueeze(1)) - other.detach()


class HalfTheGradient(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        values = in_torch(net, images)
        return 0.5 * values + 0.5 * values.detach()


class NotANumber(Honest):
    """A root at 0: the numbers are right, and 0 times infinity is the gradient."""

    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images) + (images.sum((1, 2, 3)) * 0).sqrt().unsqueeze(1)


class Flat(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images)[:, 0]


class NoTensor(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images).detach().numpy()


class Raises(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        raise ValueError("no such thing\nbut a long story")


class RaisesInDouble(Honest):
    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return in_torch(net, images) + 0 * (images.flatten(1) @ torch.ones(64, 1))


class RaisesAtOnce(Honest):
    def differentiable(self, classifier: Classifier) -> Any:
        raise RuntimeError("not this net")


class InPlace(Honest):
    """Cannot be differentiated: what the root needs for its gradient is overwritten."""

    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        root = (1 + images.sum((1, 2, 3))).sqrt()
        root *= 0
        return in_torch(net, images) + root.unsqueeze(1)


class Quantised(Honest):
    """Counts, whose gradient is zero wherever there is one."""

    def characteristics(self, x: View) -> np.ndarray:
        return np.round(super().characteristics(x), 2)

    def twin(self, net: Classifier, images: torch.Tensor) -> Any:
        return torch.round(in_torch(net, images), decimals=2)


FAULTS: list[tuple[type[Honest], str]] = [
    (OtherNumbers, "disagrees with characteristics on 64 of 64 images, by more than 0.0001, as with "),
    (OtherOrder, "disagrees with characteristics on "),
    (Detached, "its gradient is zero on 64 of 64 images (column 0)"),
    (OneDetachedColumn, "its gradient is zero on 64 of 64 images (column 1)"),
    (Shattered, "disagrees with finite differences on 100% of the images (column 0; 5% may, at kinks)"),
    (HalfTheGradient, "median relative error of 0.5"),
    (NotANumber, "its gradient is NaN or infinite on 64 of 64 images (column 0)"),
    (Flat, "changes the shape: it gives (64,), not (64, 2) as characteristics"),
    (NoTensor, "gives ndarray, not a tensor"),
    (Raises, "the function of differentiable, on float32, raises ValueError: no such thing"),
    (RaisesInDouble, "the function of differentiable, on float64, raises RuntimeError: "),
    (RaisesAtOnce, "differentiable raises RuntimeError: not this net"),
    (InPlace, "the gradient raises RuntimeError: one of the variables needed for gradient computation"),
    (Quantised, "its gradient is zero on 64 of 64 images (column 0)"),
]


def test_a_true_gradient_is_given_with_what_was_measured(net: Classifier, images: torch.Tensor) -> None:
    smooth, reason = gradient_of(Honest(), net, images)
    assert smooth is not None
    assert smooth(images).shape == (64, 2)
    assert reason.startswith("numbers agree to ")
    assert "finite and not zero on 100% of the images; it agrees with finite differences on " in reason


@pytest.mark.parametrize(("kind", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_of_the_gradient_is_named_in_one_sentence(
    kind: type[Honest], words: str, net: Classifier, images: torch.Tensor
) -> None:
    smooth, reason = gradient_of(kind(), net, images)
    assert smooth is None
    assert words in reason
    assert "\n" not in reason


def test_a_detector_without_a_gradient_is_told_of_the_surrogate(net: Classifier, images: torch.Tensor) -> None:
    assert gradient_of(SimpleNamespace(), net, images) == (
        None,
        "it offers no gradient (no method differentiable): it will be attacked through a surrogate",
    )
    smooth, reason = gradient_of(SimpleNamespace(differentiable=lambda net: None), net, images)
    assert smooth is None
    assert "with these parameters (differentiable returns None): it will be attacked through a surrogate" in reason
    assert "neither a function" in gradient_of(SimpleNamespace(differentiable=lambda net: 3), net, images)[1]


def test_the_differences_are_those_of_the_function_itself(
    net: Classifier, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps so long that no difference is a derivative: only real differences can then disagree."""
    monkeypatch.setattr(honest, "STEPS", (3.0,))
    smooth, reason = gradient_of(Honest(), net, images)
    assert smooth is None
    assert "disagrees with finite differences" in reason


def test_every_pass_for_differences_is_in_float64_and_inside_the_box(net: Classifier, images: torch.Tensor) -> None:
    seen: list[torch.Tensor] = []

    class Watched(Honest):
        def twin(self, net: Classifier, images: torch.Tensor) -> Any:
            seen.append(images.detach())
            return super().twin(net, images)

    assert gradient_of(Watched(), net, images)[0] is not None
    double = [x for x in seen if x.dtype == torch.float64]
    assert len(double) in (1 + 16, 1 + 32)
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in double)
    lengths = [(x - double[0]).flatten(1).norm(dim=1) for x in double[1:]]
    assert all(min(abs(float(n[0]) - s) / s for s in honest.STEPS) < 1e-6 for n in lengths)


def test_many_columns_are_checked_as_random_sums_and_one_wrong_one_is_found(
    net: Classifier, images: torch.Tensor
) -> None:
    class Wide(Honest):
        wrong = False

        def characteristics(self, x: View) -> np.ndarray:
            with torch.no_grad():
                return x.classifier(x.images).double().numpy() ** 2

        def twin(self, net: Classifier, images: torch.Tensor) -> Any:
            values = net(images).double() ** 2
            if self.wrong:
                values[:, 7] = values[:, 7].detach()
            return values

    assert gradient_of(Wide(), net, images)[0] is not None
    Wide.wrong = True
    smooth, reason = gradient_of(Wide(), net, images)
    assert smooth is None
    assert "(a random sum of the columns; " in reason


def test_a_column_that_is_the_same_for_all_images_need_not_move(net: Classifier, images: torch.Tensor) -> None:
    class Constant(Honest):
        def characteristics(self, x: View) -> np.ndarray:
            return np.c_[super().characteristics(x), np.full(len(x), 0.1)]

        def twin(self, net: Classifier, images: torch.Tensor) -> Any:
            return torch.cat([in_torch(net, images), torch.full((len(images), 1), 0.1, dtype=torch.float64)], 1)

    smooth, reason = gradient_of(Constant(), net, images)
    assert smooth is not None, reason


def test_a_net_that_cannot_be_copied_is_one_sentence(
    net: Classifier, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(net), "__deepcopy__", lambda *_: 1 / 0, raising=False)
    assert gradient_of(Honest(), net, images) == (
        None,
        "copying the net to float64 raises ZeroDivisionError: division by zero",
    )


@pytest.mark.parametrize("value", [True, False])
def test_the_net_is_left_as_it_was(value: bool, net: Classifier, images: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    net.train(value)
    try:
        assert gradient_of(Evaluating(), net, images)[0] is not None
        assert net.training is value
    finally:
        net.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    for parameter, old in zip(net.parameters(), gradients, strict=True):
        assert parameter.grad is None if old is None else old.equal(parameter.grad)


class Evaluating(Honest):
    def characteristics(self, x: View) -> np.ndarray:
        logits = torch.from_numpy(x.logits).double()
        return torch.stack([-logits.logsumexp(1), logits.square().sum(1) / 2], 1).numpy()


@pytest.mark.parametrize("name", ["same_numbers", "useful", "true_derivative"])
def test_every_check_is_made(name: str) -> None:
    check: Callable[..., str] = getattr(honest, name)
    assert check in honest.CHECKS.values()
