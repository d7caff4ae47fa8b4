"""Records to tensors, held against the decoder of numpy."""

import functools
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.pipeline.parsing import parse_chip
from lcseg.records.codec import decode_chip, encode_chip
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.statistics import count_classes

SPEC = RecordSpec(4, 2, "uint16", 4)
SMALL = replace(SPEC, compression="zlib")


def make_record(spec: RecordSpec, seed: int = 0) -> bytes:
    """A record of pixels of any bits."""
    random = np.random.default_rng(seed)
    size = spec.chip_bytes - spec.chip_px**2
    image_hwc = np.frombuffer(random.bytes(size), spec.dtype).reshape(spec.image_shape)
    label_hw = random.choice([*range(spec.classes), 255], spec.image_shape[:2]).astype(np.uint8)
    return encode_chip(spec, Chip(image_hwc, label_hw, "a", -1, 2, (1, 0, 0, 0, -1, 0), "", "2023"))


def altered(key: str, value: bytes | None, spec: RecordSpec = SPEC) -> bytes:
    """A good record in which one key holds something else, or is gone."""
    example = tf.train.Example.FromString(make_record(spec))
    feature = example.features.feature
    del feature[key]
    if value is not None:
        feature[key].bytes_list.value.append(value)
    return example.SerializeToString()


def in_pipeline(record: bytes, spec: RecordSpec = SPEC) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Parse a record as training does."""
    dataset = tf.data.Dataset.from_tensors(record)
    return next(iter(dataset.map(functools.partial(parse_chip, spec), num_parallel_calls=2)))


@pytest.mark.parametrize("spec", [SPEC, SMALL])
def test_record_becomes_an_image_a_label_and_its_histogram(spec):
    record = make_record(spec)
    chip = decode_chip(spec, record)
    image_hwc, label_hw, histogram = parse_chip(spec, tf.constant(record))
    np.testing.assert_array_equal(image_hwc, chip.image_hwc)
    np.testing.assert_array_equal(label_hw, chip.label_hw)
    np.testing.assert_array_equal(histogram, count_classes(chip.label_hw, spec.classes))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 9),
    st.integers(1, 16),
    st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    st.sampled_from(["none", "zlib"]),
    st.integers(0, 2**32 - 1),
)
def test_parser_gives_the_pixels_of_the_decoder(chip_px, bands, dtype, compression, seed):
    spec = RecordSpec(chip_px, bands, dtype, 4, compression)
    record = make_record(spec, seed)
    chip = decode_chip(spec, record)
    for parsed in (parse_chip(spec, tf.constant(record)), in_pipeline(record, spec)):
        image_hwc, label_hw, _ = (tensor.numpy() for tensor in parsed)
        assert image_hwc.dtype == chip.image_hwc.dtype
        # As bytes: the pixels may be NaN, which is not equal to itself.
        assert image_hwc.tobytes() == chip.image_hwc.tobytes()
        np.testing.assert_array_equal(label_hw, chip.label_hw)


@pytest.mark.parametrize("spec", [SPEC, SMALL])
def test_pipeline_knows_shapes_and_types_before_it_runs(spec):
    dataset = tf.data.Dataset.from_tensor_slices([make_record(spec)])
    image, label, histogram = dataset.map(functools.partial(parse_chip, spec)).element_spec
    assert (image.shape, image.dtype) == ((4, 4, 2), tf.uint16)
    assert (label.shape, label.dtype) == ((4, 4), tf.uint8)
    assert (histogram.shape, histogram.dtype) == ((spec.classes + 1,), tf.int64)


def test_keys_of_a_later_minor_version_are_passed_over():
    chip = decode_chip(SPEC, make_record(SPEC))
    example = tf.train.Example.FromString(make_record(SPEC))
    example.features.feature["cloud_share"].float_list.value.append(0.5)
    image_hwc, *_ = in_pipeline(example.SerializeToString())
    np.testing.assert_array_equal(image_hwc, chip.image_hwc)


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("n_bytes", [0, 15, 17, 62, 63, 66, None])
@pytest.mark.parametrize("spec", [SPEC, SMALL])
def test_key_of_a_record_that_does_not_fit_is_named(spec, key, n_bytes):
    pack = zlib.compress if spec is SMALL else bytes
    record = altered(key, None if n_bytes is None else pack(bytes(n_bytes)), spec)
    for parse in (
        lambda: parse_chip(spec, tf.constant(record)),
        lambda: in_pipeline(record, spec),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"\b{key}\b"):
            parse()


def test_record_of_another_dtype_is_refused():
    record = make_record(SPEC)
    for spec in (replace(SPEC, dtype="uint8"), replace(SPEC, dtype="float32")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image: wrong size"):
            in_pipeline(record, spec)


@pytest.mark.parametrize(
    "stream",
    [b"", bytes(64), zlib.compress(bytes(64))[:-6], b"y" + zlib.compress(bytes(64))[1:]],
)
def test_damaged_stream_is_an_error(stream):
    with pytest.raises(tf.errors.OpError):
        in_pipeline(altered("image", stream, SMALL), SMALL)


def test_truncated_record_is_refused():
    # TensorFlow quotes the record in its message, which may then not be text.
    with pytest.raises((tf.errors.InvalidArgumentError, UnicodeDecodeError)):
        in_pipeline(make_record(SPEC)[:-3])
