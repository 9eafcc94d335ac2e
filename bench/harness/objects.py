"""Classes, instances and factories that somebody hands over in place of a registered name."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import UserError, reason_of
from ..core.hashing import canonical, key_of, source_hash
from ..core.registry import Registry
from ..core.sources import of_session
from .suite import NAME

#: The longest name of a part of a suite.
LONGEST = 64


@dataclass(frozen=True)
class Kind:
    """What an object has to offer: the word for it, its methods, and what has to be there besides."""

    word: str
    methods: tuple[str, ...]
    attributes: tuple[str, ...]
    example: str


DETECTOR = Kind("detector", ("fit", "characteristics"), ("info",), "info = DetectorInfo(title=..., formula=..., year=)")
ATTACK = Kind("attack", ("__call__",), ("info", "parameters"), "info = AttackInfo(...) and a property parameters")


@dataclass(frozen=True)
class Given:
    """An object as a suite can name it: what makes it, and the parameters that make one like it.

    ``fixed``: it is an instance, none of whose parameters is left to a protocol. ``title`` tells it from others of its
    class by the parameters that are not defaults.
    """

    maker: Callable[..., Any]
    parameters: Mapping[str, Any]
    fixed: bool

    @property
    def name(self) -> str:
        return kebab(self.maker.__name__)

    @property
    def what(self) -> str:
        """The object in words that an entry states."""
        return what(self.maker)

    def title(self, name: str) -> str:
        return titled(name, _unusual(self.maker, self.parameters)) if self.fixed else name


class Factory:
    """A function without parameters that makes detectors, with what the class of these declares."""

    def __init__(self, function: Callable[[], Any], made: Any) -> None:
        self.info, self.candidates = made.info, ()
        self.__wrapped__ = function  # its source is what counts
        self.__name__, self.__module__, self.__qualname__ = (
            function.__name__,
            function.__module__,
            function.__qualname__,
        )

    def __call__(self) -> Any:
        return self.__wrapped__()


class Fixed:
    """A class with some of its parameters, for checks that call it with further ones."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self.info = given.maker.info  # type: ignore[attr-defined]
        offered = () if given.fixed else getattr(given.maker, "candidates", ())
        self.candidates: Sequence[Mapping[str, Any]] = offered
        self.__signature__ = inspect.signature(given.maker)

    def __call__(self, **parameters: Any) -> Any:
        return self._given.maker(**{**self._given.parameters, **parameters})


def given(thing: Any, kind: Kind) -> Given:
    """A class, an instance or a factory of detectors or attacks. UserError for what is none, one sentence."""
    if inspect.isclass(thing):
        _refuse_unlike(thing, thing.__name__, kind)
        _refuse_unmade(thing, kind)
        return Given(thing, {}, fixed=False)
    if isinstance(thing, functools.partial) and inspect.isclass(thing.func):
        return _of_partial(thing, kind)
    if inspect.isroutine(thing) or isinstance(thing, functools.partial):
        return _of_factory(thing, kind)
    if isinstance(thing, type(None) | str | int | float | Mapping | list | tuple | set):
        raise UserError(
            f"{thing!r} is no {kind.word}; give a class with {_listed(kind.methods)}, an instance or a registered name."
        )
    _refuse_unlike(type(thing), type(thing).__name__, kind)
    return Given(type(thing), parameters_of(thing, kind.word), fixed=True)


def registered_as(registry: Registry[Any], maker: Callable[..., Any]) -> str | None:
    """The name under which a class is registered, or None."""
    return next((name for name in registry if registry.get(name) is maker), None)


def origin(registry: Registry[Any], name: str) -> dict[str, str]:
    """What an entry states of a part that no file of a package defines; nothing of all others."""
    lent = registry.lent(name)
    if lent is not None:
        return {"from_": lent.origin, "source": lent.source}
    if name in registry and not registry.is_ours(name) and of_session(registry.get(name)):
        return {"from_": what(registry.get(name)), "source": source_hash(registry.get(name))}
    return {}


