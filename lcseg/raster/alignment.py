"""Where the pixels of one grid lie in another, as those of an image in its label raster.

alignment = Alignment(image.grid, label_grid, "lc.tif")
alignment.shift                                # (rows, columns), if that is all
rows_hw, cols_hw = alignment.locate(window)    # else every pixel by itself
cols, rows = alignment.project(cols, rows)     # any places, float
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lcseg.errors import LcsegError
from lcseg.raster.crs import crs_name, is_same_crs, once_around, transform_places
from lcseg.raster.grid import Grid, Window

KNOT_PX = 16
"""Pixels between the places that are projected; over so short a way a projection hardly bends."""

_PAST_CENTER = 1e-6
_MAX_BEND_PX = 0.1


@dataclass(frozen=True)
class Alignment:
    """How the grid of a label raster lies under that of an image."""

    image: Grid  # Of the image.
    label: Grid  # Of the label raster.
    path: str  # Of the label raster, for errors.
    knot_px: int = KNOT_PX  # Pixels of the image between the places that are projected.

    def project(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(columns, rows) in the label raster of (columns, rows) in the image, all finite.

        Float arrays of any one shape, in pixels from the upper left corner of the first pixel,
        whose centre is (0.5, 0.5); they need not lie inside. Without a CRS on both, pixel lies on
        pixel.

        Raises:
            LcsegError: PROJ knows no way between the CRSs, or none for one of the places.
        """
        if self.image.crs is None or self.label.crs is None:
            return cols, rows
        x, y = self.image.affine @ (cols, rows)
        if not self._is_same_crs:
            x, y = transform_places(self.image.crs, self.label.crs, x, y, self.path)
        return self._come_near(*(~self.label.affine @ (x, y)))

    def _come_near(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places beyond the antimeridian have two coordinates: those nearest to the label."""
        around = once_around(self.label.crs or "")
        if not around:
            return cols, rows
        a, _, _, d = (~self.label.affine)[:4]
        per_col, per_row = a * around, d * around
        off = (cols - self.label.width / 2) * per_col + (rows - self.label.height / 2) * per_row
        times = np.round(off / (per_col**2 + per_row**2))
        return cols - times * per_col, rows - times * per_row

    @cached_property
    def shift(self) -> tuple[int, int] | None:
        """(rows, columns) from the image's pixels to the label's; None: not a mere shift."""
        if not self._is_same_crs:
            return None
        cols, rows = np.meshgrid([0.5, self.image.width - 0.5], [0.5, self.image.height - 0.5])
        own_cols, own_rows = self.project(cols, rows)
        shifts = own_rows - rows, own_cols - cols
        if max(np.ptp(shift) for shift in shifts) > _PAST_CENTER / 10:
            return None
        row, col = (math.floor(shift.min() + 0.5 + _PAST_CENTER) for shift in shifts)
        return row, col

    @cached_property
    def jacobian(self) -> np.ndarray:
        """Label pixels per image pixel, float [2, 2]: d(column, row) / d(column, row).

        The median over places about the scene's centre: at one of them, longitude may jump.
        """
        at_cols, at_rows = (
            size * np.linspace(0.25, 0.75, 5) for size in (self.image.width, self.image.height)
        )
        cols, rows = np.meshgrid(at_cols, at_rows)
        step = np.array([-0.5, 0.5])[:, None, None]
        along = [self.project(cols + step, rows + 0 * step), self.project(cols, rows + step)]
        slopes = [[np.median(axis[1] - axis[0]) for axis in places] for places in along]
        return np.array(slopes).T

    def locate(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the label raster at the centres of a window's pixels, int [H, W].

        Between CRSs the places are computed at knots some pixels apart, ends included, and
        interpolated. Where that and twice as many knots differ, as at the antimeridian, every
        pixel is projected by itself.
        """
        rows = np.arange(window.height) + window.row + 0.5
        cols = np.arange(window.width) + window.col + 0.5
        if self._is_same_crs:
            places = self._interpolate(rows, cols, 1, 1)
        else:
            n_rows, n_cols = (max(len(axis) // self.knot_px, 1) for axis in (rows, cols))
            places = self._interpolate(rows, cols, n_rows, n_cols)
            closer = self._interpolate(rows, cols, 2 * n_rows, 2 * n_cols)
            bends = max(np.abs(a - b).max() for a, b in zip(places, closer, strict=True))
            if bends > _MAX_BEND_PX:
                places = self.project(*np.meshgrid(cols, rows))
        # A shade past the centre: equal grids must not flip between pixels by rounding.
        cols_hw, rows_hw = (np.floor(axis + _PAST_CENTER).astype(np.int64) for axis in places)
        return rows_hw, cols_hw

    def _interpolate(
        self, rows: np.ndarray, cols: np.ndarray, n_rows: int, n_cols: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(columns, rows) in the label raster, float [H, W], from so many even steps each way."""
        knot_rows, knot_cols = (
            np.linspace(axis[0], axis[-1], n + 1) for axis, n in ((rows, n_rows), (cols, n_cols))
        )
        places = self.project(*np.meshgrid(knot_cols, knot_rows))
        own_cols, own_rows = (
            _lie_between(_lie_between(axis, rows, knot_rows).T, cols, knot_cols).T
            for axis in places
        )
        return own_cols, own_rows

    def require_overlap(self) -> None:
        """Refuse a label raster that cannot lie on the image."""
        image, own = self.image, self.label
        if image.crs is None or own.crs is None:
            if (image.height, image.width) != (own.height, own.width):
                raise LcsegError(
                    self.path,
                    f"is {own.height} x {own.width} px, its image {image.height} x {image.width}",
                    "without a CRS on both, the two must have the same size",
                )
            return
        edge = np.linspace(0, 1, 33)
        cols, rows = (a.ravel() for a in np.meshgrid(edge * image.width, edge * image.height))
        own_cols, own_rows = self.project(cols, rows)
        is_apart = (
            own_cols.max() <= 0
            or own_rows.max() <= 0
            or own_cols.min() >= own.width
            or own_rows.min() >= own.height
        )
        if is_apart:
            raise LcsegError(
                self.path,
                f"does not overlap its image: it spans {_span(own)}, the image {_span(image)}",
                "pair it with the image of its own place",
            )

    @cached_property
    def _is_same_crs(self) -> bool:
        """Whether the CRSs are the same; one that is missing is taken to be the other."""
        image, label = self.image.crs, self.label.crs
        return image is None or label is None or is_same_crs(image, label)


def is_same_grid(one: Grid, other: Grid) -> bool:
    """Whether each pixel of a grid is the pixel of the other in the same row and column."""
    is_same_size = (one.height, one.width) == (other.height, other.width)
    return is_same_size and Alignment(one, other, "").shift == (0, 0)


def shares_ground(one: Grid, other: Grid) -> bool:
    """Whether two grids overlap; without a CRS on both, whether they are of one size."""
    try:
        Alignment(one, other, "").require_overlap()
    except LcsegError:
        return False
    return True


def _lie_between(values: np.ndarray, at: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Interpolate values [knots, n] of even knots linearly, float [at, n]."""
    if len(at) == 1:
        return values[:1]
    steps = (at - knots[0]) / (knots[1] - knots[0])
    below = np.minimum(steps.astype(int), len(knots) - 2)
    share = (steps - below)[:, None]
    return values[below] * (1 - share) + values[below + 1] * share


def _span(grid: Grid) -> str:
    left, bottom, right, top = grid.bounds()
    name = crs_name(grid.crs or "")
    return f"x {left:.6g} to {right:.6g}, y {bottom:.6g} to {top:.6g} in {name}"
