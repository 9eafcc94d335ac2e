"""From a suite's words to an attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from subnetbench.attacks.presets import LIBRARIES, PRESETS, build
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import attacks


def test_every_preset_builds_with_every_library_it_is_meant_for() -> None:
    for preset, table in PRESETS.items():
        for name, parameters in table.items():
            library, _, plain = name.rpartition("/")
            for which in [library] if library else LIBRARIES:
                built = build(plain, which, preset, {})
                assert built.parameters == {**built.parameters, **parameters}
                assert not set(parameters) ^ set(built.parameters), "a preset leaves nothing to the constructor"


def test_explicit_parameters_go_before_the_preset() -> None:
    built = build("bim", "art", "standard", {"steps": 3})
    assert built.parameters["steps"] == 3
    assert built.parameters["epsilon"] == 8 / 255
    assert type(built) is attacks.get("art/bim")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("fgms", "foolbox", "standard", {}), "no attack named 'foolbox/fgms'. Did you mean 'foolbox/fgsm'?"),
        (("fgsm", "folbox", "standard", {}), "Did you mean 'foolbox/fgsm'?"),
        (("fgsm", "foolbox", "standart", {}), "no preset named 'standart'. Did you mean 'standard'?"),
        (("fgsm", "foolbox", "standard", {"epsilom": 1}), "no parameter 'epsilom'. Did you mean 'epsilon'? It takes"),
        (("fgsm", "lee2018", "standard", {}), "use the preset 'lee2018'."),
        (("fgsm", "foolbox", "lee2018", {}), "use the preset 'standard' or 'quick'."),
        (("fgsm", "foolbox", "standard", {"epsilon": 2}), "foolbox/fgsm: epsilon of FGSM is 2"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_mend(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        build(*arguments)
    assert sentence in str(caught.value)


@dataclass
class Strange:
    """A third-party attack, as far as `build` cares."""

    power: int = 1

    def __post_init__(self) -> None:
        if self.power < 0:
            raise ValueError("power must not be negative")


def test_a_third_party_attack_goes_by_its_plain_name(monkeypatch: pytest.MonkeyPatch) -> None:
    list(attacks)  # load first, so that the fake entry is added to a full registry
    monkeypatch.setitem(attacks._items, "strange", Strange)
    assert build("strange", "foolbox", "standard", {"power": 2}) == Strange(power=2)
    with pytest.raises(UserError, match=r"strange refuses .* ValueError: power must not be negative"):
        build("strange", "foolbox", "standard", {"power": -1})
