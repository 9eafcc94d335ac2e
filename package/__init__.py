"""SubnetBench: honest benchmarks for detectors of adversarial examples. The public face is `subnetbench.bench`."""

from importlib.metadata import version

__version__ = version("subnetbench")
