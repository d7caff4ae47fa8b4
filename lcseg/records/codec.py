"""Chips to serialized tf.train.Examples and back, in numpy and inside tf.data.

record = encode_chip(spec, chip)
decode_chip(spec, record) == chip
image_hwc, label_hw = parse_pixels(spec, record_tensor)
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from lcseg.errors import LcsegError
from lcseg.records import spec as keys
from lcseg.records.spec import Chip, RecordSpec


def encode_chip(spec: RecordSpec, chip: Chip) -> bytes:
    """Serialize a chip.

    Raises:
        ValueError: the chip does not fit the spec.
    """
    if chip.image_hwc.shape != spec.image_shape or chip.image_hwc.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"image {chip.image_hwc.shape} {chip.image_hwc.dtype}, "
            f"spec {spec.image_shape} {spec.dtype}"
        )
    if chip.label_hw.shape != spec.image_shape[:2] or chip.label_hw.dtype != np.uint8:
        raise ValueError(f"label {chip.label_hw.shape} {chip.label_hw.dtype}, spec {spec.chip_px}")
    image = chip.image_hwc.astype(_stored_dtype(spec), copy=False)
    features = {
        keys.IMAGE: _bytes(image.tobytes()),
        keys.LABEL: _bytes(chip.label_hw.tobytes()),
        keys.SHAPE: _integers(*spec.image_shape),
        keys.SOURCE: _bytes(chip.source.encode()),
        keys.ROW: _integers(chip.row),
        keys.COL: _integers(chip.col),
        keys.TRANSFORM: _bytes(np.array(chip.transform, "<f8").tobytes()),
        keys.CRS: _bytes(chip.crs.encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def decode_chip(spec: RecordSpec, record: bytes) -> Chip:
    """Read a record back; what does not fit the spec is an LcsegError that names the key."""
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise LcsegError("record", f"is not a tf.train.Example: {error}") from error
    shape = _read_integers(features, keys.SHAPE, 3)
    (row,), (col,) = (_read_integers(features, key, 1) for key in (keys.ROW, keys.COL))
    if shape != spec.image_shape:
        raise LcsegError(keys.SHAPE, f"is {shape}, the data set's is {spec.image_shape}")
    image = _read_array(features, keys.IMAGE, shape, _stored_dtype(spec))
    return Chip(
        image.astype(spec.dtype, copy=False),
        _read_array(features, keys.LABEL, shape[:2], np.dtype(np.uint8)),
        _read_text(features, keys.SOURCE),
        row,
        col,
        tuple(_read_array(features, keys.TRANSFORM, (6,), np.dtype("<f8")).tolist()),
        _read_text(features, keys.CRS),
    )


def parse_pixels(spec: RecordSpec, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse a scalar string tensor into image [H, W, C] of the spec's dtype and label [H, W].

    Raises:
        tf.errors.InvalidArgumentError: the record does not fit the spec; it names the key.
    """
    wanted = {key: tf.io.FixedLenFeature([], tf.string) for key in (keys.IMAGE, keys.LABEL)}
    features = tf.io.parse_single_example(record, wanted)
    return (
        _parse_array(features, keys.IMAGE, spec.image_shape, spec.dtype),
        _parse_array(features, keys.LABEL, spec.image_shape[:2], "uint8"),
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


def _stored_dtype(spec: RecordSpec) -> np.dtype:
    return np.dtype(spec.dtype).newbyteorder("<")


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _read_array(
    features: dict[str, tf.train.Feature], key: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    values = _read_bytes(features, key)
    expected = math.prod(shape) * dtype.itemsize
    if len(values) != expected:
        raise LcsegError(
            key, f"has {len(values):,} bytes, {shape} of {dtype.name} takes {expected:,}"
        )
    return np.frombuffer(values, dtype).reshape(shape)


def _read_text(features: dict[str, tf.train.Feature], key: str) -> str:
    try:
        return _read_bytes(features, key).decode()
    except UnicodeDecodeError as error:
        raise LcsegError(key, f"is not UTF-8: {error}") from error


def _read_integers(features: dict[str, tf.train.Feature], key: str, n: int) -> tuple[int, ...]:
    values = tuple(features[key].int64_list.value)
    if len(values) != n:
        raise LcsegError(key, f"holds {len(values)} integers, expected {n}")
    return values


def _read_bytes(features: dict[str, tf.train.Feature], key: str) -> bytes:
    values = features[key].bytes_list.value
    if len(values) != 1:
        raise LcsegError(key, f"holds {len(values)} values, expected one")
    return values[0]
