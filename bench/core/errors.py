"""Errors that a user sees: one sentence, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the user's input: one sentence with the problem, its place and the fix, without a traceback."""
