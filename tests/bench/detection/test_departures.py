"""Beside the published table stands how a run differs from the published one, from what its entries state."""

from __future__ import annotations

from typing import Any

import pytest
from subnetbench.attacks.lee2018 import STEP_SIZES
from subnetbench.bench.detection.cost import strength
from subnetbench.bench.detection.departures import OVERSHOOT, departures, in_short
from subnetbench.bench.detection.entry import Entry

from .test_summary import ATTACKS, entry


def changed(**parts: dict[str, Any]) -> Entry:
    """An entry of subnet-Mahalanobis with parts of it replaced."""
    content = entry("subnet-mahalanobis").written()
    for name, values in parts.items():
        content[name] = content.get(name, {}) | values
    return Entry.model_validate(content)


def said(one: Entry) -> str:
    return "\n".join(departures([one]))


def attacks(**values: Any) -> dict[str, Any]:
    notes = changed().written()["attacks"]
    return {name: notes[name] | values for name in ATTACKS}


def test_the_overshoot_is_that_of_the_released_codes_step_sizes():
    classes = {"CIFAR-10": 10, "CIFAR-100": 100, "SVHN": 10}
    for name, overshoot in OVERSHOOT.items():
        step = STEP_SIZES["resnet"][name.lower().replace("-", "")]
        assert 1 + overshoot == pytest.approx(step * classes[name])


def test_net_attacks_fits_and_evaluated_images_are_named():
    text = said(changed())
    assert "Net: net (width=3) (published: ResNet-34); 40 test images attacked" in text
    assert "`deepfool` with overshoot 2% (80%)" in text
    assert "`fgsm` with overshoot 0.02 (epsilon .05)" in text
    assert "No input pre-processing" in text
    assert "30 to 40 under `strict`" in text
    assert "images that every attack fools" in text
    assert "need not keep their label" in text


def test_an_attack_of_ours_that_follows_another_library_is_not_the_published_one():
    text = said(changed(attacks=attacks(library="subnetbench", preset="quick")))
    assert "as there" not in text
    assert "`deepfool` with overshoot 2% (80%)" in text


def test_what_does_not_differ_is_not_said_to():
    text = said(
        changed(
            model={"name": "resnet34", "parameters": {}},
            detector={"candidates": [{"magnitude": 0.0}, {"magnitude": 0.01}]},
            attacks=attacks(library="subnetbench", preset="lee2018"),
            protocol={"name": "lee2018"},
        )
    )
    assert "Net: resnet34 (published: ResNet-34, the same, weights of its own)" in text
    assert "`deepfool` as there" in text
    for absent in ("overshoot", "pre-processing", "every attack fools"):
        assert absent not in text


def test_in_short_pre_processing_is_that_of_all_rows_of_none_or_of_some():
    without, able = changed(), changed(detector={"candidates": [{"magnitude": 0.0}, {"magnitude": 0.01}]})
    shown = [in_short(entries)[0]["pre-processing"] for entries in ([without], [able], [without, able])]
    assert shown == ["no", "yes", "some rows"]


def test_survival_of_rounding_is_a_share_or_not_measured():
    assert "undoes: fgsm 10.0%, bim 10.0%" in said(changed())
    assert "undoes: fgsm not measured, bim not measured" in said(changed(attacks=attacks(survives_8bit=None)))
    assert "undoes" not in said(changed(attacks=attacks(survives_8bit=None, successes=0)))


def test_the_strength_table_says_not_measured_too():
    for values, shown in (({}, "90.0"), ({"survives_8bit": None}, "not measured")):
        assert set(strength([changed(attacks=attacks(**values))])["8-bit %"]) == {shown}
    assert set(strength([changed(attacks=attacks(survives_8bit=None, successes=0))])["8-bit %"]) == {"–"}


def test_gates_are_among_the_departures_where_there_are_any():
    assert "Gates" not in said(changed())
    options = {"learning_rate": 0.02, "binary": True}
    assert "Adam at 0.02 (0.1); binary gates" in said(changed(subnets={"options": options}))


def test_a_detector_or_data_set_without_a_published_row_has_no_list():
    assert departures([entry("margin")]) == []
    assert departures([entry("lid", "digits")]) == []
