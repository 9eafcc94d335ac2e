"""Figures 2 and 3 as numbers: what they must be where the answer is known, and what damaged files are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from subnetbench.bench import UserError
from subnetbench.bench.analysis.arrays import FEATURES, GATES, read_arrays, write_arrays
from subnetbench.bench.analysis.class_names import superclasses
from subnetbench.bench.analysis.features import figure_arrays, gate_arrays, through_subnets
from subnetbench.bench.analysis.semantics import association, class_map, clusters, layout, semantics
from subnetbench.bench.analysis.separation import neighbour_votes, separation, two_sample_auroc
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.stats.metrics import auroc
from subnetbench.bench.views import PENULTIMATE, View
from subnetbench.subnets.gates import gates_from_arrays, identity_gates, random_gates


def pairs(count: int, shift: float, noise: float = 1.0, seed: int = 0, width: int = 8):
    """Features of ``count`` images and of their twins, ``shift`` apart in every coordinate."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(size=(count, width))
    twins = clean + noise * rng.normal(size=clean.shape) + shift
    flags = np.repeat([0, 1], count)
    return np.concatenate([clean, twins]), flags.astype(bool), np.tile(np.arange(count), 2)


# -- figure 2 ---------------------------------------------------------------------------------------------------------


def test_two_clouds_far_apart_are_told_apart_without_error():
    found = two_sample_auroc(*pairs(60, shift=50.0), resamples=100)
    assert found.value == 1
    assert found.bounds == (pytest.approx(0.025 ** (1 / 60)), 1)  # not 1: sixty images were not all images


def test_two_sides_of_one_distribution_give_a_half():
    rng = np.random.default_rng(3)
    values = [
        two_sample_auroc(
            rng.normal(size=(200, 4)), np.repeat([False, True], 100), np.tile(np.arange(100), 2), resamples=2
        ).value
        for _ in range(40)
    ]
    assert abs(np.mean(values) - 0.5) < 3 * np.std(values) / np.sqrt(len(values)) + 1e-9
    assert abs(np.mean(values) - 0.5) < 0.02


