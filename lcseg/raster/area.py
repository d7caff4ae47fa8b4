"""Areas of interest: polygons of a vector file, as pixels of a grid.

area = read_area("county.geojson", image.grid)
area.window                                    # the part of the grid that holds it
inside_hw = area.read(window)                  # bool [H, W]
"""

from __future__ import annotations

from functools import partial

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.raster.crs import transform_places
from lcseg.raster.grid import Grid, Window
from lcseg.raster.vector import read_features

_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
_LONG_LAT = "OGC:CRS84"
_KNOTS = 512
"""A side of the area is projected at so many places at least; between them it is straight."""


class Area:
    """Polygons in pixels of a grid: x is columns, y is rows."""

    def __init__(self, polygons: shapely.Geometry, grid: Grid) -> None:
        self._polygons = polygons
        shapely.prepare(polygons)
        left, top, right, bottom = polygons.bounds
        row, col = int(np.floor(top)), int(np.floor(left))
        whole = Window(row, col, int(np.ceil(bottom)) - row, int(np.ceil(right)) - col)
        self.window = whole.clip(grid.height, grid.width)

    def touches(self, window: Window) -> bool:
        """Whether any of the area lies in a window."""
        return bool(shapely.intersects(self._polygons, _box(window)))

    def read(self, window: Window) -> np.ndarray:
        """Whether the centre of each pixel of a window is inside, bool [H, W]."""
        shape = window.height, window.width
        box = _box(window)
        if shapely.contains_properly(self._polygons, box):
            return np.ones(shape, bool)
        if not shapely.intersects(self._polygons, box):
            return np.zeros(shape, bool)
        part = shapely.intersection(self._polygons, box.buffer(2, join_style="mitre"))
        place = Affine.translation(window.col, window.row)
        return rasterize([part], shape, transform=place, dtype="uint8").astype(bool)


def read_area(path: str, grid: Grid) -> Area:
    """Read the polygons of a vector file, in any CRS that it names.

    Raises:
        LcsegError: it cannot be read, has no polygons, or the grid has no CRS.
    """
    if grid.crs is None:
        raise LcsegError(path, "needs an image with a CRS", "georeference it (gdal_edit.py -a_srs)")
    crs, shapes, _ = read_features(path, "Polygon")
    found = shapes[np.isin(shapely.get_type_id(shapes), _POLYGONS)]
    polygons = shapely.union_all(shapely.make_valid(found))
    if polygons.is_empty:
        raise LcsegError(path, "has no polygon in it", "draw the area as polygons")
    left, bottom, right, top = polygons.bounds
    knots = shapely.segmentize(polygons, max(right - left, top - bottom) / _KNOTS)
    to_pixels = partial(_project, crs=crs or _LONG_LAT, grid=grid, path=path)
    return Area(shapely.make_valid(shapely.transform(knots, to_pixels)), grid)


def _project(places: np.ndarray, crs: str, grid: Grid, path: str) -> np.ndarray:
    """Places [n, 2] of a CRS as (column, row) of a grid, float [n, 2]."""
    x, y = transform_places(crs, grid.crs or "", places[:, 0], places[:, 1], path)
    return np.stack(~grid.affine @ (x, y), axis=1)


def _box(window: Window) -> shapely.Geometry:
    return shapely.box(
        window.col, window.row, window.col + window.width, window.row + window.height
    )
