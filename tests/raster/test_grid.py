import math

import numpy as np
import pyproj
import pytest
import rasterio.windows
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from lcseg.raster.grid import Grid, Window, cover, pixel_size_m

UTM = "EPSG:26918"
SIZES = st.integers(1, 60)
WINDOWS = st.builds(
    Window, st.integers(-80, 80), st.integers(-80, 80), st.integers(0, 80), st.integers(0, 80)
)


def grid_at(x: float, y: float, crs: str | None, size: float = 1.0) -> Grid:
    return Grid(10, 10, (size, 0, x - 5 * size, 0, -size, y + 5 * size), crs)


def grid_at_lonlat(lon: float, lat: float, crs: str, size: float = 1.0) -> Grid:
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return grid_at(*to_crs.transform(lon, lat), crs, size)


def test_windows_cover_a_grid_row_by_row_and_overhang_its_far_edges():
    grid = Grid(height=5, width=7, transform=(2, 0, 100, 0, -2, 50), crs=UTM)
    windows = list(cover(grid.height, grid.width, 4))
    assert windows == [
        Window(0, 0, 4, 4),
        Window(0, 4, 4, 4),
        Window(4, 0, 4, 4),
        Window(4, 4, 4, 4),
    ]
    assert windows[3].clip(grid.height, grid.width) == Window(4, 4, 1, 3)
    assert grid.transform_of(windows[3]) == (2, 0, 108, 0, -2, 42)
    assert grid.bounds() == (100, 40, 114, 50)


@given(SIZES, SIZES, SIZES)
def test_cover_holds_every_pixel_exactly_once(height, width, size_px):
    count_hw = np.zeros((height + size_px, width + size_px), int)
    for window in cover(height, width, size_px):
        count_hw[window.slices] += 1
    assert (count_hw[:height, :width] == 1).all()


@given(SIZES, SIZES, SIZES)
def test_no_window_of_a_cover_lies_wholly_outside(height, width, size_px):
    for window in cover(height, width, size_px):
        inside = window.clip(height, width)
        assert inside.height > 0
        assert inside.width > 0


@given(WINDOWS, SIZES, SIZES)
def test_clip_holds_exactly_the_pixels_that_are_in_the_window_and_the_raster(window, height, width):
    expected = {
        (row, col)
        for row in range(window.row, window.row + window.height)
        for col in range(window.col, window.col + window.width)
        if 0 <= row < height and 0 <= col < width
    }
    inside = window.clip(height, width)
    assert inside.height >= 0
    assert inside.width >= 0
    rows, cols = inside.slices
    found = {(r, c) for r in range(rows.start, rows.stop) for c in range(cols.start, cols.stop)}
    assert found == expected


@given(WINDOWS, SIZES, SIZES)
def test_clipping_twice_is_clipping_once(window, height, width):
    inside = window.clip(height, width)
    if inside.height and inside.width:
        assert inside.clip(height, width) == inside


@given(WINDOWS, WINDOWS)
def test_window_within_another_is_undone_by_adding_its_origin(window, outer):
    inner = window.within(outer)
    assert (inner.row + outer.row, inner.col + outer.col) == (window.row, window.col)
    assert (inner.height, inner.width) == (window.height, window.width)
    assert window.within(window) == Window(0, 0, window.height, window.width)


@given(WINDOWS, st.floats(-3, 3))
def test_transform_of_a_window_is_that_of_rasterio_for_rotated_grids_too(window, angle):
    affine = Affine.translation(400_000, 4_300_000) @ Affine.rotation(angle) @ Affine.scale(2, -3)
    grid = Grid(20, 30, tuple(affine)[:6], UTM)
    expected = rasterio.windows.transform(
        rasterio.windows.Window(window.col, window.row, window.width, window.height), affine
    )
    assert grid.transform_of(window) == pytest.approx(tuple(expected)[:6])


