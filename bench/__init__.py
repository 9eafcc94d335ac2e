"""The public interface of SubnetBench: run suites, read and compare results, register plug-ins, check them.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ == "bench":
    # A second copy of this package would hold a second, empty registry.
    raise ImportError("import subnetbench.bench, not bench: the folder is mapped into the namespace subnetbench")
if getattr(sys.modules[__name__.rpartition(".")[0]], "__file__", None) is None:
    # A clone called subnetbench hides an editable install, and would be used in its place.
    raise ImportError(f"{__path__[0]} hides the installed subnetbench; leave the folder above it, or rename the clone")

if TYPE_CHECKING:
    from ..attacks.arms.contract import Arm
    from ..attacks.contract import Attack, AttackInfo
    from ..detectors.contract import Detector, DetectorInfo
    from .core.arrays import ClassGates
    from .core.errors import UserError
    from .core.registry import (
        register_arm,
        register_attack,
        register_dataset,
        register_detector,
        register_model,
        register_saliency,
    )
    from .data.dataset import Dataset, Split
    from .detection.compare import paired as compare
    from .localisation.contract import SaliencyInfo
    from .models.classifier import Classifier
    from .plugin.attack_trial import check_attack
    from .plugin.trial import check_detector
    from .runner import run
    from .tracks import load_results
    from .views import View

#: Every public name with the module that defines it; there, `compare` is named `paired`.
_HOMES = {
    "run": ".runner",
    "load_results": ".tracks",
    "compare": ".detection.compare",
    "register_detector": ".core.registry",
    "register_attack": ".core.registry",
    "register_arm": ".core.registry",
    "register_model": ".core.registry",
    "register_dataset": ".core.registry",
    "register_saliency": ".core.registry",
    "Detector": "..detectors.contract",
    "DetectorInfo": "..detectors.contract",
    "Attack": "..attacks.contract",
    "Arm": "..attacks.arms.contract",
    "AttackInfo": "..attacks.contract",
    "SaliencyInfo": ".localisation.contract",
    "View": ".views",
    "Classifier": ".models.classifier",
    "ClassGates": ".core.arrays",
    "Dataset": ".data.dataset",
    "Split": ".data.dataset",
    "UserError": ".core.errors",
    "check_detector": ".plugin.trial",
    "check_attack": ".plugin.attack_trial",
}

__all__ = [
    "Arm",
    "Attack",
    "AttackInfo",
    "ClassGates",
    "Classifier",
    "Dataset",
    "Detector",
    "DetectorInfo",
    "SaliencyInfo",
    "Split",
    "UserError",
    "View",
    "__version__",
    "check_attack",
    "check_detector",
    "compare",
    "load_results",
    "register_arm",
    "register_attack",
    "register_dataset",
    "register_detector",
    "register_model",
    "register_saliency",
    "run",
]

__version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("subnetbench")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), "paired" if name == "compare" else name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
