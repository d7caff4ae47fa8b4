"""The predictor, held against the bare model and numpy; and the imagery that it refuses."""

import dataclasses
import re

import numpy as np
import pytest
import rasterio

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.prediction.predictor import Predictor, require_fit, to_probabilities
from lcseg.raster.grid import pixel_size_m
from lcseg.raster.source import open_image

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.integers(1, 255, (24, 24, 4), np.uint8)


@pytest.fixture(scope="module")
def loaded(bundle):
    return load_bundle(bundle)


@pytest.fixture(scope="module")
def predictor(loaded):
    return Predictor(loaded)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - np.float64(logits).max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_a_block_becomes_classes_and_probabilities(predictor):
    halo_px = predictor.info.halo_px
    padded_hwc = RANDOM.integers(0, 256, (32 + 2 * halo_px, 48 + 2 * halo_px, 4), np.uint8)
    label_hw, logits_hwk = predictor.predict(padded_hwc)
    probs_hwk = to_probabilities(logits_hwk)
    assert (label_hw.shape, label_hw.dtype) == ((32, 48), np.uint8)
    assert (probs_hwk.shape, probs_hwk.dtype) == ((32, 48, 4), np.float32)
    assert np.allclose(probs_hwk.sum(axis=-1), 1, atol=1e-6)
    assert np.array_equal(label_hw, probs_hwk.argmax(axis=-1))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (64, 4), (12, 40)])
def test_blocks_of_any_size_are_what_the_model_says_of_them(loaded, predictor, height, width):
    halo_px = predictor.info.halo_px
    padded_hwc = RANDOM.integers(0, 256, (height + 2 * halo_px, width + 2 * halo_px, 4), np.uint8)
    label_hw, logits_hwk = predictor.predict(padded_hwc)
    inner = np.s_[halo_px : halo_px + height, halo_px : halo_px + width]
    expected_hwk = loaded.model(padded_hwc[None], training=False).numpy()[0][inner]
    assert np.allclose(logits_hwk, expected_hwk, atol=1e-4)
    sure_hw = np.diff(np.sort(expected_hwk, axis=-1)[..., -2:])[..., 0] > 1e-3
    assert sure_hw.mean() > 0.9
    assert np.array_equal(label_hw[sure_hw], expected_hwk.argmax(axis=-1)[sure_hw])


def test_a_model_without_reach_needs_no_halo(loaded):
    info = dataclasses.replace(loaded.info, halo_px=0)
    label_hw, logits_hwk = Predictor(dataclasses.replace(loaded, info=info)).predict(VALUES)
    assert label_hw.shape == (24, 24)
    assert tuple(logits_hwk.shape) == (24, 24, 4)


def test_probabilities_are_the_softmax_however_large_the_logits():
    logits_hwk = np.array([[[0, 0, 0], [1e4, 0, -1e4], [-3, 2, 2.5]]], np.float32)
    assert np.allclose(to_probabilities(logits_hwk), softmax(logits_hwk), atol=1e-6)


def test_an_image_like_the_training_imagery_is_taken(loaded, make_raster):
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(loaded.info, image, pixel_size_m(image.grid))


def test_another_number_of_bands_is_refused(loaded, make_raster):
    path = make_raster("image.tif", VALUES[..., :3])
    message = f"{path}: has 3 bands, the bundle was trained on 4: red, green, blue, band_4"
    with open_image(path) as image, pytest.raises(LcsegError, match=re.escape(message)):
        require_fit(loaded.info, image, 1.0)


def name_bands(path: str, names: tuple[str, ...]) -> str:
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    return path


def test_bands_in_another_order_are_refused(loaded, make_raster):
    path = name_bands(make_raster("image.tif", VALUES), ("blue", "green", "red", "nir"))
    message = "has the bands blue, green, red, nir, the bundle's are red, green, blue, band_4; put"
    with open_image(path) as image, pytest.raises(LcsegError, match=re.escape(message)):
        require_fit(loaded.info, image, 1.0)


def test_bands_without_a_name_fit_any_name(loaded, make_raster):
    path = name_bands(make_raster("image.tif", VALUES), ("red", "green", "band_3", "nir"))
    with open_image(path) as image:
        assert image.bands == ("red", "green", "band_3", "nir")
        require_fit(loaded.info, image, 1.0)


def test_another_pixel_type_is_refused(loaded, make_raster):
    path = make_raster("image.tif", VALUES.astype(np.uint16), photometric="RGB")
    message = "has pixels of uint16, the bundle was trained on uint8; bring it"
    with open_image(path) as image, pytest.raises(LcsegError, match=message):
        require_fit(loaded.info, image, 1.0)


@pytest.mark.parametrize("pixel_m", [0.92, 1.0, 1.09])
def test_pixels_within_a_tenth_of_the_size_are_taken(loaded, make_raster, pixel_m):
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(loaded.info, image, pixel_m)


@pytest.mark.parametrize("pixel_m", [0.3, 0.9, 1.11, 30.0])
def test_pixels_of_another_size_are_refused(loaded, make_raster, pixel_m):
    message = f"has pixels of {pixel_m:.4g} m, the bundle was trained on 1 m; resample it"
    with (
        open_image(make_raster("image.tif", VALUES)) as image,
        pytest.raises(LcsegError, match=re.escape(message)),
    ):
        require_fit(loaded.info, image, pixel_m)


@pytest.mark.parametrize(("trained_m", "pixel_m"), [(None, 30.0), (1.0, None)])
def test_a_pixel_size_that_is_unknown_is_not_compared(loaded, make_raster, trained_m, pixel_m):
    info = dataclasses.replace(loaded.info, pixel_m=trained_m)
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(info, image, pixel_m)


def test_a_model_that_normalises_by_the_window_makes_no_map(loaded, make_raster):
    info = dataclasses.replace(loaded.info, config={"norm": "group"})
    with (
        open_image(make_raster("scene.tif", VALUES)) as image,
        pytest.raises(LcsegError, match="would have seams; train with --norm=batch"),
    ):
        require_fit(info, image, 1.0)
