"""One registry per kind: a decorator, an error for duplicates, "did you mean", lazy third-party entry points."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from .errors import UserError, reason_of
from .near import did_you_mean

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Lent:
    """What entries state of something that is registered for one run alone: what it is, and a hash of its content."""

    origin: str
    source: str


@dataclass(frozen=True)
class Family:
    """Things that a library has by names of its own, too many to register one by one.

    ``member`` gives the factory of a name, or raises UserError; ``row`` is the family's one line in `subnetbench ls`.
    """

    member: Callable[[str], Any]
    row: Callable[[], tuple[str, str]]


class Registry(Generic[T]):
    """Factories by name. ``home``: our package or module, imported on first use; ``group``: entry points of plug-ins.

    Every module of the package is imported, so a new one needs no line elsewhere.
    """

    def __init__(self, kind: str, home: str, group: str) -> None:
        self.kind, self.group, self.home = kind, group, home
        self._items: dict[str, T] = {}
        self._broken: dict[str, str] = {}
        self._lent: dict[str, Lent] = {}
        self._families: dict[str, Family] = {}
        self._known: Mapping[str, str] = {}  # names of ours that are known without an import, with their origins
        self._loaded, self._plugged = False, False

    def register(self, name: str) -> Callable[[T], T]:
        def decorate(item: T) -> T:
            taken_by = origin(self._items[name]) if name in self._items else self._known.get(name)
            if taken_by is not None and taken_by != origin(item):
                raise UserError(
                    f"The {self.kind} name {name!r} is taken by {taken_by}; register {origin(item)} under another name."
                )
            self._items[name] = item
            return item

        return decorate

    def add_family(self, prefix: str, family: Family) -> None:
        """Let ``<prefix>/<name>`` be the family's ``name``; none of them is listed or counts as ours."""
        self._families[prefix] = family

    @property
    def families(self) -> Mapping[str, Family]:
        self._load()
        return dict(sorted(self._families.items()))

    def in_family(self, name: str) -> bool:
        """Whether a name is one of a family's, which may not have it."""
        self._load()
        return name not in self._items and "/" in name and name.partition("/")[0] in self._families

    @contextmanager
    def lend(self, name: str, item: T, lent: Lent) -> Iterator[None]:
        """The item under a name that is free, while the body runs; afterwards the name is free again."""
        assert name not in self, name
        self._items[name], self._lent[name] = item, lent
        try:
            yield
        finally:
            del self._items[name], self._lent[name]

    def lent(self, name: str) -> Lent | None:
        """What is stated of a name that is lent; None of one that is registered."""
        return self._lent.get(name)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, so that a plugin may look things up while it is being imported
        try:
            for module in modules_of(self.home):
                importlib.import_module(module)
        except BaseException:  # also Ctrl-C: the next look must not find half of ours
            self._loaded = False
            raise
        if not self._plugged:
            self._broken.clear()
            for point in entry_points(group=self.group):
                self._plug_in(point)
        self._plugged = False  # said of the state before: whoever has it loaded again has plug-ins loaded again

    def beside(self, ours: Mapping[str, str]) -> dict[str, T]:
        """What plug-ins register, found without an import of ours, whose names are known with the `origin` of each.

        Why others could not be loaded is then in `broken`. A plug-in that looks one of ours up has all of them loaded.
        """
        self._known, self._plugged = ours, True
        for point in entry_points(group=self.group):
            self._plug_in(point)
        return {name: item for name, item in sorted(self._items.items()) if name not in ours}

    def _plug_in(self, point: EntryPoint) -> None:
        """Register what an entry point names; a broken third-party package must not take the suite down."""
        try:
            fault = self._faulty(point)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an exit, or what a library derives from neither Exception nor SystemExit
            fault = reason_of(error, typed=True)
        if fault is not None:
            self._broken[point.name] = f"{point.value}{fault}" if fault.startswith(" ") else f"{point.value}: {fault}"

    def _faulty(self, point: EntryPoint) -> str | None:
        """Register it, or say why not; whatever the package raises is raised."""
        loaded = point.load()
        if isinstance(loaded, ModuleType):
            return None  # it registers with its own decorators
        if not callable(loaded):
            return f" is a {type(loaded).__name__}, neither class, function nor module"
        try:
            self.register(point.name)(loaded)
        except UserError as error:  # the name is another's, which a run goes on with: that must not go unsaid
            warnings.warn(f"The {self.kind} plug-in {point.name!r} is left out: {error}", stacklevel=2)
            return str(error)
        return None

    def get(self, name: str) -> T:
        if self.in_family(name):
            prefix, _, rest = name.partition("/")
            return cast(T, self._families[prefix].member(rest))
        if name not in self._items and name in self._broken:
            reason = f"is registered and could not be loaded ({self._broken[name]}); correct or uninstall its package."
            raise UserError(f"The {self.kind} {name!r} {reason}")
        if name not in self._items:
            lost = f", and what could not be loaded ({', '.join(self.broken)})" if self._broken else ""
            hint = did_you_mean(name, self._items) or " Is the package that brings it installed?"
            raise UserError(
                f"There is no {self.kind} named {name!r}.{hint} "
                f"`subnetbench ls {self.kind.replace(' ', '')}s` lists them{lost}."
            )
        return self._items[name]

    @property
    def broken(self) -> Mapping[str, str]:
        """Why plug-ins could not be loaded, by name."""
        if not self._plugged:
            self._load()
        return dict(sorted(self._broken.items()))

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._items))

    def is_ours(self, name: str) -> bool:
        """Whether our own packages registered the name, not a plug-in or a script."""
        return not (name in self._lent or self.in_family(name)) and self.is_from_home(self.get(name))

    def is_from_home(self, item: Any) -> bool:
        """Whether a factory is defined in our own packages."""
        return f"{module_of(item)}.".startswith(f"{self.home}.")

    @property
    def is_loaded(self) -> bool:
        """Whether ours are imported, or being imported."""
        return self._loaded


def module_of(item: Any) -> str:
    """The module of a factory; of one that does not tell, its type's."""
    try:
        return str(item.__module__)
    except (Exception, SystemExit):  # a plug-in's own property
        return type(item).__module__


def origin(item: Any) -> str:
    """Module and name of a factory; a partial function, say, has only its type's."""
    return f"{module_of(item)}.{getattr(item, '__qualname__', type(item).__qualname__)}"


def modules_of(home: str) -> list[str]:
    """The name of a module, or the names of all modules of a package, in order; none of them is imported."""
    spec = find_spec(home)
    if spec is None or spec.submodule_search_locations is None:
        return [home]
    return sorted(f"{home}.{module.name}" for module in pkgutil.iter_modules(spec.submodule_search_locations))


detectors: Registry[Any] = Registry("detector", "subnetbench.detectors", "subnetbench.detectors")
attacks: Registry[Any] = Registry("attack", "subnetbench.attacks", "subnetbench.attacks")
arms: Registry[Any] = Registry("arm", "subnetbench.attacks.arms", "subnetbench.arms")
datasets: Registry[Any] = Registry("data set", "subnetbench.bench.data", "subnetbench.datasets")
models: Registry[Any] = Registry("model", "subnetbench.bench.models", "subnetbench.models")
saliency: Registry[Any] = Registry("saliency method", "subnetbench.bench.localisation.saliency", "subnetbench.saliency")

register_detector = detectors.register
register_attack = attacks.register
register_arm = arms.register
register_dataset = datasets.register
register_model = models.register
register_saliency = saliency.register
