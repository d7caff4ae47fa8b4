"""What lies under a picture is what PROJ says of the centre of each of its pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from lcseg.raster.grid import Grid, Window
from lcseg.serving.tiling import TMS, tile_grid
from lcseg.serving.view import gather, list_blocks, look, measure

UTM = "EPSG:26918"
RASTER = Grid(700, 900, (1.0, 0.0, 440_000.0, 0.0, -1.0, 4_300_000.0), UTM)


def grid_at(left: float, top: float, pixel: float, height: int, width: int, crs: str = UTM) -> Grid:
    return Grid(height, width, (pixel, 0.0, left, 0.0, -pixel, top), crs)


def project(picture: Grid, raster: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Exact rows and columns of the raster under the centres of a picture's pixels."""
    cols, rows = np.meshgrid(np.arange(picture.width) + 0.5, np.arange(picture.height) + 0.5)
    x, y = picture.affine @ (cols, rows)
    there = Transformer.from_crs(picture.crs, raster.crs, always_xy=True).transform(x, y)
    with np.errstate(invalid="ignore"):
        own_cols, own_rows = ~raster.affine @ there
    return own_rows, own_cols


def is_near_edge(at: np.ndarray, size: int, reach: float) -> np.ndarray:
    """Whether places along an axis are so near to one of its ends that interpolation decides."""
    return np.minimum(abs(at), abs(at - size)) < reach


def number_of(raster: Grid) -> np.ndarray:
    """Another number at each pixel."""
    return np.arange(raster.height * raster.width).reshape(raster.height, raster.width)


def test_picture_takes_the_pixels_that_lie_under_its_own():
    picture = grid_at(439_998.0, 4_300_001.0, 0.5, 8, 12)
    view = look(picture, RASTER)
    values_hw = np.uint8([[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120]])
    taken = view.take(values_hw, Window(0, 0, 3, 4), missing=255)
    nothing, repeated = [255] * 4, np.repeat(np.repeat(values_hw, 2, 0), 2, 1)
    assert np.array_equal(taken[:2], np.full((2, 12), 255))
    assert np.array_equal(taken[2:, :4], [nothing] * 6)
    assert np.array_equal(taken[2:, 4:], repeated)
    assert view.window == Window(0, 0, 3, 4)
    assert measure(picture, RASTER) == pytest.approx(0.5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    crs=st.sampled_from([UTM, "EPSG:3857", "OGC:CRS84", "EPSG:5070", "EPSG:3413"]),
    east=st.floats(-300, 1200),
    north=st.floats(-1000, 300),
    pixel=st.floats(0.2, 2.4),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
)
def test_pixels_are_those_of_proj_in_any_crs(crs, east, north, pixel, height, width):
    there = Transformer.from_crs(UTM, crs, always_xy=True)
    x, y = there.transform(440_000 + east, 4_300_000 + north)
    unit = pixel / 111_000 if crs == "OGC:CRS84" else pixel
    picture = grid_at(x, y, unit, height, width, crs)
    rows, cols = project(picture, RASTER)
    inside = (rows >= 0) & (rows < RASTER.height) & (cols >= 0) & (cols < RASTER.width)
    expected = np.where(inside, np.floor(rows) * RASTER.width + np.floor(cols), -1)
    clear = (abs(rows - np.round(rows)) > 0.01) & (abs(cols - np.round(cols)) > 0.01)
    view = look(picture, RASTER)
    found = np.full((height, width), -1)
    if view is not None:
        found = view.take(number_of(RASTER), RASTER.window, -1)
    assert np.array_equal(found[clear], expected[clear])


def test_picture_of_one_pixel_is_as_coarse_as_it_is():
    for crs, unit in ((UTM, 1.0), ("EPSG:3857", 1.0), ("OGC:CRS84", 1 / 111_000)):
        x, y = Transformer.from_crs(UTM, crs, always_xy=True).transform(440_400, 4_299_700)
        for size in ((1, 1), (1, 40), (40, 1)):
            pixel = 10 * unit
            picture = grid_at(x - size[1] * pixel / 2, y + size[0] * pixel / 2, pixel, *size, crs)
            assert 7 < measure(picture, RASTER) < 11


@pytest.mark.parametrize(
    "picture",
    [
        grid_at(500_000, 4_300_000, 1, 10, 10),
        grid_at(440_900, 4_300_000, 1, 10, 10),
        grid_at(0, 0, 5e-324, 4, 4),
        grid_at(1e308, 1e308, 1, 4, 4),
        grid_at(1e308, 1e308, 1e300, 4, 4, "EPSG:3857"),
        grid_at(170, 10, 0.1, 4, 4, "OGC:CRS84"),
        tile_grid(3, 7, 7),
    ],
)
def test_what_does_not_meet_is_nothing(picture):
    assert look(picture, RASTER) is None


