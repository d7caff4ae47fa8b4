"""Random changes to crops that leave the truth of their labels: symmetries and light.

    images, labels = apply_d4(images_nhwc, labels_nhw, symmetry_n)
    images = shift_light(images_nhwc, contrast_n, brightness_nc, mean_c, std_c)

Nothing here draws a number: the caller passes in what was drawn.

What moves or changes pixels is compiled by XLA, which makes one loop of what would be a pass over
the memory for each step. XLA compiles for the device that it finds, but input is made on the host
even if there is a GPU: hence the CPU that is named here.
"""

from __future__ import annotations

from functools import partial, reduce

import tensorflow as tf

SYMMETRIES = 8

_WORDS = {1: tf.uint8, 2: tf.uint16, 4: tf.uint32, 8: tf.uint64}
"""Size of a pixel in bytes -> the integer that holds all of its bands."""

_INTEGERS_BEGIN = 1.5 * 2**23
"""From here on float32 holds integers alone, in its last bits."""


def apply_d4(
    images: tf.Tensor, labels: tf.Tensor, symmetry: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply one of the 8 symmetries of the square to each sample, image and label alike.

    Args:
        images: [N, S, S, C] of any dtype.
        labels: [N, S, S] of any dtype.
        symmetry: int [N], 0 .. 7; bit 0 transposes, bit 1 mirrors rows, bit 2 mirrors columns.
    """
    pixels = _view_pixels(images)
    samples = zip(*map(tf.unstack, (pixels, labels, symmetry)), strict=True)
    with tf.device("/CPU:0"):
        new_pixels, new_labels = zip(*(_turn_both(*sample) for sample in samples), strict=True)
        return _view_bands(tf.stack(new_pixels), images), tf.stack(new_labels)


def _view_pixels(images: tf.Tensor) -> tf.Tensor:
    """See each pixel as one integer [N, H, W], if there is one of its size.

    Nothing is copied, and moving whole pixels is faster than moving their bands.
    """
    bands = int(images.shape[-1])
    word = _WORDS.get(bands * images.dtype.size)
    if word is None:
        return images
    if bands == 1:
        return tf.bitcast(tf.squeeze(images, -1), word)
    return tf.bitcast(images, word)


def _view_bands(pixels: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The reverse of `_view_pixels`, in the dtype and bands of `like`."""
    if pixels.shape.rank == like.shape.rank:
        return pixels
    bands = tf.bitcast(pixels, like.dtype)
    return bands[..., None] if like.shape[-1] == 1 else bands


@tf.function(jit_compile=True)
def _turn_both(
    pixels: tf.Tensor, label: tf.Tensor, symmetry: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply a symmetry to one sample; only what it asks for is done."""
    ways = [lambda n=n: (_turn(pixels, n), _turn(label, n)) for n in range(SYMMETRIES)]
    return tf.switch_case(tf.cast(symmetry, tf.int32), ways)


def _turn(sample: tf.Tensor, symmetry: int) -> tf.Tensor:
    if symmetry & 1:
        sample = tf.transpose(sample, [1, 0, *range(2, sample.shape.rank)])
    axes = [axis for axis, bit in ((0, 2), (1, 4)) if symmetry & bit]
    return tf.reverse(sample, axes) if axes else tf.identity(sample)


def shift_light(
    images: tf.Tensor,
    contrast: tf.Tensor,
    brightness: tf.Tensor,
    mean: tf.Tensor,
    std: tf.Tensor,
) -> tf.Tensor:
    """Change contrast about the mean of a band, and its brightness.

    Args:
        images: [N, H, W, C] of the data set's dtype.
        contrast: float32 [N], factors about 1.
        brightness: float32 [N, C], in standard deviations.
        mean: float32 [C], of the training split.
        std: float32 [C], of the training split.

    Returns:
        `mean + (image - mean) * contrast + brightness * std`, rounded and clipped to the dtype
        of `images`. Pixels without data, which are 0 in every band, stay so.
    """
    offset = mean * (1 - contrast[:, None]) + brightness * std
    with tf.device("/CPU:0"):
        pixels = _view_pixels(images)
        # Two floats in a word could not be told apart from integers, and would gain nothing.
        if pixels.shape.rank < images.shape.rank and not images.dtype.is_floating:
            lit = _scale_words(pixels, contrast, offset, images.dtype)
            return _view_bands(lit, images)
        samples = zip(*map(tf.unstack, (images, contrast, offset)), strict=True)
        return tf.stack([_scale_bands(*sample) for sample in samples])


@tf.function(jit_compile=True)
def _scale_words(
    words: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """Value * factor + shift for every band of pixels that are one integer each.

    A loop over whole pixels is three times as fast as one over their bands: each band is a shift
    and a mask away, and whether all of them are 0 is seen at once.

    Args:
        words: unsigned integers [N, H, W], their lowest bits the first band.
        factor: float32 [N].
        shift: float32 [N, C].
        dtype: of a band, an integer.
    """
    bits = 8 * dtype.size
    mask = tf.constant((1 << bits) - 1, words.dtype)
    bands = []
    for band in range(shift.shape[1]):
        place = tf.constant(bits * band, words.dtype)
        value = tf.cast(tf.bitwise.right_shift(words, place) & mask, tf.int32)
        if dtype.min < 0:
            value = (value ^ (1 << bits - 1)) - (1 << bits - 1)  # Carries the sign on.
        scaled = tf.cast(value, tf.float32) * factor[:, None, None] + shift[:, band, None, None]
        # The last bits of 1.5 * 2^23 plus an integer are that integer; XLA's cast checks for NaN.
        scaled = tf.bitcast(tf.floor(_clip(scaled, dtype)) + _INTEGERS_BEGIN, tf.int32)
        bands.append(tf.bitwise.left_shift(tf.cast(scaled, words.dtype) & mask, place))
    return tf.where(words != 0, reduce(tf.bitwise.bitwise_or, bands), words)


@tf.function(jit_compile=True)
def _scale_bands(image: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """image * factor + shift for one image [H, W, C] of any dtype and shift [C]."""
    # With rows as one long axis the arithmetic is not broken up by the few bands.
    rows = tf.reshape(image, [image.shape[0], -1])
    scaled = tf.cast(rows, tf.float32) * factor + tf.tile(shift, image.shape[1:2])
    if not image.dtype.is_floating:
        scaled = _clip(scaled, image.dtype)
        # Casting cuts off by itself above 0.
        scaled = tf.cast(scaled if image.dtype.min == 0 else tf.floor(scaled), image.dtype)
    scaled = tf.reshape(scaled, image.shape)
    is_missing = tf.reduce_all(image == 0, axis=-1, keepdims=True)
    # Most crops have no missing pixel, and masking costs more than all the rest.
    masked = partial(tf.where, is_missing, image, scaled)
    return tf.cond(tf.reduce_any(is_missing), masked, partial(tf.identity, scaled))


def _clip(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Add half, so that cutting off rounds half up, and clip to the range of an integer."""
    return tf.clip_by_value(values + 0.5, float(dtype.min), float(dtype.max))
