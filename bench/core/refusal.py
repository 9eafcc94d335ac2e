"""One sentence for each answer of the file system that stops a store."""

from __future__ import annotations

import errno
from pathlib import Path

from .errors import UserError

#: Answers that mean: you may read here, not write.
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

#: Answers that mean: there is no room.
FULL = (errno.ENOSPC, errno.EDQUOT)

#: Answers of a mount whose disk is gone: unplugged, a server that is down, a mount that was taken away.
_GONE = ("EIO", "ENODEV", "ENOTCONN", "ENXIO", "EHOSTDOWN", "EHOSTUNREACH", "ESTALE", "ETIMEDOUT", "ENOENT")
GONE = tuple(getattr(errno, name) for name in _GONE if hasattr(errno, name))


class StoreError(UserError):
    """The store itself cannot be used; the stage that asked is not at fault."""


def refusal(root: Path, error: OSError) -> StoreError:
    """The sentence for an error of the file system in a store."""
    reason = error.strerror or error
    if error.errno in FULL:
        return StoreError(
            f"The store {root} is full; free space there or give another with --store. "
            "Everything finished so far is kept."
        )
    if error.errno in GONE:
        return StoreError(
            f"The store {root} is not there or does not answer ({reason}); see whether its disk is mounted, and run "
            "the same command again. Everything finished so far is kept."
        )
    return StoreError(
        f"The store {root} cannot be used ({reason}); make it a writable folder or give another with --store."
    )
