"""Records to tensors, inside tf.data.

image_hwc, label_hw, histogram = parse_chip(spec, record)
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from lcseg.records import spec as keys
from lcseg.records.spec import RecordSpec


def parse_chip(spec: RecordSpec, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Parse a scalar string tensor.

    Returns:
        Image [H, W, C] of the spec's dtype, label uint8 [H, W], histogram int64 [classes + 1].

    Raises:
        tf.errors.InvalidArgumentError: the record does not fit the spec; it names the key.
        tf.errors.OpError: a value is no zlib stream where the spec says so.
    """
    wanted = {key: tf.io.FixedLenFeature([], tf.string) for key in (keys.IMAGE, keys.LABEL)}
    wanted[keys.HISTOGRAM] = tf.io.FixedLenFeature([spec.classes + 1], tf.int64)
    features = tf.io.parse_single_example(record, wanted)
    if spec.compression == "zlib":
        # It knows no limit to what a stream expands to; `lcseg inspect` finds those that lie.
        for key in (keys.IMAGE, keys.LABEL):
            features[key] = tf.io.decode_compressed(features[key], "ZLIB")
    return (
        _parse_array(features, keys.IMAGE, spec.image_shape, spec.dtype),
        _parse_array(features, keys.LABEL, spec.image_shape[:2], "uint8"),
        features[keys.HISTOGRAM],
    )


def _parse_array(
    features: dict[str, tf.Tensor], key: str, shape: tuple[int, ...], dtype: str
) -> tf.Tensor:
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    has_size = tf.debugging.assert_equal(
        tf.strings.length(features[key]), expected, f"{key}: wrong size for {shape} of {dtype}"
    )
    with tf.control_dependencies([has_size]):
        return tf.reshape(tf.io.decode_raw(features[key], dtype, little_endian=True), shape)
