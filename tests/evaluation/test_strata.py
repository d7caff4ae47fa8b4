"""The strata of a map, held against the whole map in memory."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.strata import count_strata, read_classes
from lcseg.raster.class_map import open_class_map

SCHEME = load_scheme("chesapeake-4")
LABELS_HW = np.random.default_rng(0).integers(0, 5, (37, 23)).astype(np.uint8)
LABELS_HW[LABELS_HW == 4] = IGNORE
DEGREES = (0.01, 0.0, 10.0, 0.0, -0.01, 60.0)


@pytest.fixture
def map_path(make_raster) -> str:
    return write_map(make_raster, LABELS_HW)


def write_map(make_raster, label_hw: np.ndarray, **options: object) -> str:
    codes_hw = np.where(label_hw == IGNORE, 0, label_hw + 1).astype(np.uint8)
    return make_raster("map.tif", codes_hw, nodata=0, **options)


def test_the_classes_of_a_map_are_counted_and_found(map_path):
    with open_class_map(map_path, SCHEME) as mapped:
        strata = count_strata(mapped)
        assert strata.pixels.tolist() == np.bincount(LABELS_HW.ravel())[:4].tolist()
        assert strata.hectares == pytest.approx(strata.pixels / 1e4)
        ranks = np.array([7, 0, strata.pixels[2] - 1])
        rows, cols = strata.locate(mapped, 2, ranks)
        assert np.argwhere(LABELS_HW == 2)[ranks].tolist() == np.stack([rows, cols], 1).tolist()
        assert read_classes(mapped, rows, cols).tolist() == [2, 2, 2]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(strip_px=st.integers(1, 1000))
def test_the_size_of_the_strips_changes_nothing(map_path, strip_px):
    with open_class_map(map_path, SCHEME) as mapped:
        one, other = count_strata(mapped), count_strata(mapped, strip_px=strip_px)
    assert np.array_equal(one.row_pixels, other.row_pixels)
    assert one.digest == other.digest


def test_the_digest_is_that_of_the_pixels_and_their_place_alone(make_raster):
    def digest(label_hw: np.ndarray, **options: object) -> str:
        with open_class_map(write_map(make_raster, label_hw, **options), SCHEME) as mapped:
            return count_strata(mapped).digest

    plain, changed_hw = digest(LABELS_HW), LABELS_HW.copy()
    changed_hw[20, 20] = (changed_hw[20, 20] + 1) % 4
    assert digest(LABELS_HW, compress="deflate") == plain
    assert digest(changed_hw) != plain
    assert digest(LABELS_HW, transform=(1.0, 0.0, 7.0, 0.0, -1.0, 8.0)) != plain


def test_areas_by_latitude_are_those_of_the_rows(make_raster):
    north_hw = np.zeros((2_000, 2), np.uint8)
    north_hw[1_000:] = 1
    path = write_map(make_raster, north_hw, crs="EPSG:4326", transform=DEGREES)
    with open_class_map(path, SCHEME) as mapped:
        strata = count_strata(mapped)
    assert strata.pixels[:2].tolist() == [2_000, 2_000]
    # A zone's area goes with the difference of the sines of its latitudes; on a sphere, exactly.
    sines = np.sin(np.radians([60.0, 50.0, 40.0]))
    expected = (sines[0] - sines[1]) / (sines[1] - sines[2])
    assert strata.hectares[0] / strata.hectares[1] == pytest.approx(expected, rel=4e-3)


def test_a_map_without_any_class_is_refused(make_raster):
    empty = write_map(make_raster, np.full((4, 4), IGNORE, np.uint8))
    with (
        open_class_map(empty, SCHEME) as mapped,
        pytest.raises(LcsegError, match=r"map.tif: has no pixel of any class"),
    ):
        count_strata(mapped)
