"""A list of budgets makes one attack of each; what a list cannot mean is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.attack_part import budget_text
from subnetbench.bench.tracks import load_suite

from ..made_suite import SMALL, changed

PLAIN = "parameters = { epsilon = 0.3 }"


def suite(tmp_path: Path, lines: str) -> object:
    path = tmp_path / "several.toml"
    path.write_text(changed(SMALL, (PLAIN, lines)))
    return load_suite(path)


def test_each_budget_is_an_attack_of_its_own_with_a_label_that_names_a_file(tmp_path: Path) -> None:
    several = suite(tmp_path, 'epsilons = ["2/255", "4/255", 0.2]\nfloor = 0.9')
    assert [attack.title for attack in several.attacks] == ["fgsm-2of255", "fgsm-4of255", "fgsm-0.2"]
    assert [attack.parameters for attack in several.attacks] == [{"epsilon": e} for e in (2 / 255, 4 / 255, 0.2)]
    assert {attack.floor for attack in several.attacks} == {0.9}
    assert type(several).model_validate(several.model_dump(mode="json")) == several


def test_a_suite_without_the_new_keys_is_stated_as_before(tmp_path: Path) -> None:
    stated = suite(tmp_path, PLAIN).model_dump(mode="json")["attacks"][0]
    assert list(stated) == ["name", "label", "library", "preset", "parameters", "batch_size"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("epsilons = []", "give at least one budget, or leave epsilons out"),
        ('epsilons = ["2/255", "300/255"]', r"attacks\.fgsm\.epsilons\.1: input should be less than or equal to 1"),
        ("epsilons = [0]", "input should be greater than 0"),
        ('epsilons = ["4/255", "8/510"]', "give each budget once"),
        (f"{PLAIN}\nepsilons = [0.1]", "both state the budget; leave one of them out"),
        ("floor = 1.5", "less than or equal to 1"),
    ],
)
def test_mistakes_are_said_in_one_sentence(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        suite(tmp_path, lines)
    assert "several.toml, line" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("epsilon", "text"), [(8 / 255, "8of255"), (0.2, "0.2"), (1.0, "1"), (1 / 3, "85of255"), (1 / 7, "0.142857")]
)
def test_a_budget_reads_as_people_write_it(epsilon: float, text: str) -> None:
    assert budget_text(epsilon) == text
