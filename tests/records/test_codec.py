"""Chips to records and back, held against each other and against the bytes of the contract."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lcseg.errors import LcsegError
from lcseg.records.codec import decode_chip, encode_chip, parse_pixels
from lcseg.records.spec import Chip, RecordSpec

DTYPES = ("uint8", "uint16", "int16", "float32")
SPEC = RecordSpec(4, 2, "uint16")


@st.composite
def specs_and_chips(draw) -> tuple[RecordSpec, Chip]:
    """A chip of any pixels, the extremes of its dtype included, at any place."""
    spec = RecordSpec(
        draw(st.integers(1, 9)), draw(st.integers(1, 16)), draw(st.sampled_from(DTYPES))
    )
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    chip = Chip(
        draw(arrays.arrays(spec.dtype, spec.image_shape)),
        draw(arrays.arrays(np.uint8, spec.image_shape[:2])),
        draw(st.text(max_size=20)),
        draw(st.integers(0, 2**40)),
        draw(st.integers(0, 2**40)),
        draw(st.tuples(*[numbers] * 6)),
        draw(st.text(max_size=20)),
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
    )


def altered(key: str, value: bytes | list[int] | None) -> bytes:
    """A good record in which one key holds something else, or is gone."""
    example = tf.train.Example.FromString(encode_chip(SPEC, make_chip()))
    feature = example.features.feature
    feature.pop(key, None)
    if isinstance(value, bytes):
        feature[key].bytes_list.value.append(value)
    elif value is not None:
        feature[key].int64_list.value.extend(value)
    return example.SerializeToString()


def in_pipeline(record: bytes, spec: RecordSpec = SPEC) -> tuple[tf.Tensor, tf.Tensor]:
    """Parse a record as training does."""
    dataset = tf.data.Dataset.from_tensors(record)
    return next(iter(dataset.map(lambda record: parse_pixels(spec, record), num_parallel_calls=2)))


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: bytes) -> bytes:
    """One field of a protocol buffers message, put together by hand."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def test_chip_goes_into_a_record_and_comes_back():
    spec = RecordSpec(chip_px=16, bands=4, dtype="uint8")
    chip = make_chip(spec)
    record = encode_chip(spec, chip)
    assert decode_chip(spec, record) == chip
    image_hwc, label_hw = parse_pixels(spec, tf.constant(record))
    np.testing.assert_array_equal(image_hwc, chip.image_hwc)
    np.testing.assert_array_equal(label_hw, chip.label_hw)


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


@settings(deadline=None, max_examples=40)
@given(specs_and_chips())
def test_parser_gives_the_pixels_of_the_decoder(case):
    spec, chip = case
    record = encode_chip(spec, chip)
    decoded = decode_chip(spec, record)
    for parsed in (parse_pixels(spec, tf.constant(record)), in_pipeline(record, spec)):
        image_hwc, label_hw = (tensor.numpy() for tensor in parsed)
        assert image_hwc.dtype == decoded.image_hwc.dtype
        assert image_hwc.tobytes() == decoded.image_hwc.tobytes()
        np.testing.assert_array_equal(label_hw, decoded.label_hw)


def test_pipeline_knows_shapes_and_types_before_it_runs():
    dataset = tf.data.Dataset.from_tensor_slices([encode_chip(SPEC, make_chip())])
    image, label = dataset.map(lambda record: parse_pixels(SPEC, record)).element_spec
    assert (image.shape, image.dtype) == ((4, 4, 2), tf.uint16)
    assert (label.shape, label.dtype) == ((4, 4), tf.uint8)


def test_pixels_lie_in_a_record_in_rows_and_little_endian():
    image_hwc = np.array([[[0x0102, 0x0304], [5, 6]], [[7, 8], [9, 10]]], np.uint16)
    chip = replace(
        make_chip(), image_hwc=image_hwc, label_hw=np.array([[0, 1], [2, 255]], np.uint8)
    )
    record = encode_chip(RecordSpec(2, 2, "uint16"), chip)
    assert bytes.fromhex("0201 0403 0500 0600 0700 0800 0900 0a00") in record
    assert bytes.fromhex("00 01 02 ff") in record


