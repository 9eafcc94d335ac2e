"""Weights that ship: whole, as their cards say, found by name, and what is said where they are not."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.models import weights as shipped
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.states import tensors_of
from subnetbench.bench.models.weights import load_weights
from subnetbench.bench.tracks import load_suite

CARD = {"data": "digits", "test_accuracy": "0.5", "test_images": 2}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    shipped.publish(digits_cnn(width=8), "digits/digits-cnn", CARD, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", list(shipped.cards()))
def test_every_set_that_ships_is_whole_small_and_fits_its_net(name):
    card = shipped.cards()[name]
    path = shipped.locate(name)
    assert path.stat().st_size == card["bytes"] <= 12e6
    tensors, metadata = shipped.read_weights(path)
    # mean and std are float32 in newer sets
    assert {tensor.dtype for name, tensor in tensors.items() if name not in {"mean", "std"}} == {
        torch.float16,
        torch.int64,
    }
    if card["model"].startswith("timm/"):
        pytest.importorskip("timm")
    classes = {"cifar100": 100, "tinyimagenet30": 30}.get(card["data"].partition(" ")[0], 10)
    net = models.get(card["model"])(classes=classes, **card["parameters"])
    assert load_weights(net, path) == metadata
    assert {"data_sha256", "recipe", "test_accuracy", "test_images", "train_minutes", "hardware"} <= metadata.keys()
    assert metadata["recipe"] == card["recipe"]
    with torch.no_grad():
        assert net.eval()(torch.rand(2, *net.shape)).isfinite().all()


def test_the_page_of_cards_is_what_the_index_gives():
    page = (shipped.folder() / "README.md").read_text(encoding="utf-8")
    assert page == shipped.page(shipped.cards())


def test_every_set_comes_from_a_suite_that_ships_and_has_its_recipe():
    recipes = {}
    for name in builtin_suites():
        suite = load_suite(name)
        for model in (net.model for net in suite.nets().values()):
            if model.weights is not None:
                assert model.weights in shipped.cards()
                recipes.setdefault(model.weights, []).extend([model.train] if model.train else [])
    assert recipes.keys() == shipped.cards().keys()
    for name, found in recipes.items():
        trained = json.loads(shipped.cards()[name]["recipe"])
        assert all(recipe.items() <= trained.items() for recipe in found)


def test_weights_are_rounded_to_half_and_read_back_exactly(published):
    net = digits_cnn(width=8)
    shipped.to_half(net)
    path = shipped.publish(net, "digits/half", CARD, published)
    again = digits_cnn(width=8)
    load_weights(again, path)
    assert again.content_hash() == net.content_hash()


def test_weights_are_the_same_compressed_and_not(tmp_path):
    net, again = digits_cnn(width=8), digits_cnn(width=8)
    plain, packed = tmp_path / "w.safetensors", tmp_path / "w.safetensors.xz"
    for path in (plain, packed):
        shipped.save_weights(net, path, {"recipe": "none"}, half=True)
    assert packed.stat().st_size < 0.95 * plain.stat().st_size
    assert lzma.decompress(packed.read_bytes()) == plain.read_bytes()
    assert shipped.weights_hash(packed) == shipped.weights_hash(plain)
    assert load_weights(net, packed) == load_weights(again, plain) == {"recipe": "none"}
    assert net.content_hash() == again.content_hash()
    held, packed_too = tensors_of(str(plain)), tensors_of(str(packed))
    assert held.keys() == packed_too.keys()
    assert all(torch.equal(held[name], packed_too[name]) for name in held)


def test_a_compressed_file_may_say_nothing_of_itself(tmp_path):
    blob = save({"w": torch.zeros(2)})
    size = int.from_bytes(blob[:8], "little")
    header = json.dumps(json.loads(blob[8 : 8 + size]) | {"__metadata__": None}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "w.safetensors.xz"
    path.write_bytes(lzma.compress(len(header).to_bytes(8, "little") + header + blob[8 + size :]))
    assert shipped.read_weights(path)[1] == {}


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"no xz", r"cannot be read \(.*\); download or save it again\."),
        (lzma.compress(b"x" * 99)[:-20], r"cannot be read \(it is cut off.*; download or save it again\."),
        (lzma.compress(b"x" * 99), "is not a safetensors file"),
    ],
)
def test_a_compressed_file_that_is_no_weights_is_said_so(tmp_path, blob, said):
    path = tmp_path / "w.safetensors.xz"
    path.write_bytes(blob)
    with pytest.raises(UserError, match=said):
        load_weights(digits_cnn(width=8), path)


def test_a_second_set_leaves_the_first_in_the_index(published):
    shipped.publish(digits_cnn(width=8), "digits/another", CARD, published)
    assert list(shipped.cards(published)) == ["digits/another", "digits/digits-cnn"]


def test_a_changed_file_is_refused(published):
    path = shipped.locate("digits/digits-cnn", published)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="not the published ones"):
        shipped.locate("digits/digits-cnn", published)
    path.unlink()
    with pytest.raises(UserError, match="are missing; install"):
        shipped.locate("digits/digits-cnn", published)


def test_an_unknown_name_has_a_neighbour(published):
    with pytest.raises(UserError, match=r"Did you mean 'digits/digits-cnn'\? `subnetbench ls weights`"):
        shipped.locate("digits/digit-cnn", published)


def test_a_path_is_a_path(published):
    path = published / "digits-digits-cnn.safetensors.xz"
    assert shipped.locate(str(path), published) == path


# -- weights that no net can use ---------------------------------------------------------------------------------------


def state(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return digits_cnn(width=8).state_dict() | changes


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("net.6.bias", lambda t: torch.full_like(t, torch.nan), "holds NaN or infinite numbers"),
        ("net.6.bias", lambda t: torch.full_like(t, -torch.inf), "holds NaN or infinite numbers"),
        ("net.conv1.1.running_var", lambda t: t.sub(2), "is a variance and holds negative numbers"),
        ("net.6.bias", lambda t: t.bool(), "is of bool and the net's of float32"),
        ("net.6.weight", lambda t: t.long(), "is of int64 and the net's of float32"),
        ("net.conv1.1.num_batches_tracked", lambda t: t.float(), "is of float32 and the net's of int64"),
    ],
)
def test_weights_that_no_net_can_have_are_refused_with_the_tensors_name(tmp_path, name, change, said):
    path = tmp_path / "w.safetensors"
    save_file(state(**{name: change(state()[name])}), path)
    with pytest.raises(UserError, match=f"w.safetensors cannot be used: '{name}' {said}; train or save them again"):
        load_weights(digits_cnn(width=8), path)


@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        (
            lambda name: f"module.{name}",
            "28 in the file are not the net's .* begin with 'module.' and the net's do not",
        ),
        (lambda name: name.removeprefix("net."), "The net's names begin with 'net.' and those in the file do not"),
        (
            lambda name: name if name != "mean" else "average",
            r"1 of its 28 tensors are missing \(first: 'mean'\), 1 in",
        ),
    ],
)
def test_names_that_differ_are_counted_and_a_prefix_is_named(tmp_path, renamed, said):
    path = tmp_path / "w.safetensors"
    save_file({renamed(name): tensor for name, tensor in state().items()}, path)
    with pytest.raises(UserError, match=said):
        load_weights(digits_cnn(width=8), path)


def test_what_half_precision_cannot_hold_is_kept_in_float32(tmp_path):
    net = digits_cnn(width=8)
    net.net.conv1[1].running_var.fill_(1e6)
    shipped.to_half(net)
    path = shipped.publish(net, "digits/loud", CARD, tmp_path)
    kinds = {name: tensor.dtype for name, tensor in shipped.read_weights(path)[0].items()}
    wide = {name for name, kind in kinds.items() if kind == torch.float32}
    assert wide == {"mean", "std", "net.conv1.1.running_var"}
    again = digits_cnn(width=8)
    load_weights(again, path)
    assert again.content_hash() == net.content_hash()
    assert again.mean.item() == pytest.approx(0.3, abs=1e-7)


def test_a_module_used_twice_is_written_under_both_names(tmp_path):
    net = digits_cnn(width=8)
    net.net.conv2[0] = net.net.conv1[0]
    shipped.save_weights(net, tmp_path / "w.safetensors", {})
    assert load_file(tmp_path / "w.safetensors").keys() == net.state_dict().keys()


def test_a_place_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        shipped.save_weights(digits_cnn(width=8), tmp_path / "file" / "w.safetensors", {})
