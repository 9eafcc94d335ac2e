"""The device that a run computes on, and whether bf16 is native to it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from .errors import UserError


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device has native bf16 arithmetic; emulated bf16 is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and bool(probe and probe())


def low_precision(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """bf16 inside the block, where it is wanted and native."""
    fast = wanted and has_fast_bf16(device)
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


def choose_device(name: str) -> torch.device:
    """The named device, with TF32 off: a minimum-norm success must be one for everyone who checks it.

    On a GPU, convolutions take algorithms that give the same sums every time (for up to 22% of the gradients' speed).
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"The device {name!r} is not available; use auto, cpu or one that torch finds.") from None
    return device