def test_an_image_and_its_own_adversarial_version_never_vote_for_each_other():
    """Twins at the same place and images far from one another: every nearest neighbour would be the twin."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(30, 5)) * 100
    features, flags, image = np.concatenate([clean, clean]), np.repeat([False, True], 30), np.tile(np.arange(30), 2)
    votes = neighbour_votes(features, flags, image, k=2)
    # The two nearest are a foreign pair, one of each kind: a half. With its twin, each would see the other kind.
    assert (votes == 0.5).all()
    assert auroc(votes[flags], votes[~flags]) == 0.5


def test_votes_are_what_a_loop_over_neighbours_gives():
    features, flags, image = pairs(15, shift=0.7)
    votes = neighbour_votes(features, flags, image, k=4)
    for row in range(len(features)):
        others = [j for j in range(len(features)) if image[j] != image[row]]
        near = sorted(others, key=lambda j: np.linalg.norm(features[j] - features[row]))[:4]
        assert votes[row] == np.mean(flags[near])


def test_a_difference_is_paired():
    features, flags, image = pairs(80, shift=0.4)
    first = two_sample_auroc(features, flags, image, resamples=300)
    nothing = first.minus(two_sample_auroc(3 * features, flags, image, resamples=300))
    assert nothing.value == 0
    assert nothing.bounds == (0, 0)


@pytest.fixture(scope="module")
def views():
    torch.manual_seed(0)
    net = digits_cnn(width=8).requires_grad_(False).eval()
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    moved = (images + 0.3 * torch.rand(images.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    clean, adversarial = (View(net, x, key=key, batch_size=13) for x, key in ((images, "c"), (moved, "a")))
    generator = torch.Generator().manual_seed(3)
    channels = net.channels(net.gated_paths("late"))
    gates = {path: (torch.rand(10, count, generator=generator) > 0.3).float() for path, count in channels.items()}
    return clean, adversarial, gates


def test_features_come_from_the_predicted_classs_subnet(views):
    clean, adversarial, gates = views
    usable = np.arange(5, 55)
    arrays = figure_arrays(clean, adversarial, gates, usable, count=30, seed=4, control=random_gates(gates, 0))
    assert {n: (a.dtype.name, len(a)) for n, a in arrays.items()} == {
        "full": ("float16", 60),
        "subnet": ("float16", 60),
        "random": ("float16", 60),
        "predicted": ("int16", 60),
        "adversarial": ("uint8", 60),
        "image": ("int32", 60),
    }
    assert set(arrays["image"]) <= set(usable)
    np.testing.assert_array_equal(arrays["image"][:30], arrays["image"][30:])
    for row in (0, 17, 30, 59):
        view = adversarial if arrays["adversarial"][row] else clean
        place = arrays["image"][row]
        label = int(view.predicted[place])
        assert arrays["predicted"][row] == label
        net = view.classifier
        seen: list[torch.Tensor] = []
        handle = net.head.register_forward_pre_hook(lambda _m, inputs, seen=seen: seen.append(inputs[0]))
        net.observe(view.images[place : place + 1], (), {path: gate[label : label + 1] for path, gate in gates.items()})
        handle.remove()
        np.testing.assert_allclose(arrays["subnet"][row], seen[0].flatten().numpy(), rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(arrays["full"][row], view.features(PENULTIMATE)[place], rtol=2e-3, atol=1e-3)


def test_identity_gates_are_the_full_net_and_draws_are_seeded(views):
    clean, adversarial, gates = views
    same = through_subnets(clean, identity_gates(clean.classifier, "units"), clean.predicted)
    np.testing.assert_allclose(same, clean.features(PENULTIMATE), atol=1e-5)
    usable = np.arange(60)
    one, two, other = (figure_arrays(clean, adversarial, gates, usable, count=25, seed=s) for s in (1, 1, 2))
    assert all((one[name] == two[name]).all() for name in one)
    assert (one["image"] != other["image"]).any()
    assert len(figure_arrays(clean, adversarial, gates, usable)["image"]) == 120  # all, where there are fewer


def test_what_figure_2_cannot_be_made_of_is_said(views):
    clean, adversarial, gates = views
    with pytest.raises(UserError, match=r"needs 20 images .* and there are 3; attack more images"):
        figure_arrays(clean, adversarial, gates, np.arange(3))
    with pytest.raises(UserError, match=r"there are 60 clean and 2 adversarial ones"):
        figure_arrays(clean, adversarial.subset(np.arange(2)), gates, np.arange(60))


def made(folder: Path, shift: float = 0.5, count: int = 40) -> Path:
    features, flags, image = pairs(count, shift)
    arrays = {
        "full": features.astype(np.float16),
        "subnet": (features + 2.0 * flags[:, None]).astype(np.float16),
        "predicted": (image % 10).astype(np.int16),
        "adversarial": flags.astype(np.uint8),
        "image": image.astype(np.int32),
    }
    write_arrays(folder / FEATURES, arrays, {"dataset": "digits", "attack": "cw"})
    return folder


def test_the_table_of_figure_2(tmp_path):
    assert separation(tmp_path).empty
    table = separation(made(tmp_path))
    assert table["representation"].tolist() == [
        "full net",
        "predicted class's subnet",
        "difference: predicted class's subnet minus full net",
    ]
    assert set(table["images"]) == {"40"}
    assert set(table["attack"]) == {"cw"}
    assert table["k-NN AUROC"].str.fullmatch(r"[+-]?\d+\.\d \[[+-]?\d+\.\d, [+-]?\d+\.\d\]").all()
    assert table.equals(separation(tmp_path))


def test_arrays_are_written_the_same_to_the_byte(tmp_path):
    arrays = {"b": np.arange(4, dtype=np.int16), "a": np.ones((2, 3), np.float16)}
    for name, facts in (
        ("one", {"dataset": "d", "attack": "a", "net": "n"}),
        ("two", {"net": "n", "attack": "a", "dataset": "d"}),
    ):
        write_arrays(tmp_path / name, dict(sorted(arrays.items())) if name == "one" else arrays, facts)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found, metadata = read_arrays(tmp_path / "one")
    assert metadata == {"dataset": "d", "attack": "a", "net": "n"}
    assert all((found[name] == arrays[name]).all() for name in arrays)


def test_damaged_arrays_are_one_sentence(tmp_path):
    path = made(tmp_path) / FEATURES
    whole = path.read_bytes()
    for blob in (b"", whole[:50], whole[:-1], b"\x80\x04pickle" * 9):
        path.write_bytes(blob)
        with pytest.raises(UserError, match=r"features\.safetensors\.xz cannot be read .*run its suite again\.$"):
            separation(tmp_path)
    arrays = {"full": np.zeros((2, 1), np.float16)}
    write_arrays(path, arrays, {"attack": "cw"})
    with pytest.raises(UserError, match=r"cannot be read as arrays of a figure \(KeyError: 'dataset'\)"):
        separation(tmp_path)
    write_arrays(path, arrays, {"dataset": "digits"})
    with pytest.raises(UserError, match=r"lacks the array 'subnet' of figure 2; run its suite again\.$"):
        separation(tmp_path)


@pytest.mark.parametrize("fault", ["twice", "alone", "short", "infinite"])
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, fault):
    arrays, facts = read_arrays(made(tmp_path) / FEATURES)
    arrays = {name: array.copy() for name, array in arrays.items()}
    if fault == "twice":
        arrays["image"][[1, 41]] = 0
    elif fault == "alone":
        arrays["image"][0] = 99
    elif fault == "short":
        arrays["subnet"] = arrays["subnet"][:-1]
    else:
        arrays["full"][3, 0] = np.inf
    write_arrays(tmp_path / FEATURES, arrays, facts)
    with pytest.raises(UserError, match=r"do not belong together .*run its suite again\.$"):
        separation(tmp_path)


# -- figure 3 ---------------------------------------------------------------------------------------------------------


def planted(strength: float, dataset: str = "cifar100", seed: int = 0) -> dict[str, torch.Tensor]:
    """Binary gates that follow the data set's superclasses more or less."""
    rng = np.random.default_rng(seed)
    codes = np.unique(superclasses(dataset), return_inverse=True)[1]
    gates = {}
    for layer in range(2):
        drive = strength * rng.normal(size=(codes.max() + 1, 60))[codes] + rng.normal(size=(len(codes), 60))
        gates[f"conv{layer}"] = torch.from_numpy((drive > -0.3).astype(np.float32))
    return gates


