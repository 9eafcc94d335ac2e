"""Seconds of an arm's step on wide7 with a score of pooled taps, in bare gradients. Nothing is asserted about time.

Run with ``pytest tests/benchmarks/test_arms_speed.py --benchmark-only``. Both are timed in turn, in one run; a bare
gradient is a pass forward and back of the cross-entropy. The arm's extra look at its last iterate is in its time.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from subnetbench.attacks.arms.contract import Score
from subnetbench.attacks.base import attacking
from subnetbench.bench.core.registry import arms
from subnetbench.bench.models.cifar import wide7
from subnetbench.bench.models.classifier import pool

STEPS = 5


@pytest.mark.parametrize("name", ["selective-pgd", "orthogonal-pgd", "margin-apgd"])
def test_a_step_in_bare_gradients(benchmark: Any, name: str) -> None:
    count, rounds = (4, 1) if benchmark.disabled else (100, 3)
    torch.manual_seed(0)  # weights as drawn: time does not depend on them
    net, images = wide7().eval(), torch.rand(count, 3, 32, 32)
    with torch.no_grad():
        logits, seen = net.observe(images, net.taps)
        labels = logits.argmax(1)
        factors = {path: torch.rand(pool(output).shape[1], pool(output).shape[1]) for path, output in seen.items()}

    def smooth(x: torch.Tensor) -> torch.Tensor:
        """A quadratic form of every tap's pooled features, as a Mahalanobis distance is."""
        _, seen = net.observe(x, net.taps)
        return sum(((pool(output) @ factors[path]) ** 2).sum(1) for path, output in seen.items())  # type: ignore[return-value]

    score = Score(smooth, smooth, 1.0, 1.0, (images, labels))
    arm, taken = arms.get(name)(steps=STEPS), {"bare": [], "arm": []}

    def bare() -> None:
        for _ in range(STEPS):
            x = images.clone().requires_grad_()
            torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), labels, reduction="sum"), x)

    def one_of_each() -> None:
        with attacking(net):
            began = time.perf_counter()
            bare()
        middle = time.perf_counter()
        arm(net, score, 0.0, images, labels, generator=torch.Generator().manual_seed(0))
        taken["bare"].append(middle - began)
        taken["arm"].append(time.perf_counter() - middle)

    benchmark.group = "a step of an arm on wide7, in bare gradients"
    benchmark.pedantic(one_of_each, rounds=rounds, warmup_rounds=rounds - 1)
    if benchmark.stats:
        benchmark.extra_info["images"] = count
        benchmark.extra_info["bare gradients a step"] = round(min(taken["arm"]) / min(taken["bare"]), 2)
