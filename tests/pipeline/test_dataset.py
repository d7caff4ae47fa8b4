"""Batches whose pixels say which chip they came from, and from where in it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.classes import IGNORE
from lcseg.pipeline import dataset as pipeline
from lcseg.pipeline.config import InputConfig
from lcseg.pipeline.dataset import evaluation_batches, training_batches
from lcseg.pipeline.store import ArrayStore
from lcseg.records.manifest import BandStatistics

STATISTICS = BandStatistics(1, (50.0, 6.0, 6.0), (9.0, 3.0, 3.0), (0.0,) * 3, (99.0,) * 3)
PLAIN = {"brightness": 0.0, "contrast": 0.0}


def make_store(count: int, side: int = 12) -> ArrayStore:
    """Chips whose three bands are their number, the row and the column; the label is row + col."""
    chip, row, col = np.meshgrid(np.arange(count), np.arange(side), np.arange(side), indexing="ij")
    images = np.stack([chip, row, col], axis=-1).astype(np.int16)
    # Chip n shows n + 1 pixels of the class 0 and one of the class 1, whatever its labels say.
    histograms = np.stack([1 + np.arange(count), np.ones(count), np.zeros(count)], 1).astype(int)
    return ArrayStore(tf.constant(images), tf.constant((row + col).astype(np.uint8)), histograms)


def make_samples(store, config, batch, first, last, seed=0):
    """The samples of batches `first` to `last` - 1 in a row: images and labels."""
    batches = training_batches(store, config, STATISTICS, seed, batch, first, last)
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def place_of(image: np.ndarray) -> tuple[int, int, int]:
    """(chip, first row, first column) of a crop."""
    return tuple(image.reshape(-1, 3).min(axis=0).tolist())


def symmetry_of(image: np.ndarray) -> bytes:
    """What tells the symmetries of crops apart: their rows and columns, from 0."""
    return (image[..., 1:] - image[..., 1:].min(axis=(0, 1))).tobytes()


def test_training_batches_are_crops_with_their_labels():
    config = InputConfig(crop_px=8, **PLAIN)
    batches = list(training_batches(make_store(6), config, STATISTICS, 0, 4, 0, 3))
    assert len(batches) == 3
    for images, labels in batches:
        assert images.shape == (4, 8, 8, 3) and images.dtype == tf.int16
        assert labels.shape == (4, 8, 8) and labels.dtype == tf.uint8
        np.testing.assert_array_equal(labels, images[..., 1] + images[..., 2])


@settings(deadline=None, max_examples=8)
@given(
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(0, 2**31 - 1),
    st.sampled_from(["uniform", "balanced"]),
)
def test_batches_made_from_the_middle_are_those_of_the_whole_run(
    count, batch, middle, seed, sampling
):
    store, config = make_store(count), InputConfig(crop_px=8, sampling=sampling)
    whole = make_samples(store, config, batch, 0, 6, seed)
    rest = make_samples(store, config, batch, middle, 6, seed)
    for of_whole, of_rest in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(of_whole[middle * batch :], of_rest)


@pytest.mark.parametrize("choice", [PLAIN, {}], ids=["plain", "light"])
def test_samples_do_not_depend_on_how_many_make_a_batch(choice):
    store, config = make_store(5), InputConfig(crop_px=4, **choice)
    one, two = (make_samples(store, config, batch, 0, 24 // batch) for batch in (2, 8))
    for x, y in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_samples_do_not_depend_on_how_many_are_made_side_by_side(monkeypatch, sampling):
    store, config = make_store(40), InputConfig(crop_px=4, sampling=sampling)
    made = []
    for calls in (1, 2, 7, tf.data.AUTOTUNE):
        monkeypatch.setattr(pipeline, "PARALLEL_CALLS", calls)
        images, labels = make_samples(store, config, 4, 0, 20)
        made.append((images.tobytes(), labels.tobytes()))
    assert len(set(made)) == 1
    assert len({image.tobytes() for image in images}) > 60


def test_chip_that_an_epoch_takes_again_is_cut_anew():
    config = InputConfig(crop_px=4, sampling="balanced", d4=False, **PLAIN)
    store = make_store(9)
    # Nearly all of class 0 is in chip 5, so an epoch takes it four times or more.
    store.histograms[:, 0] = np.where(np.arange(9) == 5, 10**6, 1)
    images, _ = make_samples(store, config, 9, 0, 1)
    places = [place_of(image) for image in images]
    again = [place for place in places if place[0] == 5]
    assert len(again) >= 4 and len(set(again)) >= 3


def test_seed_decides_crops_and_light():
    store = make_store(1)
    seen = {make_samples(store, InputConfig(crop_px=4), 4, 0, 1, s)[0].tobytes() for s in range(5)}
    assert len(seen) == 5


def test_crops_reach_every_place_of_a_chip_and_no_other():
    config = InputConfig(crop_px=10, d4=False, **PLAIN)
    images, _ = make_samples(make_store(2), config, 8, 0, 30)
    places = {place_of(image) for image in images}
    assert places == {(chip, row, col) for chip in (0, 1) for row in range(3) for col in range(3)}
    shape = images[..., 1:] - images[..., 1:].min(axis=(1, 2), keepdims=True)
    assert (shape == np.stack(np.mgrid[:10, :10], axis=-1)).all()


def test_crops_are_turned_all_eight_ways_with_their_labels():
    config = InputConfig(crop_px=8, **PLAIN)
    images, labels = make_samples(make_store(2), config, 8, 0, 12)
    grid = np.stack(np.mgrid[:8, :8], axis=-1).astype(np.int16)
    ways = {np.rot90(x, k).tobytes() for x in (grid, grid.swapaxes(0, 1)) for k in range(4)}
    assert {symmetry_of(image) for image in images} == ways
    np.testing.assert_array_equal(labels, images[..., 1] + images[..., 2])


@pytest.mark.parametrize("crop_px", [0, 12])
def test_crop_of_zero_or_of_the_whole_side_is_the_chip(crop_px):
    store, config = make_store(3), InputConfig(crop_px=crop_px, d4=False, **PLAIN)
    images, _ = make_samples(store, config, 3, 0, 1)
    for image in images:
        np.testing.assert_array_equal(image, store.images[int(image[0, 0, 0])])


def test_light_stays_within_what_was_chosen_and_differs_by_band():
    config = InputConfig(crop_px=0, d4=False, contrast=0.0, brightness=2.0)
    images, _ = make_samples(make_store(8), config, 8, 0, 8)
    shifts = images.astype(float)[:, 0, 0, 1:] / np.array(STATISTICS.std[1:])
    assert abs(shifts).max() <= 2.0 + 0.5 / 3 and abs(shifts).max() > 1
    assert (shifts[:, 0] != shifts[:, 1]).mean() > 0.5


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 7), st.integers(1, 4), st.sampled_from([1, 4, 5, 8]))
def test_evaluation_holds_every_chip_once_and_ignores_what_fills_up(count, batch, multiple_px):
    store = make_store(count, 6)
    batches = list(evaluation_batches(store, batch, multiple_px).as_numpy_iterator())
    side = -(-6 // multiple_px) * multiple_px
    assert {(x.shape, y.shape) for x, y in batches} == {
        ((batch, side, side, 3), (batch, side, side))
    }
    images, labels = (np.concatenate(x) for x in zip(*batches, strict=True))
    pad = [(0, 0), (0, side - 6), (0, side - 6)]
    np.testing.assert_array_equal(images[:count], np.pad(store.images, [*pad, (0, 0)], "reflect"))
    expected = np.pad(store.labels, pad, constant_values=IGNORE)
    np.testing.assert_array_equal(labels[:count], expected)
    assert (labels[count:] == IGNORE).all()
