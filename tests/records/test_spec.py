"""What one record holds."""

from dataclasses import replace

import numpy as np
import pytest

from lcseg.records.spec import Chip, RecordSpec

CHIP = Chip(
    np.ones((2, 2, 3), np.uint8),
    np.zeros((2, 2), np.uint8),
    "a",
    0,
    2,
    (1, 0, 2, 0, -1, 0),
    "EPSG:1",
    "2023-06-15",
)


def test_spec_gives_the_shape_of_an_image_and_the_bytes_of_a_chip():
    spec = RecordSpec(chip_px=256, bands=4, dtype="uint16", classes=4)
    assert spec.image_shape == (256, 256, 4)
    assert spec.chip_bytes == 256 * 256 * (4 * 2 + 1)


def test_chips_are_equal_if_every_field_is():
    assert replace(CHIP, image_hwc=CHIP.image_hwc.copy(), label_hw=CHIP.label_hw.copy()) == CHIP


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_hwc", np.zeros((2, 2, 3), np.uint8)),
        ("image_hwc", np.ones((2, 2, 3), np.uint16)),
        ("label_hw", np.full((2, 2), 255, np.uint8)),
        ("source", "b"),
        ("row", 2),
        ("col", 0),
        ("transform", (1, 0, 2, 0, -1, 1)),
        ("crs", ""),
        ("date", ""),
    ],
)
def test_chips_that_differ_in_one_field_are_not_equal(field, value):
    assert replace(CHIP, **{field: value}) != CHIP


def test_chip_is_not_equal_to_what_is_no_chip():
    assert CHIP != "a chip"


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32", ">u2", "colour"])
def test_other_pixel_types_are_refused_with_the_valid_ones(dtype):
    with pytest.raises(ValueError, match=f"'{dtype}', expected one of uint8, uint16, int16, float"):
        RecordSpec(64, 4, dtype, 4)


@pytest.mark.parametrize("compression", ["gzip", "", "ZLIB"])
def test_other_compressions_are_refused_with_the_valid_ones(compression):
    with pytest.raises(ValueError, match=f"'{compression}', expected one of none, zlib"):
        RecordSpec(64, 4, "uint8", 4, compression)


@pytest.mark.parametrize(
    ("chip_px", "bands", "classes"), [(0, 4, 2), (-1, 4, 2), (64, 0, 2), (64, 4, 0)]
)
def test_chips_without_pixels_bands_or_classes_are_refused(chip_px, bands, classes):
    message = f"chips of {chip_px} px with {bands} bands and {classes} classes"
    with pytest.raises(ValueError, match=message):
        RecordSpec(chip_px, bands, "uint8", classes)
