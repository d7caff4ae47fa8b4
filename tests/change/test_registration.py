"""Shifts between images, of landscapes that were moved by known amounts."""

import numpy as np
import pytest
from changed import CRS, TRANSFORM
from conftest import write_raster
from scipy import ndimage

from lcseg.change.registration import Shift, measure_shift
from lcseg.planted import Dates, make_dates
from lcseg.raster.aligned import Aligned
from lcseg.raster.grid import Grid
from lcseg.raster.source import open_image
from lcseg.synthetic import Landscape

LEFT, TOP = TRANSFORM[2], TRANSFORM[5]


@pytest.fixture
def measure(tmp_path):
    """A function that measures the shift of a second image against a first one."""

    def run(before_hwc, after_hwc, place=TRANSFORM, **options) -> Shift | None:
        paths = [
            write_raster(tmp_path / "before.tif", before_hwc, **options),
            write_raster(tmp_path / "after.tif", after_hwc, transform=place, **options),
        ]
        with open_image(paths[0], alpha=0) as before, open_image(paths[1], alpha=0) as after:
            grid = before.grid
            return measure_shift(Aligned(before, grid), Aligned(after, grid))

    return run


def make_pair(seed: int, shift=(0.0, 0.0), size_px: int = 512, season: int = 0):
    """Two images of a landscape; another season moves shadows, and so edges."""
    pair = make_dates(Dates(Landscape(size_px, seed), season, shift_px=shift))
    return pair.before.image_hwc, pair.after.image_hwc


def test_an_image_that_lies_lower_and_to_the_left_is_measured_so(measure):
    before_hwc, after_hwc = make_pair(1, (0.7, -0.4))
    shift = measure(before_hwc, after_hwc)
    assert abs(shift.rows_px - 0.7) < 0.3 and abs(shift.cols_px + 0.4) < 0.3
    assert shift.size_px == pytest.approx(np.hypot(shift.rows_px, shift.cols_px))
    assert shift.is_sure and shift.n_windows == 9


@pytest.mark.parametrize("planted", [(0.0, 0.0), (0.5, -1.0), (-0.75, 0.25), (1.0, 1.0)])
def test_shifts_between_seasons_are_measured_to_a_third_of_a_pixel(measure, planted):
    offs = []
    for seed in range(3):
        shift = measure(*make_pair(seed, planted, season=1))
        offs.append(np.hypot(shift.rows_px - planted[0], shift.cols_px - planted[1]))
    assert np.median(offs) < 0.3


@pytest.mark.parametrize("planted", [(3, -5), (-12.5, 8.25)])
def test_shifts_of_many_pixels_are_measured_too(measure, planted):
    before_hwc, after_hwc = make_pair(2)
    moved_hwc = ndimage.shift(after_hwc.astype(np.float32), (*planted, 0), order=1, mode="nearest")
    shift = measure(before_hwc, moved_hwc.clip(1, 255).astype(np.uint8))
    assert np.hypot(shift.rows_px - planted[0], shift.cols_px - planted[1]) < 0.4


@pytest.mark.parametrize("off_px", [(0.5, 0.0), (-0.4, 0.3), (10.25, -6.45)])
def test_what_the_georeferences_explain_is_no_shift(measure, off_px):
    # The second image's pixels lie between those of the first, and what it shows in its place.
    before_hwc, after_hwc = make_pair(3)
    moved_hwc = ndimage.shift(
        after_hwc.astype(np.float32), (-off_px[0], -off_px[1], 0), order=1, mode="nearest"
    )
    place = (1.0, 0.0, LEFT + off_px[1], 0.0, -1.0, TOP - off_px[0])
    shift = measure(before_hwc, moved_hwc.clip(1, 255).astype(np.uint8), place)
    assert shift.size_px < 0.3


def test_images_without_structure_have_no_shift(measure):
    flat_hwc = np.full((300, 300, 3), 90, np.uint8)
    assert measure(flat_hwc, flat_hwc) is None
    before_hwc, _ = make_pair(1, size_px=300)
    assert measure(before_hwc[..., :3], flat_hwc) is None


