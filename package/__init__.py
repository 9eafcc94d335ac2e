"""SubnetBench: honest benchmarks for detectors of adversarial examples. The public interface is `subnetbench.bench`."""

from importlib.metadata import version

__version__ = version("subnetbench")
