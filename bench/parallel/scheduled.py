"""Workers of a dask scheduler. Not through joblib: that waits for ever for workers that do not come back."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import UserError, reason_of
from ..core.optional import optional
from ..core.text import counted
from .config import Config, names_of
from .pools import Pool, Work, faults_of

#: Seconds in which a scheduler has to answer and a first worker to be there, unless the file says otherwise.
PATIENCE = 10

#: The same for a worker to come back, which a nanny starts anew, with all that it imports.
ABSENCE = 60

#: Seconds between two looks for answers, and for workers.
_LOOK, _ROLL_CALL = 0.02, 1.0


class Scheduled:
    """Workers that a dask scheduler feeds; it does a task again whose worker died, on another, a few times."""

    def __init__(self, client: Any, address: str, count: int, patience: float, words: dict[str, Any]) -> None:
        self.title = f"dask with {counted(count, 'worker')}"
        self._client, self._address, self._patience, self._words = client, address, patience, words

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        distributed = optional("distributed", "dask", "pip install 'subnetbench[dask]' installs it")
        asked = [self._client.submit(work, text, pure=False, **self._words) for text in texts]
        try:
            with faults_of(self.title, distributed.KilledWorker):
                for future in self._ended(distributed.as_completed(asked, loop=self._client.loop), len(asked)):
                    yield future.result()
        finally:
            with contextlib.suppress(Exception):  # as of a scheduler that has ended
                self._client.cancel(asked)

    def _ended(self, futures: Any, left: int) -> Iterator[Any]:
        """Each task that has ended, as it does. UserError once nobody has been there for so long to do the others."""
        seen = looked = time.monotonic()
        while left:
            ended = futures.next_batch(block=False) if futures.has_ready() else []
            yield from ended
            left -= len(ended)
            if not ended and left:
                time.sleep(_LOOK)
                now = time.monotonic()
                if now - looked >= _ROLL_CALL:
                    looked = now
                    seen = now if self._client.ncores() else seen
                    self._refuse_alone(now - seen)

    def _refuse_alone(self, seconds: float) -> None:
        if seconds >= self._patience:
            raise UserError(
                f"The workers of the dask scheduler at {self._address} have all ended, and none has come back for "
                f"{seconds:.0f} seconds; start `python -c 'import subnetbench.bench.parallel.worker'` where they ran, "
                f"which may say why, and then new ones: dask worker {self._address}."
            )


@contextlib.contextmanager
def scheduled(config: Config) -> Iterator[Pool]:
    """The workers of the scheduler that a configuration names. UserError where there is none, or none has a worker."""
    distributed = optional("distributed", "dask", "pip install 'subnetbench[dask]' installs it")
    config.refuse_unknown(
        [
            *(f"dask_{name}" for name in names_of(distributed.Client.__init__)),
            "wait_for_workers_timeout",
            *(name for name in names_of(distributed.Client.submit) if name not in ("func", "key", "pure")),
        ]
    )
    clients = {key.removeprefix("dask_"): v for key, v in config.options.items() if key.startswith("dask_")}
    rest = {key: value for key, value in config.options.items() if not key.startswith("dask_")}
    patience = rest.pop("wait_for_workers_timeout", None)
    address = clients.pop("address", None)
    if address is None:
        raise UserError(
            f"{config.where}: the backend 'dask' needs the address of a scheduler; give dask_address, or take the "
            "backend 'loky' for workers on this machine."
        )
    client = _connected(distributed, address, {"timeout": PATIENCE, **clients}, config.where)
    try:
        with contextlib.suppress(Exception):
            client.wait_for_workers(1, timeout=patience or PATIENCE)
        count = len(client.ncores())
        if not count:
            raise UserError(f"The dask scheduler at {address} has no workers; start some: dask worker {address}.")
        yield Scheduled(client, address, count, patience or ABSENCE, rest)
    finally:
        client.close()


def _connected(distributed: Any, address: Any, words: dict[str, Any], where: str) -> Any:
    logging.getLogger("distributed").setLevel(logging.ERROR)  # a log beside our one sentence
    try:
        return distributed.Client(address, set_as_default=False, **words)
    except Exception as error:
        raise UserError(
            f"There is no dask scheduler at {address} ({reason_of(error, typed=True)}); start one (dask scheduler), or "
            f"correct dask_address in {where}."
        ) from None
