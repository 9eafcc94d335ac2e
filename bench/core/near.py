"""The names that a user may have meant by one that does not exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

#: How alike a name has to be to one that exists, by the letters in common: a slip of the fingers, not another word.
ALIKE = 0.65


def did_you_mean(word: str, known: Iterable[str], *, ranked: bool = False) -> str:
    """A question that names up to three names which begin or end with ``word``, else the nearest one; "" if none is.

    Short names come before long ones, unless the names are ``ranked``: given with the likeliest first.
    """
    near = _near(word, list(known), ranked)
    if not near:
        return ""
    *first, last = map(repr, near)
    return f" Did you mean {', '.join(first)}{' or ' if first else ''}{last}?"


def _near(word: str, names: Sequence[str], ranked: bool) -> Sequence[str]:
    if not word:
        return []
    small = word.lower()
    begun = [name for name in names if name.lower().startswith(small)]
    ended = [name for name in names if re.search(rf"[./-]{re.escape(small)}$", name.lower())]
    if begun or ended:
        # A whole part of a name comes before a part of a number: cifar10-table2 before cifar100-all.
        return sorted(begun or ended, key=lambda name: (_goes_on(name, word), 0 if ranked else len(name)))[:3]
    by_small = {name.lower(): name for name in names}
    return [by_small[name] for name in difflib.get_close_matches(small, by_small, n=1, cutoff=ALIKE)]


def _goes_on(name: str, word: str) -> bool:
    return name.lower().startswith(word.lower()) and name[len(word) : len(word) + 1].isalnum()
