"""Symmetries and light, held against numpy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.pipeline.augmentation import SYMMETRIES, apply_d4, shift_light

DTYPES = ("uint8", "uint16", "int16", "float32")


def turn(values_hw: np.ndarray, symmetry: int) -> np.ndarray:
    """What apply_d4 promises, of one image [H, W, …], by numpy."""
    turned = np.swapaxes(values_hw, 0, 1) if symmetry & 1 else values_hw
    turned = np.flip(turned, 0) if symmetry & 2 else turned
    return np.flip(turned, 1) if symmetry & 4 else turned


def turned_by(images, labels, symmetry) -> tuple[np.ndarray, np.ndarray]:
    turned = apply_d4(tf.constant(images), tf.constant(labels), tf.constant(symmetry))
    return tuple(x.numpy() for x in turned)


def random_batch(seed: int, dtype: str, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    info = np.finfo(dtype) if dtype == "float32" else np.iinfo(dtype)
    low, high = (-5.0, 300.0) if dtype == "float32" else (info.min, info.max)
    images = random.uniform(low, high, (n, 5, 5, 3)).astype(dtype)
    return images, random.integers(0, 5, (n, 5, 5)).astype(np.uint8)


def test_a_batch_is_turned_and_its_light_shifted():
    images, labels = random_batch(0, "uint8")
    turned, turned_labels = apply_d4(tf.constant(images), tf.constant(labels), tf.range(8))
    lit = shift_light(turned, tf.ones(8) * 1.1, tf.zeros((8, 3)), tf.zeros(3), tf.ones(3))
    assert lit.shape == images.shape and lit.dtype == tf.uint8
    assert turned_labels.shape == labels.shape and turned_labels.dtype == tf.uint8


@pytest.mark.parametrize("dtype", DTYPES)
def test_symmetry_of_each_number_is_that_of_numpy_for_image_and_label(dtype):
    images, labels = random_batch(1, dtype)
    turned, turned_labels = turned_by(images, labels, np.arange(SYMMETRIES))
    assert turned.dtype == images.dtype
    for n in range(SYMMETRIES):
        np.testing.assert_array_equal(turned[n], turn(images[n], n))
        np.testing.assert_array_equal(turned_labels[n], turn(labels[n], n))


def test_the_eight_symmetries_are_all_rotations_and_their_mirror_images():
    image, label = np.arange(16, dtype=np.int16).reshape(4, 4), np.zeros((4, 4), np.uint8)
    same = np.repeat(image[None, ..., None], SYMMETRIES, axis=0)
    labels = np.repeat(label[None], SYMMETRIES, axis=0)
    turned, _ = turned_by(same, labels, np.arange(SYMMETRIES))
    expected = {np.rot90(x, k).tobytes() for x in (image, image.T) for k in range(4)}
    assert len(expected) == 8
    assert {x[..., 0].tobytes() for x in turned} == expected


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_label_stays_on_its_pixels(seed, symmetry):
    _, labels = random_batch(seed, "uint8", len(symmetry))
    images = np.stack([labels, labels + 7], axis=-1)
    turned, turned_labels = turned_by(images, labels, symmetry)
    np.testing.assert_array_equal(turned[..., 0], turned_labels)
    np.testing.assert_array_equal(turned[..., 1], turned_labels + 7)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(DTYPES), st.integers(0, 2**32 - 1))
def test_light_is_that_of_float64_numpy(dtype, seed):
    images, _ = random_batch(seed, dtype, n=4)
    random = np.random.default_rng(seed)
    mean, std = random.uniform(0, 200, 3), random.uniform(0.1, 90, 3)
    contrast, brightness = random.uniform(0.5, 1.5, 4), random.uniform(-2, 2, (4, 3))
    arguments = (x.astype(np.float32) for x in (contrast, brightness, mean, std))
    lit = shift_light(tf.constant(images), *arguments).numpy()
    expected = mean + (images.astype(np.float64) - mean) * contrast[:, None, None, None]
    expected += (brightness * std)[:, None, None, :]
    assert lit.dtype == images.dtype
    if dtype == "float32":
        np.testing.assert_allclose(lit, expected, rtol=1e-5, atol=1e-3)
    else:
        info = np.iinfo(dtype)
        # Half for rounding; the rest is what float32 cannot tell apart at 65,535 and below.
        error = np.abs(lit - np.clip(expected, info.min, info.max))
        assert error.max() <= 0.5 + 2e-7 * 65535 * 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_light_beyond_the_dtype_is_clipped_not_wrapped(dtype):
    info = np.iinfo(dtype)
    # Not 0: that would be no data, which is left as it is.
    images = np.tile(np.array([info.min or 1, info.max], dtype), 4).reshape(2, 2, 2, 1)
    far = tf.constant([[-1e6], [1e6]])
    lit = shift_light(tf.constant(images), tf.ones(2), far, tf.zeros(1), tf.ones(1)).numpy()
    assert (lit[0] == info.min).all() and (lit[1] == info.max).all()


def test_light_leaves_pixels_without_data():
    images = np.array([[[[0, 0], [0, 9]], [[7, 0], [0, 0]]]], np.uint8)
    lit = shift_light(
        tf.constant(images), tf.ones(1), tf.fill([1, 2], 5.0), tf.zeros(2), tf.ones(2)
    )
    np.testing.assert_array_equal(lit, [[[[0, 0], [5, 14]], [[12, 5], [0, 0]]]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 8, 16])
def test_pixels_of_any_number_of_bands_are_turned_and_lit_and_missing_ones_stay(dtype, bands):
    random = np.random.default_rng(bands)
    images = random.integers(0, 3, (8, 6, 6, bands)).astype(dtype) * np.array(40, dtype)
    is_missing = random.random((8, 6, 6)) < 0.3
    is_missing[0] = False  # The way of crops that miss nothing.
    images[is_missing] = 0
    images[~is_missing, -1] = 40
    labels = random.integers(0, 9, (8, 6, 6)).astype(np.uint8)
    turned, turned_labels = turned_by(images, labels, np.arange(8))
    lit = shift_light(
        tf.constant(images),
        tf.fill([8], 0.5),
        tf.fill([8, bands], 2.5),
        tf.zeros(bands),
        tf.ones(bands),
    )
    expected = images * 0.5 + 2.5
    expected = expected if dtype == "float32" else np.floor(expected + 0.5)
    np.testing.assert_array_equal(lit, np.where(is_missing[..., None], 0, expected))
    for n in range(8):
        np.testing.assert_array_equal(turned[n], turn(images[n], n))
        np.testing.assert_array_equal(turned_labels[n], turn(labels[n], n))


@pytest.mark.parametrize(
    ("dtype", "bands"), [("uint8", 4), ("int16", 2), ("uint16", 4), ("uint8", 3)]
)
def test_light_of_a_sample_does_not_depend_on_its_batch(dtype, bands):
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (7, 37, 41, bands)).astype(dtype)
    drawn = [random.uniform(0.5, 1.5, 7), random.uniform(-1, 1, (7, bands))]
    contrast, brightness = (x.astype(np.float32) for x in drawn)
    mean, std = tf.fill([bands], 99.7), tf.fill([bands], 33.3)
    whole = shift_light(tf.constant(images), contrast, brightness, mean, std)
    for n in range(7):
        one = slice(n, n + 1)
        alone = shift_light(tf.constant(images[one]), contrast[one], brightness[one], mean, std)
        np.testing.assert_array_equal(whole[one], alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_light_that_is_not_shifted_leaves_every_value(dtype):
    images, _ = random_batch(3, dtype)
    lit = shift_light(
        tf.constant(images), tf.ones(8), tf.zeros((8, 3)), tf.fill([3], 77.7), tf.ones(3)
    )
    np.testing.assert_array_equal(lit, images)


def test_augmentation_inside_tf_data_is_that_outside():
    images, labels = random_batch(4, "uint16")
    symmetry, contrast = np.arange(8)[::-1].astype(np.int32), np.linspace(0.8, 1.2, 8, dtype="f4")
    brightness = np.linspace(-1, 1, 24, dtype="f4").reshape(8, 3)

    def augment(images, labels, symmetry, contrast, brightness):
        images, labels = apply_d4(images, labels, symmetry)
        mean, std = tf.fill([3], 900.0), tf.fill([3], 55.0)
        return shift_light(images, contrast, brightness, mean, std), labels

    parts = (images, labels, symmetry, contrast, brightness)
    ((in_graph, labels_in_graph),) = tf.data.Dataset.from_tensors(parts).map(augment)
    outside, labels_outside = augment(*map(tf.constant, parts))
    np.testing.assert_array_equal(in_graph, outside)
    np.testing.assert_array_equal(labels_in_graph, labels_outside)
