from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from pydantic import ValidationError
from subnetbench.bench import UserError
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.harness import train as training
from subnetbench.bench.harness.train import Recipe, accuracy, augment, one_cycle, train
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from torch import nn

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


# -- the fast recipe -------------------------------------------------------------------------------------------------

FAST = SHORT.model_copy(update={"whiten": True, "dirac": True, "lookahead": True})


def stem_of_two(filters: int = 8) -> Classifier:
    """2x2 patches of one channel have 4 directions, so whitening takes 8 filters."""
    net = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(1, filters, 2), nn.BatchNorm2d(filters), nn.ReLU()),
            conv=nn.Sequential(nn.Conv2d(filters, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(filters, 10),
        )
    )
    return Classifier(net, mean=(0.3,), std=(0.35,), taps=("conv",), gate_positions={}, classes=10, shape=(1, 8, 8))


def test_whitened_patches_have_unit_covariance_and_each_filter_its_negative(few):
    net = stem_of_two()
    training.whiten_first(net, few.train)
    conv = net.net.stem[0]
    patches = nn.functional.unfold((few.train.tensor() - net.mean) / net.std, 2).transpose(1, 2).reshape(-1, 4)
    out = (patches @ conv.weight[:4].reshape(4, 4).T).T.double().cov()
    assert torch.allclose(out, torch.eye(4, dtype=torch.float64), atol=0.02)  # the small eigenvalues are damped
    assert torch.equal(conv.weight[4:], -conv.weight[:4])


def test_the_whitening_is_not_trained_and_the_rest_is(few):
    net = stem_of_two()
    training.whiten_first(net, few.train)
    fixed = net.net.stem[0].weight.clone()
    train(net, few, FAST, device=CPU)
    assert torch.equal(net.net.stem[0].weight, fixed)
    other = stem_of_two()
    train(other, few, FAST.model_copy(update={"epochs": 1}), device=CPU)
    assert not torch.equal(net.net.conv[0].weight, other.net.conv[0].weight)


def test_whitening_a_net_without_room_for_it_is_one_sentence(few):
    with pytest.raises(UserError, match=r"has 6 filters and whitening its patches takes 8; leave whiten out"):
        train(stem_of_two(6), few, FAST, device=CPU)


def test_convolutions_begin_by_passing_their_input_on():
    torch.manual_seed(0)
    net = stem_of_two()
    training.pass_input_on(net)
    x = torch.rand(2, 8, 7, 7)
    with torch.no_grad():
        net.net.conv[0].bias.zero_()
        assert torch.equal(net.net.conv[0](x), x)


def test_lookahead_follows_early_and_holds_back_late():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(0.0)
    slow = training.Lookahead(net)
    net.weight.data.fill_(1.0)
    slow.pull(0.0)
    assert float(net.weight) == 1.0
    net.weight.data.fill_(2.0)
    slow.pull(1.0)
    assert float(net.weight) == pytest.approx(2 - 0.95**5)


def test_a_killed_run_of_the_fast_recipe_ends_with_the_same_weights(few, tmp_path):
    def kill(done: int, total: int, text: str) -> None:
        if done == 6:  # in the second of three epochs of four steps
            raise KeyboardInterrupt

    whole = stem_of_two()
    train(whole, few, FAST, device=CPU)
    resumed = stem_of_two()
    with pytest.raises(KeyboardInterrupt):
        train(resumed, few, FAST, device=CPU, checkpoint=tmp_path / "c.safetensors", progress=kill)
    train(resumed, few, FAST, device=CPU, checkpoint=tmp_path / "c.safetensors")
    assert resumed.content_hash() == whole.content_hash()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_training_that_diverges_is_one_sentence_and_leaves_no_checkpoint(few, tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    recipe = SHORT.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        UserError, match=r"Training diverged in epoch 1 of 3: .*; lower model\.train\.learning_rate \(1e\+30"
    ):
        trained(few, recipe, checkpoint=checkpoint)
    assert not checkpoint.exists()


def twice() -> Classifier:
    """One convolution at two places, and dropout."""
    conv = nn.Conv2d(1, 1, 3, padding=1)
    net = nn.Sequential(
        OrderedDict(one=conv, two=conv, flatten=nn.Flatten(), drop=nn.Dropout(0.5), head=nn.Linear(64, 10))
    )
    return Classifier(net, mean=(0.3,), std=(0.35,), taps=("one",), gate_positions={}, classes=10, shape=(1, 8, 8))


@pytest.mark.parametrize("lookahead", [False, True])
def test_a_net_with_dropout_and_a_module_used_twice_resumes_to_the_same_weights(few, tmp_path, lookahead):
    recipe, checkpoint = SHORT.model_copy(update={"lookahead": lookahead}), tmp_path / "c.safetensors"

    def kill(done: int, total: int, text: str) -> None:
        if done == 6:  # in the second of three epochs of four steps
            raise KeyboardInterrupt

    whole, resumed = twice(), twice()
    train(whole, few, recipe, device=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(resumed, few, recipe, device=CPU, checkpoint=checkpoint, progress=kill)
    assert checkpoint.is_file()
    torch.manual_seed(17)
    train(resumed, few, recipe, device=CPU, checkpoint=checkpoint)
    assert resumed.content_hash() == whole.content_hash()


def test_slow_weights_of_a_module_used_twice_are_pulled_once():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    net.append(net[0])
    net[0].weight.data.fill_(0.0)
    slow = training.Lookahead(net)
    net[0].weight.data.fill_(2.0)
    slow.pull(1.0)
    assert net[0].weight.item() == pytest.approx(2 * (1 - 0.95**5))
