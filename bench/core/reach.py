"""What code without a file computes with: a class of a notebook, a console or a script, with all that it names."""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

#: Whatever cannot be looked into (a generator of random numbers, an open file) is another one in every process.
_PROCESS = uuid.uuid4().hex

#: The flags of code that say what kind of function it is; others say how it was compiled.
_KINDS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)

#: The sources of a class, a function or a module (by its name) that has any; None: look inside.
Files = Callable[[Any], Mapping[str, bytes] | None]


def reached(thing: Any, files: Files) -> dict[str, bytes]:
    """Name -> content of every piece of code and every value that a class or function may compute with.

    Code counts by its bytecode, constants and names: comments do not, another version of Python gives another hash.
    Functions, classes and values that it names count in their turn, wherever a notebook defines them; modules with
    files count with what ``files`` gives.
    """
    walk = _Walk(files)
    walk.text(thing)
    return dict(sorted(walk.contents.items()))


class _Walk:
    """One walk from a class or function to all that it names, each visited once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.contents: dict[str, bytes] = {}
        self._seen: dict[int, str] = {}
        self._kept: list[Any] = []  # no id is given twice while the walk goes on

    def text(self, value: Any) -> str:
        """A text that two values share only if they are equal; code, which is long, is kept in `contents`."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
            return f"{type(value).__name__} {value!r}"
        if id(value) in self._seen:
            return self._seen[id(value)]
        self._seen[id(value)] = f"<{len(self._seen)}>"
        self._kept.append(value)
        try:
            self._seen[id(value)] = text = self._looked_into(value)
        except Exception:  # of somebody's own attributes or text, or too deep
            self._seen[id(value)] = text = _opaque(value)
        return text

    def _looked_into(self, value: Any) -> str:
        if isinstance(value, ModuleType):
            return self._module(value.__name__)
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            return self._defined(value)
        if isinstance(value, tuple | list):
            return f"{type(value).__name__} [{', '.join(map(self.text, value))}]"
        if isinstance(value, set | frozenset):
            return f"{type(value).__name__} [{', '.join(sorted(map(self.text, value)))}]"
        if isinstance(value, Mapping):
            pairs = sorted((self.text(key), self.text(item)) for key, item in value.items())
            return f"{type(value).__name__} {pairs}"
        array = _array(value)
        if array is not None:
            digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            return f"array {array.dtype} {array.shape} {digest}"
        if isinstance(value, CodeType):
            return self._code(value)
        if isinstance(value, logging.Logger):
            return f"logger {value.name}"
        if isinstance(value, os.PathLike):
            return f"path {os.fspath(value)!r}"
        return self._object(value)

    def _object(self, value: Any) -> str:
        """An instance by its class and attributes, a descriptor or partial function by what it wraps."""
        if isinstance(value, MethodType):
            return f"method {self.text(value.__func__)} of {self.text(value.__self__)}"
        if isinstance(value, functools.partial):
            return f"partial {self.text([value.func, value.args, value.keywords])}"
        wrapped = [getattr(value, name, None) for name in ("__func__", "fget", "fset", "func")]
        if isinstance(value, staticmethod | classmethod | property | functools.cached_property):
            return f"{type(value).__name__} {self.text([each for each in wrapped if each is not None])}"
        slots = [name for base in type(value).__mro__ for name in _names(vars(base).get("__slots__", ()))]
        state = {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})
        if state:
            return f"{self.text(type(value))} {self.text(state)}"
        shown = repr(value)
        return _opaque(value) if " at 0x" in shown else f"{self.text(type(value))} {shown}"

    # -- what has a definition ----------------------------------------------------------------------------------------

    def _module(self, name: str) -> str:
        self.contents.update(self.files(name) or {})
        return name

    def _defined(self, thing: Any) -> str:
        """A class or a function: its name, with its files or its code kept."""
        name = _name(thing)
        files = self.files(thing)
        if files is not None:
            self.contents.update(files)
        elif isinstance(thing, type):
            self._keep(name, self.text([*thing.__bases__, dict(_members(thing))]))
        elif isinstance(thing, FunctionType):
            self._keep(name, self._function(thing))
        return name

    def _keep(self, name: str, text: str) -> None:
        """Keep a text under a name, a further one of the same name beside it; no text of these is Python."""
        place, number = name, 1
        while place in self.contents:
            number += 1
            place = f"{name} {number}"
        self.contents[place] = f"= {text}".encode("utf-8", "surrogatepass")

    def _function(self, function: FunctionType) -> str:
        cells = [_inside(cell) for cell in function.__closure__ or ()]
        known = function.__globals__
        named = {name: self.text(known[name]) for name in sorted(_globals(function.__code__)) if name in known}
        for module in sorted(_imports(function.__code__)):
            named[f"import {module}"] = self._module(module)
        parts = [function.__defaults__, function.__kwdefaults__, cells, getattr(function, "__wrapped__", None)]
        return f"{self._code(function.__code__, function.__doc__)} {self.text(parts)} {named}"

    def _code(self, code: CodeType, doc: str | None = None) -> str:
        constants = [None if isinstance(value, str) and value == doc else value for value in code.co_consts]
        signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _KINDS)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        numbers = [code.co_code.hex(), getattr(code, "co_exceptiontable", b"").hex()]
        return f"code {numbers} {signature} {names} [{', '.join(map(self.text, constants))}]"


def _name(thing: Any) -> str:
    module = getattr(thing, "__module__", None) or ""
    return f"{module}.{getattr(thing, '__qualname__', thing.__name__)}".strip(".")


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """What a class defines. Python itself and libraries keep notes of their own in names such as ``__slotnames__``."""
    for name, value in vars(cls).items():
        special = name.startswith("__") and name.endswith("__")
        if special or name == "_abc_impl":
            if isinstance(value, FunctionType | staticmethod | classmethod | property):
                yield name, value
        elif not inspect.ismemberdescriptor(value):  # of a slot: there is nothing in it, and its text is an address
            yield name, value


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _opaque(value: Any) -> str:
    return f"{_name(type(value))} of process {_PROCESS}"


def _inside(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _array(value: Any) -> Any:
    """The numbers of an array or a tensor; None for anything else, an array of objects too."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return value if isinstance(value, np.ndarray) and not value.dtype.hasobject else None


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)


def _globals(code: CodeType) -> set[str]:
    """The names that code looks up in its module, those of functions inside it included."""
    wanted = ("LOAD_GLOBAL", "LOAD_NAME")
    return {str(i.argval) for i in _instructions(code) if i.opname.startswith(wanted)}


def _imports(code: CodeType) -> set[str]:
    return {str(i.argval) for i in _instructions(code) if i.opname == "IMPORT_NAME"}
