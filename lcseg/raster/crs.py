"""Coordinate reference systems: their names, and places in one as places in another.

crs_name("EPSG:32618")                                       # "WGS 84 / UTM zone 18N"
x, y = transform_places("EPSG:4326", "EPSG:32618", lon, lat, "lc.tif")
"""

from __future__ import annotations

import functools
import math

import numpy as np
import rasterio.warp
from rasterio.crs import CRS

from lcseg.errors import LcsegError
from lcseg.raster.grid import EQUATOR_RADIUS_M, GDAL_ERRORS

LONLAT = "OGC:CRS84"
"""Longitude and latitude, in this order."""

_WEB_MERCATOR = 3857


def crs_name(crs: str) -> str:
    """The name that people know a CRS by; what PROJ does not know is returned as it is.

    Args:
        crs: WKT, "EPSG:n" or anything else that PROJ reads.
    """
    try:
        wkt = CRS.from_user_input(crs).to_wkt()
    except GDAL_ERRORS:
        return crs
    # A WKT begins with its kind and, in quotes, its name.
    return wkt.split('"')[1] if '"' in wkt else crs


def authority_code(crs: str) -> str | None:
    """The code of a CRS, as "EPSG:26918"; None: it has none."""
    try:
        authority = CRS.from_user_input(crs).to_authority()
    except GDAL_ERRORS:
        return None
    return ":".join(authority) if authority else None


def is_same_crs(one: str, other: str) -> bool:
    """Whether two CRSs are the same, however they are spelt."""
    if one == other:
        return True
    try:
        return CRS.from_user_input(one) == CRS.from_user_input(other)
    except GDAL_ERRORS:
        return False


def is_geographic(crs: str) -> bool:
    """Whether places in a CRS are longitudes and latitudes."""
    try:
        return CRS.from_user_input(crs).is_geographic
    except GDAL_ERRORS:
        return False


def transform_places(
    from_crs: str, to_crs: str, x: np.ndarray, y: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    """Project places, float arrays of any shape; what comes back is finite.

    Raises:
        LcsegError: names `path`, where no way leads from one CRS to the other, or not from there.
    """
    try:
        moved = rasterio.warp.transform(from_crs, to_crs, x.ravel(), y.ravel())
    except GDAL_ERRORS as error:
        raise LcsegError(
            path,
            f"its CRS {crs_name(to_crs)} cannot be reached from the image's {crs_name(from_crs)}",
            "reproject it to the image's CRS (gdalwarp)",
        ) from error
    new_x, new_y = (np.array(values).reshape(x.shape) for values in moved)
    if not (np.isfinite(new_x).all() and np.isfinite(new_y).all()):
        raise LcsegError(
            path,
            f"its CRS {crs_name(to_crs)} does not reach everywhere that the image lies",
            "reproject it to the image's CRS (gdalwarp)",
        )
    return new_x, new_y


@functools.cache
def once_around(crs: str) -> float:
    """After how much the x of a CRS, empty for none, comes to the same place again; 0: never."""
    if not crs:
        return 0.0
    known = CRS.from_user_input(crs)
    if known.is_geographic:
        return 360.0
    return 2 * math.pi * EQUATOR_RADIUS_M if known.to_epsg() == _WEB_MERCATOR else 0.0