def what(maker: Any) -> str:
    """A class or function in words that an entry states."""
    kind = "class" if inspect.isclass(maker) else "function"
    module = "a console" if maker.__module__ == "builtins" else maker.__module__
    return f"an object of this session: the {kind} {maker.__qualname__} of {module}"


# -- names ----------------------------------------------------------------------------------------------------------


def kebab(name: str) -> str:
    """``my-detector`` for ``MyDetector``, ``knn-score2`` for ``KNNScore2``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "-", words).strip("-.+").lower()
    return plain[:LONGEST] if re.match(NAME, plain) else "unnamed"


def titled(name: str, parameters: Mapping[str, Any]) -> str:
    """A name with the parameters that are not defaults, as in ``my-detector-k5``; a hash where that is too long."""
    words = [name, *(_word(key, value) for key, value in parameters.items())]
    title = re.sub(r"[^A-Za-z0-9._+-]+", "_", "-".join(words)).rstrip(".")
    return title if len(title) <= LONGEST else f"{name[:50]}-{key_of('label', dict(parameters))[:8]}"


def _word(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if isinstance(value, int | float):
        return f"{key}{value:.4g}" if isinstance(value, float) else f"{key}{value}"
    return f"{key}-{'none' if value is None else value if isinstance(value, str) else canonical(value)}"


# -- what an object is ----------------------------------------------------------------------------------------------


def parameters_of(thing: Any, word: str) -> dict[str, Any]:
    """The parameters that make another instance like this one, before it was fitted.

    Those of its property ``parameters``, else the attributes that are called as the constructor's arguments are.
    UserError where they cannot be known, or make an instance with others.
    """
    name = type(thing).__name__
    values = _read(thing, name, word)
    try:
        canonical(values)
    except (TypeError, ValueError):
        odd = next(key for key, value in values.items() if not _plain(value))
        raise UserError(
            f"The {word} {name} has a parameter {odd!r} that no entry can state ({type(values[odd]).__name__}); "
            f"parameters are numbers, texts, lists and tables of such. Give a function that makes the {word}."
        ) from None
    try:
        again = _read(type(thing)(**values), name, word)
    except UserError:
        raise
    except Exception as error:  # of somebody's own constructor
        raise UserError(
            f"The {word} {name} cannot be made again from its parameters {values} ({reason_of(error, typed=True)}); "
            "let its property `parameters` return the constructor's arguments."
        ) from None
    wrong = [key for key, value in values.items() if canonical(again.get(key)) != canonical(value)]
    if wrong:
        raise UserError(
            f"The {word} {name} was made with {wrong[0]}={values[wrong[0]]!r} and, made again with it, has "
            f"{again.get(wrong[0])!r}; keep the constructor's arguments unchanged as attributes, or give a property "
            "`parameters`."
        )
    return {key: _python(value) for key, value in values.items()}


def _python(value: Any) -> Any:
    """A value without numpy's numbers, which no annotation and no file of a suite has."""
    if isinstance(value, Mapping):
        return {key: _python(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_python(item) for item in value]) if type(value) in (list, tuple) else value
    return value.item() if isinstance(value, np.generic) else value


def _read(thing: Any, name: str, word: str) -> dict[str, Any]:
    told = getattr(thing, "parameters", None)
    told = told() if inspect.ismethod(told) else told
    if isinstance(told, Mapping):
        return dict(told)
    try:
        arguments = list(inspect.signature(type(thing)).parameters.values())
    except ValueError:  # a builtin without a signature
        arguments = []
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    unknown = [a.name for a in arguments if a.kind in many or not hasattr(thing, a.name)]
    if unknown:
        raise UserError(
            f"The parameters of this {name} cannot be known: it keeps no attribute {unknown[0]!r} for the argument of "
            f"its constructor; keep it as self.{unknown[0]}, or add a property `parameters` that returns all of them."
        )
    return {a.name: getattr(thing, a.name) for a in arguments}


