"""The command that says what is in the store; `clean` removes it."""

from __future__ import annotations

import shutil
import time
from calendar import timegm
from collections.abc import Callable, Sequence
from typing import Any

from ..core.contents import LOCKS, Held, held, unfinished
from ..core.lease import holders
from ..core.store import Store, default_store
from ..core.text import shown
from . import console
from .options import StoreOption
from .output import with_output

#: In the place of a suite's name, for what an earlier version or no run of a suite made.
NOT_STATED = "not stated"

_AGES = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@with_output("format", "json", "wide")
def store(store: StoreOption = None) -> None:
    """Say what the store holds, by suite and by kind, how old and how large it is, and who is at work in it.

    As CSV and JSON sizes are in bytes and times in UTC.
    """
    root = store or default_store()
    if store is None and not root.exists():
        console.aside(f"{root}: nothing was stored yet")
        return
    place = Store(root, "never")
    try:
        found = _found(place)
    except OSError as error:
        raise place.refused(error) from None
    _tables(found) if console.for_data() else _print(found)


def _found(place: Store) -> dict[str, Any]:
    """All that is said, sizes in bytes and times in UTC."""
    artifacts = list(held(place.root))
    files, size = unfinished(place.root)
    return {
        "store": str(place.root),
        "artifacts": len(artifacts),
        "bytes": sum(one.size for one in artifacts),
        "free_bytes": shutil.disk_usage(place.root).free,
        "suites": _grouped(artifacts, "suite", lambda one: shown(one.suite) or NOT_STATED),
        "kinds": _grouped(artifacts, "kind", lambda one: one.kind),
        "unfinished": {"files": files, "bytes": size},
        "at_work": [
            {"artifact": name, "pid": holder.pid, "host": holder.host, "since": holder.since}
            for name, holder in holders(place.root / LOCKS).items()
        ],
    }


def _grouped(artifacts: Sequence[Held], title: str, name: Callable[[Held], str]) -> list[dict[str, Any]]:
    """One row a group, the largest first. Those made on several kinds of machine differ in last bits from a run on one.

    (``on_several_machines`` counts artifacts which, with what they rest on, were not made on one kind alone.)
    """
    groups: dict[str, list[Held]] = {}
    for one in artifacts:
        groups.setdefault(name(one), []).append(one)
    rows = [
        {
            title: group,
            "artifacts": len(ones),
            "bytes": sum(one.size for one in ones),
            "newest": _utc(max(one.made for one in ones)),
            "oldest": _utc(min(one.made for one in ones)),
            "on_several_machines": sum(one.machines > 1 for one in ones),
        }
        for group, ones in groups.items()
    ]
    return sorted(rows, key=lambda row: -int(row["bytes"]))


def _tables(found: dict[str, Any]) -> None:
    """What there is of everything, a table each; the last one is about the whole."""
    for title, rows in (("suites", found["suites"]), ("kinds", found["kinds"]), ("at work", found["at_work"])):
        if rows:
            console.print_table(title, rows)
    whole = {name: found[name] for name in ("store", "artifacts", "bytes", "free_bytes")}
    whole |= {f"unfinished_{name}": value for name, value in found["unfinished"].items()}
    console.print_table("store", [whole])


def _print(found: dict[str, Any]) -> None:
    for title, rows in (("suite", found["suites"]), ("kind", found["kinds"])):
        if rows:
            console.print_table(
                found["store"] if title == "suite" else "by kind",
                [
                    {
                        "made for the suite" if title == "suite" else "kind": row[title],
                        "artifacts": row["artifacts"],
                        "MB": f"{row['bytes'] / 1e6:,.1f}",
                        "newest": f"{_age(row['newest'])} ago",
                        "oldest": f"{_age(row['oldest'])} ago",
                    }
                    for row in rows
                ],
            )
    total = f"{found['artifacts']} artifacts, {found['bytes'] / 1e6:,.1f} MB"
    console.plain(f"{found['store']}: {total}; {found['free_bytes'] / 1e9:,.1f} GB are free on its disk")
    several = sum(row["on_several_machines"] for row in found["kinds"])
    if several:
        console.plain(f"Behind {several} of them stands more than one kind of machine")
    left = found["unfinished"]
    if left["files"]:
        console.plain(f"{left['files']} files of unfinished work, {left['bytes'] / 1e6:,.1f} MB; `clean` removes them")
    for one in found["at_work"]:
        who = f"process {one['pid']} on {one['host']} since {one['since']}"
        console.plain(f"being made: {shown(one['artifact'])[:60]}, by {who}")


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _age(utc: str) -> str:
    """Time since then in its largest unit."""
    seconds = max(0, time.time() - timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ")))
    unit, length = next((unit for unit in _AGES if seconds >= unit[1]), _AGES[-1])
    return f"{seconds // length:.0f} {unit}"
