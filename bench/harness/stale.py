"""Tables that an earlier state of a folder, or an earlier version, wrote and that nothing gives any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from ..core.errors import UserError
from ..core.packed import XZ


def table_files(page: str, sections: Iterable[str], frames: Iterable[str] = ()) -> frozenset[str]:
    """The names of all files that a report may write: its page, a CSV and a Markdown file of each section, frames."""
    both = {f"{name}.{ending}" for name in sections for ending in ("csv", "md")}
    return frozenset({f"{page}.md", *both, *(f"{name}.csv" for name in frames)})


def clear_stale(folder: Path, known: Collection[str], written: Collection[str], check: bool = False) -> list[Path]:
    """Remove the files of ``folder/tables`` that are ``known`` as ours but not among those ``written``.

    Files of any other name are left alone. With ``check``, nothing is removed, and UserError is raised at the first.
    """
    gone = sorted(set(known) - set(written))
    paths = [folder / "tables" / f"{name}{packed}" for name in gone for packed in ("", XZ)]
    stale = [path for path in paths if path.is_file()]
    if stale and check:
        raise UserError(
            f"{stale[0]} is of an earlier state: no entry gives this table any more; write the tables of {folder} "
            "again without --check, which removes it."
        )
    for path in stale:
        path.unlink()
    return stale