def test_p_is_the_exact_one_where_all_permutations_can_be_counted():
    """Four classes make two pairs in three ways; the observed one is the best of them."""
    distance = np.full((4, 4), 0.9)
    distance[0, 1] = distance[1, 0] = distance[2, 3] = distance[3, 2] = 0.1
    np.fill_diagonal(distance, 0)
    found = association(distance, ["a", "a", "b", "b"])
    assert (found.within_pairs, found.between_pairs) == (2, 4)
    assert (found.within, found.between) == pytest.approx((0.1, 0.9))
    assert found.spearman == pytest.approx(1)
    assert found.p == pytest.approx(1 / 3, abs=0.02)
    assert association(distance, ["a", "b", "a", "b"]).p == pytest.approx(1, abs=1e-9)  # a tie counts as extreme


def test_p_is_uniform_where_there_is_nothing_to_find():
    rng = np.random.default_rng(0)
    found = []
    for seed in range(200):
        points = rng.normal(size=(12, 3))
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        found.append(association(distance, list("aaabbbcccddd"), permutations=199, seed=seed).p)
    share = np.mean(np.array(found)[:, None] <= [0.1, 0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(share, [0.1, 0.25, 0.5, 0.75], atol=0.1)


def test_nothing_to_rank_is_no_correlation():
    assert np.isnan(association(np.zeros((4, 4)), ["a", "a", "b", "b"]).spearman)
    assert association(np.zeros((4, 4)), ["a", "a", "b", "b"]).p == 1
    assert np.isnan(association(np.eye(3), ["a", "b", "c"]).spearman)


def test_planted_semantics_are_found_and_absent_ones_are_not(tmp_path):
    assert semantics(tmp_path).empty
    p = {}
    for strength in (0.0, 1.0):
        write_arrays(tmp_path / GATES, gate_arrays(planted(strength)), {"dataset": "cifar100"})
        table = semantics(tmp_path).set_index("distance")
        assert list(table.index) == ["cosine", "Jaccard"]
        p[strength] = float(table.loc["cosine", "p"])
        if strength:
            assert float(table.loc["cosine", "Spearman"]) > 0.2
            assert float(table.loc["cosine", "mean within"]) < float(table.loc["cosine", "mean between"])
            assert float(table.loc["cosine", "ARI"]) > 0.5
            assert table.loc["cosine", "pairs within"] == "200"
    assert p[1.0] == 0.0001
    assert p[0.0] > 0.01


def test_no_superclasses_no_table(tmp_path):
    for dataset in ("digits", "my-own", "cifar100"):  # ten classes are not CIFAR-100's hundred
        write_arrays(tmp_path / GATES, gate_arrays(planted(1.0, "cifar10")), {"dataset": dataset})
        assert semantics(tmp_path).empty
    assert class_map(tmp_path)[0]["name"].tolist() == [str(label) for label in range(10)]


def test_gates_keep_their_values(tmp_path):
    gates = {"a": torch.tensor([[0.0, 1.0]]), "b": torch.tensor([[0.25, 1.5]])}
    arrays = gate_arrays(gates)
    assert [array.dtype.name for array in arrays.values()] == ["uint8", "float16"]
    write_arrays(tmp_path / GATES, arrays, {"dataset": "digits"})
    back = gates_from_arrays(read_arrays(tmp_path / GATES)[0])
    assert all(torch.equal(back[path], gates[path]) for path in gates)


def test_files_that_hold_no_gates_are_one_sentence(tmp_path):
    write_arrays(tmp_path / GATES, {"weights": np.ones((2, 2), np.float16)}, {"dataset": "cifar10"})
    with pytest.raises(UserError, match=r"gates\.safetensors: There are no gates among the arrays"):
        semantics(tmp_path)


def test_points_in_a_plane_are_laid_out_as_they_are():
    points = np.random.default_rng(0).normal(size=(9, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    found, share = layout(distance)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found[None], axis=2), distance, atol=1e-9)
    assert share == pytest.approx(1)
    assert (found[np.abs(found).argmax(0), [0, 1]] > 0).all()
    for count in (1, 2):
        assert layout(np.zeros((count, count)))[0].shape == (count, 2)


def test_clusters_are_numbered_in_the_order_of_classes():
    points = np.array([5.0, 0.0, 5.1, 0.1, 9.0, 9.1])
    distance = np.abs(points[:, None] - points[None])
    assert clusters(distance).tolist() == [1, 2, 1, 2, 3, 3]
    assert clusters(distance, 2).tolist() == [1, 2, 1, 2, 1, 1]
    assert clusters(np.zeros((5, 5))).tolist() == [1] * 5
    assert clusters(np.zeros((2, 2))).tolist() == [1, 1]
