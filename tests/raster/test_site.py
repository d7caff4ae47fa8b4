"""Scenes that lie on the same ground, held against PROJ through rasterio."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from lcseg.raster.grid import Grid
from lcseg.raster.site import find_sites, footprint, join, outline, project

UTM = "EPSG:26918"


def grid(east: float = 0.0, crs: str | None = UTM, size: int = 100) -> Grid:
    return Grid(size, size, (1.0, 0.0, 400_000.0 + east, 0.0, -1.0, 4_300_000.0), crs)


def degrees(lon: float, lat: float = -17.0) -> Grid:
    return Grid(100, 100, (1e-5, 0.0, lon, 0.0, -1e-5, lat), "EPSG:4326")


def groups(*grids: Grid, margin_px: int = 1) -> list[tuple[int, ...]]:
    return [site.scenes for site in find_sites(grids, margin_px)]


def test_scenes_that_touch_are_one_site_in_the_frame_of_the_first():
    sites = find_sites([grid(), grid(5000), grid(90), grid(180)], margin_px=1)
    assert [site.scenes for site in sites] == [(0, 2, 3), (1,)]
    assert sites[0].frame == grid()


@pytest.mark.parametrize(("margin_px", "count"), [(1, 2), (30, 1)])
def test_margin_reaches_to_neighbours(margin_px, count):
    assert len(groups(grid(), grid(140), margin_px=margin_px)) == count


def test_scenes_of_other_zones_and_systems_are_found():
    x, y = rasterio.warp.transform(UTM, "EPSG:26917", [400_050.0], [4_299_950.0])
    zone = Grid(100, 100, (1.0, 0.0, x[0], 0.0, -1.0, y[0]), "EPSG:26917")
    x, y = rasterio.warp.transform(UTM, "EPSG:4326", [400_050.0], [4_299_950.0])
    lonlat = Grid(100, 100, (1e-5, 0.0, x[0], 0.0, -1e-5, y[0]), "EPSG:4326")
    assert groups(grid(), zone, lonlat) == [(0, 1, 2)]


@pytest.mark.parametrize("other", [-180.0, 180.0, -180.0005, 179.9995])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32760", "EPSG:3857"])
def test_antimeridian_parts_nobody(other, crs):
    one = degrees(179.9995)
    if crs != "EPSG:4326":
        x, y = rasterio.warp.transform("EPSG:4326", crs, [179.9992], [-17.0])
        one = Grid(100, 100, (1.0, 0.0, x[0], 0.0, -1.0, y[0]), crs)
    assert groups(one, degrees(other)) == [(0, 1)]
    assert groups(degrees(other), one) == [(0, 1)]
    left, top, right, bottom = footprint(degrees(other), one).bounds
    assert -150 < left < right < 250
    assert -50 < top < bottom < 250


def test_scenes_without_a_place_or_of_another_body_are_apart_from_all_others():
    mars = "+proj=longlat +R=3396190 +no_defs"
    there = Grid(100, 100, (1e-5, 0.0, 1.0, 0.0, -1e-5, 1.0), mars)
    here = degrees(1.0, 1.0)
    assert groups(grid(crs=None), grid(crs=None), there, here, there)[:2] == [(0,), (1,)]
    assert (2, 4) in groups(grid(crs=None), grid(), there, here, there)


@given(st.integers(1, 12), st.data())
def test_groups_are_those_that_links_connect(count, data):
    numbers = st.integers(0, count - 1)
    links = data.draw(st.lists(st.tuples(numbers, numbers), max_size=15))
    reach = np.eye(count, dtype=int)
    for a, b in links:
        reach[a, b] = reach[b, a] = 1
    reach = np.linalg.matrix_power(reach.astype(object), count) > 0
    expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in reach})
    assert join(count, links) == expected


@given(st.floats(-180, 180), st.floats(0, 100), st.floats(0, 100))
def test_places_are_those_that_proj_says(turn, col, row):
    transform = Affine.translation(500_100, 4_300_000) * Affine.rotation(turn) * Affine.scale(1, -1)
    own = Grid(100, 100, tuple(transform)[:6], "EPSG:26917")
    x, y = transform @ (col, row)
    (x,), (y,) = rasterio.warp.transform("EPSG:26917", UTM, [x], [y])
    expected = ~grid().affine @ (x, y)
    found = project(own, grid(), np.array([[col]]), np.array([[row]]))
    np.testing.assert_allclose(np.ravel(found), expected, atol=1e-6)


def test_outline_runs_along_the_edges_of_each_window():
    points = outline(np.array([[0, 0, 10, 20], [5, 6, 1, 1]]), grid(), grid(-100))
    assert points.shape[::2] == (2, 2)
    for (left, top, right, bottom), edge in zip(
        [(100, 0, 120, 10), (106, 5, 107, 6)], points, strict=True
    ):
        np.testing.assert_allclose(edge.min(axis=0), (left, top))
        np.testing.assert_allclose(edge.max(axis=0), (right, bottom))
        on_edge = np.isclose(edge, (left, top)) | np.isclose(edge, (right, bottom))
        assert on_edge.any(axis=1).all()
