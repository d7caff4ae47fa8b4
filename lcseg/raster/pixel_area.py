"""How much ground a pixel covers, row by row.

row_m2 = measure_rows(grid, "map.tif")         # float64 [H]: of each pixel of a row
"""

from __future__ import annotations

import math

import numpy as np
from rasterio.crs import CRS

from lcseg.errors import LcsegError
from lcseg.raster.crs import crs_name, transform_places
from lcseg.raster.grid import Grid

_TOLERANCE = 0.01
_EQUAL_AREA = "+proj=laea +lat_0={:.6f} +lon_0={:.6f} +datum=WGS84"


def measure_rows(grid: Grid, path: str) -> np.ndarray:
    """Measure the pixels of each row, in square metres, float64 [H].

    In a projected CRS a pixel has the area that its sides say, wherever this is that of the ground
    to 1 %, as in UTM and in equal-area CRSs. Elsewhere, as by longitude and latitude or in Web
    Mercator, its corners are projected to an equal-area CRS around the map.

    Raises:
        LcsegError: the grid has no CRS, or pixels of one row differ by more than 1 %.
    """
    if grid.crs is None:
        raise LcsegError(path, "has no CRS, so no areas", "georeference it (gdal_edit.py -a_srs)")
    measured = _measure_ground(grid, grid.crs, path)
    known = CRS.from_user_input(grid.crs)
    if known.is_projected:
        a, b, _, d, e, _ = grid.transform
        nominal = abs(a * e - b * d) * known.linear_units_factor[1] ** 2
        if (abs(measured / nominal - 1) <= _TOLERANCE).all():
            return np.full(grid.height, nominal)
    if (np.ptp(measured, axis=1) > _TOLERANCE * measured[:, 1]).any():
        raise LcsegError(
            path,
            f"has pixels of unlike areas side by side in its CRS {crs_name(grid.crs)}",
            "reproject it to an equal-area CRS (gdalwarp -r near)",
        )
    return measured[:, 1]


def _measure_ground(grid: Grid, crs: str, path: str) -> np.ndarray:
    """Areas of the first, middle and last pixel of each row, float64 [H, 3], square metres."""
    x, y = (np.array([value]) for value in grid.affine @ (grid.width / 2, grid.height / 2))
    lon, lat = transform_places(crs, "EPSG:4326", x, y, path)
    rows = np.arange(grid.height)[:, None, None] + np.array([0, 0, 1, 1])
    cols = np.array([0, grid.width // 2, grid.width - 1])[:, None] + np.array([0, 1, 1, 0])
    x, y = grid.affine @ (np.broadcast_to(cols, (grid.height, 3, 4)), rows)
    near = _EQUAL_AREA.format(float(lat[0]), math.remainder(float(lon[0]), 360))
    x, y = transform_places(crs, near, x, y, path)
    # The area of a quadrilateral is half the cross product of its diagonals.
    across, along = (x[..., 2] - x[..., 0]), (y[..., 2] - y[..., 0])
    area = (x[..., 3] - x[..., 1]) * along - (y[..., 3] - y[..., 1]) * across
    return np.asarray(abs(area) / 2)
