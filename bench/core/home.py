"""The user's folders: what ``~`` stands for, and where caches lie."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from .errors import UserError


def expanded(path: str | Path) -> Path:
    """The path with ``~`` replaced; shells leave it in ``--store='~/x'``, and in a suite nobody else replaces it."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user, or neither HOME nor a user of this number
        raise UserError(f"{path}: no home folder is known for {Path(path).parts[0]}; give the whole path.") from None


def cache(option: str) -> Path:
    """The package's folder in the user's cache; ``option`` replaces it on the command line."""
    folder = Path(platformdirs.user_cache_dir("subnetbench"))
    if not folder.is_absolute():  # ~ stays where there is no home, and would become a folder of that name
        raise UserError(f"There is no home folder for the cache (HOME is not set); set HOME, or give {option}.")
    return folder