def test_picture_of_the_world_finds_the_raster_in_it():
    raster = grid_at(300_000, 4_700_000, 100.0, 4000, 4000)
    for picture in (tile_grid(3, 2, 3), grid_at(-180, 90, 0.1, 1800, 3600, "OGC:CRS84")):
        rows, cols = project(picture, raster)
        expected = (rows >= 0) & (rows < 4000) & (cols >= 0) & (cols < 4000)
        view = look(picture, raster)
        edge = is_near_edge(rows, 4000, 0.1) | is_near_edge(cols, 4000, 0.1)
        assert np.array_equal(view.is_inside_hw[~edge], expected[~edge])
        assert expected.sum() > 100


def test_large_picture_of_a_continent_takes_a_moment(monkeypatch):
    from lcseg.raster import alignment

    projected = []
    true = alignment.transform_places

    def count(from_crs, to_crs, x, y, path):
        projected.append(x.size)
        return true(from_crs, to_crs, x, y, path)

    monkeypatch.setattr(alignment, "transform_places", count)
    view = look(grid_at(-100.0, 60.0, 0.01, 4096, 4096, "OGC:CRS84"), RASTER)
    assert view is None or view.is_inside_hw.sum() < 4
    assert sum(projected) < 10_000


def test_raster_across_the_antimeridian_is_found_from_both_sides():
    raster = Grid(100, 200, (0.01, 0.0, 179.0, 0.0, -0.01, 10.0), "OGC:CRS84")
    for left in (179.5, -180.5):
        view = look(grid_at(left, 9.8, 0.01, 50, 100, "OGC:CRS84"), raster)
        assert view.is_inside_hw.all()
        assert view.window == Window(20, 50, 50, 100)


def test_raster_around_the_pole_is_found_in_degrees():
    raster = Grid(400, 400, (1000.0, 0.0, -200_000.0, 0.0, -1000.0, 200_000.0), "EPSG:3413")
    picture = grid_at(-180, 90, 0.1, 40, 3600, "OGC:CRS84")
    rows, cols = project(picture, raster)
    inside = (rows >= 0) & (rows < 400) & (cols >= 0) & (cols < 400)
    edge = is_near_edge(rows, 400, 0.1) | is_near_edge(cols, 400, 0.1)
    assert np.array_equal(look(picture, raster).is_inside_hw[~edge], inside[~edge])
    assert 0.4 < inside.mean() < 0.9


@pytest.mark.parametrize("planes", [[0], [1, 2], range(3)])
def test_blocks_are_gathered_as_if_they_were_one_raster(planes):
    side, random = 64, np.random.default_rng(0)
    picture = tile_grid(18, *TMS.tile(-75.6867, 38.8428, 18)[:2])
    view = look(picture, RASTER)
    around, numbers = list_blocks(view, side)
    height, width = (-(-size // side) * side for size in (RASTER.height, RASTER.width))
    values = random.integers(0, 255, (3, height, width), np.uint8)
    blocks = {
        (row, col): values[:, row * side :, col * side :][:, :side, :side] for row, col in numbers
    }
    gathered = gather(blocks, around, view, side, planes)
    whole = np.moveaxis(values[list(planes)], 0, -1)
    assert np.array_equal(gathered, view.take(whole, Window(0, 0, height, width), 255))
    assert set(numbers) == {
        (row, col)
        for row, col in zip((view.rows // side).tolist(), (view.cols // side).tolist(), strict=True)
    }


def test_blocks_along_a_slanted_line_take_the_room_of_themselves_alone():
    raster = grid_at(0.0, 0.0, 1.0, 1 << 16, 1 << 16)
    n_px = 4096
    line = Grid(1, n_px, (16.0, 0.1, 0.0, -16.0, 0.1, 0.0), UTM)
    view = look(line, raster)
    around, numbers = list_blocks(view, 256)
    assert around.height * around.width * 256**2 == 1 << 32
    assert len(numbers) < 600
    block = np.zeros((5, 256, 256), np.uint8)
    block[0] = 3
    gathered = gather(dict.fromkeys(numbers, block), around, view, 256, [0])
    assert gathered.shape == (1, n_px, 1)
    assert set(gathered.ravel().tolist()) == {3}
