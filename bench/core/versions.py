"""The versions that an entry states."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

LIBRARIES = (
    "subnetbench",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "foolbox",
    "adversarial-robustness-toolbox",
)


@cache
def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    return {name: version(name) for name in libraries} | {"python": platform.python_version()}
