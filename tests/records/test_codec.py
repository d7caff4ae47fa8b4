"""Chips to records and back, held against each other and against the bytes of the contract."""

import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lcseg.errors import LcsegError
from lcseg.records.codec import decode_chip, encode_chip, read_histogram
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.statistics import count_classes

DTYPES = ("uint8", "uint16", "int16", "float32")
SPEC = RecordSpec(4, 2, "uint16", 4)
SMALL = replace(SPEC, compression="zlib")


@st.composite
def specs_and_chips(draw) -> tuple[RecordSpec, Chip]:
    """A chip of any pixels, the extremes of its dtype included, at any place."""
    spec = RecordSpec(
        draw(st.integers(1, 9)),
        draw(st.integers(1, 16)),
        draw(st.sampled_from(DTYPES)),
        draw(st.integers(1, 254)),
        draw(st.sampled_from(["none", "zlib"])),
    )
    labels = st.sampled_from([*range(spec.classes), 255])
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    chip = Chip(
        draw(arrays.arrays(spec.dtype, spec.image_shape)),
        draw(arrays.arrays(np.uint8, spec.image_shape[:2], elements=labels)),
        draw(st.text(max_size=20)),
        draw(st.integers(-(2**40), 2**40)),
        draw(st.integers(-(2**40), 2**40)),
        draw(st.tuples(*[numbers] * 6)),
        draw(st.text(max_size=20)),
        draw(st.sampled_from(["", "2023-06-15", "2023-06-15T10:20:30+02:00"])),
    )
    return spec, chip


def make_chip(spec: RecordSpec = SPEC, seed: int = 0) -> Chip:
    random = np.random.default_rng(seed)
    return Chip(
        random.integers(0, 127, spec.image_shape).astype(spec.dtype),
        random.integers(0, 4, spec.image_shape[:2]).astype(np.uint8),
        "scene-1",
        256,
        512,
        (0.5, 0.0, 400_000.0, 0.0, -0.5, 4_300_000.0),
        "EPSG:26918",
        "2023-06-15",
    )


