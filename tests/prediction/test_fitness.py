"""Imagery beside that of training, band by band."""

import numpy as np
import pytest
from conftest import write_raster

from lcseg.errors import LcsegError
from lcseg.model.info import read_info
from lcseg.prediction.fitness import BandFitness, measure_fitness
from lcseg.raster.source import open_image

# What bundles of the tests say of their training: every band has this mean and deviation.
MEAN, STD = 100.0, 40.0


@pytest.fixture(scope="module")
def info(bundle):
    found = read_info(bundle)
    assert set(found.mean) == {MEAN} and set(found.std) == {STD}
    return found


@pytest.fixture
def measure(tmp_path, info):
    """A function that writes an image and measures how fit it is."""

    def run(values_hwc, **options):
        path = write_raster(tmp_path / "image.tif", values_hwc, **options)
        with open_image(path, alpha=0) as image:
            return measure_fitness(image, info)

    return run


def make_image(shape=(300, 400), mean=MEAN, std=STD, bands=4) -> np.ndarray:
    values = np.random.default_rng(0).normal(mean, std, (*shape, bands))
    return values.round().clip(1, 255).astype(np.uint8)


def test_an_image_like_those_of_training_is_fit(measure):
    fitness = measure(make_image())
    assert fitness.is_fit and fitness.strange == () and str(fitness) == ""
    assert [band.name for band in fitness.bands] == ["red", "green", "blue", "band_4"]
    assert abs(fitness.bands[0].off_sd) < 0.1 and abs(fitness.bands[0].spread - 1) < 0.1


def test_a_band_that_is_shifted_is_named_with_its_figures(measure):
    image_hwc = make_image()
    image_hwc[..., 3] = (image_hwc[..., 3].astype(int) + 60).clip(1, 255)
    fitness = measure(image_hwc)
    assert not fitness.is_fit
    assert [band.name for band in fitness.strange] == ["band_4"]
    band = fitness.strange[0]
    assert band.off_sd == pytest.approx(1.5, abs=0.1)
    assert str(fitness).startswith("band_4: mean 160.2 where")
    assert "where training had 100 (+1.5 sd)" in str(fitness)


@pytest.mark.parametrize("times", [2.2, 0.2])
def test_a_band_that_is_stretched_is_named(measure, times):
    values_hwc = make_image().astype(np.int16)
    # Of a type in which nothing is cut off.
    values_hwc[..., 1] = np.rint(MEAN + times * (values_hwc[..., 1] - MEAN))
    fitness = measure(values_hwc)
    assert [band.name for band in fitness.strange] == ["green"]
    assert fitness.strange[0].spread == pytest.approx(times, abs=0.15)
    assert "spread " in str(fitness) and "where it had 40" in str(fitness)


def test_figures_are_those_of_the_pixels_with_data(measure):
    image_hwc = make_image((100, 120))
    image_hwc[:40] = 0
    fitness = measure(image_hwc, nodata=0)
    own = image_hwc[40:].reshape(-1, 4).astype(float)
    assert [band.mean for band in fitness.bands] == pytest.approx(own.mean(axis=0).tolist())
    assert [band.std for band in fitness.bands] == pytest.approx(own.std(axis=0).tolist())


def test_an_image_without_data_says_nothing(measure):
    assert measure(np.zeros((200, 200, 4), np.uint8), nodata=0) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (129, 128)])
def test_images_of_any_size_are_measured(measure, shape):
    fitness = measure(make_image(shape))
    assert all(np.isfinite([band.off_sd, band.spread]).all() for band in fitness.bands)


def test_a_large_image_is_measured_all_over(measure):
    # Only a lattice of it is read, but one of all its parts.
    image_hwc = make_image((900, 900))
    image_hwc[:450] = 255
    fitness = measure(image_hwc)
    assert fitness.bands[0].mean == pytest.approx(image_hwc[..., 0].mean(), abs=12)


def test_an_image_of_more_bands_or_fewer_is_refused(measure):
    with pytest.raises(
        LcsegError, match=r"image.tif: has 3 bands, the model works on red, .*"
    ) as caught:
        measure(make_image(bands=3))
    assert "\n" not in str(caught.value)


def test_a_band_that_never_varied_in_training_does_not_divide_by_nothing():
    band = BandFitness("red", 100.0, 0.0, 100.0, 0.0)
    assert np.isfinite([band.off_sd, band.spread]).all()
