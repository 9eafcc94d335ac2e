"""The user's folders: what ``~`` stands for, and where caches lie."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from .errors import UserError

#: Variables that name folders; an option, or an argument of `run`, goes first.
STORE, DATA = "SUBNETBENCH_STORE", "SUBNETBENCH_DATA"


def expanded(path: str | Path) -> Path:
    """The path with ``~`` replaced; shells leave it in ``--store='~/x'``, and in a suite nobody else replaces it."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user, or neither HOME nor a user of this number
        raise UserError(f"{path}: no home folder is known for {Path(path).parts[0]}; give the whole path.") from None


def usable(path: str | Path) -> Path:
    """The expanded path, of which the system says what is there, or that nothing is; else UserError."""
    path = expanded(path)
    name = str(path) if len(str(path)) <= 100 else f"{str(path)[:60]} ... ({len(str(path))} letters)"
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError) as error:  # no permission, a name that is too long, a character that none may hold
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be used ({reason}); correct its permissions or give another path.") from None
    if is_folder and not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"{name} cannot be read (Permission denied); correct its permissions or give another folder.")
    return path


def stated(variable: str) -> Path | None:
    """The folder that a variable of the environment names; None where it is not set, or empty."""
    text = os.environ.get(variable, "")
    return expanded(text) if text else None


def cache(option: str) -> Path:
    """The package's folder in the user's cache; ``option`` replaces it on the command line."""
    import platformdirs

    with contextlib.suppress(RuntimeError):  # from newer versions, where there is no home
        folder = Path(platformdirs.user_cache_dir("subnetbench"))
        if folder.is_absolute():  # older ones leave ~ as it is, which would become a folder of that name
            return folder
    raise UserError(f"There is no home folder for the cache (HOME is not set); set HOME, or give {option}.")
