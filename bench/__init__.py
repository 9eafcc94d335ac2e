"""The public face of SubnetBench: run a suite, register a detector, an attack, a model or a data set."""

if __name__ == "bench":
    # A second copy of this package would hold a second, empty registry.
    raise ImportError("import subnetbench.bench, not bench: the folder is mapped into the namespace subnetbench")

from .registry import register_attack, register_dataset, register_detector, register_model
from .types import Attack, AttackInfo, Detector, DetectorInfo, UserError

__all__ = [
    "Attack",
    "AttackInfo",
    "Detector",
    "DetectorInfo",
    "UserError",
    "register_attack",
    "register_dataset",
    "register_detector",
    "register_model",
]
