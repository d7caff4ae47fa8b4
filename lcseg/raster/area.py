"""Areas: polygons of a vector file, as pixels of a grid.

area = read_area("county.geojson", image.grid)  # all of its polygons as one
area.window                                    # the part of the grid that holds it
inside_hw = area.read(window)                  # bool [H, W]

outlines = Outlines(polygons, crs, "places.gpkg")  # each by itself, on many grids
areas = {number: Area(polygon, grid) for number, polygon in outlines.place(grid).items()}
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.raster.crs import LONLAT, crs_name, is_same_crs, transform_places
from lcseg.raster.grid import Grid, Window
from lcseg.raster.vector import read_features

_KNOT_PX = 16
"""About so far apart are the places of an outline that are projected, in pixels of the grid; over
so short a way a projection hardly bends."""

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
        return bool(shapely.intersects(self._polygons, box_of(window)))

    def read(self, window: Window) -> np.ndarray:
        """Whether the centre of each pixel of a window is inside, bool [H, W]."""
        shape = window.height, window.width
        box = box_of(window)
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


class Outlines:
    """Polygons of a CRS, of which some lie on a grid."""

    def __init__(self, polygons: Sequence[shapely.Geometry], crs: str | None, path: str) -> None:
        """Take polygons of a CRS, None where their grids have none either; errors name `path`."""
        self._polygons, self._crs, self._path = polygons, crs, path
        self._tree = shapely.STRtree(polygons)

    def place(
        self, grid: Grid, is_wanted: Callable[[int], bool] = lambda number: True
    ) -> dict[int, shapely.Geometry]:
        """Those that lie on a grid, by number: what of them is on it or near it, in its pixels.

        Args:
            grid: the grid.
            is_wanted: whether a polygon is asked for, by its number.

        Raises:
            LcsegError: no way leads from their CRS to that of the grid.
        """
        # Places far away may not be in the grid's CRS at all, or come out as others.
        around = _surroundings(grid, self._crs, self._path)
        left, bottom, right, top = around.bounds
        knots = _KNOT_PX * max(right - left, top - bottom) / max(grid.height, grid.width)
        placed = {}
        found = sorted(self._tree.query(around, predicate="intersects").tolist())
        for number in filter(is_wanted, found):
            valid = shapely.make_valid(self._polygons[number])
            near = _only_polygons(shapely.intersection(valid, around))
            polygon = self._to_pixels(near, grid, knots)
            if shapely.intersects(polygon, box_of(grid.window)):
                placed[number] = polygon
        return placed

    def _to_pixels(self, polygon: shapely.Geometry, grid: Grid, knots: float) -> shapely.Geometry:
        """A polygon in pixels of a grid; where lines bend, a place is projected every `knots`."""
        if not _is_same(self._crs, grid.crs):
            polygon = shapely.segmentize(polygon, knots)
        project = functools.partial(_project, crs=self._crs, grid=grid, path=self._path)
        return _only_polygons(shapely.make_valid(shapely.transform(polygon, project)))


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
    placed = Outlines([polygons], crs, path).place(grid)
    return Area(placed.get(0, shapely.Polygon()), grid)


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


def _surroundings(grid: Grid, crs: str | None, path: str) -> shapely.Geometry:
    """The bounds of a grid in another CRS, and a little more."""
    edge = np.linspace(0, 1, _EDGE)
    cols, rows = (axis.ravel() for axis in np.meshgrid(edge * grid.width, edge * grid.height))
    x, y = grid.affine @ (cols, rows)
    x, y = _transform(grid.crs, crs, x, y, path)
    margin = _MARGIN * max(np.ptp(x), np.ptp(y))
    return shapely.box(x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)


def _project(places: np.ndarray, crs: str | None, grid: Grid, path: str) -> np.ndarray:
    """Places [n, 2] of a CRS as (column, row) of a grid, float [n, 2]."""
    x, y = _transform(crs, grid.crs, places[:, 0], places[:, 1], path)
    return np.stack(~grid.affine @ (x, y), axis=1)


def _transform(
    from_crs: str | None, to_crs: str | None, x: np.ndarray, y: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    if _is_same(from_crs, to_crs):
        return x, y
    try:
        return transform_places(from_crs or "", to_crs or "", x, y, path)
    except LcsegError as error:
        raise LcsegError(
            path,
            f"no way leads between its CRS and that of the image: {crs_name(from_crs or '')} and "
            f"{crs_name(to_crs or '')}",
            "give it the CRS of the image (ogr2ogr -t_srs)",
        ) from error


@functools.cache
def _is_same(one: str | None, other: str | None) -> bool:
    return one == other or bool(one and other and is_same_crs(one, other))


def box_of(window: Window) -> shapely.Geometry:
    """A window as a polygon, x is columns, y is rows."""
    return shapely.box(
        window.col, window.row, window.col + window.width, window.row + window.height
    )
