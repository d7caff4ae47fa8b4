"""Imagery on another grid, held against GDAL's coordinates of every pixel."""

import numpy as np
import pytest
import rasterio
import rasterio.warp
from changed import CRS
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.raster.aligned import Aligned
from lcseg.raster.grid import Grid, Window
from lcseg.raster.source import open_image

PLACE = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)
NEAR = 1e-3


def make_image(make_raster, transform=PLACE, crs=CRS, shape=(60, 70), name="image.tif", **options):
    values = np.random.default_rng(0).integers(1, 256, (*shape, 3), np.uint8)
    return make_raster(name, values, transform=transform, crs=crs, **options), values


def expect_nearest(values_hwc, transform, crs, grid):
    """What lies at the centre of each pixel of a grid, and whether it lies well inside a pixel."""
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    x, y = grid.affine @ (cols, rows)
    if crs != grid.crs:
        x, y = (
            np.reshape(axis, x.shape)
            for axis in rasterio.warp.transform(grid.crs, crs, x.ravel(), y.ravel())
        )
    own_cols, own_rows = ~Affine(*transform) @ (x, y)
    is_clear = np.ones(rows.shape, bool)
    for axis in (own_cols, own_rows):
        is_clear &= np.abs(axis - np.round(axis)) > NEAR + 0.1 * (crs != grid.crs)
    own_rows, own_cols = (np.floor(axis).astype(int) for axis in (own_rows, own_cols))
    height, width = values_hwc.shape[:2]
    inside = (own_rows >= 0) & (own_rows < height) & (own_cols >= 0) & (own_cols < width)
    found = values_hwc[own_rows.clip(0, height - 1), own_cols.clip(0, width - 1)]
    return np.where(inside[..., None], found, 0), inside, is_clear


def test_an_image_is_read_on_the_grid_of_a_map(make_raster):
    path, values = make_image(make_raster)
    grid = Grid(20, 30, (2.0, 0.0, 400_020.0, 0.0, -2.0, 4_299_990.0), CRS)
    with open_image(path) as image:
        aligned = Aligned(image, grid)
        assert (aligned.grid, aligned.bands, aligned.dtype) == (grid, image.bands, "uint8")
        assert aligned.path == path
        image_hwc, valid_hw = aligned.read(Window(0, 0, 20, 30))
    assert (image_hwc == values[5:25, 10:40]).all() and valid_hw.all()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (CRS, (2.0, 0.0, 400_000.7, 0.0, -2.0, 4_300_000.9)),
        (CRS, (2.0, 0.0, 399_950.0, 0.0, -2.0, 4_300_050.0)),
        (CRS, (0.5, 0.0, 400_030.1, 0.0, -0.5, 4_299_970.1)),
        (CRS, (7.3, 0.0, 399_990.0, 0.0, -7.3, 4_300_010.0)),
        (CRS, (2.0, 0.0, 400_000.0, 0.0, 2.0, 4_299_900.0)),
        (CRS, (1.2, 1.6, 400_000.0, 1.6, -1.2, 4_299_950.0)),
        ("EPSG:32617", (2.0, 0.0, 920_500.0, 0.0, -2.0, 4_310_000.0)),
        ("EPSG:4326", (3e-5, 0.0, -76.152, 0.0, -2e-5, 38.8437)),
    ],
)
@pytest.mark.parametrize("block_px", [100, 13])
def test_each_pixel_is_the_one_at_the_place_of_its_centre(make_raster, crs, transform, block_px):
    path, values = make_image(make_raster, PLACE, crs=CRS)
    # The image is that of PLACE; the grid is another one.
    grid = Grid(50, 40, transform, crs)
    expected_hwc, inside_hw, is_clear_hw = expect_nearest(values, PLACE, CRS, grid)
    found_hwc, found_hw = np.zeros((50, 40, 3), np.uint8), np.zeros((50, 40), bool)
    with open_image(path) as image:
        if not inside_hw.any():
            with pytest.raises(LcsegError, match="does not overlap"):
                Aligned(image, grid)
            return
        aligned = Aligned(image, grid)
        for row in range(0, 50, block_px):
            for col in range(0, 40, block_px):
                window = Window(row, col, block_px, block_px).clip(50, 40)
                found_hwc[window.slices], found_hw[window.slices] = aligned.read(window)
    assert is_clear_hw.mean() > 0.5
    assert (found_hw == inside_hw)[is_clear_hw].all()
    assert (found_hwc == expected_hwc)[is_clear_hw].all()


