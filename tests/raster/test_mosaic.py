"""Several images of one grid, held against the raster that they were cut from."""

import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.raster.grid import Grid, Window
from lcseg.raster.mosaic import _MOST_OPEN, Mosaic, join_grids
from lcseg.raster.source import open_image

RANDOM = np.random.default_rng(0)
WHOLE = RANDOM.integers(1, 255, (60, 80, 2), np.uint8)
CRS = "EPSG:26918"


def place_of(row: int, col: int) -> tuple[float, ...]:
    return (2.0, 0.0, 400_000.0 + 2 * col, 0.0, -2.0, 4_300_000.0 - 2 * row)


def open_mosaic(paths: list[str]) -> Mosaic:
    grids = []
    for path in paths:
        with open_image(path) as image:
            grids.append(image.grid)
    return Mosaic(paths, grids, open_image, image.bands, image.dtype)


def test_images_are_read_as_one(make_raster):
    corners = [(0, 0), (0, 30), (25, 10)]
    paths = [
        make_raster(
            f"{row}_{col}.tif", WHOLE[row : row + 40, col : col + 50], transform=place_of(row, col)
        )
        for row, col in corners
    ]
    with open_mosaic(paths) as mosaic:
        assert mosaic.grid == Grid(60, 80, place_of(0, 0), mosaic.grid.crs)
        image_hwc, valid_hw = mosaic.read(Window(-3, -3, 70, 90))
    expected_hw = np.zeros((70, 90), bool)
    for row, col in corners:
        expected_hw[3 + row : 3 + min(row + 40, 60), 3 + col : 3 + min(col + 50, 80)] = True
    assert np.array_equal(valid_hw, expected_hw)
    plane_hwc = np.zeros((70, 90, 2), np.uint8)
    plane_hwc[3:63, 3:83] = WHOLE
    assert np.array_equal(image_hwc, plane_hwc * valid_hw[..., None])


def test_the_first_image_with_data_counts(make_raster):
    first, second = WHOLE.copy(), WHOLE[::-1].copy()
    first[10:20] = 0
    paths = [
        make_raster(f"{name}.tif", values, transform=place_of(0, 0), nodata=0)
        for name, values in (("a", first), ("b", second))
    ]
    with open_mosaic(paths) as mosaic:
        image_hwc, valid_hw = mosaic.read(mosaic.grid.window)
    assert valid_hw.all()
    assert np.array_equal(image_hwc[10:20], second[10:20])
    assert np.array_equal(image_hwc[20:], first[20:])


def test_more_images_than_may_be_open_are_read(make_raster):
    paths = [
        make_raster(f"{i:02d}.tif", WHOLE[:4, :4], transform=place_of(0, 4 * i))
        for i in range(_MOST_OPEN + 3)
    ]
    with open_mosaic(paths) as mosaic:
        for _ in range(2):
            image_hwc, valid_hw = mosaic.read(mosaic.grid.window)
            assert len(mosaic._open) <= _MOST_OPEN
    assert valid_hw.all()
    assert np.array_equal(image_hwc, np.tile(WHOLE[:4, :4], (1, len(paths), 1)))


@pytest.mark.parametrize(
    ("transform", "crs", "message"),
    [
        (place_of(0, 0), "EPSG:26917", "b.tif: is in NAD83 / UTM zone 17N, a.tif in NAD83 / UTM"),
        ((2.0, 0.0, 400_001.0, 0.0, -2.0, 4_300_000.0), CRS, "lie up to 0.5 px off those of a.tif"),
        ((2.01, 0.0, 400_000.0, 0.0, -2.01, 4_300_000.0), CRS, "px off those of a.tif; bring it"),
        (place_of(0, 0), None, "b.tif: is in no CRS, a.tif in NAD83"),
    ],
)
def test_another_grid_is_refused(transform, crs, message):
    grids = [Grid(60, 80, place_of(0, 0), CRS), Grid(60, 80, transform, crs)]
    with pytest.raises(LcsegError) as caught:
        join_grids(["a.tif", "b.tif"], grids)
    assert message in str(caught.value)


def test_a_rounding_error_of_the_place_is_no_other_grid():
    a, b, c, d, e, f = place_of(10, 5)
    grids = [Grid(60, 80, place_of(0, 0), CRS), Grid(60, 80, (a, b, c + 1e-7, d, e, f), CRS)]
    grid, places = join_grids(["a.tif", "b.tif"], grids)
    assert places == [Window(0, 0, 60, 80), Window(10, 5, 60, 80)]
    assert (grid.height, grid.width) == (70, 85)
