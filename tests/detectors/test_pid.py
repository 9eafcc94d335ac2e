"""The second net: where it comes from, what is refused, and that its content is part of a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.scoring import _content
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from subnetbench.bench.models.weights import save_weights
from subnetbench.bench.views import View
from subnetbench.detectors.pid import Pid, disbelief


@pytest.fixture(scope="module")
def other(net: Classifier, tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Path]:
    """Another net that knows digits: the first with its last layer a little off; and its file."""
    second = digits_cnn()
    second.load_state_dict(net.state_dict())
    with torch.no_grad():
        second.head.weight.mul_(0.5).add_(0.01 * torch.randn(10, 64, generator=torch.Generator().manual_seed(0)))
    path = tmp_path_factory.mktemp("second") / "second.safetensors"
    save_weights(second.eval(), path, {})
    return second, path


def test_the_score_is_what_the_second_net_takes_from_the_first_s_class(
    other: tuple[Classifier, Path], train_view: View, test_view: View
) -> None:
    second, path = other
    score = Pid(weights=str(path), model="digits-cnn").fit(train_view).characteristics(test_view)
    logits = second(test_view.images).detach().double().numpy()
    for index, row in enumerate(logits):
        odds = np.exp(row - row.max())
        assert score[index, 0] == pytest.approx(1 - odds[test_view.predicted[index]] / odds.sum(), rel=1e-4, abs=1e-9)


def test_the_second_net_s_passes_are_counted(other: tuple[Classifier, Path], train_view: View, test_view: View) -> None:
    detector = Pid(weights=str(other[1]), model="digits-cnn").fit(train_view)
    test_view.logits  # noqa: B018
    with counted(test_view.classifier) as passes:
        detector.characteristics(test_view)
    assert passes.forward == len(test_view)


def test_a_net_trained_on_the_spot_knows_the_data_and_is_the_same_every_time(train_view: View, test_view: View) -> None:
    one, again = (
        Pid(epochs=5, seed=1).fit(View(train_view.classifier, train_view.images, key="again", labels=train_view.labels))
        for _ in range(2)
    )
    assert "second net resnet18, trained on" in one.notes
    np.testing.assert_array_equal(one.characteristics(test_view), again.characteristics(test_view))
    assert np.median(one.characteristics(test_view)[:60]) < 0.5


def test_the_content_of_a_file_is_in_the_key_and_its_place_is_not_enough(
    other: tuple[Classifier, Path], tmp_path: Path
) -> None:
    path = tmp_path / "second.safetensors"
    path.write_bytes(other[1].read_bytes())
    parameters = {"weights": str(path), "model": "digits-cnn"}
    before = _content("pid", [parameters])
    changed = digits_cnn()
    save_weights(changed, path, {})
    after = _content("pid", [parameters])
    assert before["content"][0]["weights"] != after["content"][0]["weights"]
    assert _content("max-softmax", [{}]) == {}


def test_compressed_weights_have_the_same_key(other: tuple[Classifier, Path], tmp_path: Path) -> None:
    save_weights(other[0], tmp_path / "second.safetensors.xz", {})
    keys = [
        _content("pid", [{"weights": str(path), "model": "digits-cnn"}])["content"][0]["weights"]
        for path in (other[1], tmp_path / "second.safetensors.xz")
    ]
    assert keys[0] == keys[1]


def test_shipped_weights_know_their_net() -> None:
    second = Pid(weights="cifar10/resnet34-width16").second
    assert (second.model, second.parameters) == ("resnet34", {"width": 16})


def refused(train: View, says: str, **parameters: Any) -> None:
    with pytest.raises(UserError, match=says):
        Pid(**parameters).fit(train)


def test_a_second_net_of_other_classes_or_images_is_one_sentence(train_view: View) -> None:
    says = r"the second net \({}\) does not fit 1x8x8 images of 10 classes; name another"
    refused(train_view, says.format("cifar10/resnet34-width16"), weights="cifar10/resnet34-width16")
    refused(train_view, says.format("cifar100/wide7"), weights="cifar100/wide7")


def test_the_net_under_attack_is_no_second_net(net: Classifier, train_view: View, tmp_path: Path) -> None:
    save_weights(net, tmp_path / "first.safetensors", {})
    says = "is the net under attack itself"
    refused(train_view, says, weights=str(tmp_path / "first.safetensors"), model="digits-cnn")


def test_a_net_of_other_data_is_refused(train_view: View, tmp_path: Path) -> None:
    path = tmp_path / "blank.safetensors"
    save_weights(digits_cnn(), path, {})
    refused(
        train_view, "of the training images right, so it was made for other data", weights=str(path), model="digits-cnn"
    )


def test_parameters_that_do_not_go_together_are_one_sentence(other: tuple[Classifier, Path]) -> None:
    with pytest.raises(UserError, match="does not say of which net it is; name that in model"):
        Pid(weights=str(other[1]))
    with pytest.raises(UserError, match="are of a wide7 and model is 'resnet34'; omit it"):
        Pid(weights="cifar10/wide7", model="resnet34")
    with pytest.raises(UserError, match="There is no model named 'resnet35'"):
        Pid(model="resnet35")
    with pytest.raises(UserError, match="There is no weights file nowhere"):
        Pid(weights="nowhere", model="resnet18")


def test_disbelief_does_not_round_to_nothing() -> None:
    logits = torch.tensor([[60.0, 0, 0], [0, 60.0, 0]], dtype=torch.float64)
    got = disbelief(logits, torch.tensor([0, 0]))
    assert float(got[0]) == pytest.approx(2 * np.exp(-60))
    assert float(got[1]) == pytest.approx(1)
