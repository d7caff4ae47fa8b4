"""The ground, divided into squares.

for name, window in divide(scene.grid, site.frame, side_px=1024, gap_px=32):
    ...                                        # "3/7", the part of the scene in that square

Squares are `side_px` wide and `gap_px` apart, counted from the first pixel of a frame. A pixel of a
scene is in a square if its centre is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lcseg.raster.grid import Grid, Window
from lcseg.raster.site import footprint, project

_ON_EDGE = 1e-6


def divide(grid: Grid, frame: Grid, side_px: int, gap_px: int) -> Iterator[tuple[str, Window]]:
    """Divide a scene by the squares of a frame, row by row of these.

    Args:
        grid: of the scene.
        frame: where the squares are counted; its pixels are the unit of the two lengths.
        side_px: side of a square.
        gap_px: width of the strips between squares, which belong to none.

    Yields:
        The name of a square, and the largest window of the scene within it, clipped to the scene.
    """
    period = side_px + gap_px
    left, top, right, bottom = footprint(grid, frame).bounds
    first_col, first_row = (int(np.floor(low / period + _ON_EDGE)) for low in (left, top))
    last_col, last_row = (int(np.ceil(high / period - _ON_EDGE)) for high in (right, bottom))
    for row in range(first_row, last_row):
        corners = np.arange(first_col, last_col)[:, None] * period + np.array([0, side_px])
        windows = _inscribe(frame, grid, corners, np.array([0, side_px]) + row * period)
        for col, window in zip(range(first_col, last_col), windows, strict=True):
            inside = window.clip(grid.height, grid.width)
            if inside.height > 0 and inside.width > 0:
                yield f"{row}/{col}", inside


def _inscribe(frame: Grid, grid: Grid, cols: np.ndarray, rows: np.ndarray) -> list[Window]:
    """The windows of a grid within squares of a frame, with edges `cols` [n, 2] and `rows` [2]."""
    corner_cols = np.repeat(cols, 2, axis=1).astype(float)
    corner_rows = np.broadcast_to(np.tile(rows, 2), corner_cols.shape).astype(float)
    own_cols, own_rows = project(frame, grid, corner_cols, corner_rows)
    # Of four corners, the two in the middle bound what is inside, whichever way the grid turns.
    spans = [np.sort(own, axis=1)[:, 1:3] for own in (own_rows, own_cols)]
    (tops, bottoms), (lefts, rights) = (
        np.ceil(span - 0.5 - _ON_EDGE).astype(int).T for span in spans
    )
    return [
        Window(top, left, max(bottom - top, 0), max(right - left, 0))
        for top, left, bottom, right in zip(
            tops.tolist(), lefts.tolist(), bottoms.tolist(), rights.tolist(), strict=True
        )
    ]
