"""Small pictures of two large maps and of what changed between them.

overview = Overview(grid, n_classes)
overview.add(window, before_hw, after_hw, is_change_hw)        # every window once
overview.draw(scheme)                          # three pictures, uint8 [h, w, 3]
"""

from __future__ import annotations

import math

import numpy as np

from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.grid import Grid, Window

SIDE_PX = 720
"""Longer side of the pictures, at most."""

_GROUND = (247, 247, 245)
_NO_DATA = (255, 255, 255)
_LEAST_SEEN = 0.25
"""How strongly the least change is drawn in a cell: on the whole it shall not be lost."""


class Overview:
    """What is drawn of cells, squares of pixels."""

    def __init__(self, grid: Grid, n_classes: int) -> None:
        self._step = max(math.ceil(max(grid.height, grid.width) / SIDE_PX), 1)
        self._shape = tuple(-(-size // self._step) for size in (grid.height, grid.width))
        self._before_hw = np.full(self._shape, IGNORE, np.uint8)
        self._after_hw = self._before_hw.copy()
        self._known_hw = np.zeros(self._shape, np.int64)
        # By the class that is there now.
        self._changed_khw = np.zeros((n_classes, *self._shape), np.int32)

    def add(
        self, window: Window, before_hw: np.ndarray, after_hw: np.ndarray, is_change_hw: np.ndarray
    ) -> None:
        """Add a window: both maps, uint8 class indices, and where there is change, bool."""
        step = self._step
        # A cell shows the classes of its first pixel.
        firsts = tuple(slice(-start % step, None, step) for start in (window.row, window.col))
        height, width = before_hw[firsts].shape
        row, col = (-(-start // step) for start in (window.row, window.col))
        cells = slice(row, row + height), slice(col, col + width)
        self._before_hw[cells], self._after_hw[cells] = before_hw[firsts], after_hw[firsts]
        rows = (np.arange(window.height) + window.row) // step
        cols = (np.arange(window.width) + window.col) // step
        is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
        self._known_hw += self._count(is_known_hw, rows, cols)
        for label in np.unique(after_hw[is_change_hw]).tolist():
            is_own_hw = is_change_hw & (after_hw == label)
            self._changed_khw[label] += self._count(is_own_hw, rows, cols)

    def _count(self, is_counted_hw: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """How many pixels of a window are counted in each cell."""
        at_rows, at_cols = np.nonzero(is_counted_hw)
        cells = rows[at_rows] * self._shape[1] + cols[at_cols]
        return np.bincount(cells, minlength=math.prod(self._shape)).reshape(self._shape)

    def draw(self, scheme: ClassScheme) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture the first map, the second, and the change.

        This has the colour of what is there now, the stronger the more of a cell has changed.
        """
        palette = np.full((IGNORE + 1, 3), 255, np.uint8)
        palette[: scheme.n_classes] = scheme.palette
        changed_hw = self._changed_khw.sum(axis=0)
        share_hw = changed_hw / np.maximum(self._known_hw, 1)
        strength_hw = np.where(changed_hw > 0, _LEAST_SEEN + (1 - _LEAST_SEEN) * share_hw**0.5, 0)
        color_hwc = palette[self._changed_khw.argmax(axis=0)].astype(float)
        ground_hwc = np.where(self._known_hw[..., None] > 0, _GROUND, _NO_DATA)
        change_hwc = ground_hwc + strength_hw[..., None] * (color_hwc - ground_hwc)
        return (
            palette[self._before_hw],
            palette[self._after_hw],
            np.rint(change_hwc).astype(np.uint8),
        )