def test_windows_with_missing_pixels_do_not_count(measure):
    before_hwc, after_hwc = make_pair(4, (0.5, 0.5))
    holed_hwc = after_hwc.copy()
    holed_hwc[:200] = 0
    shift = measure(before_hwc, holed_hwc, nodata=0)
    assert 0 < shift.n_windows < 9
    assert abs(shift.rows_px - 0.5) < 0.35 and abs(shift.cols_px - 0.5) < 0.35
    holed_hwc[::4, ::4] = 0
    assert measure(before_hwc, holed_hwc, nodata=0) is None


def test_unlike_bands_and_types_are_compared(measure):
    before_hwc, after_hwc = make_pair(5, (-0.5, 0.5))
    for other_hwc in (
        after_hwc[..., :1],
        after_hwc[..., :3].astype(np.uint16) * 200,
        (after_hwc[..., 1:3] / 255).astype(np.float32),
        after_hwc.astype(np.int16) - 200,
    ):
        shift = measure(before_hwc, other_hwc)
        assert abs(shift.rows_px + 0.5) < 0.4 and abs(shift.cols_px - 0.5) < 0.4


def test_values_that_are_no_numbers_are_missing(measure):
    before_hwc, after_hwc = make_pair(6)
    values_hwc = after_hwc.astype(np.float32)
    values_hwc[100, 100], values_hwc[200, 210] = np.nan, np.inf
    shift = measure(before_hwc, values_hwc)
    assert np.isfinite(shift.rows_px) and shift.size_px < 0.3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 5), (8, 300), (40, 17)])
def test_tiny_images_do_not_fail(measure, shape):
    random = np.random.default_rng(0)
    before_hwc = random.integers(1, 256, (*shape, 3), np.uint8)
    shift = measure(before_hwc, before_hwc)
    assert shift is None or shift.size_px < 0.2
    assert shift is None or min(shape) >= 16
    shift = measure(before_hwc, random.integers(1, 256, (*shape, 3), np.uint8))
    assert shift is None or np.isfinite([shift.rows_px, shift.cols_px, shift.spread_px]).all()


def test_windows_of_a_small_image_do_not_say_the_same_many_times(measure):
    images = make_pair(1, size_px=300)
    assert measure(*images).n_windows == 1
    assert not measure(*images).is_sure


def test_images_that_have_nothing_in_common_are_not_sure(measure):
    random = np.random.default_rng(0)
    images = [random.integers(1, 256, (700, 700, 1), np.uint8) for _ in range(2)]
    shift = measure(*images)
    assert shift is None or not shift.is_sure


@pytest.mark.parametrize(
    ("shift", "is_sure"),
    [
        (Shift(0.1, 0.1, 0.9, 3), True),
        (Shift(0.1, 0.1, 1.1, 9), False),
        (Shift(6.0, 8.0, 4.9, 9), True),
        (Shift(0.1, 0.1, 0.1, 2), False),
    ],
)
def test_windows_that_agree_are_sure(shift, is_sure):
    assert shift.is_sure == is_sure


def test_images_are_compared_on_any_grid(tmp_path):
    # A map of 2 m from images of 1 m; the second lies 2 px of these lower.
    before_hwc, after_hwc = make_pair(7, size_px=768)
    moved_hwc = np.roll(after_hwc, 2, axis=0)
    paths = [write_raster(tmp_path / f"{i}.tif", v) for i, v in enumerate((before_hwc, moved_hwc))]
    grid = Grid(384, 384, (2.0, 0.0, LEFT, 0.0, -2.0, TOP), CRS)
    with open_image(paths[0], alpha=0) as before, open_image(paths[1], alpha=0) as after:
        shift = measure_shift(Aligned(before, grid), Aligned(after, grid))
    assert abs(shift.rows_px - 1) < 0.3 and abs(shift.cols_px) < 0.3
