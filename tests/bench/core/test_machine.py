from __future__ import annotations

from typing import Any

import pytest
from subnetbench.bench.core.artifact import is_whole, packed, unpacked
from subnetbench.bench.core.machine import UNKNOWN, Machine, Used, stated_machines, written

ONE, OTHER = Machine("one", 1, "cpu"), Machine("other", 8, "cuda, a card")


def test_this_machine_states_its_processor_its_threads_and_its_device() -> None:
    import torch

    here = Machine.here("cpu")
    assert here.cpu
    assert (here.threads, here.device) == (torch.get_num_threads(), "cpu")


def test_a_setting_that_makes_libraries_take_other_code_is_part_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    from subnetbench.bench.core import machine

    machine._cpu.cache_clear()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert Machine.here("cpu").cpu.endswith("ATEN_CPU_CAPABILITY=avx2")
    machine._cpu.cache_clear()


def test_what_one_entry_rests_on_counts_for_no_other() -> None:
    used = Used()
    used.add([ONE], apart=False)
    used.add([OTHER], apart=True)
    assert used.taken() == [ONE, OTHER]
    assert used.taken() == [ONE]
    used.add([OTHER], apart=True)
    used.share()
    assert used.taken() == used.taken() == [ONE, OTHER]


def test_machines_are_kept_beside_the_meta_data_and_never_among_them() -> None:
    blob = b"".join(packed({}, {"made by": "a stage", "n": 1}, {"machines": written([ONE, OTHER])}))
    assert is_whole(blob)
    _, meta, made_by = unpacked(blob)
    assert meta == {"n": 1}
    assert stated_machines(made_by) == [ONE, OTHER]


@pytest.mark.parametrize(
    "stated", [{}, {"machines": []}, {"machines": "x"}, {"machines": [7]}, {"machines": [{"cpu": 1}]}]
)
def test_what_states_no_machine_is_of_an_unknown_one(stated: dict[str, Any]) -> None:
    assert stated_machines(stated) == [UNKNOWN]
