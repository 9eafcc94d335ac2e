"""The adaptive track's suite is the detection track's: its table ``[adaptive]`` says how detectors are attacked."""

from __future__ import annotations

from ..detection.suite import Suite

__all__ = ["Suite"]
