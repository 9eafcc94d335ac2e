"""`subnetbench ls` names every plug-in that cannot be used, with its reason, and never falls, whatever one raises."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from subnetbench.bench import AttackInfo, DetectorInfo, SaliencyInfo, UserError
from subnetbench.bench.core import registry

from .test_commands import call

KINDS = {
    "detectors": registry.detectors,
    "attacks": registry.attacks,
    "arms": registry.arms,
    "datasets": registry.datasets,
    "models": registry.models,
    "saliencymethods": registry.saliency,
}
#: One of ours of each kind, whose row has to be there all the same.
OURS = {
    "detectors": "lid",
    "attacks": "foolbox/bim",
    "arms": "margin-apgd",
    "datasets": "digits",
    "models": "digits-cnn",
    "saliencymethods": "grad-cam",
}
INFO = AttackInfo("Somebody's attack", 2026, "budget", "Linf", "theirs", "1", epsilon=0.1)


def raising(name: str, error: BaseException) -> Any:
    """A property that raises."""

    def raises(_: Any) -> Any:
        raise error

    return property(raises, doc=name)


def metaclass(**properties: Any) -> type:
    return type("Meta", (type,), properties)


class Undocumented(metaclass=metaclass(__doc__=raising("doc", RuntimeError("no words")))):
    """A class whose docstring cannot be read."""


class Secretive(metaclass=metaclass(info=raising("info", RuntimeError("no comment")))):
    title, year = raising("title", RuntimeError("no comment")), 2026


class Nowhere(metaclass=metaclass(__module__=raising("module", RuntimeError("nowhere")))):
    pass


class Speechless(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Leaving(metaclass=metaclass(info=raising("info", SystemExit(3)), title=raising("t", SystemExit(3)))):
    pass


class Stops(BaseException):
    """What some libraries raise to leave everything, such as pytest's Skipped."""


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Declare an object as the plug-in ``theirs`` of a kind; an error in its place is raised by its import."""
    for kind in KINDS.values():
        list(kind)
    before = {name: (dict(kind._items), dict(kind._broken)) for name, kind in KINDS.items()}

    def declare(where: str, item: Any, name: str = "theirs") -> None:
        class Module(types.ModuleType):
            def __getattr__(self, _: str) -> Any:
                if isinstance(item, BaseException):
                    raise item
                return item

        monkeypatch.setitem(sys.modules, "stranger", Module("stranger"))
        point = EntryPoint(name, "stranger:thing", KINDS[where].group)
        monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in [point] if p.group == group])
        KINDS[where]._loaded = KINDS[where]._plugged = False

    yield declare
    for name, kind in KINDS.items():
        kind._items, kind._broken = before[name]
        kind._loaded = True


def listed(kind: str) -> str:
    """The row of the plug-in in one line; the others are there."""
    said = call("ls", kind, width=300)
    assert said.code == 0, said.err
    assert "Traceback" not in said.err
    assert f"│ {OURS[kind]} " in said.out
    (row,) = [line for line in said.out.splitlines() if re.search(r"│ theirs ", line)]
    return " ".join(row.replace("│", " ").split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("No module named 'scipy2'"), "ImportError: No module named 'scipy2'"),
        (SystemExit(2), "SystemExit: 2"),
        (Stops("left"), "Stops: left"),
        (Speechless(), "Speechless"),
        (UserError("Install it again."), "UserError: Install it again."),
    ],
)
def test_an_import_that_fails_is_named_in_the_list_and_when_it_is_asked_for(
    kind: str, error: BaseException, words: str, install: Install
) -> None:
    install(kind, error)
    assert f"theirs (broken) stranger:thing: {words}" in listed(kind)
    with pytest.raises(UserError, match=r"'theirs' is registered and could not be loaded \(stranger:thing"):
        KINDS[kind].get("theirs")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("item", [Undocumented, Secretive, Nowhere, Leaving, partial(int), "text", 3])
def test_no_object_makes_the_list_fall(kind: str, item: Any, install: Install) -> None:
    install(kind, item)
    assert "theirs" in listed(kind)


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_a_docstring_that_raises_is_the_reason(kind: str, install: Install) -> None:
    made: Any = metaclass(__doc__=raising("doc", RuntimeError("no words")))
    install(kind, made("Quiet", (), {"__init__": lambda self, *, root=None, classes=0, shape=(): None}))
    assert "theirs (broken)" in listed(kind)
    assert "what it says of itself raised RuntimeError: no words" in listed(kind)


@dataclass
class Field:
    """An attack whose instances alone have an info."""

    info: AttackInfo = INFO


class Late:
    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    @property
    def info(self) -> AttackInfo:
        return INFO


class Unready:
    info = property(lambda self: INFO)

    def __init__(self) -> None:
        raise ConnectionError("no licence")


class Odd:
    @property
    def info(self) -> AttackInfo:
        raise KeyError("epsilon")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (type("Bare", (), {}), "it has no info; declare it by subnetbench.bench's AttackInfo"),
        (type("Asks", (), {"__init__": lambda self, epsilon: None}), "it has no info; declare it by"),
        (type("Wrong", (), {"info": {"title": "x"}}), "its info is not of the class AttackInfo"),
        (type("Year", (), {"info": AttackInfo("T", "2026", "budget", "L2", "x", "1")}), "its info.year is '2026'"),
        (Unready, "its constructor raised ConnectionError: no licence"),
        (Odd, "KeyError"),
        (lambda: 3, "it has no info"),
    ],
)
def test_an_attack_that_can_have_no_info_is_listed_as_broken(item: Any, words: str, install: Install) -> None:
    install("attacks", item)
    row = listed("attacks")
    assert row.startswith(("theirs (broken) tests", "theirs (broken) bench", f"theirs (broken) {__name__}"))
    assert words in row


@pytest.mark.parametrize("item", [type("Whole", (), {"info": INFO}), Field, lambda: Field(), partial(Field)])
def test_an_attack_with_an_info_on_class_or_instance_is_listed_by_it(item: Any, install: Install) -> None:
    install("attacks", item)
    assert listed("attacks") == "theirs Somebody's attack 2026 budget Linf"


def test_an_attack_that_cannot_be_made_without_arguments_and_has_an_info_is_not_broken(install: Install) -> None:
    install("attacks", Late)
    assert listed("attacks") == "theirs"


@pytest.mark.parametrize(
    ("kind", "item", "words"),
    [
        ("detectors", type("D", (), {}), "its info is not of the class DetectorInfo"),
        ("detectors", type("D", (), {"info": DetectorInfo("T", "f", 2026, needs=3)}), "its info.needs is 3"),  # type: ignore[arg-type]
        ("saliencymethods", type("S", (), {}), "its info is not of the class SaliencyInfo"),
        ("saliencymethods", type("S", (), {"info": SaliencyInfo("T", None, "f")}), "its info.year is None"),  # type: ignore[arg-type]
        ("arms", type("A", (), {}), "it has no title and year"),
        ("datasets", lambda: None, "it has to take root by name"),
        ("models", lambda *, classes: None, "it has to take classes, shape by name"),
    ],
)
def test_what_lacks_what_its_kind_needs_is_listed_as_broken(kind: str, item: Any, words: str, install: Install) -> None:
    install(kind, item)
    row = listed(kind)
    assert "theirs (broken)" in row
    assert words in row


def test_nothing_of_ours_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        list(kind)
        monkeypatch.setattr(kind, "_broken", {})  # what other tests plugged in
        assert "(broken)" not in call("ls", name).out
