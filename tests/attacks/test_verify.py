"""An attack's own word is not taken."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from subnetbench.attacks.contract import AttackInfo
from subnetbench.attacks.foolbox import DeepFool
from subnetbench.attacks.verify import craft, legalise, noise_of_norm, verify
from subnetbench.bench.core.errors import UserError

from .conftest import Digits


class Strange:
    """Returns what a function makes of the images and the generator."""

    info = AttackInfo("Strange", 2026, "minimum-norm", "L2", "none", "0")
    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, classifier: Any, images: Any, labels: Any, *, generator: torch.Generator) -> Any:
        return self.make(images, generator)


def test_facts_agree_with_the_classifiers_own_words(digits: Digits) -> None:
    found = craft(DeepFool(), digits.classifier, digits.images, digits.labels, seed=0)
    labels = digits.labels.numpy().copy()
    labels[0] = (labels[0] + 1) % 10  # a clean image that is "wrong" already
    facts = verify(digits.classifier, digits.images, found, labels, batch_size=7)
    with torch.no_grad():
        predicted = digits.classifier(found).argmax(1).numpy()
        rounded = digits.classifier((found * 255).round() / 255).argmax(1).numpy()
    change = (found - digits.images).flatten(1).numpy()
    np.testing.assert_array_equal(facts["success"], predicted != labels)
    np.testing.assert_array_equal(facts["success"], facts["margin"] > 0)
    np.testing.assert_array_equal(facts["survives_8bit"], (predicted != labels) & (rounded != labels))
    np.testing.assert_array_equal(facts["clean_correct"], np.arange(24) != 0)
    np.testing.assert_allclose(facts["l2"], np.linalg.norm(change, axis=1), rtol=1e-5)
    np.testing.assert_allclose(facts["linf"], np.abs(change).max(1), rtol=1e-6)
    assert all(len(column) == 24 for column in facts.values())


def test_an_image_with_nan_is_the_clean_one_and_a_failure(digits: Digits) -> None:
    broken = 1 - digits.images
    broken[3, 0, 0, 0] = torch.nan
    facts = verify(digits.classifier, digits.images, broken, digits.labels)
    assert facts["finite"].tolist() == [i != 3 for i in range(24)]
    assert not facts["success"][3]
    assert facts["l2"][3] == 0
    with pytest.warns(UserWarning, match="NaN or infinity for 1 images"):
        found = craft(Strange(lambda x, _: broken), digits.classifier, digits.images, digits.labels, seed=0)
    torch.testing.assert_close(found[3], digits.images[3])


def test_rounding_outside_the_box_is_clipped_and_more_is_refused(digits: Digits) -> None:
    legal, _ = legalise(digits.images, digits.images * (1 + 5e-7))
    assert legal.max() <= 1
    with pytest.raises(UserError, match=r"wild returned values in .* within \[0, 1\]"):
        legalise(digits.images, digits.images + 0.5, "wild")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda x, g: x[:, :, :-1], "returned torch.float32 of shape"),
        (lambda x, g: x.double(), "returned torch.float64 of shape"),
        (lambda x, g: x.numpy(), "returned ndarray; it must return a torch tensor"),
        (lambda x, g: 1 / 0, "failed on images 40 to 63: ZeroDivisionError"),
    ],
)
def test_a_third_party_mistake_names_the_attack(make: Any, sentence: str, digits: Digits) -> None:
    with pytest.raises(UserError) as caught:
        craft(Strange(make), digits.classifier, digits.images, digits.labels, seed=0, first=40, name="strange")
    assert "The attack strange " in str(caught.value)
    assert sentence in str(caught.value)


def test_each_batch_draws_by_its_place_and_any_part_can_be_made_alone(digits: Digits) -> None:
    noisy = Strange(lambda x, g: (x + 0.1 * torch.rand(x.shape, generator=g)).clamp(0, 1))
    net, images, labels = digits.classifier, digits.images, digits.labels
    images = images.clone()
    images[8:16] = images[:8]
    whole = craft(noisy, net, images, labels, seed=3, batch_size=8)
    torch.testing.assert_close(craft(noisy, net, images, labels, seed=3, batch_size=8), whole, atol=0, rtol=0)
    part = craft(noisy, net, images[8:16], labels[8:16], seed=3, batch_size=8, first=8)
    torch.testing.assert_close(part, whole[8:16], atol=0, rtol=0)
    assert not torch.equal(whole[:8], whole[8:16])
    assert not torch.equal(craft(noisy, net, images, labels, seed=4, batch_size=8), whole)


def test_an_attack_that_writes_into_its_images_does_not_change_ours(digits: Digits) -> None:
    before = digits.images.clone()
    craft(Strange(lambda x, _: x.mul_(0.5)), digits.classifier, digits.images, digits.labels, seed=0)
    torch.testing.assert_close(digits.images, before, atol=0, rtol=0)


def test_noise_has_the_wanted_norm_and_stays_in_the_box(digits: Digits) -> None:
    wanted = torch.linspace(0, 2, 24)  # digits are half black: about half of the noise is clipped away
    noisy = noise_of_norm(digits.images, wanted, torch.Generator().manual_seed(0))
    found = (noisy - digits.images).flatten(1).norm(dim=1)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-3)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_noise_of_a_norm_that_the_box_does_not_allow_is_shorter_and_finite(digits: Digits) -> None:
    noisy = noise_of_norm(digits.images, np.full(24, 100.0), torch.Generator().manual_seed(0))
    assert torch.isfinite(noisy).all()
    assert ((noisy - digits.images).flatten(1).norm(dim=1) < 8).all()
