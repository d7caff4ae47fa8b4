"""Rasters that lie nowhere, and rasters that lie about where."""

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from lcseg.errors import LcsegError
from lcseg.raster.placing import require_crs
from lcseg.raster.source import open_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

X, Y = 400_000.0, 4_300_000.0
NOT_GEOREFERENCED = {"crs": None, "transform": None}
RANDOM = np.random.default_rng(0)


def noise(height: int, width: int, bands: int) -> np.ndarray:
    return RANDOM.integers(1, 200, (height, width, bands)).astype(np.uint8)


def test_raster_without_crs_is_refused_unless_allowed(make_raster):
    path = make_raster("scene.png", noise(8, 8, 3), driver="PNG", **NOT_GEOREFERENCED)
    with open_image(path) as image:
        require_crs(path, image.grid, allow_ungeoreferenced=True)
        with pytest.raises(
            LcsegError, match=r"no coordinate reference system; georeference it .*--"
        ):
            require_crs(path, image.grid, allow_ungeoreferenced=False)


def refuse_crs(path: str) -> str:
    with open_image(path) as image, pytest.raises(LcsegError) as caught:
        require_crs(path, image.grid, allow_ungeoreferenced=False)
    return str(caught.value)


def test_raster_that_points_or_a_sensor_model_place_is_to_be_warped_first(make_raster):
    corners = [(0, 0, X, Y), (0, 8, X + 8, Y), (8, 0, X, Y - 8), (8, 8, X + 9, Y - 9)]
    points = [GroundControlPoint(*corner) for corner in corners]
    path = make_raster("gcps.tif", noise(8, 8, 3), transform=None, gcps=points)
    assert refuse_crs(path) == (
        f"{path}: is placed by ground control points only; warp it to a grid first (gdalwarp)"
    )
    path = make_raster("rpcs.tif", noise(8, 8, 3), **NOT_GEOREFERENCED)
    poly = [1.0] + [0.0] * 19
    with rasterio.open(path, "r+") as dataset:
        dataset.rpcs = RPC(0, 1, 40, 1, poly, poly, 4, 4, -77, 1, poly, poly, 4, 4)
    assert "rpcs.tif: is placed by an RPC model only; warp it to a grid first" in refuse_crs(path)
    with open_image(path) as image:
        require_crs(path, image.grid, allow_ungeoreferenced=True)


def test_crs_without_a_geotransform_is_no_place(make_raster):
    path = make_raster("scene.tif", noise(8, 8, 3), transform=None)
    assert "scene.tif: has a CRS but no geotransform; give it one" in refuse_crs(path)


def test_metres_that_are_passed_off_as_degrees_are_refused(make_raster):
    path = make_raster("scene.tif", noise(8, 8, 3), crs="EPSG:4326")
    assert refuse_crs(path) == (
        f"{path}: spans y 4.29999e+06 to 4.3e+06, which are no degrees, but its CRS is WGS 84; "
        "give it the CRS that it has (gdal_edit.py -a_srs)"
    )
    world = make_raster(
        "world.tif", noise(19, 37, 1), crs="EPSG:4326", transform=(10, 0, -5, 0, -10, 95)
    )
    with open_image(world) as image:
        require_crs(world, image.grid, allow_ungeoreferenced=False)
