"""What fails in a run and does not end it: an attack, a third-party detector; each becomes a reason."""

from __future__ import annotations

from ...attacks.verify import AttackFailed
from ..core import registry
from ..core.errors import UserError, first_line
from ..core.store import NotStored, StoreError
from ..harness.context import Context
from ..harness.plugins import PluginFailed, raised_by
from .attacked import Attacked
from .suite import AttackPart, DetectorPart


def failed_attack(attacked: Attacked, part: AttackPart, *, debug: bool) -> str | None:
    """Attack the test images; why there are none of this attack, or None."""
    try:
        attacked.strength(part)
    except AttackFailed as error:
        if debug and error.__cause__ is not None:
            raise error.__cause__ from None
        return first_line(str(error))
    return None


def failed_batch(attacked: Attacked, part: AttackPart, number: int) -> str | None:
    """Attack one batch of the test images; why it has no images, or None."""
    try:
        chunk = attacked.batches(part)[number]
        attacked.crafted(part, chunk, attacked.inputs(part, chunk))
    except AttackFailed as error:
        return first_line(str(error))
    return None


def why(part: DetectorPart, error: Exception, context: Context) -> str:
    """Why a detector could not be run; errors of the store or of our own detectors are raised again."""
    store = context.store
    if isinstance(error, NotStored):
        if store.when == "cached":
            raise UserError(
                f"The store {store.root} lacks {error} for {part.title!r}, and --when cached computes "
                "nothing; run once with --when missing."
            ) from None
        return "not in the store (--when never)"
    if isinstance(error, StoreError):
        raise error  # a full disk is no detector's failure
    if isinstance(error, UserError | PluginFailed):
        return first_line(str(error))
    if context.debug or registry.detectors.is_ours(part.name):
        raise error
    return f"raised {raised_by(error)}"
