"""The outline of a place, in pixels of its scene, in memory that does not grow with the place.

shape = trace_place(evidence, place, least, edge_px=3)    # shapely, x is the column, y is the row
shape = to_ground(shape, grid, "EPSG:26918", path)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from lcseg.audit.evidence import Evidence
from lcseg.audit.marks import mark_places
from lcseg.audit.places import Place
from lcseg.raster.crs import transform_places
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.patches import Patches, PatchTable, trace, trace_all

_WHOLE_PX = 4096
"""A place that is higher or wider than this is traced piece by piece."""

_PIXELS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def trace_place(
    evidence: Evidence, place: Place, least: np.ndarray, edge_px: int, whole_px: int = _WHOLE_PX
) -> shapely.Geometry:
    """Trace a place along the edges of its pixels; x is the column, y the row, in its scene.

    Args:
        evidence: of its scene.
        place: as it was found.
        least: the least probability of each class that is confident.
        edge_px: how far borders may be drawn off.
        whole_px: the largest rectangle that is read at once.
    """
    grid = Grid(evidence.grid.height, evidence.grid.width, _PIXELS, None)
    window = place.window

    def read(part: Window) -> np.ndarray:
        return mark_places(*evidence.read(part.widen(edge_px)), least, edge_px).key_hw

    if max(window.height, window.width) <= whole_px:
        return trace(read(window), window, place.first, grid)
    key = place.key_of(len(least))
    return _trace_pieces(lambda part: read(part) == key, place, grid, whole_px)


def to_ground(shape: shapely.Geometry, grid: Grid, crs: str | None, path: str) -> shapely.Geometry:
    """Move an outline from pixels of a grid to a CRS.

    Args:
        shape: in pixels.
        grid: whose pixels they are.
        crs: where to; that of the grid, or None, is its own.
        path: of the scene, for errors.
    """

    def move(places: np.ndarray) -> np.ndarray:
        x, y = grid.affine @ (places[:, 0], places[:, 1])
        if crs and grid.crs and crs != grid.crs:
            x, y = transform_places(grid.crs, crs, x, y, path)
        return np.stack([x, y], axis=1)

    return shapely.transform(shape, move)


def _trace_pieces(
    read: Callable[[Window], np.ndarray], place: Place, grid: Grid, piece_px: int
) -> shapely.Geometry:
    """Trace a place by squares, each of which it reaches out of."""
    window = place.window
    below, right = window.row + window.height, window.col + window.width
    squares = [
        Window(window.row + s.row, window.col + s.col, s.height, s.width).clip(below, right)
        for s in cover(window.height, window.width, piece_px)
    ]
    patches = Patches(lambda table: (table.first == place.first).all(axis=1))
    for square in squares:
        patches.add(square, read(square))
    patches.finish()
    parts = []
    for square in squares:
        # What ends within a square is not of the place.
        _, kept_hw = Patches(_choose_none).add(square, read(square))
        parts += trace_all(patches.settle(square, kept_hw), square, grid)
    return shapely.union_all(parts)


def _choose_none(table: PatchTable) -> np.ndarray:
    return np.zeros(len(table), bool)
