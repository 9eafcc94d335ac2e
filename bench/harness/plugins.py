"""Third-party classes: what they say of themselves, checked, and made, so that a failure of theirs is a reason."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ..core.arrays import Floats
from ..core.errors import UserError, reason_of
from ..core.registry import Registry
from .toml import explain


class PluginFailed(Exception):  # noqa: N818 (a fact about somebody else's code; its text is a reason for a reader)
    """A plug-in raised when it was made: its own rows state the reason, and the suite goes on."""


def made(registry: Registry[Any], name: str, parameters: Mapping[str, Any], where: str) -> Any:
    """What the registered ``name`` makes of these parameters.

    Parameters that it does not take are a UserError that names ``where``. Whatever else a third-party constructor
    raises is `PluginFailed`; it need not be about the parameters at all.
    """
    factory, ours = registry.get(name), registry.is_ours(name)
    try:
        inspect.signature(factory).bind(**parameters)
    except ValueError:
        pass  # a builtin without a signature
    except TypeError as error:
        raise UserError(f"{where}: {name!r} does not take them ({error}).") from None
    try:
        return factory(**parameters)
    except UserError:
        raise
    except Exception as error:
        if ours and isinstance(error, TypeError | ValueError):
            raise UserError(f"{where}: {name!r} does not take them ({reason_of(error)}).") from None
        if ours:
            raise
        raise PluginFailed(f"its constructor raised {reason_of(error, typed=True)}") from error


def info_fault(plugin: Any, form: type) -> str | None:
    """What is wrong with the ``info`` of a plug-in, which is a ``form`` (a dataclass) with values of its types."""
    try:
        info = getattr(plugin, "info", None)
    except (Exception, SystemExit) as error:  # a property
        return f"its info raised {reason_of(error, typed=True)}"
    if not isinstance(info, form):
        return f"its info is not of the class {form.__name__}; declare it by subnetbench.bench's"
    for name, hint in get_type_hints(form).items():
        value = getattr(info, name)
        try:
            TypeAdapter(hint).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            return f"its info.{name} is {value!r}: {message[:1].lower()}{message[1:]}; correct its info"
    return None


def raised_by(error: BaseException) -> str:
    """Type and first line of what a detector raised, and its likeliest cause: labels that scoring does not give."""
    frames = traceback.extract_tb(error.__traceback__)
    scoring = any(frame.name == "characteristics" for frame in frames)
    unlabelled = scoring and isinstance(error, TypeError | AttributeError) and "NoneType" in str(error)
    text = reason_of(error, typed=True)
    return f"{text}; x.labels is None when scoring" if unlabelled else text


def column_hint(values: Floats) -> str:
    """How characteristics of one number an image become a column; "" where they are none."""
    return "; write values[:, None] for one number an image" if values.ndim == 1 else ""


@contextmanager
def plugin_info(part: str, plugin: Any, form: type) -> Iterator[None]:
    """Building, in the body, what an entry states of a plug-in. UserError that names the part where it cannot be."""
    fault = info_fault(plugin, form)
    if fault is not None:
        raise UserError(f"{part}: {fault}.")
    try:
        yield
    except ValidationError as error:
        raise UserError(f"{explain(error, lambda _: part).removesuffix('.')}; correct its info.") from None
    except (AttributeError, TypeError, ValueError) as error:  # attributes that are not there or not what they should be
        raise UserError(f"{part}: an entry cannot state what it says of itself ({reason_of(error)}).") from None
