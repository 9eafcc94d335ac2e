"""What the command line asks of glibc, each time in a process of its own: the setting cannot be taken back."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc alone is set")

#: Blocks of 8 MB or more, as a batch's activations are, made and let go of again and again.
SCRIPT = """
import json, resource
import numpy as np
from subnetbench.bench.core.memory import keep_freed_memory
from subnetbench.bench.core.meter import spent

def work(blocks):
    held = [np.ones({size} * 2**17) for _ in range(blocks)]

done = keep_freed_memory() if {keep} else None
for _ in range(3):
    work({blocks})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work({blocks})
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with spent() as taken:
    work({blocks})
print(json.dumps([done, faults, taken.rise]))
"""


def measured(*, keep: bool, size: int = 8, blocks: int = 20, **given: str) -> tuple[bool | None, int, float | None]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(keep=keep, size=size, blocks=blocks)],
        env=environment | given,
        check=True,
        capture_output=True,
        text=True,
    )
    found: tuple[bool | None, int, float | None] = tuple(json.loads(done.stdout))
    return found


@pytest.fixture(scope="module")
def kept() -> tuple[bool | None, int, float | None]:
    return measured(keep=True)


def test_kept_memory_is_not_asked_for_again(kept):
    done, faults, _ = kept
    assert done
    plain = measured(keep=False)[1]
    assert faults < plain / 5, (faults, plain)


def test_blocks_of_a_wide_net_are_kept_where_the_library_can():
    if tuple(int(part) for part in platform.libc_ver()[1].split(".")) < (2, 35):
        pytest.skip("this version of glibc keeps no block above 32 MiB")
    faults = {keep: measured(keep=keep, size=65, blocks=4)[1] for keep in (True, False)}
    assert faults[True] < faults[False] / 5, faults


def test_what_work_takes_is_measured_though_the_process_kept_as_much(kept):
    rise = kept[2]
    if rise is None:
        pytest.skip("this system does not let the mark of the highest memory be reset")
    assert 150 < rise < 200  # 20 blocks of 8.4 MB


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072"),
    ],
)
def test_settings_of_the_user_are_left_as_they_are(name, value):
    assert measured(keep=True, **{name: value})[0] is False
