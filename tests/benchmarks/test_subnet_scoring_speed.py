"""Seconds of scoring through class-specific subnets, and of learning their gates, as classes grow from 10 to 100.

Run with ``pytest tests/benchmarks/test_subnet_scoring_speed.py --benchmark-only``. The peers of a comparison take turns
in one benchmark; its extra information holds passes a second (image and class) of both, and their ratio, each from the
fastest round. Nothing is asserted about time, but that both compute the same is.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from subnetbench.bench.core.arrays import ClassGates
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.cifar import wide7
from subnetbench.bench.models.classifier import Classifier, layout
from subnetbench.bench.models.weights import load_weights, locate
from subnetbench.bench.views import View
from subnetbench.detectors.mahalanobis import Gaussians
from subnetbench.detectors.subnet_mahalanobis import (
    SubnetMahalanobis,
    by_class,
    gated_taps,
    sorted_batches,
    subnet_distances,
)
from subnetbench.subnets.calibration import Calibration
from subnetbench.subnets.frozen import GatedNet, Images
from subnetbench.subnets.gates import GateOptions, gates_from_arrays
from subnetbench.subnets.learn import learn

#: Share of channels that a random binary gate leaves active.
ACTIVE = 0.65
IMAGES, PREDICTED, ROUNDS = 100, 500, 3

#: Images of its own that a class learns its gates from.
OWN = 5


def net_and_gates(classes: int, position: str) -> tuple[Classifier, ClassGates]:
    """Weights and gates as drawn: time does not depend on which channels are active."""
    torch.manual_seed(0)
    net = wide7(classes=classes).eval()
    net.to(memory_format=layout(net))  # type: ignore[call-overload]  # as a run has it
    generator = torch.Generator().manual_seed(0)
    channels = net.channels(net.gated_paths(position))
    return net, {p: (torch.rand(classes, n, generator=generator) < ACTIVE).float() for p, n in channels.items()}


def view(net: Classifier, count: int) -> View:
    """A new one each time, since a view remembers."""
    return View(net, torch.rand(count, *net.shape, generator=torch.Generator().manual_seed(1)), key="images")


def few_if_disabled(benchmark: Any, count: int) -> int:
    """With --benchmark-disable the calls are a test that they run, and few images will do."""
    return 4 if benchmark.disabled else count


def every_class(net: Classifier, count: int) -> np.ndarray:
    return np.tile(np.arange(net.classes), (count, 1))


def alternate(benchmark: Any, ways: Sequence[tuple[str, int, Callable[[], Any]]]) -> list[float]:
    """Passes a second of every way ``(name, passes, call)``, the fastest of rounds in which each has its turn."""
    seconds: list[list[float]] = [[] for _ in ways]

    def one_round() -> None:
        for (_, _, call), taken in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)

    benchmark.pedantic(one_round, rounds=ROUNDS)
    speeds = [passes / min(taken) for (_, passes, _), taken in zip(ways, seconds, strict=True)]
    if benchmark.stats:  # absent with --benchmark-disable
        for (name, _, _), speed in zip(ways, speeds, strict=True):
            benchmark.extra_info[f"{name}, passes a second"] = round(speed)
    return speeds


def collect(net: Classifier, gates: ClassGates, count: int, classes: np.ndarray) -> dict[str, np.ndarray]:
    """Features of every image and class, ``(N, k, channels)`` a tap, from groups of one class."""
    seen, taps = view(net, count), gated_taps(net, gates)
    found: dict[str, np.ndarray] = {}
    for group in by_class(seen, gates, taps, classes, sorted_batches(seen, classes)):
        for tap, features in group.features.items():
            place = found.setdefault(tap, np.zeros((*classes.shape, features.shape[1]), np.float32))
            place[group.index, group.column] = features
    return found


@pytest.mark.parametrize("position", ["units", "late"])
@pytest.mark.parametrize("classes", [10, 100])
def test_cut_subnets_against_a_gate_a_sample(benchmark: Any, classes: int, position: str) -> None:
    """``all``: the groups of `by_class` against `View.subnet_features`."""
    net, gates = net_and_gates(classes, position)
    most = few_if_disabled(benchmark, IMAGES)
    count = most if classes == 10 else max(4, most // 5)
    # The slow way sees fewer images of 100 classes; to the cut one, which makes a class's subnet once a block, that
    # would be no small share.
    asked, many = every_class(net, count), every_class(net, most)
    benchmark.group = f"wide7, {position}, {classes} classes an image"
    speeds = alternate(
        benchmark,
        [
            ("gate a sample", asked.size, lambda: view(net, count).subnet_features(gates, asked)),
            ("cut", many.size, lambda: collect(net, gates, most, many)),
        ],
    )
    benchmark.extra_info["times faster"] = round(speeds[1] / speeds[0], 2)
    plain, cut = view(net, 4).subnet_features(gates, asked[:4]), collect(net, gates, 4, asked[:4])
    for tap, features in cut.items():
        np.testing.assert_allclose(features, plain[tap], rtol=1e-4, atol=1e-5 * np.abs(plain[tap]).max())


@pytest.mark.parametrize("position", ["units", "late"])
@pytest.mark.parametrize("classes", [10, 100])
def test_one_class_an_image(benchmark: Any, classes: int, position: str) -> None:
    """``predicted`` and the training pass: at 100 classes few images share a subnet, which is the hard case."""
    net, gates = net_and_gates(classes, position)
    count = few_if_disabled(benchmark, PREDICTED)
    asked = np.random.default_rng(0).integers(0, classes, (count, 1))
    benchmark.group = f"wide7, {position}, one of {classes} classes an image, {count} images"
    speeds = alternate(
        benchmark,
        [
            ("gate a sample", count, lambda: view(net, count).subnet_features(gates, asked)),
            ("cut", count, lambda: collect(net, gates, count, asked)),
        ],
    )
    benchmark.extra_info["times faster"] = round(speeds[1] / speeds[0], 2)


@pytest.mark.parametrize("position", ["units", "late"])
def test_scoring_all_of_100_classes_against_10(benchmark: Any, position: str) -> None:
    """Distances as the detector asks for them; the full net's own pass is done, as in a run."""
    ways, count = [], few_if_disabled(benchmark, IMAGES)
    for classes in (10, 100):
        net, gates = net_and_gates(classes, position)
        rng = np.random.default_rng(0)
        widths = net.channels(net.taps)
        gaussians = {tap: Gaussians(rng.normal(size=(classes, n)), np.eye(n)) for tap, n in widths.items()}
        asked, seen = every_class(net, count), view(net, count)
        _ = seen.logits

        def score(seen: Any = seen, gates: Any = gates, gaussians: Any = gaussians, asked: Any = asked) -> None:
            seen.forget()
            subnet_distances(seen, gaussians, gates, asked)

        ways.append((f"{classes} classes", asked.size, score))
    benchmark.group = f"wide7, {position}, distances of {count} images to all classes"
    ten, hundred = alternate(benchmark, ways)
    benchmark.extra_info["times the seconds of 10 classes"] = round(10 * ten / hundred, 2)


