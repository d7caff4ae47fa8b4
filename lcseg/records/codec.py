"""Chips to serialized tf.train.Examples and back.

record = encode_chip(spec, chip)
decode_chip(spec, record) == chip
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from lcseg.errors import LcsegError
from lcseg.records import spec as keys
from lcseg.records.example import Example
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.statistics import count_classes

_ZLIB_LEVEL = 1
"""Higher ones take twice the time and gain a few hundredths."""

Features = dict[str, Any]


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
    example = Example()
    features = example.features.feature
    texts = {
        keys.IMAGE: _pack(spec, chip.image_hwc.astype(_stored_dtype(spec), copy=False)),
        keys.LABEL: _pack(spec, chip.label_hw),
        keys.SOURCE: chip.source.encode(),
        keys.TRANSFORM: np.array(chip.transform, "<f8").tobytes(),
        keys.CRS: chip.crs.encode(),
        keys.DATE: chip.date.encode(),
    }
    numbers = {
        keys.SHAPE: spec.image_shape,
        keys.ROW: (chip.row,),
        keys.COL: (chip.col,),
        keys.HISTOGRAM: count_classes(chip.label_hw, spec.classes).tolist(),
    }
    for key, text in texts.items():
        features[key].bytes_list.value.append(text)
    for key, values in numbers.items():
        features[key].int64_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def decode_chip(spec: RecordSpec, record: bytes) -> Chip:
    """Read a record back; what does not fit the spec is an LcsegError that names the key."""
    features = parse_features(record)
    shape = _read_integers(features, keys.SHAPE, 3)
    (row,), (col,) = (_read_integers(features, key, 1) for key in (keys.ROW, keys.COL))
    if shape != spec.image_shape:
        raise LcsegError(keys.SHAPE, f"is {shape}, the data set's is {spec.image_shape}")
    image = _unpack(spec, features, keys.IMAGE, shape, _stored_dtype(spec))
    label_hw = _unpack(spec, features, keys.LABEL, shape[:2], np.dtype(np.uint8))
    counts = tuple(count_classes(label_hw, spec.classes).tolist())
    found = _read_integers(features, keys.HISTOGRAM, spec.classes + 1)
    if found != counts:
        raise LcsegError(keys.HISTOGRAM, f"is {found}, the label holds {counts}")
    return Chip(
        image.astype(spec.dtype, copy=False),
        label_hw,
        _read_text(features, keys.SOURCE),
        row,
        col,
        tuple(_read_array(features, keys.TRANSFORM, (6,), np.dtype("<f8")).tolist()),
        _read_text(features, keys.CRS),
        _read_text(features, keys.DATE),
    )


def read_histogram(spec: RecordSpec, record: bytes) -> np.ndarray:
    """The labelled pixels of each class and, last, the ignored ones, without decoding a pixel.

    Returns:
        int64 [classes + 1].
    """
    counts = _read_integers(parse_features(record), keys.HISTOGRAM, spec.classes + 1)
    return np.array(counts, np.int64)


def parse_features(record: bytes) -> Features:
    """The features of a record by their keys."""
    try:
        return dict(Example.FromString(record).features.feature)
    except DecodeError as error:
        raise LcsegError("record", f"is not a tf.train.Example: {error}") from error


def _stored_dtype(spec: RecordSpec) -> np.dtype:
    return np.dtype(spec.dtype).newbyteorder("<")


def _pack(spec: RecordSpec, values: np.ndarray) -> bytes:
    pixels = values.tobytes()
    return zlib.compress(pixels, _ZLIB_LEVEL) if spec.compression == "zlib" else pixels


def _unpack(
    spec: RecordSpec, features: Features, key: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    if spec.compression == "none":
        return _read_array(features, key, shape, dtype)
    try:
        return _shape(key, zlib.decompress(_read_bytes(features, key)), shape, dtype)
    except zlib.error as error:
        raise LcsegError(key, f"is not compressed with zlib: {error}") from error


def _read_array(
    features: Features, key: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    return _shape(key, _read_bytes(features, key), shape, dtype)


def _shape(key: str, values: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    expected = math.prod(shape) * dtype.itemsize
    if len(values) != expected:
        raise LcsegError(
            key, f"has {len(values):,} bytes, {shape} of {dtype.name} takes {expected:,}"
        )
    return np.frombuffer(values, dtype).reshape(shape)


def _read_text(features: Features, key: str) -> str:
    try:
        return _read_bytes(features, key).decode()
    except UnicodeDecodeError as error:
        raise LcsegError(key, f"is not UTF-8: {error}") from error


def _read_integers(features: Features, key: str, n: int) -> tuple[int, ...]:
    values = tuple(_feature(features, key).int64_list.value)
    if len(values) != n:
        raise LcsegError(key, f"holds {len(values)} integers, expected {n}")
    return values


def _read_bytes(features: Features, key: str) -> bytes:
    values = _feature(features, key).bytes_list.value
    if len(values) != 1:
        raise LcsegError(key, f"holds {len(values)} values, expected one")
    return values[0]


def _feature(features: Features, key: str) -> Any:
    if key not in features:
        raise LcsegError(key, "is not in the record")
    return features[key]
