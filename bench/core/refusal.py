"""One sentence for each answer of the file system that stops a store."""

from __future__ import annotations

import errno
from pathlib import Path

from .errors import UserError

#: Answers that mean: you may read here, not write.
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

#: Answers that mean: there are no locks here, ever.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class StoreError(UserError):
    """The store itself cannot be used; the stage that asked is not at fault."""


def refusal(root: Path, error: OSError, lock: Path | None = None) -> StoreError:
    """The sentence for an error of the file system in a store; ``lock`` is the lock that could not be taken."""
    reason = error.strerror or error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"The store {root} is full; free space there or give another with --store. "
            "Everything finished so far is kept."
        )
    if lock is not None and error.errno in NO_LOCKS:
        return StoreError(
            f"The store {root} is on a file system without locks ({reason}); give one on another disk with --store."
        )
    if lock is not None and error.errno in READ_ONLY and lock.exists():
        return StoreError(
            f"The lock {lock} cannot be opened ({reason}); let its owner make it writable for you or remove it, "
            "or give another store with --store."
        )
    return StoreError(
        f"The store {root} cannot be used ({reason}); make it a writable folder or give another with --store."
    )
