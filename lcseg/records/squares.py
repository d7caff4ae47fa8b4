"""The ground, divided into squares.

for name, window in divide(scene.grid, site.frame, side_px=1024, gap_px=32):
    ...                                        # "3/7", the part of the scene in that square

Squares are `side_px` wide and `gap_px` apart, counted from the first pixel of a frame. A pixel of a
scene is in a square if its centre is; without a gap between squares, if all of it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lcseg.raster.grid import Grid, Window
from lcseg.raster.site import footprint, outline, project

_ON_EDGE = 1e-6


def divide(grid: Grid, frame: Grid, side_px: int, gap_px: int) -> Iterator[tuple[str, Window]]:
    """Divide a scene by the squares of a frame, row by row of these.

    Args:
        grid: of the scene.
        frame: where the squares are counted; its pixels are the unit of the two lengths.
        side_px: side of a square.
        gap_px: width of the strips between squares, which belong to none.

    Yields:
        The name of a square, and a window of the scene within it, clipped to the scene.
    """
    period = side_px + gap_px
    left, top, right, bottom = footprint(grid, frame).bounds
    first_col, first_row = (int(np.floor(low / period + _ON_EDGE)) for low in (left, top))
    last_col, last_row = (int(np.ceil(high / period - _ON_EDGE)) for high in (right, bottom))
    for row in range(first_row, last_row):
        corners = np.arange(first_col, last_col)[:, None] * period + np.array([0, side_px])
        edges = np.array([0, side_px]) + row * period
        windows = _inscribe(frame, grid, corners, edges, min(gap_px, 1) / 2)
        for col, window in zip(range(first_col, last_col), windows, strict=True):
            inside = window.clip(grid.height, grid.width)
            if inside.height > 0 and inside.width > 0:
                yield f"{row}/{col}", inside


def _inscribe(
    frame: Grid, grid: Grid, cols: np.ndarray, rows: np.ndarray, overhang_px: float
) -> list[Window]:
    """The windows of a grid within squares of a frame, with edges `cols` [n, 2] and `rows` [2]."""
    corner_cols = np.repeat(cols, 2, axis=1).astype(float)
    corner_rows = np.broadcast_to(np.tile(rows, 2), corner_cols.shape).astype(float)
    own_cols, own_rows = project(frame, grid, corner_cols, corner_rows)
    spans = [(own.min(axis=1), own.max(axis=1)) for own in (own_rows, own_cols)]
    low, high = np.stack(spans, axis=-1)
    middle, half = (low + high) / 2, (high - low) / 2
    # What lies around the square is made smaller until its edges, which may be bent, are within.
    edges = outline(np.column_stack([middle - half, 2 * half]), grid, frame)
    centers = np.column_stack([cols.mean(axis=1), np.full(len(cols), rows.mean())])
    reach = np.abs(edges - centers[:, None]).max(axis=(1, 2)) / np.ptp(rows) * 2
    half = half / np.maximum(reach, 1)[:, None] + overhang_px
    first = np.ceil(middle - half - _ON_EDGE).astype(int)
    size = np.maximum(np.floor(middle + half + _ON_EDGE).astype(int) - first, 0)
    return [Window(*numbers) for numbers in np.column_stack([first, size]).tolist()]
