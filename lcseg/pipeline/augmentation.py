"""Random changes to crops that leave the truth of their labels: symmetries and light.

    images, labels = apply_d4(images_nhwc, labels_nhw, symmetry_n)
    images = shift_light(images_nhwc, contrast_n, brightness_nc, mean_c, std_c)

Nothing here draws a number: the caller passes in what was drawn.
"""

from __future__ import annotations

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
    is_set = [tf.bitwise.bitwise_and(symmetry, bit) > 0 for bit in (1, 2, 4)]

    def turned(batch: tf.Tensor, mirrored: list[tf.Tensor]) -> tf.Tensor:
        rank = [1] * (batch.shape.rank - 1)
        for chosen, change in zip(is_set, mirrored, strict=True):
            batch = tf.where(tf.reshape(chosen, [-1, *rank]), change(batch), batch)
        return batch

    flips = [lambda batch: tf.reverse(batch, [1]), lambda batch: tf.reverse(batch, [2])]
    return (
        turned(images, [lambda batch: tf.transpose(batch, [0, 2, 1, 3]), *flips]),
        turned(labels, [lambda batch: tf.transpose(batch, [0, 2, 1]), *flips]),
    )


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
        of `images`.
    """
    factor = contrast[:, None, None, None]
    offset = (mean * (1 - contrast[:, None]) + brightness * std)[:, None, None, :]
    shifted = tf.cast(images, tf.float32) * factor + offset
    if images.dtype.is_floating:
        return shifted
    low, high = float(images.dtype.min), float(images.dtype.max)
    # Half is added and the rest cut off: cheaper than rounding, and the same for what is positive.
    return tf.cast(tf.floor(tf.clip_by_value(shifted + 0.5, low, high)), images.dtype)
