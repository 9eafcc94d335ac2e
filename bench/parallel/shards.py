"""Notes of shards beside a suite's results: whose suite they were of, whether they have ended, and what failed."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import UserError
from ..core.files import write_json
from ..harness.context import Context
from ..harness.entry import Form, read_form
from ..harness.suite import AnySuite
from .plan import Shard, fingerprint

FOLDER = ".shards"


class Note(Form):
    """What a shard leaves beside the results; ``ended`` only once all its tasks were tried."""

    suite: str
    index: int
    count: int
    ended: bool
    failed: dict[str, str]


class Shards:
    """The notes in a suite's results folder."""

    def __init__(self, suite: AnySuite, output: Path) -> None:
        self.folder = output / suite.name / FOLDER
        self._name, self._suite = suite.name, fingerprint(suite)

    def write(self, shard: Shard, *, ended: bool, failed: dict[str, str] | None = None) -> None:
        """Leave a shard's note. UserError where another suite's shards are there, or another number of them."""
        path = self.folder / f"{shard.index}-of-{shard.count}.json"
        note = Note(suite=self._suite, index=shard.index, count=shard.count, ended=ended, failed=failed or {})
        self._refuse_strangers(shard.count)
        write_json(path, note.model_dump())
        self._refuse_strangers(shard.count)  # one that began at the same moment

    def _notes(self) -> dict[str, Note]:
        return {path.name: read_form(Note, path) for path in sorted(self.folder.glob("*.json"))}

    def _refuse_strangers(self, count: int | None) -> None:
        for name, note in self._notes().items():
            if note.suite != self._suite:
                raise UserError(
                    f"{self.folder / name} is of another form of the suite {self._name!r} (its file, --limit, --seed "
                    "or version differs); give another --output, or remove that folder."
                )
            if count is not None and note.count != count:
                raise UserError(
                    f"{self.folder / name} is one of {note.count} shards and this is one of {count}; run all with the "
                    "same number, or remove that folder."
                )

    def collect(self, context: Context) -> bool:
        """Put what the shards could not do into the context, and warn of shards that are missing or still at work.

        Returns whether all have ended.
        """
        self._refuse_strangers(None)
        notes = self._notes().values()
        for note in notes:
            context.failed.update(note.failed)
        count = max((note.count for note in notes), default=0)
        ended = {note.index for note in notes if note.ended}
        unended = [str(Shard(index, count)) for index in range(count) if index not in ended]
        if unended:
            few = ", ".join(unended[:5]) + (" ..." if len(unended) > 5 else "")
            context.report.warn(
                f"{len(unended)} of {count} shards {'has' if len(unended) == 1 else 'have'} not ended ({few}); what "
                "the store lacks is left out."
            )
        return not unended

    def clear(self) -> None:
        """Remove all notes, once a run has gone through."""
        for path in self.folder.glob("*.json"):
            path.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()
