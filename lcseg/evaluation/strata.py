"""The strata of a map: how much of it each class covers, and where in it.

strata = count_strata(mapped)                  # one pass, in bounded memory
strata.pixels, strata.hectares                 # by class
rows, cols = strata.locate(mapped, 2, ranks)   # of the pixels of class 2, counted row by row
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.progress import Progress
from lcseg.raster.class_map import ClassMap
from lcseg.raster.grid import Window
from lcseg.raster.pixel_area import measure_rows

_STRIP_PX = 1 << 22
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, eq=False)
class Strata:
    """How the classes of a map lie in its rows."""

    row_pixels: np.ndarray  # int64 [H, n]: pixels of each class in each row.
    row_m2: np.ndarray  # float64 [H]: of each pixel of a row.
    digest: str  # Of the map: its size, its place and the class of every pixel.

    @cached_property
    def pixels(self) -> np.ndarray:
        """Pixels of each class, int64 [n]."""
        return np.asarray(self.row_pixels.sum(axis=0))

    @cached_property
    def hectares(self) -> np.ndarray:
        """Mapped area of each class, float64 [n]."""
        return np.asarray(self.row_m2 @ self.row_pixels / 1e4)

    def locate_rows(self, label: int, ranks: np.ndarray) -> np.ndarray:
        """The rows of pixels of a class, by their ranks among them, row by row from 0."""
        return np.searchsorted(self.row_pixels[:, label].cumsum(), ranks, "right")

    def locate(
        self, mapped: ClassMap, label: int, ranks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of pixels of a class, int64 [k] each, by their ranks, int64 [k]."""
        rows = self.locate_rows(label, ranks)
        in_row = ranks - (self.row_pixels[:, label].cumsum() - self.row_pixels[:, label])[rows]
        cols = np.empty_like(rows)
        for row in np.unique(rows):
            is_here = rows == row
            labels = mapped.read(Window(int(row), 0, 1, mapped.grid.width))[0]
            cols[is_here] = np.flatnonzero(labels == label)[in_row[is_here]]
        return rows, cols


def count_strata(mapped: ClassMap, quiet: bool = True, strip_px: int = _STRIP_PX) -> Strata:
    """Count the classes of a map in every row, strip by strip.

    Args:
        mapped: the open map.
        quiet: show no progress.
        strip_px: pixels that are read at a time; it changes nothing but the memory.

    Raises:
        LcsegError: the map has no CRS, or no pixel of any class.
    """
    grid, n = mapped.grid, mapped.scheme.n_classes
    row_m2 = measure_rows(grid, mapped.path)
    row_pixels = np.empty((grid.height, n), np.int64)
    digest = hashlib.sha256(repr((grid.height, grid.width, *map(float, grid.transform))).encode())
    step = max(strip_px // grid.width, 1)
    with Progress("count", grid.height * grid.width, "px", quiet, scale=True) as progress:
        for row in range(0, grid.height, step):
            strip = Window(row, 0, step, grid.width).clip(grid.height, grid.width)
            label_hw = mapped.read(strip)
            digest.update(label_hw.tobytes())
            row_pixels[strip.slices[0]] = [np.bincount(r, minlength=IGNORE)[:n] for r in label_hw]
            progress.advance(label_hw.size)
    if not row_pixels.any():
        raise LcsegError(mapped.path, "has no pixel of any class")
    return Strata(row_pixels, row_m2, digest.hexdigest()[:_DIGEST_CHARACTERS])


def read_classes(mapped: ClassMap, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Read the classes of single pixels, uint8 [k]; 255 where the map says nothing."""
    labels = np.empty(len(rows), np.uint8)
    for i in np.lexsort((cols, rows)):
        labels[i] = mapped.read(Window(int(rows[i]), int(cols[i]), 1, 1))[0, 0]
    return labels
