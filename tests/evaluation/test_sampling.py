"""Stratified random samples of maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.config import SampleConfig
from lcseg.evaluation.sample import read_sample
from lcseg.evaluation.sampling import allocate, draw_points, draw_sample, plan_size
from lcseg.evaluation.strata import count_strata
from lcseg.raster.class_map import open_class_map
from lcseg.raster.dataset import grid_of, open_raster

SCHEME = load_scheme("chesapeake-4")
LABELS_HW = np.random.default_rng(0).choice(
    np.array([0, 1, 2, 3, IGNORE], np.uint8), (120, 90), p=[0.5, 0.3, 0.14, 0.01, 0.05]
)
PIXELS = np.bincount(LABELS_HW.ravel())[:4]


@pytest.fixture
def write_map(make_raster):
    """A function that writes class indices as a map of codes."""

    def write(label_hw: np.ndarray, **options: object) -> str:
        codes_hw = np.where(label_hw == IGNORE, 0, label_hw + 1).astype(np.uint8)
        return make_raster("map.tif", codes_hw, nodata=0, **options)

    return write


def config(path: str, out, **choices: object) -> SampleConfig:
    return SampleConfig(path, str(out), classes="chesapeake-4", quiet=True, **choices)


def test_points_are_drawn_from_each_class_of_a_map(write_map, tmp_path):
    path = write_map(LABELS_HW)
    summary = draw_sample(config(path, tmp_path / "points.gpkg", n=300))
    assert summary.names == SCHEME.names
    assert summary.pixels == tuple(PIXELS.tolist())
    assert summary.points[3] == 50
    assert sum(summary.points) == 300
    with open_raster(path) as dataset:
        sample = read_sample(tmp_path / "points.gpkg", grid_of(dataset))
    labels = LABELS_HW[sample.rows, sample.cols]
    assert np.bincount(labels, minlength=4).tolist() == list(summary.points)
    assert len(set(zip(sample.rows.tolist(), sample.cols.tolist(), strict=True))) == 300
    assert sample.references == (None,) * 300
    assert "barren/impervious" in summary.table()
    # The order says nothing of the class.
    assert len(set(labels[:20].tolist())) > 1
    assert (np.diff(labels.astype(int)) < 0).any()


def test_the_seed_decides_which_points_are_drawn(write_map):
    with open_class_map(write_map(LABELS_HW), SCHEME) as mapped:
        strata = count_strata(mapped)
        points = np.array([20, 20, 20, 5])
        one, again, other = (draw_points(mapped, strata, points, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_class_may_be_drawn_whole(write_map):
    with open_class_map(write_map(LABELS_HW), SCHEME) as mapped:
        strata = count_strata(mapped)
        rows, cols = draw_points(mapped, strata, np.array([0, 0, 0, PIXELS[3]]), 0)
    found = sorted(zip(rows.tolist(), cols.tolist(), strict=True))
    assert found == [tuple(place) for place in np.argwhere(LABELS_HW == 3).tolist()]


def test_every_pixel_of_a_class_is_as_likely(write_map):
    label_hw = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [IGNORE, 1, 0, 1]], np.uint8)
    times = np.zeros(label_hw.shape, int)
    with open_class_map(write_map(label_hw), SCHEME) as mapped:
        strata = count_strata(mapped)
        for seed in range(1_000):
            np.add.at(times, draw_points(mapped, strata, np.array([2, 2, 0, 0]), seed), 1)
    expected = {0: 1_000 * 2 / 6, 1: 1_000 * 2 / 5}
    for label, mean in expected.items():
        assert abs(times[label_hw == label] - mean).max() < 4.5 * np.sqrt(mean)
    assert times[2, 0] == 0


def test_by_latitude_points_are_spread_by_area(write_map):
    label_hw = np.zeros((7_000, 3), np.uint8)
    label_hw[0, 0] = 1
    degrees = (0.01, 0.0, 10.0, 0.0, -0.01, 75.0)
    path = write_map(label_hw, crs="EPSG:4326", transform=degrees)
    with open_class_map(path, SCHEME) as mapped:
        strata = count_strata(mapped)
        rows, _ = draw_points(mapped, strata, np.array([3_000, 0, 0, 0]), 0)
    # On a sphere the area south of a latitude goes with its sine: 75 to 40 and 40 to 5 degrees.
    sines = np.sin(np.radians([75.0, 40.0, 5.0]))
    expected = (sines[0] - sines[1]) / (sines[0] - sines[2])
    share = (rows < 3_500).mean()
    assert share == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / 3_000))
    assert expected < 0.4


def test_the_sizes_of_the_papers_example_come_out():
    # Olofsson et al. 2014, section 5.1: 641 points, and their allocations.
    hectares = np.array([0.02, 0.015, 0.32, 0.645])
    assert plan_size(hectares, (0.7, 0.6, 0.9, 0.95), 0.01) == 641
    pixels = (hectares * 1e7).astype(np.int64)
    assert allocate(pixels, hectares, 641, 2).tolist() == [13, 10, 205, 413]
    assert allocate(pixels, np.ones(4), 640, 2).tolist() == [160] * 4
    assert allocate(pixels, hectares, 640, 75).tolist() == [75, 75, 162, 328]


def test_one_accuracy_stands_for_all_classes():
    assert plan_size(np.array([1.0, 3.0]), (0.8,), 0.02) == 400
    with pytest.raises(LcsegError, match="--expected_accuracy: has 2 values, the map has 3 class"):
        plan_size(np.ones(3), (0.8, 0.9), 0.02)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=8).filter(any),
    st.integers(2, 60),
    st.floats(0, 1),
    st.booleans(),
)
def test_all_points_are_shared_out_within_bounds(pixels, least, size, is_equal):
    pixels = np.array(pixels)
    lowest = np.minimum(pixels, least)
    n = int(lowest.sum() + size * (pixels.sum() - lowest.sum()))
    points = allocate(pixels, np.ones(len(pixels)) if is_equal else pixels / 7, n, least)
    assert points.sum() == n
    assert ((points >= lowest) & (points <= pixels)).all()
    free = (points > lowest) & (points < pixels)
    if is_equal and free.any():
        assert np.ptp(points[free]) <= 1


def test_too_few_and_too_many_points_are_refused(write_map, tmp_path):
    out = tmp_path / "points.gpkg"
    with pytest.raises(LcsegError, match=r"100 points: .*at least 200, 50 for each class .*; give"):
        draw_sample(config(write_map(LABELS_HW), out, n=100))
    with pytest.raises(LcsegError, match=r"1,000,000 points: .* and has 10,\d+ pixels"):
        draw_sample(config(write_map(LABELS_HW), out, n=1_000_000))
    assert not out.exists()


def test_a_file_that_exists_is_not_replaced(write_map, tmp_path):
    (tmp_path / "points.gpkg").write_text("filled in by hand")
    with pytest.raises(LcsegError, match=r"points.gpkg: exists already; name another file"):
        draw_sample(config(write_map(LABELS_HW), tmp_path / "points.gpkg", n=300))
    assert (tmp_path / "points.gpkg").read_text() == "filled in by hand"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "give --n or --standard_error"),
        ({"n": 5, "standard_error": 0.01}, "give --n or --standard_error"),
        ({"n": 5, "min_per_class": 1}, "--min_per_class at least 2"),
        ({"n": 5, "seed": -1}, "--n and --seed must not be negative"),
        ({"standard_error": 0.01, "expected_accuracy": "85"}, "must lie between 0 and 1"),
        (
            {"standard_error": 0.01, "expected_accuracy": "good"},
            "--expected_accuracy=good: expected numbers",
        ),
    ],
)
def test_choices_that_make_no_sense_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        SampleConfig("map.tif", "points.gpkg", **choices)
