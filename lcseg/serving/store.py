"""Blocks that are predicted, each once however many people look at it.

store = BlockStore(config, handles, metrics)
planes = await store.fetch(dataset, backend, [(3, 4), (3, 5)])    # by number: uint8 [1 + K, B, B]

Plane 0 holds the classes, 255 where nothing is mapped; the others the probability of each class, as
shares of 254. All but the predicting happens in the thread of the event loop, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from cachetools import LRUCache

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.prediction.answers import Backend, answer
from lcseg.prediction.products import PROBABILITIES, PRODUCTS
from lcseg.prediction.task import Part
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Window
from lcseg.serving.config import ServeConfig
from lcseg.serving.dataset import Dataset
from lcseg.serving.handles import Handles
from lcseg.serving.metrics import Metrics
from lcseg.serving.view import Number

_DISK_ERRORS = (diskcache.Timeout, sqlite3.Error, OSError)
"""A disk that fails costs time, and no answer."""

_DISK_WAIT_S = 1
_SUM_BYTES = 16

_MORE_READERS = 2
"""So many more threads read than the model takes blocks at once."""


class BusyError(Exception):
    """More is asked for than can be done soon."""


@dataclass
class _Work:
    """A block that is being predicted."""

    key: tuple[str, Number]
    thread: Future[np.ndarray]
    outcome: asyncio.Future[np.ndarray]
    waiting: int = 0  # How many requests wait for it.


class BlockStore:
    """Holds blocks in memory, and on a disk if there is a folder for them."""

    def __init__(self, config: ServeConfig, handles: Handles, metrics: Metrics) -> None:
        self._most = config.max_waiting
        self._handles, self._metrics = handles, metrics
        self._held: LRUCache[object, np.ndarray] = LRUCache(
            config.memory_mb << 20, getsizeof=lambda planes: planes.nbytes
        )
        self._disk = _open_disk(config)
        self._works: dict[object, _Work] = {}
        self._pool = ThreadPoolExecutor(config.batch_blocks + _MORE_READERS, "block")
        metrics.watch(lambda: len(self._works), lambda: self._held.currsize)

    async def fetch(
        self, dataset: Dataset, backend: Backend, numbers: Collection[Number]
    ) -> dict[Number, np.ndarray]:
        """Get blocks, predicted if need be; what no request waits for any more is not begun.

        Raises:
            BusyError: too many blocks wait already.
        """
        found: dict[Number, np.ndarray] = {}
        works: dict[Number, _Work] = {}
        try:
            for number in numbers:
                key = dataset.prediction_version, number
                if (planes := self._held.get(key)) is not None:
                    found[number] = planes
                    continue
                works[number] = work = self._works.get(key) or self._begin(key, dataset, backend)
                work.waiting += 1
            self._metrics.hits.inc(len(found))
            for number, work in works.items():
                found[number] = await asyncio.shield(work.outcome)
        finally:
            for work in works.values():
                work.waiting -= 1
                # Nobody waits: if it has not begun, it never will.
                if not work.waiting and work.thread.cancel():
                    self._works.pop(work.key, None)
        return found

    def close(self) -> None:
        """Wait for what is at work, and forget the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._disk is not None:
            self._disk.close()

    def _begin(self, key: tuple[str, Number], dataset: Dataset, backend: Backend) -> _Work:
        if len(self._works) >= self._most:
            raise BusyError
        thread = self._pool.submit(self._make, key, dataset, backend)
        outcome = asyncio.wrap_future(thread)
        work = self._works[key] = _Work(key, thread, outcome)
        outcome.add_done_callback(lambda _: self._end(work))
        return work

    def _end(self, work: _Work) -> None:
        if work.outcome.cancelled():
            return
        del self._works[work.key]
        # An error is told to those who wait; here it is asked for so that it counts as seen.
        if work.outcome.exception() is None:
            with suppress(ValueError):  # Larger than all of the memory.
                self._held[work.key] = work.outcome.result()

    def _make(self, key: tuple[str, Number], dataset: Dataset, backend: Backend) -> np.ndarray:
        """Read a block from the disk, or predict it; in a thread of its own."""
        shape = 1 + dataset.scheme.n_classes, dataset.block_px, dataset.block_px
        kept = self._recall(repr(key))
        if len(kept) == np.prod(shape):
            self._metrics.disk_hits.inc()
            return np.frombuffer(kept, np.uint8).reshape(shape)
        planes = predict_block(dataset, backend, self._handles, key[1])
        self._metrics.predicted.inc()
        if not dataset.is_current():
            # What was read may be of the new file, and must not be kept as of the old one.
            raise LcsegError(dataset.entry.image, "was replaced while it was read")
        if self._disk is not None:
            body = planes.tobytes()
            with suppress(*_DISK_ERRORS):
                self._disk.set(repr(key), _sum(body) + body)
        return planes

    def _recall(self, name: str) -> bytes:
        """What the disk keeps under a name; empty: nothing, or it is not what was written."""
        kept = None
        if self._disk is not None:
            with suppress(*_DISK_ERRORS):
                kept = self._disk.get(name)
        if not isinstance(kept, bytes):
            return b""
        own, body = kept[:_SUM_BYTES], kept[_SUM_BYTES:]
        return body if own == _sum(body) else b""


def predict_block(
    dataset: Dataset, backend: Backend, handles: Handles, number: Number
) -> np.ndarray:
    """Predict a block as `lcseg predict` does, uint8 [1 + K, B, B]."""
    side, grid = dataset.block_px, dataset.grid
    whole = Window(number[0] * side, number[1] * side, side, side)
    planes = np.full((1 + dataset.scheme.n_classes, side, side), IGNORE, np.uint8)
    inside = whole.clip(grid.height, grid.width)
    with bounded_cache():
        scene = handles.scene(dataset)
        for block, label_hw, probs_hwk in answer(backend, scene, Part(0, dataset.task, inside)):
            own = block.within(whole).clip(side, side)
            place = own.within(block.within(whole)).slices
            values_hwk = PRODUCTS[PROBABILITIES].values(probs_hwk[place])
            values_hwk[label_hw[place] == IGNORE] = IGNORE
            planes[0][own.slices] = label_hw[place]
            planes[1:, *own.slices] = np.moveaxis(values_hwk, -1, 0)
    return planes


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM_BYTES).digest()


class _Plain(diskcache.Disk):
    """Keeps bytes alone: who can write into the folder must not have code run by a pickle."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        is_pickled = mode == diskcache.core.MODE_PICKLE
        return None if is_pickled else super().fetch(mode, filename, value, read)


def _open_disk(config: ServeConfig) -> diskcache.Cache | None:
    folder = config.disk_cache
    if not folder:
        return None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return diskcache.Cache(folder, _DISK_WAIT_S, _Plain, size_limit=config.disk_cache_mb << 20)
    except _DISK_ERRORS as error:
        problem = f"cannot keep blocks: {getattr(error, 'strerror', None) or error}"
        raise LcsegError(folder, problem, "name another folder as --disk_cache") from error
