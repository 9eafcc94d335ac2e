"""Names of nets and boards, none of which two share; the order of boards, and ranks."""

from __future__ import annotations

import json

import pytest
from subnetbench.bench.board.names import attack_name, board_names, net_names, pair_name
from subnetbench.bench.board.order import FLAGSHIPS, board_rank, ranks
from subnetbench.bench.detection.entry import Entry

from ..made_board import entry, scores

TABLE = scores({"fgsm": 2.0, "cw": 1.0})


def with_net(digest: str, recipe: dict | None) -> Entry:
    content = entry("any", TABLE)
    content["model"] |= {"sha256": digest * 64, "weights": {} if recipe is None else {"recipe": json.dumps(recipe)}}
    return Entry.model_validate(content)


def test_nets_of_one_name_are_told_apart_by_what_their_recipes_differ_in():
    names = net_names(
        [
            with_net("a", {"whiten": True, "epochs": 3, "seed": 0}),
            with_net("b", {"whiten": False, "epochs": 3, "seed": 1}),
        ]
    )
    assert names == {
        ("digits", "a" * 64): "digits-cnn, whitened",
        ("digits", "b" * 64): "digits-cnn, unwhitened",
    }


@pytest.mark.parametrize("recipe", [None, {"epochs": 3}])
def test_nets_that_differ_in_nothing_stated_are_told_apart_by_their_hash(recipe):
    names = net_names([with_net("a", recipe), with_net("b", recipe)])
    assert sorted(names.values()) == ["digits-cnn, aaaaaaaa", "digits-cnn, bbbbbbbb"]


def test_a_net_without_a_namesake_keeps_its_name():
    assert set(net_names([with_net("a", {"whiten": True})]).values()) == {"digits-cnn"}


def test_no_two_boards_bear_one_name():
    names = board_names(
        [
            ("cifar10", "wide7", "strict", "one", "one--strict"),
            ("cifar10", "wide7", "strict", "two", "two--strict"),
            ("cifar10", "wide7", "strict", "two", "two--strict--ab"),
            ("digits", "cnn", "strict", "digits", "digits--strict"),
        ]
    )
    assert names == [
        "cifar10 · wide7 · strict · one",
        "cifar10 · wide7 · strict · two · two--strict",
        "cifar10 · wide7 · strict · two · two--strict--ab",
        "digits · cnn · strict",
    ]


def test_attacks_have_the_names_of_the_field():
    assert [attack_name(label) for label in ("fgsm", "bim", "deepfool", "cw")] == ["FGSM", "BIM", "DeepFool", "CW"]
    assert attack_name("cw-once") == "CW, once"
    assert [attack_name(label) for label in ("pgd-linf", "apgd-dlr", "ddn")] == ["PGD, Linf", "APGD, DLR", "DDN"]
    assert attack_name("mine") == "mine"
    assert pair_name(("fgsm", "cw")) == "unknown CW"


def test_flagships_come_first_and_larger_boards_before_smaller_ones():
    boards = [("other", 3), ("many", 9), (FLAGSHIPS[1], 1), (FLAGSHIPS[0], 1)]
    ordered = sorted(boards, key=lambda board: board_rank(board[0], "strict", board[1], "group"))
    assert ordered == [(FLAGSHIPS[0], 1), (FLAGSHIPS[1], 1), ("many", 9), ("other", 3)]


def test_rows_with_one_key_share_a_rank_and_those_without_have_none():
    assert ranks([(1.0, 0.9), (0.0, 0.9), (0.0, 0.9), (0.0, 0.1), None]) == [1, 2, 2, 4, None]


@pytest.mark.parametrize(
    ("name", "page"), [("timm/resnet18d", "timm resnet18d"), ("../up", "../up"), ("a/b/c", "a b/c"), ("net", "net")]
)
def test_a_net_of_a_library_has_a_page_and_a_path_has_none(name: str, page: str) -> None:
    content = entry("any", TABLE)
    content["model"]["name"] = name
    assert Entry.model_validate(content).page_names["model.name"] == page
