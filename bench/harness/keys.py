"""Keys of a suite as its reader knows them: an entry of a list by its label, and the keys that a table may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

#: Names of protocols, which pydantic puts into a place where a table's form depends on its name.
_TAGS = ("strict", "lee2018")


def dotted(place: Sequence[str | int], content: Any = None) -> str:
    """A place in words, as in ``detectors.lid.candidates``; a position where no label stands in the content.

    A suite that extends another has its entries at other positions than its file.
    """
    words: list[str] = []
    value = content
    for part in place:
        value = _inside(value, part)
        label = (value.get("label") or value.get("name")) if isinstance(part, int) and isinstance(value, dict) else None
        words.append(label if isinstance(label, str) and label.strip() else str(part))
    return ".".join(words)


def _inside(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def without_tags(place: Sequence[str | int]) -> tuple[str | int, ...]:
    return tuple(part for part in place if part not in _TAGS)


def keys_at(form: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that may stand in the table around a place."""
    forms = [form]
    for part in place[:-1]:
        if isinstance(part, str):
            fields = [one.model_fields[part] for one in forms if part in one.model_fields]
            forms = [inner for field in fields for inner in _forms(field.annotation)]
    return list(dict.fromkeys(key for one in forms for key in one.model_fields))


def _forms(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms(inner)


def misplaced(place: Sequence[str | int], content: Mapping[str, Any], text: str) -> str:
    """A message that begins with a place's positions, with labels in their stead."""
    return text.replace(".".join(map(str, place)), dotted(place, content), 1)
