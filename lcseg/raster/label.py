"""Label rasters, brought onto the grid of an image.

    with open_label("lc.tif", image.grid, scheme) as label:
        label_hw = label.read(Window(0, 0, 256, 256))   # uint8, 255 where there is no label

The label of a pixel is the label at the place of its centre (nearest); where the label raster is
finer, the most frequent label in the pixel (mode).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np

from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.alignment import KNOT_PX, Alignment
from lcseg.raster.codes import LabelCodes
from lcseg.raster.dataset import open_raster
from lcseg.raster.fit import LabelFit, measure_fit
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.placing import require_crs
from lcseg.raster.vote import count_samples, elect, refine

_MAX_SAMPLES = 1 << 20


class LabelSource:
    """An open label raster, read by windows of an image's grid."""

    def __init__(self, codes: LabelCodes, grid: Grid) -> None:
        self.path = codes.path
        self._codes = codes
        self._grid = grid
        self._alignment = Alignment(grid, codes.grid, codes.path)
        self._alignment.require_overlap()
        self._samples = count_samples(self._alignment)
        if max(self._samples) > 1:
            fine = refine(grid, *self._samples)
            knot_px = KNOT_PX * max(self._samples)
            self._sampling = Alignment(fine, codes.grid, codes.path, knot_px)
        else:
            self._sampling = self._alignment

    @cached_property
    def fit(self) -> LabelFit:
        """How the label raster lies under the image."""
        return measure_fit(self._alignment, self._samples)

    def read(self, window: Window) -> np.ndarray:
        """Read a window of the image's grid, which may overhang it, as uint8 labels [H, W].

        Pixels outside of the label raster, its nodata and the scheme's ignored codes are 255.
        Where several samples are asked for a pixel, 255 votes like a class but loses ties.

        Raises:
            UnknownCodesError: lists all codes of the label raster with their pixel counts.
        """
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        inside = window.clip(self._grid.height, self._grid.width)
        if inside.height and inside.width:
            label_hw[inside.within(window).slices] = self._read_inside(inside)
        return label_hw

    def _read_inside(self, window: Window) -> np.ndarray:
        """Labels of a window that lies inside of the image."""
        rows, cols = self._samples
        if rows == cols == 1:
            return self._sample(window)
        label_hw = np.empty((window.height, window.width), np.uint8)
        # Squares, not strips: in a rotated label raster, what holds a long strip is mostly not it.
        side = max(math.isqrt(_MAX_SAMPLES // (rows * cols)), 1)
        for square in cover(window.height, window.width, side):
            part = square.clip(window.height, window.width)
            row, col = window.row + part.row, window.col + part.col
            fine = Window(row * rows, col * cols, part.height * rows, part.width * cols)
            label_hw[part.slices] = elect(self._sample(fine), rows, cols)
        return label_hw

    def _sample(self, window: Window) -> np.ndarray:
        """Labels at the centres of the pixels of a window of the samples' grid."""
        shift = self._sampling.shift
        return self._read_found(window) if shift is None else self._read_shifted(window, shift)

    def _read_shifted(self, window: Window, shift: tuple[int, int]) -> np.ndarray:
        """Labels where the grids differ by a shift: no pixel needs to be located by itself."""
        own = Window(window.row + shift[0], window.col + shift[1], window.height, window.width)
        inside = own.clip(self._codes.grid.height, self._codes.grid.width)
        if inside == own:
            return self._codes.read(own)
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        if inside.height and inside.width:
            label_hw[inside.within(own).slices] = self._codes.read(inside)
        return label_hw

    def _read_found(self, window: Window) -> np.ndarray:
        """Labels where every pixel is located by itself."""
        rows_hw, cols_hw = self._sampling.locate(window)
        first_row, first_col = int(rows_hw.min()), int(cols_hw.min())
        found = Window(
            first_row,
            first_col,
            int(rows_hw.max()) - first_row + 1,
            int(cols_hw.max()) - first_col + 1,
        )
        needed = found.clip(self._codes.grid.height, self._codes.grid.width)
        if not (needed.height and needed.width):
            return np.full((window.height, window.width), IGNORE, np.uint8)
        # What lies outside falls on a rim of no labels.
        own_hw = np.pad(self._codes.read(needed), 1, constant_values=IGNORE)
        rows_hw = np.clip(rows_hw, needed.row - 1, needed.row + needed.height) - (needed.row - 1)
        cols_hw = np.clip(cols_hw, needed.col - 1, needed.col + needed.width) - (needed.col - 1)
        return own_hw.ravel()[rows_hw * own_hw.shape[1] + cols_hw]


@contextmanager
def open_label(
    path: str,
    grid: Grid,
    scheme: ClassScheme,
    band: int = 0,
    allow_ungeoreferenced: bool = False,
) -> Iterator[LabelSource]:
    """Open a label raster for reading by windows of an image's grid.

    Args:
        path: the label raster.
        grid: the grid of the image.
        scheme: says what the codes mean.
        band: the band that holds the codes, from 1; 0: the only one, or the first three as colour.
        allow_ungeoreferenced: take rasters without CRS, pixel on pixel.
    """
    with open_raster(path) as dataset:
        codes = LabelCodes(path, dataset, scheme, band)
        require_crs(path, codes.grid, allow_ungeoreferenced)
        yield LabelSource(codes, grid)
