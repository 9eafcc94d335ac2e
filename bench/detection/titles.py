"""Titles of the tasks that make attacked images and scores; what makes them asks by title whether a task has failed."""

from __future__ import annotations

from .suite import AnyProtocol, AttackPart, DetectorPart


def batch_title(part: AttackPart, number: int) -> str:
    """Of one batch of an attack."""
    return f"attack {part.title}/{number}"


def outcome_title(part: DetectorPart, protocol: AnyProtocol, gate: int) -> str:
    """Of a detector's scores under a protocol with one set of gates."""
    return f"scores {protocol.name}/{part.title}/{gate}"


def choice_title(number: int) -> str:
    """Of one choice of a sweep over forms of gates."""
    return f"sensitivity {number}"
