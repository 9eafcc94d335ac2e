"""The command that checks a suite: everything that `run` refuses before it computes, in the time of a glance.

Some of the checks build the net and every detector, which takes the seconds that torch needs to be imported. A suite
of ours alone that was found valid is remembered as such: its files, the files that it names and our code are compared.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.recall import recall, remember
from . import console
from .options import Surroundings

#: Suites that are remembered, the latest.
MOST = 64


def validate(file: Annotated[str, typer.Argument(help="A suite file or a built-in suite.")]) -> None:
    """Check a suite file without running it."""
    key = _key(file)
    valid: dict[str, Any] = (recall("valid") if key else None) or {}
    if key is None or key not in valid:
        facts, of_ours = _checked(file)
        if key is not None and of_ours:
            remember("valid", dict([*valid.items(), (key, facts)][-MOST:]))
    else:
        facts = valid[key]
    for warning in facts["warnings"]:
        console.note(warning)
    console.plain(f"{file} is a valid suite: {facts['size']}.")
    for label, origin in facts["nets"].items():
        console.plain(f"  {label}: {origin}")


def _checked(file: str) -> tuple[dict[str, Any], bool]:
    """What is printed of a valid suite, and whether everything that it names is ours. UserError for a mistake in it."""
    import tempfile

    from ..core.progress import Silent
    from ..tracks import load_suite, located, tracks_of

    suite = load_suite(file)
    report = Silent()
    with tempfile.TemporaryDirectory() as folder, located(file):
        context = Surroundings("cpu", None, Path(folder)).context(report)
        for track in tracks_of(suite):
            track.run(suite, context).check()
    nets = {label: net.model.origin for label, net in suite.nets().items()}
    facts = {"warnings": report.warnings, "size": suite.size(), "nets": nets}
    return facts, not _third_party() & set(_texts(suite.model_dump()))


def _third_party() -> set[str]:
    """Names that plug-ins registered, and each without the library that an attack's name begins with."""
    from ..core import registry

    kinds = (registry.detectors, registry.attacks, registry.arms, registry.datasets, registry.models, registry.saliency)
    names = {name for kind in kinds if kind.is_loaded for name in kind if not kind.is_ours(name)}
    return names | {name.rpartition("/")[2] for name in names}


def _key(file: str) -> str | None:
    """Hash of a suite's files and of the state of every file that it names; None where it names a folder."""
    from ..harness.extends import chain_of, read_suite

    state = hashlib.sha256(repr([(str(path), text) for path, text in chain_of(file)]).encode())
    for text in _texts(read_suite(file).content):
        path = os.path.expanduser(text)
        if os.path.isdir(path):
            return None
        if os.path.exists(path):
            at = os.stat(path)
            state.update(f"{os.path.abspath(path)} {at.st_size} {at.st_mtime_ns}".encode())
    return state.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    """Every text in a suite, short enough to be a name or a path."""
    if isinstance(value, str):
        if len(value) < 4096 and "\0" not in value:
            yield value
    else:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for item in items:
            yield from _texts(item)