def shipped(classes: int, gates_of: str) -> tuple[Classifier, ClassGates]:
    """A net that ships with the gates that a committed run learned for it, or random ones."""
    net, gates = net_and_gates(classes, "units")
    load_weights(net, locate(f"cifar{classes}/wide7"))
    if gates_of != "random":
        folder = Path(__file__).parents[2] / "results" / gates_of / "subnets"
        gates = gates_from_arrays(load_file(folder / "gates.safetensors"))
    return net.requires_grad_(False), gates


@pytest.mark.parametrize("gates_of", ["random", "cifar100-table2"])
def test_all_subnets_of_100_classes_in_bare_forwards(benchmark: Any, gates_of: str) -> None:
    """65% of channels are active: random ones in every layer, learned ones nearly all in early layers."""
    net, gates = shipped(100, gates_of)
    count = few_if_disabled(benchmark, IMAGES)
    few, asked = max(4, count // 10), every_class(net, count)
    images = view(net, count).images

    def bare() -> None:
        with torch.no_grad():
            net(images)

    benchmark.group = f"wide7, all 100 subnets, {gates_of} gates, in bare forwards"
    ways = [("bare forward", count, bare), ("cut", count, lambda: collect(net, gates, count, asked))]
    ways.append(("gate a sample", few, lambda: view(net, few).subnet_features(gates, asked[:few])))
    speeds = alternate(benchmark, ways)
    benchmark.extra_info["bare forwards an image, cut"] = round(speeds[0] / speeds[1], 1)
    benchmark.extra_info["bare forwards an image, gate a sample"] = round(speeds[0] / speeds[2], 1)


@pytest.mark.parametrize("classes", ["predicted", "top-k", "all"])
def test_the_gradient_of_a_score_in_bare_gradients(benchmark: Any, classes: str) -> None:
    """What a step of an attacker who knows the detector costs: its gradient beside that of the net's own loss."""
    net, gates = shipped(10, "cifar10-adaptive")
    count, rng = few_if_disabled(benchmark, IMAGES), np.random.default_rng(0)
    detector, images = SubnetMahalanobis(classes=classes), view(net, count).images
    widths = net.channels(net.taps).items()
    detector._state = gates, {tap: Gaussians(rng.normal(size=(10, n)), np.eye(n)) for tap, n in widths}
    smooth = detector.differentiable(net)

    def gradient(of: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        x = images.clone().requires_grad_()
        return torch.autograd.grad(of(x).sum(), x)[0]

    benchmark.group = f"wide7, gradient of subnet-mahalanobis, {classes}"
    ways = [
        ("bare", count, lambda: gradient(lambda x: net(x).logsumexp(1))),
        (classes, count, lambda: gradient(smooth)),
    ]
    speeds = alternate(benchmark, ways)
    benchmark.extra_info["bare gradients"] = round(speeds[0] / speeds[1], 2)


def learn_gates(classes: int, position: str) -> int:
    """One epoch for all classes, `OWN` images each and as many others, ten classes a pass; the number of passes."""
    net, _ = net_and_gates(classes, position)
    pixels = np.random.default_rng(0).integers(0, 256, (100 * OWN, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(len(pixels)) % classes  # as many images, and so the same prefix, whatever the classes
    options = GateOptions(epochs=1, batch_size=2 * OWN, position=position)
    gated = GatedNet(net, net.gated_paths(position))
    images = Images(gated, Split(pixels, labels), options.prefix_mib)
    pools = [np.flatnonzero(labels == label)[:OWN] for label in range(classes)]
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more

    for begin in range(0, classes, options.chunk):
        chunk = range(begin, min(begin + options.chunk, classes))
        learn(gated, images, pools, chunk, Calibration.none(classes), options, count)
    return done


@pytest.mark.parametrize("position", ["units", "late"])
def test_learning_gates_of_100_classes_against_10(benchmark: Any, position: str) -> None:
    """Seconds with the shared prefix in them; most resident memory, each in a process of its own."""

    def way(classes: int) -> tuple[str, int, Callable[[], int]]:
        return f"{classes} classes", 2 * OWN * classes, lambda: learn_gates(classes, position)

    benchmark.group = f"wide7, {position}, gates of all classes, one epoch"
    if benchmark.disabled:
        benchmark(lambda: None)
        assert learn_gates(10, position) == 2 * OWN * 10
        return
    ten, hundred = alternate(benchmark, [way(10), way(100)])
    benchmark.extra_info["times the seconds of 10 classes"] = round(10 * ten / hundred, 2)
    benchmark.extra_info["peak MiB of 10 and 100 classes"] = [peak_mib(c, position) for c in (10, 100)]


def peak_mib(classes: int, position: str) -> int | None:
    """Most resident memory that learning gates adds to that of a process which has all imported; none off Linux."""
    status = Path("/proc/self/status")  # not getrusage, whose maximum a child inherits
    if not status.exists():
        return None
    code = (
        "import re, runpy, torch; torch.set_num_threads(1)\n"
        f"def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open({str(status)!r}).read())[1]) // 1024\n"
        f"here = runpy.run_path({__file__!r}); before = peak()\n"
        f"here['learn_gates']({classes}, {position!r}); print(peak() - before)"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
