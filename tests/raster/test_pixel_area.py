"""Areas of pixels, held against closed forms."""

import math

import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.raster.grid import Grid
from lcseg.raster.pixel_area import measure_rows

A, E2 = 6_378_137.0, 0.0066943799901413165


def zone_m2(south: float, north: float, width: float) -> float:
    """A piece of the WGS 84 ellipsoid between parallels, in degrees (Snyder 1987, eq. 3-12)."""
    e = math.sqrt(E2)

    def q(lat: float) -> float:
        s = math.sin(math.radians(lat))
        return (1 - E2) * (
            s / (1 - E2 * s**2) - math.log((1 - e * s) / (1 + e * s)) / (2 * e)
        )  # fmt: skip

    return A**2 / 2 * math.radians(width) * (q(north) - q(south))


def test_a_projected_pixel_has_the_area_that_its_sides_say():
    grid = Grid(5, 4, (30.0, 0.0, 400_000.0, 0.0, -30.0, 4_300_000.0), "EPSG:26918")
    assert measure_rows(grid, "map.tif").tolist() == [900.0] * 5


def test_feet_are_not_taken_for_metres():
    grid = Grid(3, 4, (10.0, 0.0, 1_400_000.0, 0.0, -10.0, 500_000.0), "EPSG:2248")
    assert measure_rows(grid, "map.tif") == pytest.approx(100 * (1200 / 3937) ** 2)


def test_a_turned_pixel_has_the_area_of_its_sides():
    c, s = 3 * math.cos(0.4), 3 * math.sin(0.4)
    grid = Grid(3, 4, (c, s, 400_000.0, s, -c, 4_300_000.0), "EPSG:26918")
    assert measure_rows(grid, "map.tif") == pytest.approx(9)


@pytest.mark.parametrize("west", [-77.0, 179.9])
def test_a_pixel_in_degrees_has_the_area_of_its_latitude(west):
    step = 0.01
    grid = Grid(6_000, 30, (step, 0.0, west, 0.0, -step, 60.0), "EPSG:4326")
    rows = measure_rows(grid, "map.tif")
    for row in (0, 1_234, 5_999):
        north = 60 - row * step
        assert rows[row] == pytest.approx(zone_m2(north - step, north, step), rel=1e-5)
    assert rows[0] / rows[-1] == pytest.approx(0.5, abs=0.01)


def test_web_mercator_does_not_stretch_areas():
    lat = 45.0
    y = A * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))
    grid = Grid(2, 3, (10.0, 0.0, 500_000.0, 0.0, -10.0, y + 10), "EPSG:3857")
    degrees_of_10_m = math.degrees(10 / A)
    height = degrees_of_10_m * math.cos(math.radians(lat))
    expected = zone_m2(lat - height / 2, lat + height / 2, degrees_of_10_m)
    assert measure_rows(grid, "map.tif") == pytest.approx(expected, rel=1e-4)


def test_a_map_without_a_crs_has_no_areas():
    grid = Grid(2, 3, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), None)
    with pytest.raises(LcsegError, match=r"map.tif: has no CRS, so no areas; georeference it"):
        measure_rows(grid, "map.tif")


def test_pixels_of_unlike_areas_in_one_row_are_refused():
    # A polar projection that is true along the parallel of 70 degrees.
    grid = Grid(40, 60, (1e5, 0.0, -3e6, 0.0, -1e5, 4e6), "EPSG:3413")
    with pytest.raises(LcsegError, match=r"pixels of unlike areas .* equal-area CRS"):
        measure_rows(grid, "map.tif")


def test_small_pixels_are_measured_as_well_as_large_ones():
    grid = Grid(4, 4, (2e-6, 0.0, 11.0, 0.0, -2e-6, 48.0), "EPSG:4326")
    expected = zone_m2(47.999, 48.0, 0.001) / 500**2
    assert measure_rows(grid, "map.tif") == pytest.approx(np.full(4, expected), rel=2e-5)
