from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from subnetbench.bench import UserError
from subnetbench.bench import train as training
from subnetbench.bench.data import Dataset, digits
from subnetbench.bench.models import Classifier, digits_cnn
from subnetbench.bench.train import Recipe, accuracy, augment, one_cycle, train

CPU = torch.device("cpu")
SHORT = Recipe(epochs=3, batch_size=60, learning_rate=0.1, flip=False, shift=1)


@pytest.fixture(scope="module")
def few() -> Dataset:
    whole = digits()
    return Dataset("digits", whole.train.select(slice(0, 240)), whole.test.select(slice(0, 100)), 10)


def trained(dataset: Dataset, recipe: Recipe = SHORT, **options) -> tuple[Classifier, dict[str, str]]:
    net = digits_cnn(width=8)
    return net, train(net, dataset, recipe, device=CPU, **options)


def test_the_recipe_trains_digits(trained_digits):
    assert float(trained_digits.metadata["test_accuracy"]) > 0.95
    assert accuracy(trained_digits.classifier, trained_digits.dataset.test) > 0.95
    assert trained_digits.metadata["test_images"] == "899"
    assert Recipe.model_validate_json(trained_digits.metadata["recipe"]).batch_size == 50


def test_the_seed_determines_the_weights_whatever_was_drawn_before(few):
    torch.manual_seed(1)
    first, _ = trained(few)
    torch.manual_seed(2)
    second, _ = trained(few)
    other, _ = trained(few, SHORT.model_copy(update={"seed": 1}))
    assert first.content_hash() == second.content_hash() != other.content_hash()


def test_training_leaves_the_callers_random_state_alone(few):
    net = digits_cnn(width=8)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(net, few, SHORT.model_copy(update={"epochs": 1}), device=CPU)
    assert torch.equal(torch.rand(1), expected)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(few, tmp_path, monkeypatch):
    whole, _ = trained(few)
    steps = []

    def kill(done: int, total: int, text: str) -> None:
        steps.append(done)
        if len(steps) == 6:  # in the second of three epochs of four steps
            raise KeyboardInterrupt

    checkpoint = tmp_path / "scratch" / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(few, checkpoint=checkpoint, progress=kill)
    assert checkpoint.is_file()
    resumed, metadata = trained(few, checkpoint=checkpoint, progress=lambda done, total, text: steps.append(done))
    assert steps == [1, 2, 3, 4, 5, 6, *range(5, 13)]
    assert resumed.content_hash() == whole.content_hash()
    assert float(metadata["train_minutes"]) >= 0


def test_a_damaged_checkpoint_means_starting_over(few, tmp_path):
    whole, _ = trained(few)
    checkpoint = tmp_path / "c.safetensors"
    checkpoint.write_bytes(b"damaged")
    again, _ = trained(few, checkpoint=checkpoint)
    assert again.content_hash() == whole.content_hash()


def test_a_checkpoint_of_another_net_means_starting_over(few, tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    train(digits_cnn(width=4), few, SHORT, device=CPU, checkpoint=checkpoint)
    again, _ = trained(few, checkpoint=checkpoint)
    assert again.content_hash() == trained(few)[0].content_hash()


def test_a_trained_net_is_in_evaluation_mode_and_plain_layout(few):
    net, _ = trained(few, SHORT.model_copy(update={"epochs": 1}))
    assert not net.training
    assert net.net.conv2[0].weight.is_contiguous()


def test_too_few_images_are_one_sentence(few):
    with pytest.raises(
        UserError, match=r"digits has 240 training images, fewer than one batch of 500; lower model\.train"
    ):
        trained(few, Recipe())


def test_no_augmentation_is_the_identity():
    images = torch.rand(5, 3, 8, 6)
    assert augment(images, Recipe(shift=0, flip=False), torch.Generator()) is images


@pytest.mark.parametrize("shape", [(7, 3, 8, 6), (7, 1, 8, 8)])
def test_augmentation_keeps_shape_and_pixels(shape):
    images = torch.rand(shape)
    out = augment(images, Recipe(shift=2, flip=True), torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert all(set(out[i].unique().tolist()) <= set(images[i].unique().tolist()) for i in range(len(images)))


def test_a_shift_moves_an_image_as_a_whole():
    images = torch.rand(40, 2, 9, 9)
    out = augment(images, Recipe(shift=1, flip=False), torch.Generator().manual_seed(0))
    moves = set()
    for before, after in zip(images, out, strict=True):
        inner = after[:, 1:-1, 1:-1]
        found = [(r, c) for r in range(3) for c in range(3) if torch.equal(inner, before[:, r : r + 7, c : c + 7])]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) == 9


def test_a_flip_mirrors_about_half_of_the_images():
    images = torch.rand(200, 1, 4, 4)
    out = augment(images, Recipe(shift=0, flip=True), torch.Generator().manual_seed(0))
    flipped = [torch.equal(a, b.flip(2)) for a, b in zip(out, images, strict=True)]
    assert all(f or torch.equal(a, b) for f, a, b in zip(flipped, out, images, strict=True))
    assert 70 < sum(flipped) < 130


def test_the_rate_rises_and_falls_to_zero():
    assert one_cycle(0.1, 0.2) == pytest.approx(0.5)
    assert one_cycle(0.2, 0.2) == pytest.approx(1)
    assert one_cycle(0.6, 0.2) == pytest.approx(0.5)
    assert one_cycle(1, 0.2) == 0


def test_accuracy_counts_each_image_once(few, monkeypatch):
    net, _ = trained(few, SHORT.model_copy(update={"epochs": 1}))
    predicted = net(few.test.tensor()).argmax(1).numpy()
    expected = (predicted == few.test.labels).mean()
    assert accuracy(net, few.test, batch_size=7) == pytest.approx(expected)
    assert accuracy(net, few.test, limit=10) == pytest.approx((predicted == few.test.labels)[:10].mean())


def test_bf16_is_used_only_where_it_is_native(few, monkeypatch):
    monkeypatch.setattr(training, "has_fast_bf16", lambda device: False)
    assert trained(few, SHORT.model_copy(update={"epochs": 1}))[1]["precision"] == "float32"


def test_a_recipe_refuses_unknown_fields():
    with pytest.raises(ValidationError, match="epoch"):
        Recipe(epoch=3)
