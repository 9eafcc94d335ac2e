"""Suites as TOML: read and checked, a mistake reported with file, line and key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..core.errors import UserError
from ..core.home import expanded, usable
from ..core.near import did_you_mean
from ..core.places import SuiteError
from .keys import dotted, keys_at, without_tags
from .suite import Form

#: A larger file is refused unread, and one with tables or lists in more levels than this: no suite comes near either.
MOST_BYTES, DEEPEST = 1 << 20, 20

#: The suites that most readers look for: they come first, in this order, wherever suites are listed or offered.
FIRST = ("digits", "cifar10-table2", "cifar10-adaptive", "cifar10-grid")

#: Keys and positions from the top of a suite, as in ``("attacks", 1, "name")``.
Place = tuple[str | int, ...]


def fill(model: type[BaseModel], values: Mapping[str, Any], where: str) -> Any:
    """A part of the suite that another package defines, at ``where``; the error for a mistake names its place."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        message = f"{message[:1].lower()}{message[1:]}"
        raise SuiteError((*where.split("."), *first["loc"]), f"{message} (given: {shown(first['input'])}).") from None


def shown(value: Any) -> str:
    """A value as it is, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ... ({len(text)} characters)"


def builtin_suites() -> dict[str, Path]:
    """Files of the suites that ship, by name: those of ``FIRST``, then the others by the alphabet."""
    paths = shipped("suites")
    return {name: paths[name] for name in sorted(paths, key=suite_rank)}


def shipped(folder: str) -> dict[str, Path]:
    """TOML files of a folder of this package, by name, in the order of the alphabet."""
    paths = (Path(str(file)) for file in (files("subnetbench.bench") / folder).iterdir())
    return {path.stem: path for path in sorted(paths) if path.suffix == ".toml"}


def suite_rank(name: str) -> tuple[int, str]:
    """What suites are sorted by."""
    return FIRST.index(name) if name in FIRST else len(FIRST), name


def suite_path(source: str | Path, folder: Path = Path(), asker: str = "") -> Path:
    """The file of a suite: one that ships, by name, else a path below the folder. Raises UserError if there is none."""
    suites = builtin_suites()
    path = suites.get(str(source)) or usable(folder / expanded(source))
    if not path.is_file():
        raise UserError(
            f"{f'{asker}: there' if asker else 'There'} is no suite named {str(source)!r} and no such file"
            f"{' beside it' if asker else ''}.{did_you_mean(str(source), suites, ranked=True)} "
            "`subnetbench ls suites` lists what ships."
        )
    return path


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """A file's text, and its content parsed as TOML."""
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"{path} has {size >> 10} KiB, more than any suite; give a suite's file.")
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte-order mark in front
        content = tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); correct its permissions.") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}. Correct that line.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save the suite as UTF-8.") from None
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError:  # from Python's limit for the digits of an integer, which tomllib lets through
        long = re.search(r"[\d_]{4000,}", text)
        line = f", line {text.count(chr(10), 0, long.start()) + 1}" if long else ""
        raise UserError(f"{path}{line}: a number has too many digits to be read; correct it.") from None
    level: list[Any] = [content]
    for _ in range(DEEPEST):
        level = [item for value in level for item in _items(value)]
    if level:
        raise _too_deep(path)
    return text, content


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _too_deep(path: Path) -> UserError:
    return UserError(f"{path} is nested more than {DEEPEST} levels deep, which no suite is; correct it.")


def checked_suite(form: type[Form], content: dict[str, Any], where: Callable[[Place], str]) -> Form:
    """The suite in this content; ``where`` gives the file and line of a place, to report a mistake there."""
    for place, value in _leaves(content):
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise UserError(
                f"{where(place)}: {dotted(place, content)}: {value} is neither text nor a finite "
                "number; give one of these."
            )
    try:
        suite = form.model_validate(content)
    except ValidationError as error:
        raise UserError(explain(error, where, form, content)) from None
    for place, value in _leaves(content):
        if isinstance(value, int) and abs(value) >= 2**63:
            raise UserError(f"{where(place)}: {dotted(place, content)}: {shown(value)} is not below 2**63; correct it.")
    return suite


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value that is neither a table nor a list, with its place."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def explain(
    error: ValidationError,
    where: Callable[[Place], str],
    form: type[BaseModel] | None = None,
    content: Mapping[str, Any] | None = None,
) -> str:
    """The first mistake of a suite as one sentence, with the number of further ones.

    ``form``: what the ``content`` should be, to name the nearest key that there is.
    """
    first = error.errors()[0]
    place = without_tags(first["loc"])
    key = dotted(place, content) or "the suite"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(str(place[-1]), keys_at(form, place)) if form else ""
        message = f"there is no such key here; remove it or correct its spelling{f'.{hint}' if hint else ''}"
    elif first["type"] == "missing":
        message = "this key is required and missing"
    else:
        value = first["input"]
        if isinstance(value, str | int | float | bool):
            message = f"{message[:1].lower()}{message[1:]} (given: {shown(value)})"
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    return f"{where(place)}: {key}: {message}{more}" + ("" if f"{message}{more}".endswith("?") else ".")


def file_and_line(path: Path, text: str, place: Place) -> str:
    line = line_of(text, place)
    return f"{path}, line {line}" if line else str(path)


def line_of(text: str, place: Place) -> int | None:
    """The line of a key, or of its table's header if the key is missing."""
    table: list[str | int] = []
    counts: dict[str, int] = {}
    best: tuple[int, int] | None = None  # (depth of agreement, line)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            names = header.group(2).replace('"', "").split(".")
            table = list(names)
            if header.group(1) == "[[":
                counts[header.group(2)] = counts.get(header.group(2), -1) + 1
                table.append(counts[header.group(2)])
            elif names[0] in counts:
                table.insert(1, counts[names[0]])
            here = table
        elif key := re.match(r'\s*"?([\w.-]+)"?\s*=', line):
            here = [*table, *key.group(1).split(".")]
        else:
            continue
        if tuple(here) == place[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None
