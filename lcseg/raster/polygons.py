"""A class map as polygons, in any format of OGR.

write_polygons("map.tif", "map.gpkg", scheme, min_area_m2=100)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio.features
import shapely

from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.dataset import grid_of, open_raster, read_bands
from lcseg.raster.grid import Grid, cover
from lcseg.raster.pixel_area import measure_rows
from lcseg.raster.vector import find_driver, write_features

_BLOCK_PX = 2048


def write_polygons(map_path: str, out: Path, scheme: ClassScheme, min_area_m2: float = 0.0) -> int:
    """Write the patches of a class map as polygons with class, name and area; returns how many.

    Patches are joined along edges, not corners. The pixels are kept in a file beside `out`, not in
    memory, which grows with the number of polygons.

    Args:
        map_path: class indices, 255 where there is no data.
        out: the vector file; its extension says which format.
        scheme: the classes.
        min_area_m2: the minimum mapping unit. A smaller patch takes the class of the largest patch
            beside it (GDAL's sieve filter); one without a neighbour stays.

    Raises:
        LcsegError: OGR cannot write such a file, or a minimum is given and the map has no CRS.
    """
    find_driver(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with open_raster(map_path) as dataset:
        grid = grid_of(dataset)
        with tempfile.TemporaryFile(dir=out.parent) as file:
            pixels = np.memmap(file, np.uint8, "w+", shape=(grid.height, grid.width))
            for window in cover(grid.height, grid.width, _BLOCK_PX):
                inside = window.clip(grid.height, grid.width)
                pixels[inside.slices] = read_bands(dataset, [1], inside, map_path)[0]
            if min_area_m2:
                _sieve(pixels, grid, min_area_m2, map_path)
            geometry, classes = _trace(pixels, grid)
    names = np.array([scheme.names[index] for index in classes], object)
    areas_m2 = _measure(geometry, grid, map_path)
    fields = {"class": classes, "name": names, "area_m2": areas_m2}
    write_features(out, grid.crs, "Polygon", geometry, fields)
    return len(geometry)


def _sieve(pixels: np.ndarray, grid: Grid, min_area_m2: float, path: str) -> None:
    """Have small patches take the class of the largest one beside them, in place."""
    pixel_m2 = float(measure_rows(grid, path).mean())
    size = int(np.ceil(min_area_m2 / pixel_m2))
    if size > 1:
        rasterio.features.sieve(pixels, size, out=pixels, mask=pixels != IGNORE, connectivity=4)


def _trace(pixels: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The patches as polygons, object [n], and their classes, int32 [n]."""

    def found() -> Iterator[tuple[shapely.Geometry, int]]:
        shapes = rasterio.features.shapes(
            pixels, mask=pixels != IGNORE, connectivity=4, transform=grid.affine
        )
        for shape, value in shapes:
            rings = shape["coordinates"]
            yield shapely.Polygon(rings[0], rings[1:]), int(value)

    pairs = list(found())
    geometry = np.array([polygon for polygon, _ in pairs], object)
    return geometry, np.array([value for _, value in pairs], np.int32)


def _measure(geometry: np.ndarray, grid: Grid, path: str) -> np.ndarray:
    """Areas in square metres, float64 [n]; NaN where the map has no CRS."""
    if grid.crs is None or not len(geometry):
        return np.full(len(geometry), np.nan)
    a, b, _, d, e, _ = grid.transform
    pixels = shapely.area(geometry) / abs(a * e - b * d)
    rows = (
        ~grid.affine
        @ (shapely.get_x(shapely.centroid(geometry)), shapely.get_y(shapely.centroid(geometry)))
    )[1]
    row_m2 = measure_rows(grid, path)
    return pixels * row_m2[np.clip(rows.astype(int), 0, grid.height - 1)]
