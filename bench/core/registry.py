"""One registry per kind: a decorator, an error for duplicates, "did you mean", lazy third-party entry points."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from .errors import UserError

T = TypeVar("T", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Factories by name. ``home``: our package or module, imported on first use; ``group``: entry points of plug-ins.

    Every module of the package is imported, so a new one needs no line elsewhere.
    """

    def __init__(self, kind: str, home: str, group: str) -> None:
        self.kind, self._home, self._group = kind, home, group
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        def decorate(item: T) -> T:
            old = self._items.get(name)
            if old is not None and (old.__module__, old.__qualname__) != (item.__module__, item.__qualname__):
                raise UserError(
                    f"The {self.kind} name {name!r} is taken by {old.__module__}.{old.__qualname__}; "
                    f"register {item.__module__}.{item.__qualname__} under another name."
                )
            self._items[name] = item
            return item

        return decorate

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, so that a plugin may look things up while it is being imported
        for module in modules_of(self._home):
            importlib.import_module(module)
        for point in entry_points(group=self._group):
            try:
                loaded = point.load()
                if callable(loaded):  # a module registers with its own decorators
                    self.register(point.name)(loaded)
            except Exception as error:  # a broken third-party package must not take the suite down
                warnings.warn(
                    f"The {self.kind} plugin {point.name!r} ({point.value}) could not be loaded and is left out: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )

    def get(self, name: str) -> T:
        self._load()
        if name not in self._items:
            near = difflib.get_close_matches(name, self._items, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(
                f"There is no {self.kind} named {name!r}.{hint} "
                f"`subnetbench ls {self.kind.replace(' ', '')}s` lists them."
            )
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._items))

    def is_ours(self, name: str) -> bool:
        """Whether our own packages registered the name, not a plug-in or a script."""
        return f"{self.get(name).__module__}.".startswith(f"{self._home}.")


def modules_of(home: str) -> list[str]:
    """The name of a module, or the names of all modules of a package, in order."""
    package = importlib.import_module(home)
    if not hasattr(package, "__path__"):
        return [home]
    return sorted(f"{home}.{module.name}" for module in pkgutil.iter_modules(package.__path__))


detectors: Registry[Any] = Registry("detector", "subnetbench.detectors", "subnetbench.detectors")
attacks: Registry[Any] = Registry("attack", "subnetbench.attacks", "subnetbench.attacks")
datasets: Registry[Any] = Registry("data set", "subnetbench.bench.data", "subnetbench.datasets")
models: Registry[Any] = Registry("model", "subnetbench.bench.models", "subnetbench.models")
saliency: Registry[Any] = Registry("saliency method", "subnetbench.bench.localisation.saliency", "subnetbench.saliency")

register_detector = detectors.register
register_attack = attacks.register
register_dataset = datasets.register
register_model = models.register
register_saliency = saliency.register
