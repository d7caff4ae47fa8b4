"""Chips to serialized tf.train.Examples and back, in numpy and inside tf.data.

record = encode_chip(spec, chip)
decode_chip(spec, record) == chip
image_hwc, label_hw = parse_pixels(spec, record_tensor)
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

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
    features = tf.train.Example.FromString(record).features.feature
    image = _only_bytes(features, keys.IMAGE)
    label = _only_bytes(features, keys.LABEL)
    shape = tuple(features[keys.SHAPE].int64_list.value)
    if shape != spec.image_shape:
        raise LcsegError(keys.SHAPE, f"is {shape}, the data set's is {spec.image_shape}")
    stored = _stored_dtype(spec)
    if len(image) != np.prod(shape) * stored.itemsize or len(label) != shape[0] * shape[1]:
        raise LcsegError(keys.IMAGE, f"{len(image)} bytes, label {len(label)}, for shape {shape}")
    return Chip(
        np.frombuffer(image, stored).reshape(shape).astype(spec.dtype, copy=False),
        np.frombuffer(label, np.uint8).reshape(shape[:2]),
        _only_bytes(features, keys.SOURCE).decode(),
        features[keys.ROW].int64_list.value[0],
        features[keys.COL].int64_list.value[0],
        tuple(np.frombuffer(_only_bytes(features, keys.TRANSFORM), "<f8").tolist()),
        _only_bytes(features, keys.CRS).decode(),
    )


def parse_pixels(spec: RecordSpec, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse a scalar string tensor into image [H, W, C] of the spec's dtype and label [H, W]."""
    wanted = {key: tf.io.FixedLenFeature([], tf.string) for key in (keys.IMAGE, keys.LABEL)}
    features = tf.io.parse_single_example(record, wanted)
    image = tf.io.decode_raw(features[keys.IMAGE], spec.dtype, little_endian=True)
    label = tf.io.decode_raw(features[keys.LABEL], tf.uint8)
    return tf.reshape(image, spec.image_shape), tf.reshape(label, spec.image_shape[:2])


def _stored_dtype(spec: RecordSpec) -> np.dtype:
    return np.dtype(spec.dtype).newbyteorder("<")


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _only_bytes(features: dict[str, tf.train.Feature], key: str) -> bytes:
    values = features[key].bytes_list.value
    if len(values) != 1:
        raise LcsegError(key, f"holds {len(values)} values, expected one")
    return values[0]
