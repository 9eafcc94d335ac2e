"""What our own modules register, read from their sources: an import of them would import torch, which takes seconds.

Only what a class declares is worked out, and only when it is asked for: literals, what they are copied from, and calls
of classes from modules that need no more than Python and `bench.core`. Whatever else a source does is `Unread`, and
its reader imports the modules after all. `tests/bench/core/test_declared.py` compares every row with the import's.
"""

from __future__ import annotations

import ast
import copy
import importlib
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from .registry import modules_of

#: How the names of our modules begin that may be imported, since they need no torch.
_CORE = f"{__package__}."

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unread(Exception):  # noqa: N818 (a limit of the reader, not a mistake in what is read)
    """A source from which this module cannot tell what is registered."""


def declared(home: str, word: str) -> dict[str, Declared]:
    """What the modules of ``home`` register by ``@register_<word>(name)``, by name; `Unread` where that is unclear."""
    sources: dict[str, _Source] = {}
    found: dict[str, Declared] = {}
    try:
        for module in modules_of(home):
            found |= _Source.of(module, sources).registered(f"register_{word}")
    except Unread:
        raise
    except Exception as error:  # whatever our reading of it raises, the import may do well
        raise Unread(f"{home}: {error!r}") from error
    return found


class Declared:
    """A class or a function of ours, as its source has it: its attributes are those that it or a base declares."""

    def __init__(self, source: _Source, name: str, doc: str | None, own: dict[str, Any], bases: list[Any]) -> None:
        self.__module__, self.__name__, self.__qualname__, self.__doc__ = source.module, name, name, doc
        self._own, self._bases = own, bases

    @classmethod
    def of(cls, source: _Source, node: ast.ClassDef | _Function) -> Declared:
        own: dict[str, Any] = {}
        if isinstance(node, ast.ClassDef):
            for name, made in _names(node.body):
                own[name] = made if isinstance(made, ast.stmt) else _Later(source, *made)
        bases = [source.value(base) for base in getattr(node, "bases", ()) if not isinstance(base, ast.Subscript)]
        return cls(source, node.name, ast.get_docstring(node), own, bases)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._own:
            value = self._own[name]
            return value() if isinstance(value, _Later) else value
        for base in self._bases:  # not quite Python's order: one that several share may come before the last of them
            if hasattr(base, name):
                return getattr(base, name)
        raise AttributeError(name)


class _Later:
    """A value of a class, worked out when it is asked for; ``place`` of one that is assigned with others."""

    def __init__(self, source: _Source, node: ast.expr, place: int | None) -> None:
        self._source, self._node, self._place = source, node, place

    def __call__(self) -> Any:
        value = self._source.value(self._node)
        return value if self._place is None else value[self._place]


class _Source(dict[str, Any]):
    """The names of a module, each worked out when it is asked for; the globals of what is evaluated."""

    def __init__(self, module: str, others: dict[str, _Source]) -> None:
        super().__init__(globals=dict, type=self._made)  # as loops that register write and call them
        self.module, self._others = module, others

    @classmethod
    def of(cls, module: str, others: dict[str, _Source]) -> _Source:
        if module not in others:
            others[module] = cls(module, others)
        return others[module]

    @cached_property
    def tree(self) -> ast.Module:
        spec = find_spec(self.module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise Unread(f"{self.module} has no source")
        return ast.parse(Path(spec.origin).read_bytes())

    @cached_property
    def _statements(self) -> dict[str, Any]:
        return dict(_names(self.tree.body))

    def __missing__(self, name: str) -> Any:
        made = self._statements[name]  # a KeyError sends Python to its builtins
        if isinstance(made, tuple):
            self[name] = _Later(self, *made)()
        elif isinstance(made, ast.ClassDef):
            self[name] = Declared.of(self, made)
        elif isinstance(made, _Function):
            plain = copy.copy(made)
            plain.decorator_list = []
            self.run(plain)
        else:
            self[name] = self._imported(made, name)
        return self[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def value(self, node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), self.module, "eval"), self)

    def run(self, node: ast.stmt) -> None:
        exec(compile(ast.Module([node], []), self.module, "exec", annotations.compiler_flag), self)

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str) -> Any:
        alias = next(each for each in node.names if (each.asname or each.name.partition(".")[0]) == name)
        if isinstance(node, ast.Import):
            return importlib.import_module(_light(alias.name))
        package = self.module.rpartition(".")[0]
        module = resolve_name("." * node.level + (node.module or ""), package)
        if node.module is None:
            return _Source.of(f"{module}.{alias.name}", self._others)
        if module.rpartition(".")[0] == package:
            beside = _Source.of(module, self._others)
            return getattr(importlib.import_module(module), alias.name) if beside.light else beside[alias.name]
        return getattr(importlib.import_module(_light(module)), alias.name)

    @cached_property
    def light(self) -> bool:
        """Whether it may be imported: it imports no more than Python's library and `bench.core`."""
        package = self.module.rpartition(".")[0]
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [resolve_name("." * node.level + (node.module or ""), package)]
            else:
                continue
            if not all(_needs_no_torch(module) for module in modules):
                return False
        return True

    def registered(self, decorator: str) -> dict[str, Declared]:
        """What the module registers at its top level, one by one or in a loop."""
        found: dict[str, Declared] = {}
        self[decorator] = lambda name: lambda item: found.setdefault(name, item)
        calls = _calls(self.tree, decorator)
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef | _Function):
                own = [call for call in node.decorator_list if isinstance(call, ast.Call) and call in calls]
                for call in own:
                    found[self.value(call.args[0])] = Declared.of(self, node)
            elif isinstance(node, ast.For):
                own = [call for call in _calls(node, decorator) if call in calls]
                if own:
                    self.run(node)
            else:
                own = []
            calls = [call for call in calls if call not in own]
        if calls:
            raise Unread(f"{self.module} registers at line {calls[0].lineno} what is not a class, a function or a loop")
        return found

    def _made(self, first: Any, *bases_and_body: Any) -> Any:
        """What ``type`` gives: of a name, bases and body a class, of one argument its class."""
        if not bases_and_body:
            return type(first)
        _, body = bases_and_body
        return Declared(self, first, body.get("__doc__"), body, [])


def _names(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """What each name stands for: the statement that makes it, or an expression and a place in its value."""
    for node in body:
        if isinstance(node, ast.ClassDef | _Function):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            yield node.target.id, (node.value, None)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, (node.value, None)
                elif isinstance(target, ast.Tuple):
                    places = enumerate(target.elts)
                    yield from ((each.id, (node.value, at)) for at, each in places if isinstance(each, ast.Name))


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name]


def _needs_no_torch(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names or f"{module}.".startswith(_CORE)


def _light(module: str) -> str:
    if not _needs_no_torch(module):
        raise Unread(f"{module} is not imported to read what is registered")
    return module
