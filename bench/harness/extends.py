"""Suites that extend another: a file holds what differs, and a mistake is reported with the file that it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.near import did_you_mean
from .toml import Place, file_and_line, read_toml, suite_path

#: Not inherited: results lie in a folder of the suite's name, and a variant must not overwrite those of its base.
OWN = ("name", "title")


class Labelled(dict[str, Any]):
    """A list of tables while suites are merged: the tables by label (else name), in order."""


@dataclass(frozen=True)
class SuiteRead:
    """A suite's content, merged from its files, and the file and line of each place in it."""

    path: Path
    content: dict[str, Any]
    where: Callable[[Place], str]


@dataclass(frozen=True)
class Layer:
    """One file of a chain. A variant of it removes from ``tree`` what it leaves out."""

    path: Path
    text: str
    tree: dict[str, Any]
    labels: dict[str, list[str]]  # of each list of tables, in the file's order
    extends: str | None
    without: list[str]
    after: dict[tuple[str, str], str]  # (list, label): label of the entry that it comes after

    def where(self, *place: str | int) -> str:
        """File and line of a place in which the entries of a list are named by label."""
        if len(place) > 1 and place[1] in (labels := self.labels.get(str(place[0]), [])):
            place = (place[0], labels.index(str(place[1])), *place[2:])
        return file_and_line(self.path, self.text, place)

    def reach(self, place: Place) -> tuple[int, bool]:
        """The number of the place's parts that are here, and whether its value, or that of a table around it, is."""
        value: Any = self.tree
        for depth, part in enumerate(place):
            if not isinstance(value, dict):
                return depth, True
            if part not in value:
                return depth, False
            value = value[part]
        return len(place), True


def read_suite(source: str | Path, tracks: Mapping[str, str] | None = None) -> SuiteRead:
    """The suite of this name or in this file, merged into what it extends. Raises UserError if there is none.

    ``tracks`` maps each table that only one track's suites have to that track: a suite extends one of its own track.
    """
    path = suite_path(source)
    text, content = read_toml(path)
    if "extends" not in content:
        return SuiteRead(path, content, lambda place: file_and_line(path, text, place))
    chain = _chain(path)
    tree = _combined(chain, tracks or {})
    whole = {key: list(value.values()) if isinstance(value, Labelled) else value for key, value in tree.items()}
    return SuiteRead(path, whole, lambda place: _where(chain, tree, place))


def chain_of(source: str | Path) -> list[tuple[Path, str]]:
    """Path and text of each file that a suite is merged from. Raises UserError as `read_suite` does."""
    path = suite_path(source)
    text, content = read_toml(path)
    return [(layer.path, layer.text) for layer in _chain(path)] if "extends" in content else [(path, text)]


def _chain(path: Path) -> list[Layer]:
    """The suite's file, the one that it extends, and so on."""
    chain = [_layer(path)]
    while (base := chain[-1].extends) is not None:
        last = chain[-1]
        path = suite_path(base, last.path.parent, f"{last.where('extends')}: extends")
        if path.resolve() in [layer.path.resolve() for layer in chain]:
            circle = " extends ".join([*(layer.path.name for layer in chain), path.name])
            raise UserError(f"{last.where('extends')}: extends: {circle}; remove this key from one of them.")
        chain.append(_layer(path))
    return chain


def _layer(path: Path) -> Layer:
    text, content = read_toml(path)
    tree: dict[str, Any] = {
        key: _labelled(value, lambda *place, key=key: f"{file_and_line(path, text, (key, *place))}: {key}")
        for key, value in content.items()
    }
    labels = {key: list(value) for key, value in tree.items() if isinstance(value, Labelled)}
    if "extends" not in tree:
        return Layer(path, text, tree, labels, None, [], {})
    extends, without = tree.pop("extends"), tree.pop("without", [])
    if not isinstance(extends, str):
        raise UserError(
            f"{file_and_line(path, text, ('extends',))}: extends: {extends!r} is not a suite; give the name of one "
            "that ships, or a file, as text."
        )
    if not isinstance(without, list) or not all(isinstance(part, str) for part in without):
        raise UserError(
            f"{file_and_line(path, text, ('without',))}: without: {without!r} is not a list of texts; give one, such "
            'as ["model.weights", "detectors.lid"].'
        )
    entries = [(key, label, tree[key][label]) for key in labels for label in labels[key]]
    after = {(key, label): entry.pop("after") for key, label, entry in entries if "after" in entry}
    return Layer(path, text, tree, labels, extends, without, after)


