"""Values of an entry that have bounds of their own: names, days, shares and counts."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field


def shown_name(text: str) -> str:
    """A name of printable characters; it becomes a file name, so it must not be a path."""
    if not text.strip() or text.strip(".") == "" or any(c in "/\\" for c in text):
        raise ValueError("this is not a name: it is empty, or reads as a path")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text):
        raise ValueError("this is not a name: it holds control characters or invisible ones")
    return text


def _day(text: str) -> str:
    """A calendar day in ISO form; `date.fromisoformat` alone takes other forms too."""
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("this is not a day such as 2026-11-27")


Day = Annotated[str, Field(max_length=40), AfterValidator(_day)]
Shown = Annotated[str, Field(max_length=200), AfterValidator(shown_name)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Far above what any run counts or measures, and low enough that sums and products stay finite.
Count = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[float, Field(ge=0, le=1e12)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
