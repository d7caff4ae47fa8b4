"""Imagery at another distance: means of what is below, wherever the window lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.raster.grid import Window
from lcseg.raster.resampled import Resampled, find_taps
from lcseg.raster.source import open_image


@pytest.fixture
def ramp(make_raster):
    """A plane: rows weigh 2, columns 1."""
    rows, cols = np.mgrid[:60, :90]
    values = (2 * rows + cols)[..., None].astype(np.float32) + 10
    return make_raster("ramp.tif", values)


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.0, 1.7, 3.0])
def test_a_plane_stays_a_plane_on_the_same_ground(ramp, factor):
    with open_image(ramp) as image:
        resampled = Resampled(image, factor)
        assert resampled.grid.bounds() == pytest.approx(image.grid.bounds(), abs=1e-6)
        image_hwc, valid_hw = resampled.read(resampled.grid.window)
    height, width = resampled.grid.height, resampled.grid.width
    assert (height, width) == (round(60 * factor), round(90 * factor))
    rows, cols = np.mgrid[:height, :width] + 0.5
    expected = 2 * (rows * 60 / height - 0.5) + (cols * 90 / width - 0.5) + 10
    inner = np.s_[3:-3, 3:-3]
    assert valid_hw.all()
    # Whole pixels are weighed, so what is seen may lie a tenth of one off.
    off = 1e-3 if factor >= 1 else 0.1 * (2 + 1)
    assert np.allclose(image_hwc[inner][..., 0], expected[inner], atol=off)


def test_aliasing_is_no_answer(make_raster):
    stripes = np.tile(np.uint8([0, 200]), (64, 32))[..., None]
    with open_image(make_raster("stripes.tif", stripes)) as image:
        image_hwc, _ = Resampled(image, 0.25).read(Window(2, 2, 12, 12))
    assert np.array_equal(image_hwc, np.full((12, 12, 1), 100))


def test_missing_pixels_have_no_part_in_their_neighbours(make_raster):
    values = np.full((40, 40, 1), 100, np.uint8)
    values[:20] = 0
    with open_image(make_raster("half.tif", values, nodata=0)) as image:
        image_hwc, valid_hw = Resampled(image, 0.5).read(Window(0, 0, 20, 20))
    assert np.array_equal(valid_hw[:, 5], np.arange(20) >= 10)
    assert set(np.unique(image_hwc[valid_hw])) == {100}
    assert not image_hwc[~valid_hw].any()


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.3, 3), st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 40),
    st.integers(1, 40),
)  # fmt: skip
def test_a_pixel_does_not_depend_on_the_window(tmp_path_factory, factor, row, col, height, width):
    from conftest import write_raster

    path = tmp_path_factory.getbasetemp() / "noise.tif"
    if not path.exists():
        random = np.random.default_rng(0)
        write_raster(path, random.integers(0, 256, (37, 53, 2), np.uint8), nodata=0)
    window = Window(row, col, height, width)
    with open_image(str(path)) as image:
        resampled = Resampled(image, factor)
        whole_hwc, whole_hw = resampled.read(resampled.grid.window)
        image_hwc, valid_hw = resampled.read(window)
    inside = window.clip(resampled.grid.height, resampled.grid.width)
    expected_hwc = np.zeros((height, width, 2), np.uint8)
    expected_hw = np.zeros((height, width), bool)
    if inside.height and inside.width:
        expected_hwc[inside.within(window).slices] = whole_hwc[inside.slices]
        expected_hw[inside.within(window).slices] = whole_hw[inside.slices]
    assert np.array_equal(image_hwc, expected_hwc)
    assert np.array_equal(valid_hw, expected_hw)


@given(st.integers(-50, 50), st.integers(1, 30), st.floats(0.1, 8))
def test_weights_sum_to_one_and_balance_at_the_centre(start, count, step):
    indices, weights = find_taps(start, count, step)
    assert np.allclose(weights.sum(axis=1), 1)
    centers = (np.arange(start, start + count) + 0.5) * step
    assert np.all(
        abs((indices + 0.5) * (weights > 0) - centers[:, None])[weights > 0] <= max(step, 1)
    )
