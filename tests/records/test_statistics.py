"""Statistics of bands and classes, held against numpy in float64 over all pixels at once."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.records.statistics import Moments, count_classes


@st.composite
def pixels_in_parts(draw) -> list[np.ndarray]:
    """Pixels of three bands, cut at random into parts, some of them empty."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["uint8", "uint16", "int16", "float32"]))
    low, high = draw(st.sampled_from([(0, 2), (0, 127), (100, 101)]))
    pixels = random.integers(low, high, (draw(st.integers(1, 60)), 3)).astype(dtype)
    if dtype == "float32":
        pixels += random.random(pixels.shape, np.float32)
    cuts = draw(st.lists(st.integers(0, len(pixels)), max_size=5))
    parts = np.split(pixels, sorted(cuts))
    random.shuffle(parts)
    return parts


def assert_close(moments: Moments, pixels: np.ndarray) -> None:
    """Hold moments against numpy in float64; a constant band's deviation is said to be 1."""
    exact = pixels.astype(np.float64)
    std = np.where(np.ptp(exact, axis=0) == 0, 1.0, exact.std(axis=0))
    assert moments.count == len(pixels)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, std, rtol=1e-9)
    np.testing.assert_array_equal(moments.low, exact.min(axis=0))
    np.testing.assert_array_equal(moments.high, exact.max(axis=0))


def test_parts_merge_into_the_statistics_of_the_whole():
    pixels = np.array([[1, 10], [2, 10], [3, 10], [6, 10]], np.uint8)
    one, other = Moments.empty(2).add(pixels[:1]), Moments.empty(2).add(pixels[1:])
    moments = one.merge(other)
    assert moments.count == 4
    assert moments.mean.tolist() == [3, 10]
    assert moments.std.tolist() == [pytest.approx(3.5**0.5), 1]
    assert (moments.low.tolist(), moments.high.tolist()) == ([1, 10], [6, 10])


@settings(deadline=None, max_examples=150)
@given(pixels_in_parts())
def test_pixels_added_part_by_part_give_the_statistics_of_numpy(parts):
    moments = functools.reduce(Moments.add, parts, Moments.empty(3))
    assert_close(moments, np.concatenate(parts))


@settings(deadline=None, max_examples=150)
@given(pixels_in_parts(), st.randoms(use_true_random=False))
def test_parts_merge_in_any_order_and_any_tree(parts, random):
    counted = [Moments.empty(3).add(part) for part in parts]
    while len(counted) > 1:
        random.shuffle(counted)
        counted.append(counted.pop().merge(counted.pop()))
    assert_close(counted[0], np.concatenate(parts))


def test_empty_merges_into_nothing_and_changes_nothing():
    empty = Moments.empty(2)
    moments = empty.add(np.array([[1, 5], [3, 9]], np.uint8))
    assert empty.merge(empty).count == 0
    for merged in (moments.merge(empty), empty.merge(moments), moments.add(np.empty((0, 2)))):
        assert merged.count == 2
        assert merged.mean.tolist() == [2, 7]
        assert merged.std.tolist() == [1, 2]


def test_deviation_of_one_does_not_drown_in_an_offset_of_a_billion():
    random = np.random.default_rng(0)
    pixels = 1e9 + random.normal(size=(20_000, 2))
    moments = Moments.empty(2)
    for part in np.split(pixels, 50):
        moments = moments.add(part)
    np.testing.assert_allclose(moments.std, (pixels - 1e9).std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("value", [0, 0.1, 1 / 3, 1e-30, -32768, 65535])
def test_constant_band_has_a_deviation_of_one_however_its_mean_is_rounded(value):
    moments = Moments.empty(1)
    for n in (1, 3, 7, 49, 1000):
        moments = moments.add(np.full((n, 1), value, np.float64))
    assert moments.std.tolist() == [1]
    assert moments.mean[0] == pytest.approx(value)


def test_deviation_of_tiny_values_is_not_taken_for_none():
    pixels = np.array([[1e-12], [3e-12]], np.float32)
    assert Moments.empty(1).add(pixels).std[0] == pytest.approx(1e-12)


def test_extremes_of_integers_do_not_overflow():
    pixels = np.array([[-32768], [32767]], np.int16)
    moments = Moments.empty(1).add(pixels)
    assert (moments.mean[0], moments.std[0]) == (-0.5, 32767.5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("n", [1, 255, 256, 257, 66_001])
def test_any_number_of_pixels_and_bands_gives_the_statistics_of_numpy(dtype, bands, n):
    random = np.random.default_rng(n)
    raw = random.bytes(n * bands * np.dtype(dtype).itemsize)
    pixels = np.frombuffer(raw, dtype).reshape(n, bands)
    if dtype == "float32":
        pixels = random.normal(1000, 30, (n, bands)).astype(np.float32)
    assert_close(Moments.empty(bands).add(pixels), pixels)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_pixels_that_do_not_lie_together_are_counted_alike(dtype):
    image_hwc = np.random.default_rng(0).integers(0, 127, (60, 70, 5)).astype(dtype)
    for pixels in (
        image_hwc[::2, ::3, 1:4].reshape(-1, 3),
        image_hwc.reshape(-1, 5)[::-1],
        image_hwc.reshape(-1, 5)[:, ::2],
        image_hwc[0].T,
        np.asfortranarray(image_hwc.reshape(-1, 5)),
    ):
        assert_close(Moments.empty(pixels.shape[1]).add(pixels), pixels)


@pytest.mark.parametrize("values", [(0, 255), (254, 255)])
def test_greatest_bytes_do_not_overflow_in_a_whole_scene_of_34_million_pixels(values):
    n = 2**25 + 300
    pixels = np.tile(np.array(values, np.uint8), n // len(values))[:, None]
    moments = Moments.empty(1).add(pixels)
    counts = [n // len(values)] * len(values)
    mean = sum(v * c for v, c in zip(values, counts, strict=True)) / n
    variance = sum((v - mean) ** 2 * c for v, c in zip(values, counts, strict=True)) / n
    assert moments.count == n
    assert moments.mean[0] == pytest.approx(mean, rel=1e-14)
    assert moments.std[0] == pytest.approx(variance**0.5, rel=1e-12)


def test_sums_of_bytes_are_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (256 * 256 + 17, 3)).astype(np.uint8)
    moments = Moments.empty(3).add(pixels)
    n = len(pixels)
    for band, values in enumerate(pixels.T.tolist()):
        total, squares = sum(values), sum(value**2 for value in values)
        assert moments.mean[band] == total / n
        assert moments.deviation[band] == (n * squares - total**2) / n


def test_adding_leaves_the_moments_that_it_started_from():
    empty = Moments.empty(1)
    empty.add(np.ones((4, 1)))
    assert (empty.count, empty.mean[0], empty.low[0]) == (0, 0, np.inf)


def test_classes_are_counted_with_the_ignored_last():
    label_hw = np.array([[0, 0, 2], [255, 255, 255]], np.uint8)
    assert count_classes(label_hw, 4).tolist() == [2, 0, 1, 0, 3]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 254))
def test_class_counts_add_up_to_the_pixels_and_are_those_of_numpy(seed, n_classes):
    random = np.random.default_rng(seed)
    label_hw = random.choice([*range(n_classes), 255], (13, 17)).astype(np.uint8)
    counts = count_classes(label_hw, n_classes)
    assert counts.sum() == label_hw.size
    assert counts.tolist() == [np.sum(label_hw == label) for label in (*range(n_classes), 255)]
