"""kill -9 at random moments in a run of this track: the same tables to the last digit, nothing damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ..harness import test_kill as detection
from .test_run import SUITE, draw

KILLS = 3


def test_kills_at_random_moments_change_no_figure(tmp_path: Path) -> None:
    draw(tmp_path / "data")
    (tmp_path / "killed.toml").write_text(SUITE.replace('name = "wsol-digits"', 'name = "killed"'))
    script = [sys.executable, detection.__file__, str(tmp_path), str(KILLS)]
    done = subprocess.run(script, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    found = report["killed"]
    assert found["codes"].count(None) == KILLS
    assert not [code for code in found["codes"] if code]
    assert (found["last"], found["damaged"], found["warnings"]) == (0, [], [])
    timed = {"cost", "time", "report", "subnets"}  # with seconds
    calm, killed = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "killed" / "tables").iterdir()}
        for name in ("calm", "killed")
    )
    assert calm.keys() == killed.keys()
    assert len(calm) > 6
    for name, blob in calm.items():
        assert name.split(".")[0] in timed or killed[name] == blob, name
