"""What each preset of each attack costs and achieves, as a table.

    python tests/benchmarks/presets.py [ATTACK ...] --data-root FOLDER [--images 100] [--presets quick standard]

Images of CIFAR-10's test split that a net that ships classifies correctly. Passes are counted at the net; time is in
that of one bare gradient of an image, in the same run.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from subnetbench.attacks.presets import LIBRARIES, PRESETS, build
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.core.registry import attacks
from subnetbench.bench.data.load import load
from subnetbench.bench.harness.factory import make
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from subnetbench.bench.models.weights import load_weights, locate
from torch.nn import functional

WEIGHTS = "cifar10/wide7-unwhitened"


def net_with_images(root: Path, count: int, weights: str = WEIGHTS) -> tuple[Classifier, torch.Tensor, torch.Tensor]:
    data = load("cifar10", root)
    net = make("wide7", {}, 0, classes=10, shape=(3, 32, 32))
    load_weights(net, locate(weights))
    net.eval()
    images, labels = data.test.tensor(slice(0, 2 * count)), torch.from_numpy(data.test.labels[: 2 * count])
    with torch.no_grad():
        right = net(images).argmax(1) == labels
    return net, images[right][:count], labels[right][:count]


def gradient_seconds(net: Classifier, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Seconds of one gradient of one image, the best of five."""
    best = float("inf")
    for _ in range(5):
        began, x = time.perf_counter(), images.clone().requires_grad_()
        torch.autograd.grad(functional.cross_entropy(net(x), labels, reduction="sum"), x)
        best = min(best, time.perf_counter() - began)
    return best / len(images)


def rows(names: list[str], presets: list[str], root: Path, count: int) -> Iterator[list[str]]:
    net, images, labels = net_with_images(root, count)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    bare = gradient_seconds(net, images, labels)
    for name in names:
        library, _, plain = name.rpartition("/")
        for preset in presets:
            if not {name, plain} & PRESETS[preset].keys() or (library and library not in LIBRARIES):
                continue
            attack = build(plain or name, library or "foolbox", preset, {})
            craft(attack, net, images[:2], labels[:2], seed=0)  # the library's import is not the attack's time
            began = time.perf_counter()
            with counted(net) as passes, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = craft(attack, net, images, labels, seed=0)
            seconds = time.perf_counter() - began
            facts = verify(net, images, made, labels)
            good, norm = facts["success"], attack.info.norm
            median = f"{np.median(facts[norm.lower()][good]):.3g}" if good.any() else "–"
            yield [
                *(f"`{name}`", preset, norm, f"{100 * good.mean():.0f}", median),
                *(f"{passes.forward / count:.0f} + {passes.backward / count:.0f}", f"{attack.passes(10):.0f}"),
                f"{seconds / count / bare:.0f}",
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What each preset of each attack costs and achieves.")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--presets", nargs="+", default=["quick", "standard"])
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    print("| attack | preset | norm | success % | median norm | passes counted | as estimated | time in gradients |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows(given.names or list(attacks), given.presets, given.data_root, given.images):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
