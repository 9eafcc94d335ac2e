"""Gradients a second with freed memory kept for the next batch, beside the C library's own way.

Run with ``pytest tests/benchmarks/test_allocator_speed.py --benchmark-only``. Each way has processes of its own, in
turn. Nothing is asserted about time, but that both give the same maps to the last bit is.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc alone is set")

PROCESSES, STEPS = 3, 16

SCRIPT = """
import hashlib, json, time
from subnetbench.bench.core.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
import torch
from subnetbench.bench.localisation.net import attribution_net
from subnetbench.bench.localisation.saliency import IntegratedGradients
from subnetbench.bench.models.tiny_imagenet import bottleneck64

torch.manual_seed(0)  # weights as drawn and noise for images: time does not depend on them
net, images = attribution_net(bottleneck64().eval()), torch.rand({images}, 3, 64, 64)
method, ids, taken = IntegratedGradients(steps={steps}), torch.arange({images}), []
for _ in range({rounds}):
    began = time.perf_counter()
    maps = method(net, images, ids % 30, ids=ids, seed=0)
    taken.append(time.perf_counter() - began)
print(json.dumps([min(taken), hashlib.sha256(maps.numpy().tobytes()).hexdigest()]))
"""


def seconds_and_maps(*, keep: bool, images: int, rounds: int) -> tuple[float, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    code = SCRIPT.format(keep=keep, images=images, rounds=rounds, steps=STEPS)
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    seconds, digest = json.loads(done.stdout)
    return seconds, digest


def test_int_grad_with_freed_memory_kept(benchmark: Any) -> None:
    images, rounds = (4, 1) if benchmark.disabled else (50, 5)
    found: dict[bool, list[tuple[float, str]]] = {True: [], False: []}

    def one_of_each() -> None:
        for keep, made in found.items():
            made.append(seconds_and_maps(keep=keep, images=images, rounds=rounds))

    benchmark.group = "int-grad of bottleneck64, freed memory kept or not"
    benchmark.pedantic(one_of_each, rounds=1 if benchmark.disabled else PROCESSES)
    assert len({digest for made in found.values() for _, digest in made}) == 1
    if benchmark.stats:
        kept, plain = (min(seconds for seconds, _ in found[keep]) for keep in (True, False))
        for name, seconds in (("kept", kept), ("not", plain)):
            benchmark.extra_info[f"{name}, gradients a second"] = round(images * STEPS / seconds)
        benchmark.extra_info["share of the time"] = round(kept / plain, 2)
