"""One registry a kind: a decorator, a duplicate error, "did you mean", lazy entry points for strangers' packages."""

from __future__ import annotations

import difflib
import importlib
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from .arrays import UserError

T = TypeVar("T", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Names to factories. ``modules`` are ours and imported on first use; ``group`` is strangers' entry-point group."""

    def __init__(self, kind: str, modules: tuple[str, ...], group: str) -> None:
        self.kind, self._modules, self._group = kind, modules, group
        self._items: dict[str, T] = {}
        self._loaded = False
        self._ours: frozenset[str] = frozenset()

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
        for module in self._modules:
            importlib.import_module(module)
        self._ours = frozenset(self._items)
        for point in entry_points(group=self._group):
            try:
                loaded = point.load()
                if callable(loaded):  # a module registers by its own decorators
                    self.register(point.name)(loaded)
            except Exception as error:  # a stranger's broken package must not take the suite down
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
        self._load()
        return name in self._ours


detectors: Registry[Any] = Registry(
    "detector",
    tuple(f"subnetbench.detectors.{m}" for m in ("kd_pu", "lid", "mahalanobis", "subnet_mahalanobis", "controls")),
    "subnetbench.detectors",
)
attacks: Registry[Any] = Registry(
    "attack", tuple(f"subnetbench.attacks.{m}" for m in ("foolbox", "art", "lee2018")), "subnetbench.attacks"
)
datasets: Registry[Any] = Registry(
    "data set",
    ("subnetbench.bench.data.dataset", "subnetbench.bench.data.imagenet", "subnetbench.bench.data.annotations"),
    "subnetbench.datasets",
)
models: Registry[Any] = Registry(
    "model",
    tuple(f"subnetbench.bench.models.{m}" for m in ("classifier", "torchvision", "tiny_imagenet", "efficientnet")),
    "subnetbench.models",
)
saliency: Registry[Any] = Registry(
    "saliency method", ("subnetbench.bench.localisation.saliency",), "subnetbench.saliency"
)

register_detector = detectors.register
register_attack = attacks.register
register_dataset = datasets.register
register_model = models.register
register_saliency = saliency.register
