import numpy as np
import pyproj
import pytest
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import Grid, Window

UTM = "EPSG:26918"
X, Y = 400_000.0, 4_300_000.0
FLIP = Affine.scale(1, -1)


def grid_of(height: int, width: int, affine: Affine, crs: str | None = UTM) -> Grid:
    return Grid(height, width, tuple(affine)[:6], crs)


def test_places_of_an_image_are_found_in_its_label_raster():
    image, label = (grid_of(40, 50, Affine(1, 0, x, 0, -1, Y)) for x in (X, X - 7))
    alignment = Alignment(image, label, "lc.tif")
    assert alignment.shift == (0, 7)
    rows_hw, cols_hw = alignment.locate(Window(2, 3, 2, 2))
    assert (rows_hw.tolist(), cols_hw.tolist()) == ([[2, 2], [3, 3]], [[10, 11], [10, 11]])
    cols, rows = alignment.project(np.array([0.0, 50.0]), np.array([0.0, 40.0]))
    assert (cols.tolist(), rows.tolist()) == ([7, 57], [0, 40])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:5070"])
def test_corners_of_a_rotated_image_are_projected_as_pyproj_does(crs):
    image = grid_of(400, 300, Affine.translation(X, Y) @ Affine.rotation(20) @ FLIP)
    to_crs = pyproj.Transformer.from_crs(UTM, crs, always_xy=True)
    left, top = to_crs.transform(X, Y)
    size = 1e-5 if crs == "EPSG:4326" else 1.0
    label = grid_of(9, 9, Affine(size, 0, left, 0, -size, top), crs)
    cols, rows = np.array([[0, 300.0], [0, 300]]), np.array([[0, 0], [400.0, 400]])
    own_cols, own_rows = Alignment(image, label, "lc.tif").project(cols, rows)
    expected = ~label.affine @ to_crs.transform(*(image.affine @ (cols, rows)))
    np.testing.assert_allclose((own_cols, own_rows), expected, atol=0.01)
    back_cols, back_rows = Alignment(label, image, "image.tif").project(own_cols, own_rows)
    np.testing.assert_allclose((back_cols, back_rows), (cols, rows), atol=0.01)


def test_jacobian_is_that_of_the_scenes_centre():
    rotated = Affine.translation(X, Y) @ Affine.rotation(30) @ Affine.scale(2, -3)
    alignment = Alignment(
        grid_of(99, 80, rotated), grid_of(9, 9, Affine(0.5, 0, X, 0, -0.5, Y)), "lc.tif"
    )
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    # Right is (2 cos, 2 sin) on the ground, down (3 sin, -3 cos); the label counts rows down.
    expected = np.array([[2 * cos, 3 * sin], [-2 * sin, 3 * cos]]) / 0.5
    np.testing.assert_allclose(alignment.jacobian, expected, atol=1e-6)


def test_place_that_cannot_be_projected_is_an_error_that_names_the_file():
    image = grid_of(9, 9, Affine(1, 0, 0, 0, -1, 0), "EPSG:4326")
    label = grid_of(9, 9, Affine(1, 0, 0, 0, -1, 0), "EPSG:3857")
    far = np.array([[0.0, 5.0], [0.0, -200.0]])
    with pytest.raises(LcsegError, match=r"lc\.tif: its CRS WGS 84 / Pseudo-Mercator "):
        Alignment(image, label, "lc.tif").project(*far)
    broken = grid_of(9, 9, Affine(1, 0, 0, 0, -1, 0), "EPSG:999999")
    with pytest.raises(LcsegError, match=r"lc\.tif: its CRS EPSG:999999 cannot be reached from"):
        Alignment(image, broken, "lc.tif").project(*far)


def test_without_a_crs_on_both_places_are_those_of_the_other():
    image = grid_of(9, 9, Affine(1, 0, X, 0, -1, Y), None)
    alignment = Alignment(image, grid_of(9, 9, Affine(5, 0, 0, 0, 5, 0)), "lc.tif")
    assert alignment.shift == (0, 0)
    assert alignment.project(np.array([2.5]), np.array([3.5])) == (2.5, 3.5)


@pytest.mark.parametrize("width", [2, 3, 9, 15, 40])
def test_small_window_across_the_antimeridian_is_not_interpolated(width):
    image = grid_of(64, 768, Affine(100, 0, 630_000, 0, -100, 6_660_000), "EPSG:32660")
    world = grid_of(1800, 36_000, Affine(0.01, 0, -180, 0, -0.1, 90), "EPSG:4326")
    alignment = Alignment(image, world, "world.tif")
    cols, _ = alignment.project(np.arange(768) + 0.5, np.full(768, 30.5))
    jump = int(np.argmin(np.diff(cols)))
    assert cols[jump] - cols[jump + 1] > 35_000
    _, cols_hw = alignment.locate(Window(30, jump + 1 - width // 2, 1, width))
    first = jump + 1 - width // 2
    np.testing.assert_array_equal(cols_hw[0], np.floor(cols[first : first + width]))


@pytest.mark.parametrize("turn", [-360, 0, 360])
def test_label_across_the_antimeridian_lies_under_its_image_whichever_way_it_counts(turn):
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32660", always_xy=True)
    x, y = to_utm.transform(180.0, 52.0)
    image = grid_of(400, 600, Affine(10, 0, x - 3000, 0, -10, y + 2000), "EPSG:32660")
    label = grid_of(900, 2000, Affine(1e-4, 0, 179.9 + turn, 0, -1e-4, 52.045), "EPSG:4326")
    cols, rows = np.meshgrid([0.5, 300.0, 599.5], [0.5, 399.5])
    own_cols, own_rows = Alignment(image, label, "lc.tif").project(cols, rows)
    to_lonlat = pyproj.Transformer.from_crs("EPSG:32660", "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*(image.affine @ (cols, rows)))
    np.testing.assert_allclose(own_cols, (lon % 360 - 179.9) / 1e-4, atol=0.01)
    np.testing.assert_allclose(own_rows, (52.045 - lat) / 1e-4, atol=0.01)
    assert (own_cols >= 0).all() and (own_cols < 2000).all()
