"""Draws layers on any grid.

artist = Artist(store, handles, max_blocks=64)
picture = await artist.draw(shown, "classes", tile_grid)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lcseg.classes import IGNORE
from lcseg.raster.grid import Grid
from lcseg.serving.dataset import Dataset
from lcseg.serving.engine import EngineBackend
from lcseg.serving.handles import Handles
from lcseg.serving.layers import AGREES, DIFFERENCE_PALETTE, DIFFERS, confidence_palette
from lcseg.serving.pictures import Picture, draw_note
from lcseg.serving.reading import read_changes, read_imagery, read_labels, read_map
from lcseg.serving.store import BlockStore, BusyError
from lcseg.serving.view import View, gather, list_blocks, look, measure

T = TypeVar("T")

ZOOM_IN = "zoom in"
"""The note of a picture that would take too much to draw."""

_COARSEST = 2.5
"""Nothing is predicted for pictures whose pixels are so many times as large as the image's: most of
what is predicted would not be shown."""

_THREADS = 4

_MOST_PX = 1 << 25
"""Pixels of all pictures that are being drawn: meanwhile each takes some dozens of bytes."""


@dataclass(frozen=True)
class Shown:
    """A data set, and who predicts it."""

    dataset: Dataset
    backend: EngineBackend


class TooMuchError(Exception):
    """An answer would take more blocks or pixels than one may."""


class Artist:
    """Draws layers; what takes the processor is done in some threads."""

    def __init__(self, store: BlockStore, handles: Handles, max_blocks: int) -> None:
        self._store, self._handles, self._max_blocks = store, handles, max_blocks
        self._pool = ThreadPoolExecutor(_THREADS, "draw")
        self._drawn_px = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Wait for what is at work."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def draw(self, shown: Shown, layer: str, picture: Grid) -> Picture:
        """Draw a layer on a grid in any CRS; what is beyond the data is transparent.

        Raises:
            BusyError: more blocks wait already than may, or more is being drawn.
        """
        with self._make_room(picture):
            try:
                return await _LAYERS[layer](self, shown, picture)
            except TooMuchError:
                return await self.run(lambda: draw_note(ZOOM_IN, picture.height, picture.width))

    async def predict(
        self, shown: Shown, picture: Grid, planes: Sequence[int], patience: int = 1
    ) -> np.ndarray:
        """What the model says under each pixel of a picture.

        Args:
            shown: the data set.
            picture: the grid.
            planes: 0 for the classes, 1 + k for the probability of class k as share of 254.
            patience: how much more than for a tile may be predicted.

        Returns:
            uint8 [H, W, planes], 255 where nothing is mapped.

        Raises:
            BusyError: more blocks wait already than may.
            TooMuchError: the picture is too coarse, or takes too many blocks.
        """
        grid, side = shown.dataset.grid, shown.dataset.block_px
        view = await self.run(lambda: _look_closely(picture, grid, _COARSEST * patience))
        if view is None:
            return np.full((picture.height, picture.width, len(planes)), IGNORE, np.uint8)
        around, numbers = await self.run(lambda: list_blocks(view, side))
        if len(numbers) > self._max_blocks * patience:
            raise TooMuchError
        blocks = await self._store.fetch(shown.dataset, shown.backend, numbers)
        return await self.run(lambda: gather(blocks, around, view, side, planes))

    async def classify(self, shown: Shown, picture: Grid, patience: int = 1) -> np.ndarray:
        """Classes under each pixel of a picture, uint8 [H, W], 255 where nothing is mapped.

        What takes too much to be predicted is read from the map, if there is one, and then there
        is no need for patience; see `predict`.
        """
        with self._make_room(picture):
            patience = 1 if shown.dataset.map_levels else patience
            return await self._classify(shown, picture, patience)

    async def _classify(self, shown: Shown, picture: Grid, patience: int = 1) -> np.ndarray:
        try:
            return (await self.predict(shown, picture, [0], patience))[..., 0]
        except TooMuchError:
            if not shown.dataset.map_levels:
                raise
        return await self.read(read_map, shown.dataset, picture)

    async def read(
        self, read: Callable[[Handles, Dataset, Grid], T | None], dataset: Dataset, picture: Grid
    ) -> T:
        """Read something else; see `lcseg.serving.reading`.

        Raises:
            TooMuchError: it would take too many pixels.
        """
        found = await self.run(lambda: read(self._handles, dataset, picture))
        if found is None:
            raise TooMuchError
        return found

    @contextmanager
    def _make_room(self, picture: Grid) -> Iterator[None]:
        n_px = picture.height * picture.width
        if self._drawn_px + n_px > _MOST_PX:
            raise BusyError
        self._drawn_px += n_px
        try:
            yield
        finally:
            self._drawn_px -= n_px

    async def _draw_classes(self, shown: Shown, picture: Grid) -> Picture:
        return Picture(await self._classify(shown, picture), shown.dataset.scheme.palette)

    async def _draw_soft(self, shown: Shown, picture: Grid) -> Picture:
        scheme = shown.dataset.scheme
        shares_hwk = await self.predict(shown, picture, range(1, 1 + scheme.n_classes))
        return await self.run(lambda: _mix(shares_hwk, scheme.palette))

    async def _draw_confidence(self, shown: Shown, picture: Grid) -> Picture:
        planes = range(1, 1 + shown.dataset.scheme.n_classes)
        shares_hwk = await self.predict(shown, picture, planes)
        return await self.run(lambda: Picture(shares_hwk.max(axis=-1), confidence_palette()))

    async def _draw_labels(self, shown: Shown, picture: Grid) -> Picture:
        label_hw = await self.read(read_labels, shown.dataset, picture)
        return Picture(label_hw, shown.dataset.scheme.palette)

    async def _draw_difference(self, shown: Shown, picture: Grid) -> Picture:
        label_hw = await self.read(read_labels, shown.dataset, picture)
        class_hw = await self._classify(shown, picture)
        return await self.run(lambda: _compare(class_hw, label_hw))

    async def _draw_change(self, shown: Shown, picture: Grid) -> Picture:
        assert shown.dataset.changes is not None
        code_hw = await self.read(read_changes, shown.dataset, picture)
        return Picture(code_hw, shown.dataset.changes.scheme.palette)

    async def _draw_imagery(self, shown: Shown, picture: Grid) -> Picture:
        return Picture(await self.read(read_imagery, shown.dataset, picture))


_LAYERS = {
    "imagery": Artist._draw_imagery,
    "classes": Artist._draw_classes,
    "soft": Artist._draw_soft,
    "confidence": Artist._draw_confidence,
    "labels": Artist._draw_labels,
    "difference": Artist._draw_difference,
    "change": Artist._draw_change,
}


def _look_closely(picture: Grid, raster: Grid, coarsest: float) -> View | None:
    """Look, but only if the pixels of the picture are no more than so many times as large."""
    pixels = measure(picture, raster)
    if pixels is not None and pixels > coarsest:
        raise TooMuchError
    return look(picture, raster)


def _compare(class_hw: np.ndarray, label_hw: np.ndarray) -> Picture:
    differs_hw = np.where(class_hw == label_hw, np.uint8(AGREES), np.uint8(DIFFERS))
    differs_hw[(class_hw == IGNORE) | (label_hw == IGNORE)] = IGNORE
    return Picture(differs_hw, DIFFERENCE_PALETTE)


def _mix(shares_hwk: np.ndarray, palette: np.ndarray) -> Picture:
    """Class colours, mixed by probabilities that are shares of 254."""
    is_there_hw = shares_hwk[..., 0] != IGNORE
    mixed = shares_hwk.astype(np.float32) @ palette.astype(np.float32)
    # Rounded to 254ths, probabilities need not sum to one.
    mixed /= np.maximum(shares_hwk.sum(axis=-1, keepdims=True, dtype=np.int32), 1)
    opaque_hw = is_there_hw.astype(np.uint8) * np.uint8(255)
    rgba_hwc = np.dstack([np.rint(mixed).astype(np.uint8), opaque_hw])
    rgba_hwc[~is_there_hw] = 0
    return Picture(rgba_hwc)
