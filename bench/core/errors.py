"""What a user is told: one sentence, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave: one sentence that says what, where and the mend. Shown without a traceback."""
