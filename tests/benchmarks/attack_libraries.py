"""Our attacks beside Foolbox's and ART's of the same name, on the same images, in one run.

    python tests/benchmarks/attack_libraries.py --data-root FOLDER [--weights cifar10/wide7] [--images 100]
        [--batch-size 250] [--rounds 2] [--attacks deepfool cw cw-continued bim]

Images of CIFAR-10's test split that a net that ships classifies correctly, each attack with the preset `quick`. The
unit is a bare gradient: forward and backward of one image's loss, in batches of the same size, measured twice before
and twice after each attack. Times are the process's, which other processes disturb less than a clock on the wall, and
all are means: on a busy machine the best of a few short runs is faster than any long one.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import presets as nets  # beside this file
import torch
from subnetbench.attacks.presets import build
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from torch.nn import functional

#: Who is measured, ours first. ART's CW is not: with gradients of all classes and line searches it takes thousands of
#: passes an image.
PEERS = {
    "deepfool": ("subnetbench/deepfool", "foolbox/deepfool", "art/deepfool"),
    "cw": ("subnetbench/cw", "foolbox/cw"),
    "cw-continued": ("subnetbench/cw-continued", "subnetbench/cw", "foolbox/cw"),
    "bim": ("subnetbench/bim", "foolbox/bim", "art/bim"),
}


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """The process's time for a call, the mean of ``rounds``."""
    began = time.process_time()
    for _ in range(rounds):
        call()
    return (time.process_time() - began) / rounds


def bare_gradients(net: Classifier, images: torch.Tensor, labels: torch.Tensor, size: int) -> None:
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(functional.cross_entropy(net(leaf), y, reduction="sum"), leaf)


def rows(net: Classifier, images: torch.Tensor, labels: torch.Tensor, given: argparse.Namespace) -> Iterator[list[str]]:
    count, size = len(images), given.batch_size

    def bare() -> float:
        return seconds(lambda: bare_gradients(net, images, labels, size), 2) / count

    for ours in given.attacks:
        norms: dict[str, Any] = {}
        for peer in PEERS[ours]:
            library, _, name = peer.partition("/")
            attack = build(name, library, "quick", {})
            craft(attack, net, images[:2], labels[:2], seed=0)  # the library's import is not the attack's time
            made: list[torch.Tensor] = []
            before = bare()
            with counted(net) as passes:
                spent = seconds(
                    lambda: made.append(craft(attack, net, images, labels, seed=0, batch_size=size)),  # noqa: B023
                    given.rounds,
                )
            unit = (before + bare()) / 2
            facts = verify(net, images, made[0], labels)
            good = facts["success"]
            norms[peer] = np.where(good, facts[attack.info.norm.lower()], np.inf)
            share = counts(passes.forward, passes.backward, count * given.rounds)
            both = "–" if len(norms) == 1 else beside(next(iter(norms.values())), norms[peer])
            yield [
                *(f"`{name}`", library, share, f"{spent / count / unit:.1f}", f"{100 * good.mean():.0f}"),
                *(f"{np.median(norms[peer]):.4g}", both),
            ]


def counts(forward: float, backward: float, images: int) -> str:
    return f"{forward / images:.1f} + {backward / images:.1f}"


def beside(ours: Any, theirs: Any) -> str:
    """Our norm by theirs on the images that both fool: the median, and the share of images within 1% of it."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    ratio = ours[both] / theirs[both]
    return f"{np.median(ratio):.4f} ({100 * (abs(ratio - 1) < 0.01).mean():.0f}%)"


def processor() -> str:
    """The processor's name; where the system does not give it, the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Our attacks beside Foolbox's and ART's.")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--weights", default="cifar10/wide7")
    for name, default in (("--images", 100), ("--batch-size", 250), ("--rounds", 2)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--attacks", nargs="+", choices=list(PEERS), default=list(PEERS))
    given = parser.parse_args()
    net, images, labels = nets.net_with_images(given.data_root, given.images, given.weights)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    print(f"{given.weights}, {len(images)} images, {processor()}, {torch.get_num_threads()} thread(s)\n")
    print(
        "| attack | library | passes | time in bare gradients | success % | median norm | ours by theirs (within 1%) |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows(net, images, labels, given):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
