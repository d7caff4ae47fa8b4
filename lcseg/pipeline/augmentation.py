"""Random changes to crops that leave the truth of their labels: symmetries and light.

    images, labels = apply_d4(images_nhwc, labels_nhw, symmetry_n)
    images = shift_light(images_nhwc, contrast_n, brightness_nc, mean_c, std_c)

Nothing here draws a number: the caller passes in what was drawn.
"""

from __future__ import annotations

from functools import partial

import tensorflow as tf

SYMMETRIES = 8


def apply_d4(
    images: tf.Tensor, labels: tf.Tensor, symmetry: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply one of the 8 symmetries of the square to each sample, image and label alike.

    Args:
        images: [N, S, S, C] of any dtype.
        labels: [N, S, S] of any dtype.
        symmetry: int [N], 0 .. 7; bit 0 transposes, bit 1 mirrors rows, bit 2 mirrors columns.
    """
    turned = [
        (_turn(image, number), _turn(label, number))
        for image, label, number in zip(
            tf.unstack(images), tf.unstack(labels), tf.unstack(symmetry), strict=True
        )
    ]
    new_images, new_labels = zip(*turned, strict=True)
    return tf.stack(new_images), tf.stack(new_labels)


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
    return tf.stack(
        [
            _scale(image, factor, shift)
            for image, factor, shift in zip(
                tf.unstack(images), tf.unstack(contrast), tf.unstack(offset), strict=True
            )
        ]
    )


def _scale(image: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """image * factor + shift for one image [H, W, C] and shift [C], in the dtype of the image.

    Image by image the numbers stay in the processor's cache, and with rows as one long axis the
    arithmetic is not broken up by the few bands: together more than twice as fast as the batch.
    """
    rows = tf.reshape(image, [image.shape[0], -1])
    scaled = tf.cast(rows, tf.float32) * factor + tf.tile(shift, image.shape[1:2])
    if not image.dtype.is_floating:
        # Half is added and the rest cut off, which casting does by itself above 0.
        scaled = tf.clip_by_value(scaled + 0.5, float(image.dtype.min), float(image.dtype.max))
        scaled = tf.cast(scaled if image.dtype.min == 0 else tf.floor(scaled), image.dtype)
    is_present = tf.reduce_any(image != 0, axis=-1, keepdims=True)
    return tf.where(is_present, tf.reshape(scaled, image.shape), image)