def test_image_of_the_other_byte_order_is_refused():
    chip = make_chip()
    swapped = replace(chip, image_hwc=chip.image_hwc.astype(">u2"))
    with pytest.raises(ValueError, match=">u2, spec"):
        encode_chip(SPEC, swapped)


def test_record_is_the_bytes_of_the_contract():
    chip = Chip(
        np.array([[[7]]], np.uint8), np.array([[3]], np.uint8), "s", 0, 300, (1, 0, 0, 0, 1, 0), ""
    )

    def entry(key: str, kind: int, value: bytes) -> bytes:
        return field(1, field(1, key.encode()) + field(2, field(kind, field(1, value))))

    one, zero = bytes.fromhex("000000000000f03f"), bytes(8)
    entries = [
        entry("col", 3, varint(300)),
        entry("crs", 1, b""),
        entry("image", 1, b"\x07"),
        entry("label", 1, b"\x03"),
        entry("row", 3, varint(0)),
        entry("shape", 3, b"\x01\x01\x01"),
        entry("source", 1, b"s"),
        entry("transform", 1, one + 3 * zero + one + zero),
    ]
    spec = RecordSpec(1, 1, "uint8")
    assert encode_chip(spec, chip) == field(1, b"".join(entries))
    assert decode_chip(spec, field(1, b"".join(reversed(entries)))) == chip


def test_same_chip_gives_the_same_bytes():
    assert encode_chip(SPEC, make_chip()) == encode_chip(SPEC, make_chip())


def test_keys_of_a_later_minor_version_are_passed_over():
    record = altered("cloud_share", [3])
    assert decode_chip(SPEC, record) == make_chip()
    np.testing.assert_array_equal(parse_pixels(SPEC, tf.constant(record))[0], make_chip().image_hwc)


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
    ],
)
def test_record_of_another_spec_is_refused_with_the_key_that_differs(spec, message):
    with pytest.raises(LcsegError, match=message):
        decode_chip(spec, encode_chip(SPEC, make_chip()))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", b"123", "image: has 3 bytes"),
        ("image", None, "image: holds 0 values"),
        ("image", [1, 2], "image: holds 0 values"),
        ("label", b"123", r"label: has 3 bytes, \(4, 4\) of uint8 takes 16"),
        ("label", None, "label: holds 0 values"),
        ("shape", [4, 4], "shape: holds 2 integers, expected 3"),
        ("shape", None, "shape: holds 0 integers"),
        ("row", None, "row: holds 0 integers, expected 1"),
        ("col", [1, 2], "col: holds 2 integers, expected 1"),
        ("transform", bytes(40), "transform: has 40 bytes"),
        ("source", b"\xff", "source: is not UTF-8"),
        ("crs", None, "crs: holds 0 values, expected one"),
    ],
)
def test_damaged_record_is_refused_with_the_key_at_fault(key, value, message):
    with pytest.raises(LcsegError, match=message):
        decode_chip(SPEC, altered(key, value))


def test_truncated_record_is_refused():
    record = encode_chip(SPEC, make_chip())
    for length in range(1, len(record)):
        with pytest.raises(LcsegError, match=r"^(record: is not a tf.train.Example|image|label)"):
            decode_chip(SPEC, record[:length])


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("n_bytes", [0, 15, 17, 62, 63, 66, None])
def test_parser_names_the_key_of_a_record_that_does_not_fit(key, n_bytes):
    record = altered(key, None if n_bytes is None else bytes(n_bytes))
    for parse in (lambda: parse_pixels(SPEC, tf.constant(record)), lambda: in_pipeline(record)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"\b{key}\b"):
            parse()


def test_parser_refuses_a_record_of_another_dtype():
    record = encode_chip(SPEC, make_chip())
    for spec in (replace(SPEC, dtype="uint8"), replace(SPEC, dtype="float32")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image: wrong size"):
            in_pipeline(record, spec)


def test_parser_refuses_a_truncated_record():
    record = encode_chip(SPEC, make_chip())
    # TensorFlow quotes the record in its message, which may then not be text.
    with pytest.raises((tf.errors.InvalidArgumentError, UnicodeDecodeError)):
        in_pipeline(record[:-3])