def altered(key: str, value: bytes | list[int] | None, spec: RecordSpec = SPEC) -> bytes:
    """A good record in which one key holds something else, or is gone."""
    example = tf.train.Example.FromString(encode_chip(spec, make_chip()))
    feature = example.features.feature
    feature.pop(key, None)
    if isinstance(value, bytes):
        feature[key].bytes_list.value.append(value)
    elif value is not None:
        feature[key].int64_list.value.extend(value)
    return example.SerializeToString()


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: bytes) -> bytes:
    """One field of a protocol buffers message, put together by hand."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def test_chip_goes_into_a_record_and_comes_back():
    spec = RecordSpec(chip_px=16, bands=4, dtype="uint8", classes=4)
    chip = make_chip(spec)
    record = encode_chip(spec, chip)
    assert decode_chip(spec, record) == chip
    counts = [np.sum(chip.label_hw == label) for label in (0, 1, 2, 3, 255)]
    assert read_histogram(spec, record).tolist() == counts


@settings(deadline=None, max_examples=80)
@given(specs_and_chips())
def test_any_chip_comes_back_bit_for_bit(case):
    spec, chip = case
    back = decode_chip(spec, encode_chip(spec, chip))
    # As bytes: the pixels may be NaN, which is not equal to itself.
    assert back.image_hwc.tobytes() == chip.image_hwc.tobytes()
    assert back.image_hwc.dtype == np.dtype(spec.dtype)
    blank = np.zeros(0)
    assert replace(back, image_hwc=blank) == replace(chip, image_hwc=blank)


def test_pixels_lie_in_a_record_in_rows_and_little_endian():
    image_hwc = np.array([[[0x0102, 0x0304], [5, 6]], [[7, 8], [9, 10]]], np.uint16)
    chip = replace(
        make_chip(), image_hwc=image_hwc, label_hw=np.array([[0, 1], [2, 255]], np.uint8)
    )
    record = encode_chip(RecordSpec(2, 2, "uint16", 3), chip)
    assert bytes.fromhex("0201 0403 0500 0600 0700 0800 0900 0a00") in record
    assert bytes.fromhex("00 01 02 ff") in record


def test_image_of_the_other_byte_order_is_refused():
    chip = make_chip()
    swapped = replace(chip, image_hwc=chip.image_hwc.astype(">u2"))
    with pytest.raises(ValueError, match=">u2, spec"):
        encode_chip(SPEC, swapped)


def hand_made(spec: RecordSpec, pixels: bytes, label: bytes) -> list[bytes]:
    """The entries of the record of a chip of one pixel, in the order of their keys."""

    def entry(key: str, kind: int, value: bytes) -> bytes:
        return field(1, field(1, key.encode()) + field(2, field(kind, field(1, value))))

    one, zero = bytes.fromhex("000000000000f03f"), bytes(8)
    minus_two = b"\xfe" + 8 * b"\xff" + b"\x01"
    return [
        entry("col", 3, varint(300)),
        entry("crs", 1, b""),
        entry("date", 1, b"2023"),
        entry("histogram", 3, b"\x00" * 3 + b"\x01" + b"\x00" * (spec.classes - 3)),
        entry("image", 1, pixels),
        entry("label", 1, label),
        entry("row", 3, minus_two),
        entry("shape", 3, b"\x01\x01\x01"),
        entry("source", 1, "ß".encode()),
        entry("transform", 1, one + 3 * zero + one + zero),
    ]


def test_record_is_the_bytes_of_the_contract():
    spec = RecordSpec(1, 1, "int16", 4)
    image_hwc, label_hw = np.array([[[-2]]], np.int16), np.array([[3]], np.uint8)
    chip = Chip(image_hwc, label_hw, "ß", -2, 300, (1, 0, 0, 0, 1, 0), "", "2023")
    entries = hand_made(spec, b"\xfe\xff", b"\x03")
    assert encode_chip(spec, chip) == field(1, b"".join(entries))
    assert decode_chip(spec, field(1, b"".join(reversed(entries)))) == chip
    # Any zlib stream will do, of whatever level.
    packed = hand_made(spec, zlib.compress(b"\xfe\xff", 9), zlib.compress(b"\x03", 0))
    assert decode_chip(replace(spec, compression="zlib"), field(1, b"".join(packed))) == chip


@settings(deadline=None, max_examples=40)
@given(specs_and_chips())
def test_record_is_what_tensorflow_would_have_written(case):
    record = encode_chip(*case)
    assert tf.train.Example.FromString(record).SerializeToString(deterministic=True) == record


def test_same_chip_gives_the_same_bytes():
    for spec in (SPEC, SMALL):
        assert encode_chip(spec, make_chip()) == encode_chip(spec, make_chip())


def test_counts_that_are_known_are_taken():
    chip = make_chip()
    counts = count_classes(chip.label_hw, SPEC.classes)
    assert encode_chip(SPEC, chip, counts) == encode_chip(SPEC, chip)
    with pytest.raises(ValueError, match="neither below 4 nor 255"):
        encode_chip(SPEC, replace(chip, label_hw=chip.label_hw + 4), counts * 0)


def test_compression_touches_image_and_label_alone():
    spec = replace(SMALL, chip_px=64)
    plain, packed = (
        tf.train.Example.FromString(encode_chip(s, make_chip(spec))).features.feature
        for s in (replace(spec, compression="none"), spec)
    )
    for key in plain:
        values = packed[key].bytes_list.value
        if key in ("image", "label"):
            assert zlib.decompress(values[0]) == plain[key].bytes_list.value[0]
            assert len(values[0]) < 0.7 * len(plain[key].bytes_list.value[0])
        else:
            assert packed[key] == plain[key]


def test_keys_of_a_later_minor_version_are_passed_over():
    record = altered("cloud_share", [3])
    assert decode_chip(SPEC, record) == make_chip()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "image_hwc",
            np.zeros((4, 4, 3), np.uint16),
            r"image \(4, 4, 3\) uint16, spec \(4, 4, 2\)",
        ),
        ("image_hwc", np.zeros((4, 4, 2), np.int16), r"\(4, 4, 2\) int16, spec .* uint16"),
        ("label_hw", np.zeros((4, 3), np.uint8), r"label \(4, 3\) uint8, spec 4"),
        ("label_hw", np.zeros((4, 4), np.int64), r"label \(4, 4\) int64"),
        ("label_hw", np.full((4, 4), 4, np.uint8), "neither below 4 nor 255"),
        ("transform", (1.0, 0.0), "transform has 2 numbers, expected 6"),
    ],
)
def test_chip_that_does_not_fit_the_spec_is_not_encoded(field, value, message):
    with pytest.raises(ValueError, match=message):
        encode_chip(SPEC, replace(make_chip(), **{field: value}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, bands=3), r"shape: is \(4, 4, 2\), the data set's is \(4, 4, 3\)"),
        (replace(SPEC, chip_px=8), r"shape: is \(4, 4, 2\), the data set's is \(8, 8, 2\)"),
        (replace(SPEC, dtype="uint8"), r"image: has 64 bytes, \(4, 4, 2\) of uint8 takes 32"),
        (replace(SPEC, dtype="float32"), r"image: has 64 bytes, \(4, 4, 2\) of float32 takes 128"),
        (replace(SPEC, classes=3), "label: holds values that are neither below 3 nor 255"),
        (replace(SPEC, classes=5), "histogram: holds 5 integers, expected 6"),
        (SMALL, "image: is not compressed with zlib: Error -3"),
    ],
)
def test_record_of_another_spec_is_refused_with_the_key_that_differs(spec, message):
    with pytest.raises(LcsegError, match=message):
        decode_chip(spec, encode_chip(SPEC, make_chip()))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", b"123", "image: has 3 bytes"),
        ("image", None, "image: is not in the record"),
        ("image", [1, 2], "image: holds 0 values"),
        ("label", b"123", r"label: has 3 bytes, \(4, 4\) of uint8 takes 16"),
        ("label", None, "label: is not in the record"),
        ("label", bytes([9] * 16), "label: holds values that are neither below 4 nor 255"),
        ("label", bytes(16), r"histogram: is \(.*\), the label holds \(16, 0, 0, 0, 0\)"),
        ("histogram", [16, 0, 0, 0, 0], r"histogram: is \(16, 0, 0, 0, 0\), the label holds"),
        ("histogram", None, "histogram: is not in the record"),
        ("histogram", [16], "histogram: holds 1 integers, expected 5"),
        ("shape", [4, 4], "shape: holds 2 integers, expected 3"),
        ("shape", None, "shape: is not in the record"),
        ("row", None, "row: is not in the record"),
        ("row", b"5", "row: holds 0 integers, expected 1"),
        ("col", [1, 2], "col: holds 2 integers, expected 1"),
        ("transform", bytes(40), "transform: has 40 bytes"),
        ("source", b"\xff", "source: is not UTF-8"),
        ("crs", [5], "crs: holds 0 values, expected one"),
        ("date", None, "date: is not in the record"),
        ("date", b"\xc3", "date: is not UTF-8"),
    ],
)
def test_damaged_record_is_refused_with_the_key_at_fault(key, value, message):
    with pytest.raises(LcsegError, match=message):
        decode_chip(SPEC, altered(key, value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (zlib.compress(bytes(15)), r"label: has 15 bytes, \(4, 4\) of uint8 takes 16"),
        (zlib.compress(bytes(17)), "label: expands to more than 16 bytes"),
        (zlib.compress(bytes(16))[:-1], "label: is not one whole zlib stream"),
        (zlib.compress(bytes(16)) + b"!", "label: is not one whole zlib stream"),
        (zlib.compress(bytes(16))[:-1] + b"!", "label: is not compressed with zlib: .*check"),
        (bytes(16), "label: is not compressed with zlib"),
        (b"", "label: is not one whole zlib stream"),
    ],
)
def test_damaged_stream_is_refused_with_the_key_at_fault(value, message):
    with pytest.raises(LcsegError, match=message):
        decode_chip(SMALL, altered("label", value, SMALL))


def test_stream_that_would_expand_to_a_hundred_megabytes_is_refused_before_it_does():
    record = altered("image", zlib.compress(bytes(10**8)), SMALL)
    tracemalloc.start()
    with pytest.raises(LcsegError, match="image: expands to more than 64 bytes"):
        decode_chip(SMALL, record)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10**6


def test_histogram_is_read_without_decoding_a_pixel():
    record = altered("image", b"no pixels")
    assert read_histogram(SPEC, record).sum() == 16
    with pytest.raises(LcsegError, match="histogram: holds 5 integers, expected 8"):
        read_histogram(replace(SPEC, classes=7), record)


@pytest.mark.parametrize("spec", [SPEC, SMALL])
def test_truncated_record_is_refused(spec):
    record = encode_chip(spec, make_chip())
    for length in range(len(record)):
        with pytest.raises(LcsegError, match=r"^(record: is not a tf.train.Example|\w+: )"):
            decode_chip(spec, record[:length])
