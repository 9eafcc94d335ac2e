"""kill -9 at random moments of a run that does nothing but store: everything under an artifact's name is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KILLED = """
import contextlib, itertools, json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
from subnetbench.bench.core.artifact import is_whole_file
from subnetbench.bench.core.lease import holders
from subnetbench.bench.core.store import Store

root, draw, codes, said = Path(sys.argv[1]), random.Random(20), [], []

def run(numbers):
    store = Store(root, warn=said.append)
    store.waiting = lambda text: said.append(text) or contextlib.nullcontext()
    for number in numbers:
        arrays, _ = store.get("scores", {"number": number}, lambda: ({"x": np.full(2000, number)}, {}))
        assert set(arrays["x"].tolist()) == {number}

for _ in range(20):
    pid = os.fork()
    if pid == 0:
        run(itertools.count())  # for ever: no kill comes too late
    enough = len(list(root.glob("scores/*"))) + draw.randrange(6)
    while len(list(root.glob("scores/*"))) < enough:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.01))
    os.kill(pid, signal.SIGKILL)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
artifacts = list(root.glob("scores/*.safetensors"))
damaged = [str(path) for path in artifacts if not is_whole_file(path)]
run(range(len(artifacts) + 5))
held = list(holders(root / "locks"))
print(json.dumps({"codes": codes, "made": len(artifacts), "damaged": damaged, "said": said, "held": held}))
"""


def test_twenty_kills_leave_every_artifact_whole_and_no_lock_in_the_way(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "store"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["codes"] == [-9] * 20
    assert found["made"] > 0
    assert found["damaged"] == []
    assert found["said"] == []  # the lease of a dead process is free before anybody has waited long enough to say so
    assert found["held"] == []
