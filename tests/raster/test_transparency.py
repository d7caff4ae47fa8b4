import numpy as np
import pytest

from lcseg.raster.dataset import open_raster
from lcseg.raster.grid import Window
from lcseg.raster.source import open_image
from lcseg.raster.transparency import find_transparency

RANDOM = np.random.default_rng(0)


def has_transparency(make_raster, alpha_hw: np.ndarray, **options: object) -> bool:
    rgb_hwc = RANDOM.integers(1, 200, (*alpha_hw.shape, 3)).astype(alpha_hw.dtype)
    bands_hwc = np.dstack([rgb_hwc, alpha_hw])
    path = make_raster("rgba.tif", bands_hwc, photometric="RGB", alpha="YES", **options)
    with open_raster(path) as dataset:
        assert dataset.colorinterp[3].name == "alpha"
        index = find_transparency(dataset, path)
    assert index in (None, 4)
    return index is not None


def disk(size_px: int, radius_px: float, soft_px: float) -> np.ndarray:
    """A disk of 255 whose rim falls to 0 over so many pixels."""
    rows, cols = np.mgrid[:size_px, :size_px] - size_px / 2 + 0.5
    beyond = np.hypot(rows, cols) - radius_px
    return np.clip(255 * (0.5 - beyond / soft_px), 0, 255).astype("uint8")


def scattered(share: float, values: np.ndarray, size_px: int = 600) -> np.ndarray:
    """255 everywhere but for a share of the pixels, which have some of these values."""
    found = np.where(RANDOM.random((size_px, size_px)) < share, 0, 255)
    return np.where(found == 0, RANDOM.choice(values, found.shape), 255).astype("uint8")


def test_alpha_that_is_opaque_or_clear_is_transparency_and_noise_is_not(make_raster):
    assert has_transparency(make_raster, disk(300, 120, 1e-3))
    assert not has_transparency(make_raster, RANDOM.integers(0, 256, (300, 300)).astype("uint8"))


@pytest.mark.parametrize(("size_px", "soft_px"), [(300, 4), (1000, 10), (2000, 20)])
def test_soft_edges_are_transparency(make_raster, size_px, soft_px):
    alpha_hw = disk(size_px, size_px * 0.4, soft_px)
    assert len(np.unique(alpha_hw)) > 100
    assert has_transparency(make_raster, alpha_hw)


@pytest.mark.parametrize("share", [0.03, 0.2])
def test_near_infrared_that_is_saturated_over_snow_is_a_band(make_raster, share):
    assert not has_transparency(make_raster, scattered(share, np.arange(30, 255)))


def test_near_infrared_over_snow_with_a_few_black_pixels_is_a_band(make_raster):
    assert not has_transparency(make_raster, scattered(0.05, np.arange(0, 255)))


def test_near_infrared_over_snow_within_a_collar_is_a_band(make_raster):
    nir_hw = scattered(0.04, np.arange(30, 255))
    nir_hw[:150], nir_hw[-150:] = 0, 0
    assert not has_transparency(make_raster, nir_hw)


def test_near_infrared_that_is_0_over_water_and_varied_over_land_is_a_band(make_raster):
    nir_hw = RANDOM.integers(20, 256, (600, 600)).astype("uint8")
    nir_hw[:, :500] = 0
    assert not has_transparency(make_raster, nir_hw)


@pytest.mark.parametrize("opaque", [1, 255, 65535])
def test_alpha_of_16_bits_may_be_opaque_at_any_usual_value(make_raster, opaque):
    alpha_hw = (disk(300, 120, 1e-3) > 0).astype("uint16") * opaque
    assert has_transparency(make_raster, alpha_hw)


def test_alpha_that_was_compressed_as_jpeg_is_transparency(make_raster):
    alpha_hw = disk(512, 200, 1e-3)
    jpeg = {"compress": "jpeg", "tiled": True, "blockxsize": 256, "blockysize": 256}
    assert has_transparency(make_raster, alpha_hw, **jpeg)


@pytest.mark.real
def test_near_infrared_of_naip_masks_nothing_and_true_transparency_does(real_data):
    naip = [*(real_data / "chesapeake-naip/tile").glob("*_naip-*.tif")]
    naip += (real_data / "odd-tiffs/derived").glob("naip_[1-9bors]*.tif")
    n_tagged = 0
    for path in naip:
        with open_raster(str(path)) as dataset:
            n_tagged += dataset.colorinterp[-1].name == "alpha"
            n_bands = dataset.count
        with open_image(str(path)) as image:
            _, valid_hw = image.read(Window(0, 0, image.grid.height, image.grid.width))
            assert (len(image.bands), valid_hw.all()) == (n_bands, True), path.name
    assert n_tagged >= 8
    for name in (
        "odd-tiffs/rasterio/alpha.tif",
        "odd-tiffs/rasterio/RGBA.uint16.tif",
        "unlabelled/colorado-15cm/cog_rgba.tif",
    ):
        with open_image(str(real_data / name)) as image:
            _, valid_hw = image.read(Window(0, 0, image.grid.height, image.grid.width))
            assert len(image.bands) == 3
            assert 0 < valid_hw.mean() < 0.9, name
