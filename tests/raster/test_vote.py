import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import Grid
from lcseg.raster.vote import count_samples, elect, refine

RANDOM = np.random.default_rng(0)
UTM = "EPSG:26918"
X, Y = 400_000.0, 4_300_000.0


def grid_of(size_px: int, affine: Affine, crs: str = UTM) -> Grid:
    return Grid(size_px, size_px, tuple(affine)[:6], crs)


def upright(width_m: float, height_m: float) -> Affine:
    return Affine(width_m, 0, X, 0, -height_m, Y)


def test_coarse_label_is_that_of_most_fine_ones():
    image, label = grid_of(2, upright(1, 1)), grid_of(20, upright(0.5, 0.25))
    rows, cols = count_samples(Alignment(image, label, "lc.tif"))
    assert (rows, cols) == (4, 2)
    fine = refine(image, rows, cols)
    assert (fine.height, fine.width, fine.transform) == (8, 4, (0.5, 0, X, 0, -0.25, Y))
    sample_hw = np.array([[1, 1], [2, 1], [2, 3], [1, 3]] * 2, np.uint8)
    assert elect(np.tile(sample_hw, (1, 2)), rows, cols).tolist() == [[1, 1], [1, 1]]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.randoms())
def test_most_frequent_label_wins_and_the_lowest_of_equals(height, width, rows, cols, random):
    labels = random.choices([0, 1, 5, 253, 255], k=height * rows * width * cols)
    sample_hw = np.array(labels, np.uint8).reshape(height * rows, width * cols)
    label_hw = elect(sample_hw, rows, cols)
    assert label_hw.shape == (height, width)
    for row in range(height):
        for col in range(width):
            block = sample_hw[row * rows :, col * cols :][:rows, :cols]
            assert label_hw[row, col] == np.bincount(block.ravel()).argmax()


def test_no_label_wins_by_majority_only():
    assert elect(np.array([[255, 255, 3]], np.uint8), 1, 3).tolist() == [[255]]
    assert elect(np.array([[255, 255, 253, 253]], np.uint8), 1, 4).tolist() == [[253]]
    assert elect(np.full((4, 4), 255, np.uint8), 2, 2).tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize(("rows", "cols"), [(300, 2), (2, 300), (256, 256)])
def test_votes_beyond_a_byte_are_counted(rows, cols):
    sample_hw = RANDOM.choice([1, 2], (rows, cols), p=[0.4, 0.6]).astype(np.uint8)
    assert elect(sample_hw, rows, cols).tolist() == [[2]]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (grid_of(90, upright(1, 1)), (1, 1)),
        (grid_of(90, upright(30, 30)), (1, 1)),
        (grid_of(90, upright(0.7, 0.4)), (2, 1)),
        (grid_of(90, Affine(0.1, 0, X, 0, 0.1, Y - 9)), (10, 10)),
        (grid_of(90, Affine.translation(X, Y) @ Affine.rotation(40) @ Affine.scale(0.2)), (5, 5)),
        (grid_of(90, Affine(0, 0.5, X, -0.1, 0, Y)), (10, 2)),
        (grid_of(90, Affine(1e-6, 0, -76.152, 0, -1e-6, 38.843), "EPSG:4326"), (9, 12)),
        (grid_of(90, upright(1e-5, 1)), (1, 1000)),
    ],
    ids=["equal", "coarser", "a little", "south-up", "rotated", "turned", "degrees", "absurd"],
)
def test_samples_are_counted_along_the_sides_of_an_image_pixel(label, expected):
    assert count_samples(Alignment(grid_of(9, upright(1, 1)), label, "lc.tif")) == expected


def test_samples_are_counted_where_longitude_jumps():
    image = Grid(256, 768, (100.0, 0.0, 630_000.0, 0.0, -100.0, 6_660_000.0), "EPSG:32660")
    world = Grid(18_000, 36_000, (0.01, 0, -180, 0, -0.01, 90), "EPSG:4326")
    assert count_samples(Alignment(image, world, "world.tif")) == (1, 1)


def test_without_a_crs_pixel_lies_on_pixel():
    image, label = Grid(9, 9, (1, 0, 0, 0, -1, 0), None), grid_of(9, upright(0.1, 0.1))
    assert count_samples(Alignment(image, label, "lc.tif")) == (1, 1)
