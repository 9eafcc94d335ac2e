"""Which Python files determine what a plug-in computes: its own and those that it may call."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import operator
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from .reach import reached

#: Our own packages. Of these only a module and those that it imports from its folder count: an edit elsewhere in the
#: house does not make every stored result anew.
HOME = "subnetbench"

#: Libraries that a base class may come from and whose files do not count; entries state the versions of both.
LIBRARIES = frozenset({"torch", "torchvision"}) | sys.stdlib_module_names

#: The flag of a class that was made while Python ran.
HEAP_TYPE = 1 << 9


def home_of(thing: Any) -> str:
    """The top-level package or module that defines a class, a function or an instance's class."""
    return str(_kind(thing).__module__).partition(".")[0]


def sources_of(thing: Any) -> dict[str, bytes]:
    """Name -> source of each file that counts for a class, a function or an instance's class.

    Every module of the distribution that installs it; without a distribution, every module of its package, or its file
    and those that it imports from the same folder; in a notebook or a script that runs, the functions, classes and
    values that it names (`reached`). Base classes from elsewhere count with their own file.
    """
    kind = _kind(thing)
    if of_session(kind):
        return reached(kind, _files)
    found = dict(_own(kind))
    for base in getattr(kind, "__mro__", (kind,))[1:]:
        path = _file(base.__module__)
        if home_of(base) not in LIBRARIES and path is not None and path not in found.values():
            found[base.__module__] = path
    loaded = _by_file()
    sources = {name: read_once(path, loaded.get(str(path))) for name, path in sorted(found.items())}
    return sources or {kind.__qualname__: b""}


def of_session(thing: Any) -> bool:
    """Whether a class, a function or an instance's class was defined in a notebook, a console or the running script."""
    kind = _kind(thing)
    module = str(kind.__module__)
    if module in ("__main__", "builtins"):  # `exec` without a module's name makes the latter
        return vars(builtins).get(kind.__name__) is not kind and _in_python(kind)
    if home_of(kind) in {HOME, *LIBRARIES} or not _in_python(kind):
        return False
    return _file(module) is None and not _own(kind)


def _in_python(kind: Any) -> bool:
    """Whether a class or function can have been written in Python: a class that is made, not part of a library."""
    return bool(kind.__flags__ & HEAP_TYPE) if inspect.isclass(kind) else inspect.isfunction(kind)


def _files(thing: Any) -> dict[str, bytes] | None:
    """The sources of what a session names (a module by its name): none of a library's, None where there is no file."""
    if isinstance(thing, str):
        return {} if _is_library(thing.partition(".")[0]) else _with_imports(thing)
    if of_session(thing):
        return None
    return {} if _is_library(home_of(thing)) else sources_of(thing)


def _is_library(top: str) -> bool:
    return top in LIBRARIES or top == HOME or top in _distributions()


def _with_imports(module: str) -> dict[str, bytes]:
    """The file of a module, imported already or not, and those that it imports from the same folder."""
    path = _file(module)
    if path is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return {}
        path = Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
    if path is None or not path.is_file():
        return {}
    return {name: each.read_bytes() for name, each in _walked(path, path.parent, absolute=True).items()}


_READ: dict[Path, tuple[object, object, bytes]] = {}


def read_once(path: Path, module: object) -> bytes:
    """A file as it was when it was first asked for, or since its module was last reloaded.

    An edit during a run is not what runs: with it in the key, results of the old code would pass for the new one's.
    """
    spec = getattr(module, "__spec__", None)
    if path not in _READ or _READ[path][0] is not module or _READ[path][1] is not spec:
        _READ[path] = (module, spec, path.read_bytes())
    return _READ[path][2]


#: The modules that were there when `_by_file` last looked, and each by its file.
_LOADED: tuple[list[Any], dict[Any, Any]] = [], {}


def _by_file() -> dict[Any, Any]:
    """Each imported module by its file; looked through again only where there is another module than before."""
    global _LOADED
    modules = list(sys.modules.values())
    if len(modules) != len(_LOADED[0]) or not all(map(operator.is_, modules, _LOADED[0])):
        _LOADED = modules, {getattr(module, "__file__", None): module for module in modules}
    return _LOADED[1]


def _kind(thing: Any) -> Any:
    thing = inspect.unwrap(getattr(thing, "func", thing))  # of a functools.partial
    return thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)


def _file(module: str) -> Path | None:
    name = getattr(sys.modules.get(module), "__file__", None)
    path = Path(name) if name else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


@lru_cache(maxsize=256)
def _own(kind: Any) -> dict[str, Path]:
    module, top = str(kind.__module__), home_of(kind)
    path = _file(module)
    if top == HOME:
        return {} if path is None else _walked(path, path.parent, absolute=False)
    names = _installed_beside(top) or ((top,) if "." in module else ())
    found = {name: path for each in names for name, path in _modules(each)}
    if found or path is None:
        return found
    return _walked(path, path.parent, absolute=True)


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return {name: list(owners) for name, owners in packages_distributions().items()}


def _installed_beside(top: str) -> tuple[str, ...]:
    """The top-level names that come with a name's distributions, itself included; empty if it has none."""
    owners = set(_distributions().get(top, ()))
    return tuple(sorted(name for name, others in _distributions().items() if owners & set(others)))


def _modules(top: str) -> Iterator[tuple[str, Path]]:
    """Name and path of every Python file of a top-level package or module, which need not be imported."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in folder.rglob("*.py"):
            below = path.relative_to(folder)
            if not any(part.startswith(".") or part == "site-packages" for part in below.parts):
                yield f"{top}/{below.as_posix()}", path
    if not spec.submodule_search_locations and spec.origin and spec.origin.endswith(".py"):
        yield top, Path(spec.origin)


# -- files without a distribution --------------------------------------------------------------------------------------


def _walked(start: Path, root: Path, *, absolute: bool) -> dict[str, Path]:
    """A file and those below ``root`` that it imports, and so on; ``absolute``: those imported without dots as well."""
    found: dict[str, Path] = {}
    todo = [start]
    while todo:
        path = todo.pop()
        name = path.relative_to(root).as_posix()
        if name not in found:
            found[name] = path
            for dots, parts in _imports(path.read_bytes()):
                if dots or (absolute and parts and parts[0] not in _distributions()):
                    base = path.parents[dots - 1] if dots else root
                    todo += [each for each in _candidates(base, parts) if each.is_relative_to(root)]
    return found


def _candidates(base: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """The files that an import of ``parts`` below ``base`` may run."""
    for end in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:end])
        yield from (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())


@lru_cache(maxsize=1024)
def _imports(source: bytes) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The imports in a file: number of leading dots, and the dotted name in parts."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found: set[tuple[int, tuple[str, ...]]] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {(0, tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split(".")) if node.module else ()
            found |= {(node.level, (*module, alias.name)) for alias in node.names}
    return tuple(sorted(found))
