"""Options that several commands share, put into the signature of a command, from which typer reads them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def declare(
    wrapper: Any, command: Callable[..., None], shared: Mapping[str, tuple[Any, Any]], without: str = ""
) -> None:
    """Let ``wrapper`` declare the command's parameters, but one, and then the ``shared``, by annotation and default."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    declared = [parameter.replace(kind=keyword) for parameter in parameters if parameter.name != without]
    declared += [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
    ]
    wrapper.__signature__ = inspect.Signature(declared)
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in declared}
