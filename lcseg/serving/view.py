"""What lies under the pixels of a picture, in the grid of a raster.

pixels = measure(tile_grid, image.grid)        # of the raster along one of the tile; None: apart
view = look(tile_grid, image.grid)             # None: they do not meet
classes_hw = view.take(values_hw, window, missing=255)
"""

from __future__ import annotations

import functools
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

_LATTICE = 17
"""Places along each side of a raster by which it is found in a picture."""


@dataclass(frozen=True)
class View:
    """The pixel of a raster under the centre of each pixel of a picture that lies on it."""

    rows: np.ndarray  # int32 [n].
    cols: np.ndarray  # int32 [n].
    is_inside_hw: np.ndarray  # Which pixels of the picture, in order, these are, bool [H, W].
    window: Window  # Of the raster, that holds all of them.

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.rows.nbytes + self.cols.nbytes + self.is_inside_hw.nbytes

    def take(self, values_hw: np.ndarray, window: Window, missing: int) -> np.ndarray:
        """The values of a window [h, w, …] under the pixels; `missing` beyond the raster."""
        return self.lay(values_hw[self.rows - window.row, self.cols - window.col], missing)

    def lay(self, values: np.ndarray, missing: int) -> np.ndarray:
        """Values [n, …] of the pixels that lie on the raster, as a picture [H, W, …]."""
        laid = np.full((*self.is_inside_hw.shape, *values.shape[1:]), missing, values.dtype)
        laid[self.is_inside_hw] = values
        return laid


@functools.lru_cache(maxsize=1024)
def measure(picture: Grid, raster: Grid) -> float | None:
    """Pixels of a raster along a side of one of a picture, where they meet; None: they do not."""
    part = _find_part(picture, raster)
    if part is None:
        return None
    step = np.array([-0.5, 0.5, 0, 0])
    at_cols, at_rows = part.col + part.width / 2 + step, part.row + part.height / 2 + step[::-1]
    try:
        cols, rows = Alignment(picture, raster, "").project(at_cols, at_rows)
    except LcsegError:
        return None
    (along_col, down_col), (along_row, down_row) = np.diff(cols)[::2], np.diff(rows)[::2]
    return math.sqrt(abs(along_col * down_row - along_row * down_col))


@cached(
    LRUCache(_KEPT_BYTES, getsizeof=lambda view: view.nbytes if view else _LEAST_BYTES),
    lock=threading.Lock(),
)
def look(picture: Grid, raster: Grid) -> View | None:
    """Find the pixels of a raster under those of a picture; None: the two do not meet.

    Layers of a place are asked for together, so the last views are kept.
    """
    # Few of the pixels of a picture of a continent need be projected.
    part = _find_part(picture, raster)
    if part is None:
        return None
    alignment, shape = Alignment(picture, raster, ""), (part.height, part.width)
    rows_hw, cols_hw = np.empty(shape, np.int32), np.empty(shape, np.int32)
    try:
        for strip in _strips(part):
            for axis_hw, found_hw in zip((rows_hw, cols_hw), alignment.locate(strip), strict=True):
                axis_hw[strip.within(part).slices] = np.clip(found_hw, -1, _FAR)
    except LcsegError:
        # A picture of half the world reaches to where a projection knows no place.
        return None
    is_here_hw = (rows_hw >= 0) & (rows_hw < raster.height)
    is_here_hw &= (cols_hw >= 0) & (cols_hw < raster.width)
    if not is_here_hw.any():
        return None
    rows, cols = rows_hw[is_here_hw], cols_hw[is_here_hw]
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)
    is_inside_hw = np.zeros((picture.height, picture.width), bool)
    is_inside_hw[part.slices] = is_here_hw
    return View(rows, cols, is_inside_hw, window)


def _strips(part: Window) -> Iterator[Window]:
    """Some rows at a time: their places take a lot of room while they are found."""
    step = max(_STRIP_PX // part.width, 1)
    for row in range(0, part.height, step):
        yield Window(part.row + row, part.col, min(step, part.height - row), part.width)


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
    is_needed[view.rows // side - first_row, view.cols // side - first_col] = True
    found = np.argwhere(is_needed).tolist()
    return around, [(row + first_row, col + first_col) for row, col in found]


def gather(
    blocks: Mapping[Number, np.ndarray],
    around: Window,
    view: View,
    side: int,
    planes: Sequence[int],
) -> np.ndarray:
    """Take what is under a view from blocks, uint8 [P, side, side].

    Returns:
        Some of the planes, uint8 [H, W, planes], 255 beyond the raster.
    """
    # Not laid beside each other: of those along a slanted line, the square is many times as large.
    place_of = np.zeros((around.height, around.width), np.intp)
    stacked = np.empty((len(blocks), side, side, len(planes)), np.uint8)
    for place, ((row, col), block) in enumerate(blocks.items()):
        place_of[row - around.row, col - around.col] = place
        stacked[place] = np.moveaxis(block[list(planes)], 0, -1)
    rows, cols = view.rows - around.row * side, view.cols - around.col * side
    places = place_of[rows // side, cols // side]
    return view.lay(stacked[places, rows % side, cols % side], IGNORE)


@functools.lru_cache(maxsize=1024)
def _find_part(picture: Grid, raster: Grid) -> Window | None:
    """The part of a picture in which a raster lies, rather too large; None: there is none."""
    if not picture.affine.determinant:
        return None
    edge = np.linspace(0, 1, _LATTICE)
    cols, rows = np.meshgrid(edge * raster.width, edge * raster.height)
    try:
        # Boxes of clients may be of any size: what overflows is no place.
        with np.errstate(all="ignore"):
            cols, rows = Alignment(raster, picture, "").project(cols, rows)
    except LcsegError:
        # As where it holds a pole, and the picture is in Web Mercator.
        return picture.window
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    spans = []
    for axis, size in ((rows, picture.height), (cols, picture.width)):
        # Between two places an edge bends outwards by less than the way from one to the other.
        reach = 1 + max(float(np.abs(np.diff(axis, axis=along)).max()) for along in (0, 1))
        first = max(math.floor(axis.min() - reach), 0)
        spans += [first, min(math.ceil(axis.max() + reach), size) - first]
    row, height, col, width = spans
    return Window(row, col, height, width) if height > 0 and width > 0 else None
