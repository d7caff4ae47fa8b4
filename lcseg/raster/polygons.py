"""A class map as polygons, in any format of OGR.

write_polygons("map.tif", "map.gpkg", scheme, min_area_m2=100)
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely

from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.dataset import grid_of, open_raster, to_rasterio
from lcseg.raster.grid import Grid, cover
from lcseg.raster.pixel_area import measure_rows
from lcseg.raster.vector import find_driver, write_features

_BLOCK_PX = 2048
_MAX_SIZE = 2**31 - 1


def write_polygons(map_path: str, out: Path, scheme: ClassScheme, min_area_m2: float = 0.0) -> int:
    """Write the patches of a class map as polygons with class, name and area; returns how many.

    Patches are joined along edges, not corners. Memory grows with the number of polygons, not with
    pixels, which GDAL reads row by row; with a minimum, a byte or two for each pixel is taken, too.

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
    with open_raster(map_path) as dataset, tempfile.TemporaryDirectory(dir=out.parent) as folder:
        grid = grid_of(dataset)
        if min_area_m2:
            with _sieve(dataset, Path(folder), grid, min_area_m2, map_path) as sieved:
                geometry, classes = _trace(sieved, grid)
        else:
            geometry, classes = _trace(dataset, grid)
    names = np.array([scheme.names[index] for index in classes], object)
    areas_m2 = _measure(geometry, grid, map_path)
    fields = {"class": classes, "name": names, "area_m2": areas_m2}
    write_features(out, grid.crs, "Polygon", geometry, fields)
    return len(geometry)


@contextmanager
def _sieve(
    dataset: rasterio.DatasetReader, folder: Path, grid: Grid, min_area_m2: float, path: str
) -> Iterator[rasterio.DatasetReader]:
    """A map in which small patches have taken the class of the largest one beside them."""
    size = min(math.ceil(min_area_m2 / float(measure_rows(grid, path).mean())), _MAX_SIZE)
    file = folder / "sieved.tif"
    profile = {"height": grid.height, "width": grid.width, "count": 1, "dtype": "uint8"}
    profile |= {"driver": "GTiff", "tiled": True, "compress": "ZSTD", "bigtiff": "IF_SAFER"}
    with rasterio.open(file, "w+", **profile, transform=grid.affine) as written:
        for window in cover(grid.height, grid.width, _BLOCK_PX):
            place = to_rasterio(window.clip(grid.height, grid.width))
            is_mapped = dataset.read(1, window=place) != IGNORE
            written.write(is_mapped.astype(np.uint8), 1, window=place)
        mask, source = rasterio.band(written, 1), rasterio.band(dataset, 1)
        sieved_hw = rasterio.features.sieve(source, max(size, 1), mask=mask, connectivity=4)
        written.write(sieved_hw, 1)
        del sieved_hw
        yield written


def _trace(dataset: rasterio.DatasetReader, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The patches as polygons, object [n], and their classes, int32 [n]."""
    geometry, classes = [], []
    shapes = rasterio.features.shapes(
        rasterio.band(dataset, 1), connectivity=4, transform=grid.affine
    )
    for shape, value in shapes:
        if int(value) != IGNORE:
            rings = shape["coordinates"]
            geometry.append(shapely.Polygon(rings[0], rings[1:]))
            classes.append(int(value))
    return np.array(geometry, object), np.array(classes, np.int32)


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
