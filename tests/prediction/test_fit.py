"""Which imagery a bundle takes, and which it refuses."""

import dataclasses
import re

import numpy as np
import pytest
import rasterio

from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo, read_info
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.fit import require_fit
from lcseg.raster.grid import pixel_size_m
from lcseg.raster.source import open_image

CONFIG = PredictConfig("bundle", "scene.tif", "map.tif")
VALUES = np.random.default_rng(0).integers(1, 255, (24, 24, 4), np.uint8)


@pytest.fixture
def info(bundle) -> BundleInfo:
    return read_info(bundle)


def test_an_image_like_the_training_imagery_is_taken(info, make_raster):
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(info, image, pixel_size_m(image.grid), CONFIG)


def test_another_number_of_bands_is_refused(info, make_raster):
    path = make_raster("image.tif", VALUES[..., :3])
    message = f"{path}: has 3 bands, the bundle was trained on 4: red, green, blue, band_4"
    with open_image(path) as image, pytest.raises(LcsegError, match=re.escape(message)):
        require_fit(info, image, 1.0, CONFIG)


def name_bands(path: str, names: tuple[str, ...]) -> str:
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    return path


def test_bands_in_another_order_are_refused(info, make_raster):
    path = name_bands(make_raster("image.tif", VALUES), ("blue", "green", "red", "nir"))
    message = "has the bands blue, green, red, nir, the bundle's are red, green, blue, band_4; name"
    with open_image(path) as image, pytest.raises(LcsegError, match=re.escape(message)):
        require_fit(info, image, 1.0, CONFIG)


def test_bands_without_a_name_fit_any_name(info, make_raster):
    path = name_bands(make_raster("image.tif", VALUES), ("red", "green", "band_3", "nir"))
    with open_image(path) as image:
        assert image.bands == ("red", "green", "band_3", "nir")
        require_fit(info, image, 1.0, CONFIG)


def test_another_pixel_type_is_refused(info, make_raster):
    path = make_raster("image.tif", VALUES.astype(np.uint16), photometric="RGB")
    message = "has pixels of uint16, the bundle was trained on uint8; bring it to"
    with open_image(path) as image, pytest.raises(LcsegError, match=message):
        require_fit(info, image, 1.0, CONFIG)


@pytest.mark.parametrize("pixel_m", [0.92, 1.0, 1.09])
def test_pixels_within_a_tenth_of_the_size_are_taken(info, make_raster, pixel_m):
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(info, image, pixel_m, CONFIG)


@pytest.mark.parametrize("pixel_m", [0.3, 0.9, 1.11, 30.0])
def test_pixels_of_another_size_are_refused(info, make_raster, pixel_m):
    message = f"has pixels of {pixel_m:.4g} m, the bundle was trained on 1 m; pass --resample"
    with (
        open_image(make_raster("image.tif", VALUES)) as image,
        pytest.raises(LcsegError, match=re.escape(message)),
    ):
        require_fit(info, image, pixel_m, CONFIG)


@pytest.mark.parametrize(("trained_m", "pixel_m"), [(None, 30.0), (1.0, None)])
def test_a_pixel_size_that_is_unknown_is_not_compared(info, make_raster, trained_m, pixel_m):
    info = dataclasses.replace(info, pixel_m=trained_m)
    with open_image(make_raster("image.tif", VALUES)) as image:
        require_fit(info, image, pixel_m, CONFIG)


def test_order_of_the_bands_is_said_as_a_flag(info, make_raster):
    info = dataclasses.replace(info, bands=("red", "green", "blue", "nir"))
    path = name_bands(make_raster("image.tif", VALUES), ("nir", "red", "green", "blue"))
    with (
        open_image(path) as image,
        pytest.raises(LcsegError, match="name them in this order: --bands=2,3,4,1"),
    ):
        require_fit(info, image, 1.0, CONFIG)
    with open_image(path, bands=("2", "3", "BLUE", "nir")) as image:
        assert image.bands == info.bands
        assert np.array_equal(image.read(image.grid.window)[0], VALUES[..., [1, 2, 3, 0]])
        require_fit(info, image, 1.0, dataclasses.replace(CONFIG, bands=("2", "3", "4", "1")))


def test_other_values_are_taken_where_their_scale_is_said(info, make_raster):
    path = make_raster("image.tif", VALUES.astype(np.uint16) * 100, photometric="RGB")
    with open_image(path) as image:
        config = dataclasses.replace(CONFIG, scale=0.01)
        assert require_fit(info, image, 1.0, config) == 1


def test_other_pixels_are_read_at_the_size_of_training_if_that_is_wanted(info, make_raster):
    config = dataclasses.replace(CONFIG, resample=True)
    with open_image(make_raster("image.tif", VALUES)) as image:
        assert require_fit(info, image, 0.5, config) == 0.5
        assert require_fit(info, image, 1.05, config) == 1


def test_image_that_is_far_too_coarse_is_not_resampled(info, make_raster):
    config = dataclasses.replace(CONFIG, resample=True)
    with open_image(make_raster("image.tif", VALUES)) as image:
        assert require_fit(info, image, 1.9, config) == 1.9
        with pytest.raises(LcsegError, match=r"has pixels of 5 m, .* on 1 m; what is so coarse"):
            require_fit(info, image, 5.0, config)
