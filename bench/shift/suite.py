"""The shift track's suite is the detection track's: its table ``[shift]`` says how clean images are changed."""

from __future__ import annotations

from ..detection.suite import Suite

__all__ = ["Suite"]
