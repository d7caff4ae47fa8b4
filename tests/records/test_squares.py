"""The ground, divided into squares."""

from __future__ import annotations

import pytest
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine
from shapely.geometry import Polygon, box

from lcseg.raster.grid import Grid, Window
from lcseg.records.squares import divide

FRAME = Grid(100, 100, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")


def turn(degrees: float, wide: float = 1.0, tall: float = 1.0, at: float = 0.0) -> Grid:
    """A grid that turns about the first pixel of the frame."""
    transform = (
        Affine.translation(400_000 + at, 4_300_000)
        * Affine.rotation(degrees)
        * Affine.scale(wide, -tall)
    )
    return Grid(100, 100, tuple(transform)[:6], FRAME.crs)


def test_squares_of_the_frame_are_named_by_row_and_column():
    assert list(divide(FRAME, FRAME, side_px=60, gap_px=10)) == [
        ("0/0", Window(0, 0, 60, 60)),
        ("0/1", Window(0, 70, 60, 30)),
        ("1/0", Window(70, 0, 30, 60)),
        ("1/1", Window(70, 70, 30, 30)),
    ]


def test_squares_go_on_before_the_first_pixel_of_the_frame():
    names = dict(divide(turn(0, at=-30), FRAME, side_px=60, gap_px=0))
    assert names == {
        "0/-1": Window(0, 0, 60, 30),
        "0/0": Window(0, 30, 60, 60),
        "0/1": Window(0, 90, 60, 10),
        "1/-1": Window(60, 0, 40, 30),
        "1/0": Window(60, 30, 40, 60),
        "1/1": Window(60, 90, 40, 10),
    }


@pytest.mark.parametrize("at", [0.25, 0.5, 0.75, -0.25])
def test_pixel_across_an_edge_is_in_no_square_or_with_a_gap_in_that_of_its_centre(at):
    without = dict(divide(turn(0, at=at), FRAME, side_px=20, gap_px=0))
    within = dict(divide(turn(0, at=at), FRAME, side_px=20, gap_px=1))
    assert {window.width for name, window in without.items() if name == "0/2"} == {19}
    assert {window.width for name, window in within.items() if name == "0/2"} == {
        21 if at == 0.5 else 20
    }


@given(
    st.floats(-180, 180), st.floats(0.3, 1.0), st.integers(5, 60), st.sampled_from([0, 1, 2, 40])
)
def test_windows_of_turned_and_oblong_grids_lie_within_their_squares(degrees, wide, side, gap):
    grid = turn(degrees, wide)
    overhang = min(gap, 1) * 0.75
    for name, window in divide(grid, FRAME, side, gap):
        row, col = map(int, name.split("/"))
        corners = [
            (window.col + across * window.width, window.row + down * window.height)
            for across, down in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
        ground = [~FRAME.affine @ (grid.affine @ corner) for corner in corners]
        left, top = col * (side + gap), row * (side + gap)
        square = box(left, top, left + side, top + side).buffer(overhang + 1e-5)
        assert square.contains(Polygon(ground))


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 60, 90])
def test_turned_scene_keeps_as_much_of_a_square_as_fits(degrees):
    grid = turn(degrees)
    windows = list(divide(grid, FRAME, 40, 0))
    whole = max(window.height * window.width for _, window in windows)
    best = 40 / (abs(Affine.rotation(degrees).a) + abs(Affine.rotation(degrees).b))
    assert whole >= (best - 2) ** 2


def test_two_sides_of_the_antimeridian_count_the_same_squares():
    degree = Grid(40, 400, (1e-5, 0, 179.998, 0, -1e-5, -17.0), "EPSG:4326")
    moved = Grid(40, 400, (1e-5, 0, -180.002, 0, -1e-5, -17.0), "EPSG:4326")
    mercator_x = rasterio.warp.transform("EPSG:4326", "EPSG:3857", [-179.999], [-17.0])[0][0]
    mercator = Grid(40, 100, (1.0, 0, mercator_x, 0, -1.0, -1_920_825.0), "EPSG:3857")
    assert list(divide(moved, degree, 32, 0)) == list(divide(degree, degree, 32, 0))
    names = [name for name, _ in divide(mercator, degree, 32, 0)]
    assert {int(name.split("/")[1]) for name in names} == set(range(9, 13))
    assert len(list(divide(degree, mercator, 32, 0))) < 60
