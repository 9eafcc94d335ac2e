from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from subnetbench.bench import UserError
from subnetbench.bench.core import registry
from subnetbench.bench.core.registry import Registry


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points that third-party packages declare; empty until a test adds some."""
    declared: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in declared if p.group == group])
    return declared


@pytest.fixture
def things(points: list[EntryPoint]) -> Registry[Any]:
    return Registry("thing", "json", "subnetbench.things")  # a module that registers nothing


def plugin(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_registered_factory_is_found_by_name(things):
    @things.register("one")
    def one() -> int:
        return 1

    assert things.get("one") is one
    assert "one" in things
    assert list(things) == ["one"]


def test_a_name_is_given_once(things):
    things.register("one")(list)
    with pytest.raises(UserError, match=r"'one' is taken by builtins\.list; register builtins\.dict under another"):
        things.register("one")(dict)
    assert things.get("one") is list


def test_importing_the_same_module_again_is_no_duplicate(things):
    things.register("one")(list)
    things.register("one")(list)
    assert things.get("one") is list


def test_a_miss_names_the_nearest(things):
    things.register("mahalanobis")(list)
    with pytest.raises(UserError, match=r"no thing named 'mahalanobiss'\. Did you mean 'mahalanobis'\?"):
        things.get("mahalanobiss")
    with pytest.raises(UserError) as error:
        things.get("xyz")
    assert "Did you mean" not in str(error.value)
    assert "`subnetbench ls things` lists them" in str(error.value)


def test_ours_are_found_without_an_import_by_the_caller():
    assert {"digits", "cifar10", "cifar100", "svhn", "folder", "imagenet"} <= set(registry.datasets)
    assert {"digits-cnn", "wide7", "resnet34", "alexnet", "vgg16", "resnet50"} <= set(registry.models)
    assert registry.models.is_ours("digits-cnn")


def test_what_a_script_registers_before_the_first_look_is_not_ours(things):
    @things.register("mine")
    class Mine:
        pass

    assert not things.is_ours("mine")


def test_a_plugin_is_loaded_on_first_use(things, points, monkeypatch):
    plugin(monkeypatch, "stranger", make=dict)
    points.append(EntryPoint("theirs", "stranger:make", "subnetbench.things"))
    assert things.get("theirs") is dict
    assert not things.is_ours("theirs")


@pytest.mark.parametrize("value", ["no_such_package:make", "sys:no_such_name", "stranger_that_raises:make"])
def test_a_broken_plugin_is_refused_with_its_reason_and_the_others_are_there(things, points, monkeypatch, value):
    class Raises(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("its own trouble")

    monkeypatch.setitem(sys.modules, "stranger_that_raises", Raises("stranger_that_raises"))
    plugin(monkeypatch, "stranger", make=dict)
    points.append(EntryPoint("broken", value, "subnetbench.things"))
    points.append(EntryPoint("whole", "stranger:make", "subnetbench.things"))
    assert list(things) == ["whole"]
    assert list(things.broken) == ["broken"]
    with pytest.raises(UserError, match=rf"'broken' is registered and could not be loaded \({value}: \w+: .+\); "):
        things.get("broken")
    with pytest.raises(UserError, match=r"`subnetbench ls things` lists them, and what could not be loaded \(broken\)"):
        things.get("something")


def test_what_is_neither_a_factory_nor_a_module_is_broken(things, points, monkeypatch):
    plugin(monkeypatch, "stranger", make="text")
    points.append(EntryPoint("theirs", "stranger:make", "subnetbench.things"))
    assert list(things) == []
    assert things.broken == {"theirs": "stranger:make is a str, neither class, function nor module"}


def test_a_plugin_cannot_take_a_name_of_ours(things, points, monkeypatch):
    things.register("lid")(list)
    plugin(monkeypatch, "stranger", make=dict)
    points.append(EntryPoint("lid", "stranger:make", "subnetbench.things"))
    with pytest.warns(UserWarning, match=r"The thing plug-in 'lid' is left out: .*is taken by builtins\.list"):
        assert things.get("lid") is list


def test_a_plugin_module_may_register_by_its_own_decorators(things, points, monkeypatch):
    plugin(monkeypatch, "stranger")
    things.register("inside")(list)
    points.append(EntryPoint("stranger", "stranger", "subnetbench.things"))
    assert list(things) == ["inside"]


def test_plug_ins_are_found_beside_names_of_ours_that_are_known(points, monkeypatch):
    imported: list[str] = []
    monkeypatch.setattr(registry, "modules_of", lambda home: imported.append(home) or [])
    ours = Registry[Any]("thing", "subnetbench.rooms", "subnetbench.things")
    plugin(monkeypatch, "third", made=dict, taken=list)
    points += [
        EntryPoint(name, value, "subnetbench.things")
        for name, value in (("mine", "third:made"), ("one", "third:taken"))
    ]
    points.append(EntryPoint("half", "not_installed:thing", "subnetbench.things"))
    with pytest.warns(UserWarning, match="'one' is taken by subnetbench.rooms.one.One"):
        others = ours.beside({"one": "subnetbench.rooms.one.One"})
    assert others == {"mine": dict}
    assert list(ours.broken) == ["half", "one"]
    assert imported == []
    assert not ours.is_loaded


def test_a_plug_in_that_looks_one_of_ours_up_has_ours_loaded(points, monkeypatch):
    ours = Registry[Any]("thing", "json", "subnetbench.things")

    def modules(home: str) -> list[str]:
        ours.register("one")(dict)
        return []

    class Curious(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name != "Two":
                raise AttributeError(name)
            return type("Two", (ours.get("one"),), {})

    monkeypatch.setattr(registry, "modules_of", modules)
    monkeypatch.setitem(sys.modules, "curious", Curious("curious"))
    points.append(EntryPoint("two", "curious:Two", "subnetbench.things"))
    assert list(ours.beside({"one": "builtins.dict"})) == ["two"]
    assert ours.broken == {}
    assert list(ours) == ["one", "two"]
