"""Chips to serialized tf.train.Examples and back.

record = encode_chip(spec, chip)
decode_chip(spec, record) == chip
read_histogram(spec, record)                   # int64 [classes + 1], without decoding a pixel
"""

from __future__ import annotations

import zlib

import numpy as np

from lcseg.errors import LcsegError
from lcseg.records import spec as keys
from lcseg.records.example import Example
from lcseg.records.features import parse_features, read_array, read_integers, read_text
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.statistics import count_classes

_ZLIB_LEVEL = 1
"""Higher ones take twice the time and gain a few hundredths; see benchmarks/compression.py."""

_TRANSFORM = np.dtype("<f8")


def encode_chip(spec: RecordSpec, chip: Chip, counts: np.ndarray | None = None) -> bytes:
    """Serialize a chip; the same chip gives the same bytes.

    Args:
        spec: what the chip is to fit.
        chip: what to write.
        counts: of its label by `count_classes`, where they are known already.

    Raises:
        ValueError: the chip does not fit the spec.
    """
    histogram = _check_fit(spec, chip, counts)
    example = Example()
    features = example.features.feature
    texts = {
        keys.IMAGE: _pack(spec, chip.image_hwc.astype(_stored_dtype(spec), copy=False)),
        keys.LABEL: _pack(spec, chip.label_hw),
        keys.SOURCE: chip.source.encode(),
        keys.TRANSFORM: np.array(chip.transform, _TRANSFORM).tobytes(),
        keys.CRS: chip.crs.encode(),
        keys.DATE: chip.date.encode(),
    }
    numbers = {
        keys.SHAPE: spec.image_shape,
        keys.ROW: (chip.row,),
        keys.COL: (chip.col,),
        keys.HISTOGRAM: histogram,
    }
    for key, text in texts.items():
        features[key].bytes_list.value.append(text)
    for key, values in numbers.items():
        features[key].int64_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def decode_chip(spec: RecordSpec, record: bytes) -> Chip:
    """Read a record back; what does not fit the spec is an LcsegError that names the key."""
    features = parse_features(record)
    shape = read_integers(features, keys.SHAPE, 3)
    if shape != spec.image_shape:
        raise LcsegError(keys.SHAPE, f"is {shape}, the data set's is {spec.image_shape}")
    image = read_array(features, keys.IMAGE, shape, _stored_dtype(spec), spec.compression)
    label_hw = read_array(features, keys.LABEL, shape[:2], np.dtype(np.uint8), spec.compression)
    counts = tuple(count_classes(label_hw, spec.classes).tolist())
    if sum(counts) != label_hw.size:
        raise LcsegError(keys.LABEL, f"holds values that are neither below {spec.classes} nor 255")
    told = read_integers(features, keys.HISTOGRAM, spec.classes + 1)
    if told != counts:
        raise LcsegError(keys.HISTOGRAM, f"is {told}, the label holds {counts}")
    (row,), (col,) = (read_integers(features, key, 1) for key in (keys.ROW, keys.COL))
    return Chip(
        image.astype(spec.dtype, copy=False),
        label_hw,
        read_text(features, keys.SOURCE),
        row,
        col,
        tuple(read_array(features, keys.TRANSFORM, (6,), _TRANSFORM).tolist()),
        read_text(features, keys.CRS),
        read_text(features, keys.DATE),
    )


def read_histogram(spec: RecordSpec, record: bytes) -> np.ndarray:
    """Read the labelled pixels of each class and, last, the ignored ones.

    Returns:
        int64 [classes + 1]; no pixel is decoded for it.
    """
    counts = read_integers(parse_features(record), keys.HISTOGRAM, spec.classes + 1)
    return np.array(counts, np.int64)


def _check_fit(spec: RecordSpec, chip: Chip, counts: np.ndarray | None) -> list[int]:
    """Refuse a chip that does not fit; returns its class histogram."""
    image_hwc, label_hw = chip.image_hwc, chip.label_hw
    if image_hwc.shape != spec.image_shape or image_hwc.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"image {image_hwc.shape} {image_hwc.dtype}, spec {spec.image_shape} {spec.dtype}"
        )
    if label_hw.shape != spec.image_shape[:2] or label_hw.dtype != np.uint8:
        raise ValueError(f"label {label_hw.shape} {label_hw.dtype}, spec {spec.chip_px}")
    known = count_classes(label_hw, spec.classes) if counts is None else counts
    histogram: list[int] = known.tolist()
    if sum(histogram) != label_hw.size:
        raise ValueError(f"label holds values that are neither below {spec.classes} nor 255")
    if len(chip.transform) != 6:
        raise ValueError(f"transform has {len(chip.transform)} numbers, expected 6")
    return histogram


def _stored_dtype(spec: RecordSpec) -> np.dtype:
    return np.dtype(spec.dtype).newbyteorder("<")


def _pack(spec: RecordSpec, values: np.ndarray) -> bytes:
    pixels = values.tobytes()
    return zlib.compress(pixels, _ZLIB_LEVEL) if spec.compression == "zlib" else pixels
