"""Claims about the subnets that come out, and about what is said of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from subnetbench.subnets.extract import Extraction, balanced_scores, extract, split_classes
from subnetbench.subnets.gates import GateOptions
from subnetbench.subnets.similarity import class_distances

DIGITS = GateOptions(batch_size=16, gamma=0.1)


def options(**changes: Any) -> GateOptions:
    return GateOptions(**{**DIGITS.model_dump(), **changes})


def mean(extraction: Extraction, column: str) -> float:
    return float(np.mean([row[column] for row in extraction.report]))


def test_subnets_drop_channels_and_still_tell_their_class_from_the_others(extraction: Extraction) -> None:
    assert 0.5 < mean(extraction, "active_total") < 0.9
    assert mean(extraction, "full_balanced_accuracy") > 0.95
    assert mean(extraction, "subnet_balanced_accuracy") > mean(extraction, "full_balanced_accuracy") - 0.02


def test_the_gates_are_binary_float32_of_one_row_a_class(extraction: Extraction, net: Classifier) -> None:
    assert list(extraction.gates) == list(net.gated_paths("units"))
    for path, gate in extraction.gates.items():
        assert gate.dtype == torch.float32
        assert gate.shape == (10, net.channels([path])[path])
        assert set(gate.unique().tolist()) <= {0.0, 1.0}


def test_continuous_gates_lie_between_the_bounds_and_their_dead_ones_are_0(net: Classifier, images: Split) -> None:
    gates = torch.cat(list(extract(net, images, options(binary=False, learning_rate=0.2, clamp=1.2)).gates.values()), 1)
    assert gates.max() == pytest.approx(1.2)
    assert gates.unique().numel() > 10
    assert ((gates == 0) | (gates > DIGITS.threshold)).all()


def test_the_loss_falls(extraction: Extraction) -> None:
    assert all(row["losses"][-1] < row["losses"][0] for row in extraction.report)


def test_more_gamma_leaves_fewer_channels(net: Classifier, images: Split) -> None:
    found = [extract(net, images, options(gamma=g, allow_collapsed=True)) for g in (0.0, 0.1, 0.4)]
    shares = [mean(extraction, "active_total") for extraction in found]
    assert shares[0] > shares[1] > shares[2]


def test_the_plain_sum_with_a_large_gamma_collapses_and_is_refused_with_a_mend(net: Classifier, images: Split) -> None:
    with pytest.raises(UserError, match=r"collapsed \(class 0.*Lower gamma.*layersum"):
        extract(net, images, options(gamma=5, l1="sum", learning_rate=0.1))


def test_collapsed_subnets_are_given_out_and_flagged_where_they_are_allowed(net: Classifier, images: Split) -> None:
    found = extract(net, images, options(gamma=5, l1="sum", learning_rate=0.1, allow_collapsed=True))
    assert all(row["collapsed"] for row in found.report)


def test_a_seed_gives_the_same_gates_again_and_another_seed_others(
    net: Classifier, images: Split, extraction: Extraction
) -> None:
    torch.manual_seed(123)  # the global state has no part in it
    again, other = extract(net, images, DIGITS), extract(net, images, options(seed=1))
    assert again.report == extraction.report
    assert all(torch.equal(again.gates[path], gate) for path, gate in extraction.gates.items())
    assert not all(torch.equal(other.gates[path], gate) for path, gate in extraction.gates.items())


def test_the_classifier_and_the_random_state_are_left_as_they_were(net: Classifier, images: Split) -> None:
    before, state = net.content_hash(), torch.get_rng_state()
    extract(net, images, options(epochs=1))
    assert net.content_hash() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training


def test_a_net_in_training_mode_gives_the_same_subnets(net: Classifier, images: Split, extraction: Extraction) -> None:
    net.train()
    try:
        found = extract(net, images, DIGITS)
        assert net.training
    finally:
        net.eval()
    assert found.report == extraction.report


def test_classes_in_chunks_give_the_same_subnets(net64: Classifier, images: Split) -> None:
    few: dict[str, Any] = {"epochs": 2, "images_per_class": 40, "learning_rate": 0.2}
    whole, parts = extract(net64, images, options(**few)), extract(net64, images, options(**few, chunk=3))
    assert 0 < mean(whole, "active_total") < 1
    assert all(torch.equal(whole.gates[path], parts.gates[path]) for path in whole.gates)


def test_tau_is_met_or_said_not_to_be(extraction: Extraction, net: Classifier, images: Split) -> None:
    for row in extraction.report:
        assert row["tau_met"] == (row["active_total"] <= DIGITS.tau)
        assert row["active_total"] == pytest.approx(row["active_by_epoch"][row["epoch"] - 1])
    assert all(row["tau_met"] for row in extract(net, images, options(tau=1.0)).report)


@pytest.mark.parametrize("position", ["stages", "late"])
def test_a_later_position_gates_later_layers_only(net: Classifier, images: Split, position: str) -> None:
    found = extract(net, images, options(position=position, epochs=1))
    assert list(found.gates) == list(net.gated_paths(position))


def test_the_report_is_plain_json_with_one_row_a_class(extraction: Extraction) -> None:
    assert json.loads(json.dumps(extraction.report, allow_nan=False)) == extraction.report
    assert [row["class"] for row in extraction.report] == list(range(10))


def test_calibration_makes_the_classes_of_the_net_sharper(net: Classifier, images: Split) -> None:
    found, raw = extract(net, images, options(epochs=1)), extract(net, images, options(epochs=1, calibrate=False))
    assert mean(found, "full_bce") < mean(found, "raw_full_bce")
    assert mean(raw, "full_bce") == mean(raw, "raw_full_bce") == mean(found, "raw_full_bce")
    assert raw.calibration.scale == 1


def test_held_out_images_are_not_trained_on(images: Split) -> None:
    train, held_out = split_classes(images.labels, 10, DIGITS)
    for label in range(10):
        together = np.concatenate([train[label], held_out[label]])
        assert sorted(together) == sorted(np.flatnonzero(images.labels == label))
        assert len(held_out[label]) == round(0.1 * len(together))


def test_a_cap_on_images_bounds_each_class(net: Classifier, images: Split) -> None:
    found = extract(net, images, options(images_per_class=12, epochs=1))
    assert all(row["images"] == 12 and row["held_out"][0] <= 12 for row in found.report)


def test_progress_ends_where_it_said_it_would(net: Classifier, images: Split) -> None:
    seen: list[tuple[int, int, str]] = []
    extract(net, images, options(epochs=2, chunk=4), progress=lambda *report: seen.append(report))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][2] == "gates of classes 8 to 9"


@pytest.mark.parametrize("left", [0, 1])
def test_a_class_without_images_is_named_with_its_count(net: Classifier, images: Split, left: int) -> None:
    drop = np.flatnonzero(images.labels == 7)[left:]
    with pytest.raises(UserError, match=f"Class 7 has {left} training images"):
        extract(net, images.select(np.delete(np.arange(len(images)), drop)), DIGITS)


def test_labels_beyond_the_net_are_refused(images: Split) -> None:
    with pytest.raises(UserError, match="label 9 and the net has 5 classes"):
        extract(digits_cnn(classes=5), images, DIGITS)


def test_an_unknown_position_is_refused_with_those_there_are(net: Classifier, images: Split) -> None:
    with pytest.raises(UserError, match="'nowhere'; it has late, stages, units"):
        extract(net, images, options(position="nowhere"))


def test_balanced_scores_weigh_both_sides_the_same() -> None:
    accuracy, entropy = balanced_scores(torch.tensor([5.0, -5.0]), torch.full((98,), -100.0))
    assert accuracy == 0.75
    assert entropy == pytest.approx((5.0067 + 0.0067) / 2 / 2, abs=1e-4)


def test_distances_between_classes_by_hand() -> None:
    gates = {"a": torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]), "b": torch.tensor([[1.0], [0.0], [0.0]])}
    cosine, jaccard = class_distances(gates), class_distances(gates, "jaccard")
    assert cosine[0] == pytest.approx([0, 1 - 2**-0.5, 1])
    assert jaccard[0] == pytest.approx([0, 0.5, 1])
    assert np.array_equal(cosine, cosine.T)
    assert not cosine.diagonal().any()
    learned = {name: gate.clone().requires_grad_() for name, gate in gates.items()}
    assert np.array_equal(class_distances(learned), cosine)


def test_distances_between_learned_subnets_are_neither_0_nor_1(extraction: Extraction) -> None:
    for metric in ("cosine", "jaccard"):
        off_diagonal = class_distances(extraction.gates, metric)[~np.eye(10, dtype=bool)]  # type: ignore[arg-type]
        assert 0 < off_diagonal.min() <= off_diagonal.max() < 1
