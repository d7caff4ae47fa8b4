"""What lies under the pixels of a picture, in the grid of a raster.

view = look(tile_grid, image.grid)             # None: they do not meet
classes_hw = view.take(values_hw, window, missing=255)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import Grid, Window

Number = tuple[int, int]
"""Row and column of a block, counted in blocks."""


@dataclass(frozen=True)
class View:
    """The pixel of a raster under the centre of each pixel of a picture."""

    rows_hw: np.ndarray  # Integers [H, W].
    cols_hw: np.ndarray  # Integers [H, W].
    is_inside_hw: np.ndarray  # Whether it lies in the raster, bool [H, W].
    window: Window  # That holds all of them.
    pixels: float  # Of the raster along a side of one of the picture.

    def take(self, values_hw: np.ndarray, window: Window, missing: int) -> np.ndarray:
        """The values of a window [h, w, …] under the pixels; `missing` beyond the raster."""
        last_row, last_col = window.height - 1, window.width - 1
        rows_hw = np.clip(self.rows_hw - window.row, 0, last_row)
        cols_hw = np.clip(self.cols_hw - window.col, 0, last_col)
        flat = values_hw.reshape(window.height * window.width, *values_hw.shape[2:])
        taken = flat[rows_hw * window.width + cols_hw]
        taken[~self.is_inside_hw] = missing
        return taken


def look(picture: Grid, raster: Grid) -> View | None:
    """Find the pixels of a raster under those of a picture; None: the two do not meet."""
    try:
        rows_hw, cols_hw = Alignment(picture, raster, "").locate(picture.window)
    except LcsegError:
        # A picture of half the world reaches to where a projection knows no place.
        return None
    is_inside_hw = (rows_hw >= 0) & (rows_hw < raster.height)
    is_inside_hw &= (cols_hw >= 0) & (cols_hw < raster.width)
    if not is_inside_hw.any():
        return None
    rows, cols = rows_hw[is_inside_hw], cols_hw[is_inside_hw]
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)
    return View(rows_hw, cols_hw, is_inside_hw, window, _measure(rows_hw, cols_hw))


def list_blocks(view: View, side: int) -> tuple[Window, list[Number]]:
    """The blocks of a side under a view, and the window, counted in blocks, that holds them."""
    window = view.window
    first_row, first_col = window.row // side, window.col // side
    around = Window(
        first_row,
        first_col,
        (window.row + window.height - 1) // side - first_row + 1,
        (window.col + window.width - 1) // side - first_col + 1,
    )
    is_needed = np.zeros((around.height, around.width), bool)
    rows, cols = view.rows_hw[view.is_inside_hw], view.cols_hw[view.is_inside_hw]
    is_needed[rows // side - first_row, cols // side - first_col] = True
    found = np.argwhere(is_needed).tolist()
    return around, [(row + first_row, col + first_col) for row, col in found]


def gather(
    blocks: Mapping[Number, np.ndarray],
    around: Window,
    view: View,
    side: int,
    planes: Sequence[int],
) -> np.ndarray:
    """Lay blocks, uint8 [P, side, side], beside each other, and take what is under a view.

    Returns:
        Some of the planes, uint8 [H, W, planes], 255 beyond the raster.
    """
    whole = Window(around.row * side, around.col * side, around.height * side, around.width * side)
    values = np.full((whole.height, whole.width, len(planes)), IGNORE, np.uint8)
    for (row, col), block in blocks.items():
        top, left = (row - around.row) * side, (col - around.col) * side
        values[top : top + side, left : left + side] = np.moveaxis(block[list(planes)], 0, -1)
    return view.take(values, whole, IGNORE)


def _measure(rows_hw: np.ndarray, cols_hw: np.ndarray) -> float:
    """Pixels of the raster along a side of one of the picture, from its corners."""
    height, width = rows_hw.shape
    down = (
        _step(rows_hw[-1, 0], rows_hw[0, 0], height),
        _step(cols_hw[-1, 0], cols_hw[0, 0], height),
    )
    along = _step(rows_hw[0, -1], rows_hw[0, 0], width), _step(cols_hw[0, -1], cols_hw[0, 0], width)
    return math.sqrt(abs(down[0] * along[1] - down[1] * along[0]))


def _step(last: int, first: int, n: int) -> float:
    return float(last - first) / max(n - 1, 1)