def test_bounds_of_a_rotated_grid_hold_all_its_corners_tightly():
    affine = Affine.translation(100, 200) @ Affine.rotation(30) @ Affine.scale(2, -2)
    grid = Grid(10, 20, tuple(affine)[:6], UTM)
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    # Down is (sin, -cos) and right is (cos, sin) on the ground, over 20 m and 40 m.
    assert grid.bounds() == pytest.approx(
        (100, 200 - 20 * cos, 100 + 40 * cos + 20 * sin, 200 + 40 * sin)
    )


def test_bounds_of_a_south_up_grid_are_in_order():
    assert Grid(4, 3, (1, 0, 10, 0, 1, 20), UTM).bounds() == (10, 20, 13, 24)


def test_pixel_of_a_metre_in_utm_is_a_metre_within_the_scale_of_the_projection():
    assert pixel_size_m(grid_at_lonlat(-77, 38.9, UTM)) == pytest.approx(1, rel=0.004)


def test_pixel_of_a_us_survey_foot_is_the_length_of_a_foot():
    size = pixel_size_m(grid_at_lonlat(-74, 40.7, "EPSG:2263"))
    assert size == pytest.approx(1200 / 3937, rel=0.004)


def test_pixel_in_degrees_is_measured_along_both_of_its_sides():
    size_deg, lat = 1e-5, 52.0
    geod = pyproj.Geod(ellps="WGS84")
    sides = [geod.inv(13, lat, 13 + size_deg, lat)[2], geod.inv(13, lat, 13, lat + size_deg)[2]]
    assert pixel_size_m(grid_at(13, lat, "EPSG:4326", size_deg)) == pytest.approx(
        math.sqrt(sides[0] * sides[1]), rel=1e-5
    )


def test_pixel_of_utm_is_larger_on_the_ground_by_its_scale_at_the_central_meridian():
    grid = Grid(2, 2, (1, 0, 500_000, 0, -1, 5_000_000), "EPSG:26918")
    assert pixel_size_m(grid) == pytest.approx(1 / 0.9996, rel=1e-5)


def test_pixel_of_web_mercator_is_half_its_nominal_size_at_60_degrees():
    grid = grid_at_lonlat(10, 60, "EPSG:3857", 2.0)
    assert pixel_size_m(grid) == pytest.approx(1, rel=0.005)


@pytest.mark.parametrize(("crs", "lon", "lat"), [(UTM, -77, 38.9), ("EPSG:3857", 100, -45)])
def test_pixel_size_agrees_with_the_ellipsoid_within_half_a_percent(crs, lon, lat):
    grid = grid_at_lonlat(lon, lat, crs, 0.6)
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    corners = [grid.affine @ point for point in ((5, 5), (6, 5), (5, 6))]
    (lon_a, lat_a), *others = [to_lonlat.transform(*corner) for corner in corners]
    geod = pyproj.Geod(ellps="WGS84")
    sides = [geod.inv(lon_a, lat_a, lon_b, lat_b)[2] for lon_b, lat_b in others]
    assert pixel_size_m(grid) == pytest.approx(math.sqrt(sides[0] * sides[1]), rel=0.005)


def test_pixel_size_does_not_depend_on_rotation():
    x, y = 400_000, 4_300_000
    affine = Affine.translation(x, y) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    rotated = Grid(2, 2, tuple(affine)[:6], UTM)
    upright = Grid(2, 2, (0.5, 0, x, 0, -0.5, y), UTM)
    assert pixel_size_m(rotated) == pytest.approx(pixel_size_m(upright), rel=1e-4)


def test_pixel_that_straddles_the_antimeridian_is_not_as_wide_as_the_earth():
    size = pixel_size_m(Grid(2, 2, (0.001, 0, 179.9985, 0, -0.001, 0), "EPSG:4326"))
    assert size == pytest.approx(111.2, rel=0.01)


@pytest.mark.parametrize(
    "crs",
    [
        None,
        "IAU_2015:49900",
        "+proj=eqc +a=3396190 +b=3396190 +units=m",
        'LOCAL_CS["site",UNIT["metre",1]]',
    ],
)
def test_pixel_has_no_size_without_a_crs_of_the_earth(crs):
    assert pixel_size_m(grid_at(10, 10, crs)) is None
