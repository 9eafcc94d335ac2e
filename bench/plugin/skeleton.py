"""Starter packages for third-party detectors, attacks, nets, data sets and saliency methods: they work unedited."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

from ..core import registry
from ..core.errors import UserError
from ..core.near import did_you_mean
from ..core.registry import Registry
from ..harness.suite import NAME

#: File of a package -> its template among `templates/<kind>`; a kind may lack one.
_FILES = {
    "pyproject.toml": "../pyproject.txt",
    "{module}.py": "module.txt",
    "README.md": "readme.txt",
    "tests/test_{stem}.py": "test.txt",
    "suite.toml": "suite.txt",
}

#: What the templates import or define: a class or function of that name would hide it.
_RESERVED = {
    *("AttackInfo", "Classifier", "Dataset", "DetectorInfo", "F", "Net", "SaliencyInfo", "Split", "UserError"),
    *("annotations", "nn", "np", "torch"),
}


@dataclass(frozen=True)
class Kind:
    """Something that can be brought: its word in sentences and in names, and what a package of it is called by.

    ``next``: commands after the installation, in which ``{name}`` and ``{folder}`` are filled in.
    """

    word: str
    what: str
    registry: Registry[Any]
    named: Callable[[list[str]], str]
    next: tuple[str, ...]

    @property
    def article(self) -> str:
        return self.what.split()[0]


def _class(words: list[str]) -> str:
    return "".join(word[:1].upper() + word[1:] for word in words)


def _function(words: list[str]) -> str:
    return "_".join(words).lower()


_SUITE = ("subnetbench validate {folder}/suite.toml", "subnetbench run {folder}/suite.toml")

#: By the word that `subnetbench new` takes.
KINDS: Mapping[str, Kind] = {
    "detector": Kind(
        "detector",
        "a detector of adversarial images",
        registry.detectors,
        _class,
        ("subnetbench validate-detector {name}", "subnetbench run digits --detector {name}"),
    ),
    "attack": Kind(
        "attack",
        "an attack",
        registry.attacks,
        _class,
        ("subnetbench validate-attack {name}", "subnetbench run {folder}/suite.toml"),
    ),
    "model": Kind("net", "a net", registry.models, _function, _SUITE),
    "dataset": Kind("data set", "a data set", registry.datasets, _function, _SUITE),
    "saliency": Kind(
        "saliency method",
        "a saliency method",
        registry.saliency,
        _class,
        ("subnetbench ls saliencymethods", "subnetbench run {folder}/suite.toml --data-root FOLDER"),
    ),
}


def kind_of(word: str) -> Kind:
    """The kind that a user names. UserError with the nearest where there is none."""
    if word in KINDS:
        return KINDS[word]
    raise UserError(
        f"There is no package to start from for {word!r}.{did_you_mean(word, KINDS)} Give one of {', '.join(KINDS)}."
    )


def write(word: str, name: str, into: Path, year: int) -> Path:
    """Write the package of a ``word`` called ``name`` to ``into/name``; returns that folder.

    Raises UserError where there is no such kind, the name is invalid or taken, or the folder exists or cannot be
    written.
    """
    kind = kind_of(word)
    values = _values(word, kind, name) | {"year": str(year)}
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder} exists already; give another name, or another folder with --into.")
    try:
        for file, text in _texts(word).items():
            path = folder / file.format(**values)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}); give another --into.") from None
    return folder


def next_commands(word: str, name: str, folder: Path) -> list[str]:
    """What to type after a package was written."""
    lines = ("pip install --editable {folder}", *KINDS[word].next)
    return [line.format(name=name, folder=folder) for line in lines]


def _texts(word: str) -> dict[str, str]:
    """The templates of a kind, by the files that they become."""
    home = files(__package__).joinpath("templates")
    places: dict[str, Traversable] = {
        file: home.joinpath(template[3:]) if template.startswith("../") else home.joinpath(word, template)
        for file, template in _FILES.items()
    }
    return {file: place.read_text(encoding="utf-8") for file, place in places.items() if place.is_file()}


def _values(word: str, kind: Kind, name: str) -> dict[str, str]:
    """What the templates fill in. UserError where the name cannot be one."""
    module = _checked(kind, name)
    words = [part for part in re.split(r"[-._]+", name) if part]
    made = kind.named(words)
    if not made.isidentifier() or keyword.iskeyword(made) or made in _RESERVED or made.lower().startswith("test"):
        made = kind.named([word, *words])
    return {
        "name": name,
        "key": name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"',  # a dotted TOML key would be two
        "distribution": f"subnetbench-{_canonical(name)}",
        "group": kind.registry.group,
        "module": module,
        "stem": module.removeprefix("subnetbench_"),
        "made": made,
        "title": " ".join(words).capitalize(),
        "what": kind.what,
    }


def _canonical(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _checked(kind: Kind, name: str) -> str:
    """The module that something of this name lives in; UserError where the name cannot be one."""
    if (
        not re.fullmatch(NAME, name)
        or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name)
        or len(name) > 64
    ):
        raise UserError(
            f"{name!r} is not a name for {kind.article} {kind.word}; use up to 64 letters, digits, hyphens and "
            "underscores that begin and end with a letter or digit, such as my-score."
        )
    known = [*kind.registry, *kind.registry.broken]
    # A suite that names `bim` means the attack of the library that it names.
    taken = next((label for label in known if _canonical(label.rpartition("/")[2]) == _canonical(name)), None)
    if taken is not None:
        raise UserError(f"There is {kind.article} {kind.word} named {taken!r} already; give yours another name.")
    module = f"subnetbench_{re.sub('[-.]+', '_', name.lower())}"
    if importlib.util.find_spec(module) is not None:
        raise UserError(f"There is a Python module {module} already, which {name!r} would hide; give another name.")
    return module
