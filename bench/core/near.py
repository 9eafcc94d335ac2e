"""The names that a user may have meant by one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, ranked: bool = False) -> str:
    """A question that names up to three names which begin with ``word``, else the nearest one; "" if none is near.

    Short names come before long ones, unless the names are ``ranked``: given with the likeliest first.
    """
    names = list(known)
    begun = [name for name in names if word and name.lower().startswith(word.lower())]
    # A whole part of a name comes before a part of a number: cifar10-table2 before cifar100-all.
    begun.sort(key=lambda name: (name[len(word) : len(word) + 1].isalnum(), 0 if ranked else len(name)))
    near = begun[:3] or difflib.get_close_matches(word, names, n=1, cutoff=0.4)
    if not near:
        return ""
    *first, last = map(repr, near)
    return f" Did you mean {', '.join(first)}{' or ' if first else ''}{last}?"
