"""Whether a raster lies somewhere on the ground, and can be believed to.

require_crs("scene.tif", image.grid, allow_ungeoreferenced=False)
"""

from __future__ import annotations

from lcseg.errors import LcsegError
from lcseg.raster.crs import crs_name, is_geographic
from lcseg.raster.dataset import open_raster
from lcseg.raster.grid import Grid

_MAX_LATITUDE = 101
"""A little beyond the pole, in degrees or gons: global rasters may overhang it by a pixel."""


def require_crs(path: str, grid: Grid, allow_ungeoreferenced: bool) -> None:
    """Refuse a raster that is not placed by a CRS and a geotransform, unless that is allowed.

    A raster whose place is none in its CRS is refused in any case.
    """
    if grid.crs is not None:
        _require_degrees(path, grid, grid.crs)
    elif not allow_ungeoreferenced:
        raise _not_placed(path)


def _require_degrees(path: str, grid: Grid, crs: str) -> None:
    """Refuse metres that are passed off as degrees."""
    _, bottom, _, top = grid.bounds()
    if max(-bottom, top) > _MAX_LATITUDE and is_geographic(crs):
        raise LcsegError(
            path,
            f"spans y {bottom:.6g} to {top:.6g}, which are no degrees, but its CRS is "
            f"{crs_name(crs)}",
            "give it the CRS that it has (gdal_edit.py -a_srs)",
        )


def _not_placed(path: str) -> LcsegError:
    with open_raster(path) as dataset:
        points = "ground control points" if dataset.gcps[0] else dataset.rpcs and "an RPC model"
        crs = dataset.crs
    if points:
        fix = "warp it to a grid first (gdalwarp)"
        return LcsegError(path, f"is placed by {points} only", fix)
    if crs:
        fix = "give it one (gdal_edit.py -a_ullr), or pass --allow_ungeoreferenced"
        return LcsegError(path, "has a CRS but no geotransform", fix)
    fix = "georeference it (gdal_edit.py -a_srs), or pass --allow_ungeoreferenced"
    return LcsegError(path, "has no coordinate reference system", fix)
