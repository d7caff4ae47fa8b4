"""All that is shown: each data set opened once, and again when its files have changed.

with open_gallery(config) as gallery:
    shown = await gallery.find("dover")
    picture = await gallery.artist.draw(shown, "classes", grid)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lcseg.errors import LcsegError
from lcseg.serving.artist import Artist, Shown
from lcseg.serving.config import ServeConfig
from lcseg.serving.dataset import open_dataset
from lcseg.serving.edits import Edits, read_token
from lcseg.serving.engine import Engine
from lcseg.serving.entries import Entry, read_entries
from lcseg.serving.handles import Handles
from lcseg.serving.metrics import Metrics
from lcseg.serving.store import BlockStore
from lcseg.serving.suspects import list_suspects

_LOG = logging.getLogger("lcseg")
_LOOK_AGAIN_S = 1.0


class UnknownError(Exception):
    """There is no such data set, layer or tile."""


class ClosedError(Exception):
    """A data set cannot be read just now; why is in the log, as clients must not learn of files."""


class Gallery:
    """The data sets, and those who draw them."""

    def __init__(self, config: ServeConfig, entries: dict[str, Entry]) -> None:
        self.config, self.entries = config, entries
        self.edits = _open_edits(config, entries)
        self.metrics = Metrics()
        handles = Handles()
        self._engine = Engine(
            config.batch_blocks, config.batch_wait_ms / 1e3, self.metrics.batches.observe
        )
        self._store = BlockStore(config, handles, self.metrics)
        self.artist = Artist(self._store, handles, config.max_blocks)
        self.n_bodies = 0  # Of pixels, that requests hold.
        self._shown: dict[str, Shown] = {}
        self._failed_s: dict[str, float] = {}  # When a data set could last not be opened.
        self._doors = {identifier: asyncio.Lock() for identifier in entries}

    def open_all(self) -> None:
        """Open all data sets, and load their models.

        Raises:
            LcsegError: one of them cannot be shown.
        """
        for identifier in self.entries:
            self._shown[identifier] = shown = self._open(identifier)
            if shown.dataset.entry.suspects:
                list_suspects(shown.dataset)

    async def find(self, identifier: str) -> Shown:
        """The data set of an id, as its files now are.

        Raises:
            UnknownError: there is none.
            ClosedError: it cannot be read, for example as a file is just being replaced.
        """
        if identifier not in self.entries:
            raise UnknownError
        if self._is_current(identifier):
            return self._shown[identifier]
        async with self._doors[identifier]:
            if not self._is_current(identifier):
                # Those who have waited for the same need not fail one after the other.
                if time.monotonic() < self._failed_s.get(identifier, 0) + _LOOK_AGAIN_S:
                    raise ClosedError
                try:
                    shown = await asyncio.to_thread(self._open, identifier)
                except LcsegError as error:
                    _LOG.warning("warning: %s cannot be shown: %s", identifier, error)
                    self._failed_s[identifier] = time.monotonic()
                    raise ClosedError from error
                self._shown[identifier] = shown
        return self._shown[identifier]

    async def find_all(self) -> list[Shown]:
        """The data sets that can be read just now."""
        found = []
        for identifier in self.entries:
            with suppress(ClosedError):
                found.append(await self.find(identifier))
        return found

    def all_shown(self) -> list[Shown]:
        """The data sets as they were last opened."""
        return list(self._shown.values())

    def close(self) -> None:
        """End all threads."""
        if self.edits:
            self.edits.close()
        self.artist.close()
        self._store.close()
        self._engine.close()

    def _is_current(self, identifier: str) -> bool:
        return identifier in self._shown and self._shown[identifier].dataset.is_current()

    def _open(self, identifier: str) -> Shown:
        dataset = open_dataset(identifier, self.entries[identifier])
        return Shown(dataset, self._engine.load(dataset.task))


def _open_edits(config: ServeConfig, entries: dict[str, Entry]) -> Edits | None:
    if not config.allow_edits:
        return None
    if not any(entry.suspects for entry in entries.values()):
        raise LcsegError(
            "--allow_edits", "no data set names suspects", "name them in the file of --config"
        )
    return Edits(read_token(config))


@contextmanager
def open_gallery(config: ServeConfig) -> Iterator[Gallery]:
    """Open everything that a configuration names.

    Raises:
        LcsegError: something of it cannot be shown.
    """
    gallery = Gallery(config, read_entries(config))
    try:
        gallery.open_all()
        yield gallery
    finally:
        gallery.close()
