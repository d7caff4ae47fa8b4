"""The features of a record, by key; what is not there or of another kind is an LcsegError.

features = parse_features(record)
(row,) = read_integers(features, "row", 1)
crs = read_text(features, "crs")
label_hw = read_array(features, "label", (256, 256), np.dtype("uint8"), compression="zlib")
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from lcseg.errors import LcsegError
from lcseg.records.example import Example

Features = dict[str, Any]
"""Protobuf's `Feature` messages by their keys."""


def parse_features(record: bytes) -> Features:
    """Parse a serialized tf.train.Example."""
    try:
        return dict(Example.FromString(record).features.feature)
    except DecodeError as error:
        raise LcsegError("record", f"is not a tf.train.Example: {error}") from error


def read_integers(features: Features, key: str, n: int) -> tuple[int, ...]:
    """Read `n` integers."""
    values = tuple(_find(features, key).int64_list.value)
    if len(values) != n:
        raise LcsegError(key, f"holds {len(values)} integers, expected {n}")
    return values


def read_text(features: Features, key: str) -> str:
    """Read a text."""
    try:
        return _read_bytes(features, key).decode()
    except UnicodeDecodeError as error:
        raise LcsegError(key, f"is not UTF-8: {error}") from error


def read_array(
    features: Features,
    key: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    compression: str = "none",
) -> np.ndarray:
    """Read an array, which may be a view of the record; no more memory is taken than it needs."""
    values, size = _read_bytes(features, key), math.prod(shape) * dtype.itemsize
    if compression == "zlib":
        values = _expand(key, values, size)
    if len(values) != size:
        raise LcsegError(key, f"has {len(values):,} bytes, {shape} of {dtype.name} takes {size:,}")
    return np.frombuffer(values, dtype).reshape(shape)


def _expand(key: str, stream: bytes, size: int) -> bytes:
    """Expand the zlib stream of a key, which has to end by `size` bytes; no more are made."""
    expander = zlib.decompressobj()
    try:
        # One byte more than allowed: a stream that is longer must not be expanded to its end.
        values = expander.decompress(stream, size + 1)
    except zlib.error as error:
        raise LcsegError(key, f"is not compressed with zlib: {error}") from error
    if len(values) > size:
        raise LcsegError(key, f"expands to more than {size:,} bytes")
    if not expander.eof or expander.unused_data:
        raise LcsegError(key, "is not one whole zlib stream")
    return values


def _read_bytes(features: Features, key: str) -> bytes:
    values = _find(features, key).bytes_list.value
    if len(values) != 1:
        raise LcsegError(key, f"holds {len(values)} values, expected one")
    return bytes(values[0])


def _find(features: Features, key: str) -> Any:
    if key not in features:
        raise LcsegError(key, "is not in the record")
    return features[key]
