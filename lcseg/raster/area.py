"""Areas of interest: polygons of a vector file, as pixels of a grid.

area = read_area("county.geojson", image.grid)
area.window                                    # the part of the grid that holds it
inside_hw = area.read(window)                  # bool [H, W]
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.raster.crs import LONLAT, crs_name, transform_places
from lcseg.raster.grid import Grid, Window
from lcseg.raster.vector import read_features

_KNOTS = 512
"""A side of the area is projected at so many places at least; between them it is straight."""

_EDGE = 33
_MARGIN = 0.1


class Area:
    """Polygons in pixels of a grid: x is columns, y is rows."""

    def __init__(self, polygons: shapely.Geometry, grid: Grid) -> None:
        self._polygons = polygons
        shapely.prepare(polygons)
        if polygons.is_empty:
            self.window = Window(0, 0, 0, 0)
            return
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
        part = _only_polygons(
            shapely.intersection(self._polygons, box.buffer(2, join_style="mitre"))
        )
        if part.is_empty:
            return np.zeros(shape, bool)
        place = Affine.translation(window.col, window.row)
        return rasterize([part], shape, transform=place, dtype="uint8").astype(bool)


def read_area(path: str, grid: Grid) -> Area:
    """Read the polygons of a vector file, in any CRS that it names.

    Raises:
        LcsegError: it cannot be read, has no polygons, or does not fit the grid's CRS.
    """
    if grid.crs is None:
        raise LcsegError(path, "needs an image with a CRS", "georeference it (gdal_edit.py -a_srs)")
    crs, shapes, _ = read_features(path, "Polygon")
    crs = crs or LONLAT
    polygons = _only_polygons(shapely.make_valid([shape for shape in shapes if shape is not None]))
    if polygons.is_empty:
        raise LcsegError(path, "has no polygon in it", "draw the area as polygons")
    # Places far away may not be in the grid's CRS at all, or come out as others.
    polygons = _only_polygons(shapely.intersection(polygons, _surroundings(grid, crs, path)))
    if polygons.is_empty:
        return Area(polygons, grid)
    left, bottom, right, top = polygons.bounds
    knots = shapely.segmentize(polygons, max(right - left, top - bottom) / _KNOTS)
    to_pixels = partial(_project, crs=crs, grid=grid, path=path)
    return Area(_only_polygons(shapely.make_valid(shapely.transform(knots, to_pixels))), grid)


def digest_area(path: str) -> str:
    """A checksum of the polygons of a vector file, and of their CRS."""
    crs, shapes, _ = read_features(path, "Polygon")
    digest = hashlib.sha256(str(crs).encode())
    for shape in shapes:
        digest.update(shapely.to_wkb(shape) if shape is not None else b"none")
    return digest.hexdigest()


def _only_polygons(shapes: np.ndarray | shapely.Geometry) -> shapely.Geometry:
    """What of some shapes has an area, as one."""
    parts = shapely.get_parts(shapely.get_parts(shapes))
    return shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _surroundings(grid: Grid, crs: str, path: str) -> shapely.Geometry:
    """The bounds of a grid in another CRS, and a little more."""
    edge = np.linspace(0, 1, _EDGE)
    cols, rows = (axis.ravel() for axis in np.meshgrid(edge * grid.width, edge * grid.height))
    x, y = grid.affine @ (cols, rows)
    x, y = _transform(grid.crs or "", crs, x, y, path)
    margin = _MARGIN * max(np.ptp(x), np.ptp(y))
    return shapely.box(x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)


def _project(places: np.ndarray, crs: str, grid: Grid, path: str) -> np.ndarray:
    """Places [n, 2] of a CRS as (column, row) of a grid, float [n, 2]."""
    x, y = _transform(crs, grid.crs or "", places[:, 0], places[:, 1], path)
    return np.stack(~grid.affine @ (x, y), axis=1)


def _transform(
    from_crs: str, to_crs: str, x: np.ndarray, y: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    try:
        return transform_places(from_crs, to_crs, x, y, path)
    except LcsegError as error:
        raise LcsegError(
            path,
            f"no way leads between its CRS and that of the image: {crs_name(from_crs)} and "
            f"{crs_name(to_crs)}",
            "give it the CRS of the image (ogr2ogr -t_srs)",
        ) from error


def _box(window: Window) -> shapely.Geometry:
    return shapely.box(
        window.col, window.row, window.col + window.width, window.row + window.height
    )
