"""Random changes to crops that leave the truth of their labels: symmetries and light.

    images, labels = apply_d4(images_nhwc, labels_nhw, symmetry_n)
    images = shift_light(images_nhwc, contrast_n, brightness_nc, mean_c, std_c)

Nothing here draws a number: the caller passes in what was drawn.
"""

from __future__ import annotations

from functools import partial

import tensorflow as tf

SYMMETRIES = 8

_WORDS = {1: tf.uint8, 2: tf.uint16, 4: tf.uint32, 8: tf.uint64}
"""Size of a pixel in bytes -> the integer that holds all of its bands."""


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
    turned = [
        (_turn(image, number), _turn(label, number))
        for image, label, number in zip(
            tf.unstack(pixels), tf.unstack(labels), tf.unstack(symmetry), strict=True
        )
    ]
    new_pixels, new_labels = zip(*turned, strict=True)
    return _view_bands(tf.stack(new_pixels), images), tf.stack(new_labels)


def _view_pixels(images: tf.Tensor) -> tf.Tensor:
    """See each pixel as one integer [N, H, W], if there is one of its size.

    Nothing is copied. Moving whole pixels is more than twice as fast as moving their bands.
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


def _turn(sample: tf.Tensor, symmetry: tf.Tensor) -> tf.Tensor:
    """Apply a symmetry to one sample [S, S, …].

    A condition for each change is some ten times faster than changing the whole batch and
    selecting: only what is asked for is moved.
    """
    rest = list(range(2, sample.shape.rank))
    changes = (
        lambda x: tf.transpose(x, [1, 0, *rest]),
        lambda x: tf.reverse(x, [0]),
        lambda x: tf.reverse(x, [1]),
    )
    for bit, change in enumerate(changes):
        is_set = tf.bitwise.bitwise_and(symmetry, 1 << bit) > 0
        sample = tf.cond(is_set, partial(change, sample), partial(tf.identity, sample))
    return sample


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
    # An integer says at once whether all bands are 0; a float has two zeros.
    pixels = images if images.dtype.is_floating else _view_pixels(images)
    # XLA compiles for the device that it finds; input is made on the host even if there is a GPU.
    with tf.device("/CPU:0"):
        return tf.stack(
            [
                _scale(image, pixel, factor, shift)
                for image, pixel, factor, shift in zip(
                    *map(tf.unstack, (images, pixels, contrast, offset)), strict=True
                )
            ]
        )


@tf.function(jit_compile=True)
def _scale(image: tf.Tensor, pixels: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """image * factor + shift for one image [H, W, C] and shift [C], in the dtype of the image.

    Compiled, because all of it is then one loop over the bytes; rows are one long axis in it, or
    the few bands would break it up. Image by image, so that nothing depends on the batch.

    Args:
        image: [H, W, C].
        pixels: the same, or one integer for each pixel [H, W].
        factor: float32 scalar.
        shift: float32 [C].
    """
    rows = tf.reshape(image, [image.shape[0], -1])
    scaled = tf.cast(rows, tf.float32) * factor + tf.tile(shift, image.shape[1:2])
    if not image.dtype.is_floating:
        # Half is added and the rest cut off, which casting does by itself above 0.
        scaled = tf.clip_by_value(scaled + 0.5, float(image.dtype.min), float(image.dtype.max))
        scaled = tf.cast(scaled if image.dtype.min == 0 else tf.floor(scaled), image.dtype)
    scaled = tf.reshape(scaled, image.shape)
    is_missing = pixels == 0 if pixels.shape.rank == 2 else tf.reduce_all(pixels == 0, axis=-1)
    # Most crops have no missing pixel, and masking costs more than all the rest.
    return tf.cond(
        tf.reduce_any(is_missing),
        lambda: tf.where(is_missing[..., None], tf.zeros([], image.dtype), scaled),
        lambda: scaled,
    )
