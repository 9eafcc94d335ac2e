"""The kind of machine that computes, on which last bits of results depend, and the kinds behind what a run uses."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Instruction sets for which libraries have code of their own: the last bits of a sum differ between them.
_X86 = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")
_ARM = ("asimd", "sve", "sve2", "bf16", "sme")

#: Settings by which libraries take other code than the machine's best.
_SETTINGS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")


@dataclass(frozen=True, order=True)
class Machine:
    """A kind of machine: its processor with the instruction sets that matter, threads, and the device computed on."""

    cpu: str
    threads: int
    device: str

    @classmethod
    def here(cls, device: str) -> Machine:
        """This one, computing on a device of torch; threads are those of torch, where it is loaded."""
        torch: Any = sys.modules.get("torch")
        threads = torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        if device.startswith("cuda") and torch:
            device = f"cuda, {torch.cuda.get_device_name(device)}"
        return cls(_cpu(), threads, device)

    @classmethod
    def stated(cls, facts: Any) -> Machine:
        """The one that an artifact states, in what any file may hold; `UNKNOWN` if that is none."""
        if not isinstance(facts, Mapping):
            return UNKNOWN
        cpu, threads, device = (facts.get(name) for name in ("cpu", "threads", "device"))
        if not (isinstance(cpu, str) and isinstance(device, str) and type(threads) is int and 0 <= threads < 1 << 20):
            return UNKNOWN
        return cls(cpu[:1000], threads, device[:200])


#: That of an artifact which does not say: a store of an earlier version.
UNKNOWN = Machine("not stated", 0, "not stated")


def stated_machines(made_by: Mapping[str, Any]) -> list[Machine]:
    """The machines that an artifact states."""
    stated = made_by.get("machines")
    return [Machine.stated(facts) for facts in stated] if isinstance(stated, list) and stated else [UNKNOWN]


class Used:
    """The kinds of machine that made what a run has read or computed.

    Most artifacts are shared by all entries of a run. Those of one part of the suite alone count for the entry that is
    being made, and no longer when that is `taken`.
    """

    def __init__(self) -> None:
        self._shared: set[Machine] = set()
        self._apart: set[Machine] = set()

    def add(self, machines: Iterable[Machine], *, apart: bool) -> None:
        (self._apart if apart else self._shared).update(machines)

    def share(self) -> None:
        """From here on, all that was used counts for every entry."""
        self._shared |= self._apart

    @property
    def kinds(self) -> list[Machine]:
        return sorted(self._shared | self._apart)

    def taken(self) -> list[Machine]:
        """The kinds behind the entry that is now complete."""
        kinds = self.kinds
        self._apart.clear()
        return kinds


def written(machines: Sequence[Machine]) -> list[dict[str, Any]]:
    return [asdict(machine) for machine in machines]


@cache
def _cpu() -> str:
    """The processor: its model, instruction sets that libraries tell apart, and settings that choose among them."""
    model, flags = _of_linux() if sys.platform == "linux" else (platform.processor(), set[str]())
    known = [flag for flag in (*_X86, *_ARM) if flag in flags]
    settings = [f"{name}={os.environ[name]}" for name in _SETTINGS if os.environ.get(name)]
    return ", ".join(
        [platform.machine(), " ".join(model.split()) or "processor not stated", " ".join(known), *settings]
    )


def _of_linux() -> tuple[str, set[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor(), set()
    facts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    model = facts.get("model name") or f"{facts.get('CPU implementer', '')} {facts.get('CPU part', '')}"
    return model, set((facts.get("flags") or facts.get("Features", "")).split())