def _plain(value: Any) -> bool:
    try:
        canonical(value)
    except (TypeError, ValueError):
        return False
    return True


def _unusual(maker: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are not the constructor's defaults."""
    defaults = {name: each.default for name, each in inspect.signature(maker).parameters.items()}
    return {
        name: value
        for name, value in parameters.items()
        if not (_plain(defaults.get(name, dict)) and canonical(defaults[name]) == canonical(value))
    }


def _refuse_unlike(cls: type, name: str, kind: Kind) -> None:
    """UserError for a class that lacks a method or a declaration of its kind."""
    known = {member for base in cls.__mro__ if base is not object for member in vars(base)}
    lacking = [method for method in kind.methods if method not in known]
    if lacking:
        raise UserError(
            f"The class {name} has no method {lacking[0]}, so it is no {kind.word}; a {kind.word} has "
            f"{_listed(kind.methods)} (docs/register-a-detector.md)."
            if kind is DETECTOR
            else f"The class {name} has no method {lacking[0]}, so it is no {kind.word} (docs/attacks.md)."
        )
    absent = [attribute for attribute in kind.attributes if attribute not in known]
    if absent:
        raise UserError(f"The class {name} has no {absent[0]}; declare {kind.example} in it.")


def _refuse_unmade(cls: type, kind: Kind) -> None:
    """UserError for a class whose constructor wants arguments: an instance has them."""
    try:
        arguments = inspect.signature(cls).parameters.values()
    except ValueError:
        return
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    wanted = [a.name for a in arguments if a.default is a.empty and a.kind not in many]
    if wanted:
        raise UserError(
            f"The class {cls.__name__} cannot be made without {wanted[0]!r}; give an instance, "
            f"{cls.__name__}({wanted[0]}=...), or give the argument a default."
        )


def _of_partial(thing: functools.partial[Any], kind: Kind) -> Given:
    _refuse_unlike(thing.func, thing.func.__name__, kind)  # type: ignore[arg-type]
    try:
        bound = inspect.signature(thing.func).bind_partial(*thing.args, **thing.keywords)
    except TypeError as error:
        raise UserError(f"The {kind.word} {thing.func.__name__} does not take these arguments ({error}).") from None
    return Given(thing.func, _stated(dict(bound.arguments), thing.func.__name__, kind), fixed=True)


def _stated(parameters: dict[str, Any], name: str, kind: Kind) -> dict[str, Any]:
    odd = [key for key, value in parameters.items() if not _plain(value)]
    if odd:
        raise UserError(
            f"The {kind.word} {name} has a parameter {odd[0]!r} that no entry can state "
            f"({type(parameters[odd[0]]).__name__}); give a function that makes the {kind.word}."
        )
    return {key: _python(value) for key, value in parameters.items()}


def _of_factory(function: Any, kind: Kind) -> Given:
    """What a function without arguments makes: an instance like any other, or one that only the function can make."""
    name = getattr(function, "__name__", "function")
    shown = "a lambda" if name == "<lambda>" else f"the function {name}"
    try:
        made = function()
    except Exception as error:  # the wrong arguments, or an error of its own
        raise UserError(
            f"{shown[:1].upper()}{shown[1:]} makes no {kind.word} when it is called without arguments "
            f"({reason_of(error, typed=True)}); give a class, an instance, or a function that returns an instance."
        ) from None
    try:
        return given(made, kind)
    except UserError:
        able = kind is DETECTOR and all(hasattr(made, member) for member in (*kind.methods, *kind.attributes))
        if not able or name == "<lambda>" or not inspect.isfunction(function):
            raise
    return Given(Factory(function, made), {}, fixed=False)


def _listed(methods: Sequence[str]) -> str:
    return " and ".join(methods)