def _labelled(value: Any, where: Callable[..., str]) -> Any:
    """A list of tables as tables by label; anything else unchanged."""
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        return value
    tables = Labelled()
    for number, entry in enumerate(value):
        label = entry.get("label", entry.get("name"))
        if not isinstance(label, str):
            raise UserError(f"{where(number)}.{number}: an entry needs a name or a label as text; give it one.")
        if label in tables:
            raise UserError(
                f"{where(number)}.{number}: two entries are labelled {label!r}; give one of them a label of its own."
            )
        tables[label] = entry
    return tables


def _combined(chain: list[Layer], tracks: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for number, layer in reversed(list(enumerate(chain))):
        bases = chain[number + 1 :]
        _refuse_another_track(layer, tree, tracks)
        removed = [_to_leave_out(layer, tree, part) for part in layer.without]
        if _is_of_another_net(layer, tree):
            removed.append(("model", "weights"))
        for place in [*removed, *((name,) for name in OWN)]:
            for parts in (tree, *(base.tree for base in bases)):
                _remove(parts, place)
        tree = _merged(tree, deepcopy(layer.tree))
        for (key, label), other in layer.after.items():
            tree[key] = _moved(layer, tree[key], key, label, other)
    return tree


def _is_of_another_net(layer: Layer, base: dict[str, Any]) -> bool:
    """Whether a suite names another net or other data than its base: the base's weights are of no use to it."""
    for key in ("model", "dataset"):
        here, there = layer.tree.get(key), base.get(key)
        if (
            isinstance(here, dict)
            and isinstance(there, dict)
            and here.get("name", there.get("name")) != there.get("name")
        ):
            return True
    return False


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge key by key where both have a table or both a list of tables; replace everything else."""
    whole = type(base)(base)
    for key, value in changes.items():
        old = base.get(key)
        whole[key] = _merged(old, value) if isinstance(old, dict) and type(old) is type(value) else value
    return whole


def _moved(layer: Layer, tables: Labelled, key: str, label: str, other: Any) -> Labelled:
    """The list with one entry moved behind another."""
    others = [name for name in tables if name != label]
    if other not in others:
        raise UserError(
            f"{layer.where(key, label, 'after')}: {key}.{label}.after: there is no other entry {other!r}."
            f"{did_you_mean(str(other), others)} Name one by its label, or remove the line."
        )
    others.insert(others.index(other) + 1, label)
    return Labelled({name: tables[name] for name in others})


def _refuse_another_track(layer: Layer, base: dict[str, Any], tracks: Mapping[str, str]) -> None:
    for key in layer.tree:
        track = tracks.get(key)
        for other in {tracks[name] for name in base if name in tracks} - {track} if track else ():
            raise UserError(
                f"{layer.where(key, 0)}: {key}: only a {track} suite has it, and {layer.extends!r} is a {other} suite; "
                f"extend a {track} suite, or leave {key} out."
            )


def _to_leave_out(layer: Layer, tree: dict[str, Any], dotted: str) -> tuple[str, ...]:
    place = _place(tree, dotted)
    if place is None:
        raise UserError(
            f"{layer.where('without')}: without: {layer.extends!r} has no {dotted!r}."
            f"{did_you_mean(dotted, list(_dotted(tree)))} Name a key or an entry that it has, or remove this."
        )
    return place


def _place(table: dict[str, Any], dotted: str) -> tuple[str, ...] | None:
    """The keys separated by dots; a label may itself contain dots."""
    for key in sorted(table, key=len, reverse=True):
        if dotted == key:
            return (key,)
        inner = dotted.removeprefix(f"{key}.")
        if inner != dotted and isinstance(table[key], dict) and (rest := _place(table[key], inner)):
            return (key, *rest)
    return None


def _dotted(table: dict[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in _dotted(value))


def _remove(tree: dict[str, Any], place: tuple[str, ...]) -> None:
    table: Any = tree
    for part in place[:-1]:
        table = table.get(part)
        if not isinstance(table, dict):
            return
    table.pop(place[-1], None)


def _where(chain: list[Layer], tree: dict[str, Any], place: Place) -> str:
    """File and line of a place in the merged suite: in the first file that gives its value, else most of its keys."""
    if len(place) > 1 and isinstance(tables := tree.get(str(place[0])), Labelled):
        place = (place[0], list(tables)[int(place[1])], *place[2:])
    deepest, most = chain[0], 0
    for layer in chain:
        depth, gives = layer.reach(place)
        if gives:
            return layer.where(*place)
        if depth > most:
            deepest, most = layer, depth
    return deepest.where(*place)