def test_nodata_of_the_image_stays_so(make_raster):
    values = np.full((20, 20, 2), 9, np.uint8)
    values[4:6, 4:6] = 0
    path = make_raster("image.tif", values, transform=PLACE, nodata=0)
    grid = Grid(40, 40, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), CRS)
    with open_image(path) as image:
        _, valid_hw = Aligned(image, grid).read(Window(0, 0, 40, 40))
    expected_hw = np.ones((40, 40), bool)
    expected_hw[8:12, 8:12] = False
    assert (valid_hw == expected_hw).all()


@pytest.mark.parametrize("step_m", [2.0, 1.0])
def test_nothing_is_valid_beyond_the_grid_though_the_image_goes_on(make_raster, step_m):
    path, _ = make_image(make_raster)
    grid = Grid(10, 10, (step_m, 0.0, 400_040.0, 0.0, -step_m, 4_299_960.0), CRS)
    with open_image(path) as image:
        image_hwc, valid_hw = Aligned(image, grid).read(Window(-2, 7, 6, 6))
        assert image_hwc.shape == (6, 6, 3)
        expected_hw = np.zeros((6, 6), bool)
        expected_hw[2:, :3] = True
        assert (valid_hw == expected_hw).all()
        assert (image_hwc[~valid_hw] == 0).all() and (image_hwc[valid_hw] > 0).all()
        _, valid_hw = Aligned(image, grid).read(Window(20, 20, 3, 3))
        assert not valid_hw.any()


def test_what_lies_elsewhere_is_refused(make_raster):
    path, _ = make_image(make_raster)
    grid = Grid(10, 10, (2.0, 0.0, 500_000.0, 0.0, -2.0, 4_300_000.0), CRS)
    with open_image(path) as image, pytest.raises(LcsegError, match=r"image.tif: does not overlap"):
        Aligned(image, grid)


def test_how_it_lies_is_told(make_raster):
    path, _ = make_image(make_raster, (2.0, 0.0, 400_000.5, 0.0, -2.0, 4_299_999.0))
    with open_image(path) as image:
        fit = Aligned(image, Grid(60, 70, PLACE, CRS)).fit
        assert (fit.sampling, fit.shift_px) == ("shifted", (0.5, 0.25))
        assert fit.origin_px == (0.5, 0.25) and 0.98 < fit.overlap < 1
        same = Aligned(image, image.grid).fit
        assert (same.sampling, same.shift_px, same.overlap) == ("as it is", (0, 0), 1)


def test_a_much_finer_image_is_read_in_bounded_pieces(make_raster, monkeypatch):
    path, _ = make_image(make_raster, shape=(600, 600))
    # A pixel of the grid covers 50 x 50 of the image.
    grid = Grid(12, 12, (100.0, 0.0, 400_000.0, 0.0, -100.0, 4_300_000.0), CRS)
    with open_image(path) as image:
        whole_hwc, _ = Aligned(image, grid).read(Window(0, 0, 12, 12))
        read, sizes = image.read, []

        def note(window):
            sizes.append(window.height * window.width)
            return read(window)

        monkeypatch.setattr(image, "read", note)
        monkeypatch.setattr("lcseg.raster.aligned._MOST_PX", 10_000)
        pieces_hwc, valid_hw = Aligned(image, grid).read(Window(0, 0, 12, 12))
    assert max(sizes) <= 10_000 and valid_hw.all()
    assert (pieces_hwc == whole_hwc).all()
