"""What lies under the pixels of a picture, in the grid of a raster.

view = look(tile_grid, image.grid)             # None: they do not meet
classes_hw = view.take(values_hw, window, missing=255)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache, cached

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import Grid, Window

Number = tuple[int, int]
"""Row and column of a block, counted in blocks."""

_KEPT_BYTES, _LEAST_BYTES = 64 << 20, 1 << 10
_STRIP_PX = 1 << 16
_FAR = 2**31 - 1


@dataclass(frozen=True)
class View:
    """The pixel of a raster under the centre of each pixel of a picture."""

    rows_hw: np.ndarray  # int32 [H, W].
    cols_hw: np.ndarray  # int32 [H, W].
    is_inside_hw: np.ndarray  # Whether it lies in the raster, bool [H, W].
    window: Window  # That holds all of them.
    pixels: float  # Of the raster along a side of one of the picture.

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.rows_hw.nbytes + self.cols_hw.nbytes + self.is_inside_hw.nbytes

    def take(self, values_hw: np.ndarray, window: Window, missing: int) -> np.ndarray:
        """The values of a window [h, w, …] under the pixels; `missing` beyond the raster."""
        last_row, last_col = window.height - 1, window.width - 1
        rows_hw = np.clip(self.rows_hw - window.row, 0, last_row)
        cols_hw = np.clip(self.cols_hw - window.col, 0, last_col)
        flat = values_hw.reshape(window.height * window.width, *values_hw.shape[2:])
        taken = flat[rows_hw.astype(np.intp) * window.width + cols_hw]
        taken[~self.is_inside_hw] = missing
        return taken


@cached(
    LRUCache(_KEPT_BYTES, getsizeof=lambda view: view.nbytes if view else _LEAST_BYTES),
    lock=threading.Lock(),
)
def look(picture: Grid, raster: Grid) -> View | None:
    """Find the pixels of a raster under those of a picture; None: the two do not meet.

    Layers of a place are asked for together, so the last views are kept.
    """
    alignment = Alignment(picture, raster, "")
    shape = picture.height, picture.width
    rows_hw, cols_hw = np.empty(shape, np.int32), np.empty(shape, np.int32)
    try:
        for strip in _strips(picture):
            for axis_hw, found_hw in zip((rows_hw, cols_hw), alignment.locate(strip), strict=True):
                axis_hw[strip.slices] = np.clip(found_hw, -1, _FAR)
        pixels = _measure(alignment, picture)
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
    return View(rows_hw, cols_hw, is_inside_hw, window, pixels)


def _strips(picture: Grid) -> Iterator[Window]:
    """Some rows of a picture at a time: their places take a lot of room while they are found."""
    step = max(_STRIP_PX // picture.width, 1)
    for row in range(0, picture.height, step):
        yield Window(row, 0, min(step, picture.height - row), picture.width)


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


def _measure(alignment: Alignment, picture: Grid) -> float:
    """Pixels of the raster along a side of one of the picture, at its middle."""
    row, col = picture.height / 2, picture.width / 2
    at_cols, at_rows = np.array([col, col + 1, col]), np.array([row, row, row + 1])
    cols, rows = alignment.project(at_cols, at_rows)
    area = (cols[1] - cols[0]) * (rows[2] - rows[0]) - (cols[2] - cols[0]) * (rows[1] - rows[0])
    return math.sqrt(abs(float(area)))
