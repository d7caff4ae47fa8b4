"""Pictures say what the pixels mean, in whatever form they are sent."""

import io

import numpy as np
import pytest
from PIL import Image

from lcseg.serving.layers import confidence_palette
from lcseg.serving.pictures import Picture, draw_note, encode


def decode(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))


def some_palette(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3), np.uint8)


def test_classes_are_in_the_colours_of_the_palette_and_nothing_is_clear():
    palette = np.uint8([[1, 2, 3], [200, 100, 50]])
    rgba = decode(encode(Picture(np.uint8([[0, 1, 255]]), palette), "png"))
    assert rgba.tolist() == [[[1, 2, 3, 255], [200, 100, 50, 255], [0, 0, 0, 0]]]


@pytest.mark.parametrize("n_classes", [1, 2, 14, 15, 16, 17, 254, 255])
def test_any_number_of_classes_is_told_apart(n_classes):
    palette = some_palette(n_classes)
    values_hw = np.r_[np.arange(n_classes), 255].astype(np.uint8)[None].repeat(3, axis=0)
    picture = Picture(values_hw, palette)
    assert np.array_equal(decode(encode(picture, "png")), picture.rgba)
    assert np.array_equal(picture.rgba[0, :-1, :3], palette)
    assert np.array_equal(picture.rgba[..., 3] == 255, values_hw != 255)


def test_few_classes_take_four_bits_a_pixel():
    values_hw = np.random.default_rng(0).integers(0, 4, (256, 256), np.uint8)
    few, many = (encode(Picture(values_hw, some_palette(n)), "png") for n in (4, 200))
    at = few.index(b"IHDR") + len(b"IHDR") + 8
    assert (few[at], many[at]) == (4, 8)


def test_value_beyond_the_palette_is_nothing_in_every_form():
    picture = Picture(np.uint8([[7]]), some_palette(3))
    assert not picture.rgba.any()
    assert not decode(encode(picture, "png")).any()


def test_confidence_is_a_picture_of_255_colours():
    picture = Picture(np.arange(256, dtype=np.uint8)[None], confidence_palette())
    assert np.array_equal(decode(encode(picture, "png")), picture.rgba)
    assert picture.rgba[0, 255, 3] == 0


def test_colours_are_sent_as_they_are():
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    rgba[..., 3] = 255
    assert np.array_equal(decode(encode(Picture(rgba), "png")), rgba)


def test_jpeg_is_white_where_nothing_is():
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:, :8] = [10, 20, 30, 255]
    shown = decode(encode(Picture(rgba), "jpeg"))
    assert abs(shown[8, 2, :3].astype(int) - [10, 20, 30]).max() <= 3
    assert shown[8, 13, :3].min() >= 252


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (256, 256), (40, 1000)])
def test_note_is_written_on_pictures_of_any_size(size):
    picture = draw_note("zoom in", *size)
    assert picture.note == "zoom in"
    assert decode(encode(picture, "png")).shape == (*size, 4)
    assert picture.rgba[..., 3].any()
