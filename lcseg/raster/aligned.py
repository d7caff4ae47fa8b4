"""Imagery read on the grid of another raster: for each pixel, the one at the place of its centre.

image = Aligned(image, map.grid)
image_hwc, valid_hw = image.read(window)       # of the map's grid
"""

from __future__ import annotations

import numpy as np

from lcseg.raster.alignment import Alignment
from lcseg.raster.fit import LabelFit, measure_fit
from lcseg.raster.grid import Grid, Window
from lcseg.raster.source import Imagery

_MOST_PX = 1 << 24
"""Pixels of the image that are read at once."""


class Aligned:
    """Imagery on another grid, by its nearest pixels; nothing is mixed, nor made up.

    Raises:
        LcsegError: the two do not overlap.
    """

    def __init__(self, image: Imagery, grid: Grid) -> None:
        self.path, self.dtype, self.bands, self.grid = image.path, image.dtype, image.bands, grid
        self._image = image
        self._alignment = Alignment(grid, image.grid, image.path)
        self._alignment.require_overlap()

    @property
    def fit(self) -> LabelFit:
        """How the pixels lie under those of the grid."""
        return measure_fit(self._alignment, (1, 1))

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Imagery` says."""
        inside = window.clip(self.grid.height, self.grid.width)
        if inside == window:
            return self._read_inside(window)
        image_hwc = np.zeros((window.height, window.width, len(self.bands)), self.dtype)
        valid_hw = np.zeros((window.height, window.width), bool)
        if inside.height and inside.width:
            place = inside.within(window).slices
            image_hwc[place], valid_hw[place] = self._read_inside(inside)
        return image_hwc, valid_hw

    def _read_inside(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window that lies inside of the grid."""
        shift = self._alignment.shift
        if shift is not None:
            own = Window(window.row + shift[0], window.col + shift[1], window.height, window.width)
            return self._image.read(own)
        rows_hw, cols_hw = self._alignment.locate(window)
        grid = self._image.grid
        (row, last_row), (col, last_col) = _span(rows_hw, grid.height), _span(cols_hw, grid.width)
        found = Window(row, col, last_row - row + 1, last_col - col + 1)
        if found.height * found.width > _MOST_PX and window.height * window.width > 1:
            return self._read_halves(window)
        image_hwc, valid_hw = self._image.read(found)
        places = np.clip(rows_hw, row, last_row) - row, np.clip(cols_hw, col, last_col) - col
        return image_hwc[places], valid_hw[places]

    def _read_halves(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window in two parts, as there are too many pixels of a finer image in it."""
        row, col, height, width = window.row, window.col, window.height, window.width
        axis, half = (0, height // 2) if height >= width else (1, width // 2)
        halves = (
            (Window(row, col, half, width), Window(row + half, col, height - half, width))
            if axis == 0
            else (Window(row, col, height, half), Window(row, col + half, height, width - half))
        )
        images, valids = zip(*map(self._read_inside, halves), strict=True)
        return np.concatenate(images, axis), np.concatenate(valids, axis)


def _span(places_hw: np.ndarray, size: int) -> tuple[int, int]:
    """The first and the last of some places along an axis; those outside fall on a rim of it."""
    return int(np.clip(places_hw.min(), -1, size)), int(np.clip(places_hw.max(), -1, size))
