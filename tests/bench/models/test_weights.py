"""Weights that ship: whole, as their cards say, found by name, and what is said where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.models import weights as shipped
from subnetbench.bench.models.cifar import digits_cnn
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
    with safe_open(path, framework="pt") as file:
        kinds = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 (not a mapping)
        classes = file.get_slice("net.head.weight").get_shape()[0]
    assert kinds == {torch.float16, torch.int64}
    net = models.get(card["model"])(classes=classes, **card["parameters"])
    metadata = load_weights(net, path)
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
                recipes.setdefault(model.weights, []).append(model.train)
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
    path = published / "digits-digits-cnn.safetensors"
    assert shipped.locate(str(path), published) == path
