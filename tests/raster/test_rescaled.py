"""Values in other units."""

import numpy as np
import pytest

from lcseg.raster.rescaled import Rescaled, fit_values
from lcseg.raster.source import open_image


def test_values_are_scaled_rounded_and_kept_in_range(make_raster):
    values = np.array([[0, 100, 1000, 65_535]], np.uint16)[..., None]
    with open_image(make_raster("image.tif", values, nodata=0)) as image:
        rescaled = Rescaled(image, 0.1, 3, "uint8")
        image_hwc, valid_hw = rescaled.read(image.grid.window)
        assert (rescaled.dtype, rescaled.bands, rescaled.grid) == ("uint8", image.bands, image.grid)
    assert image_hwc.dtype == np.uint8
    assert image_hwc[..., 0].tolist() == [[0, 13, 103, 255]]
    assert valid_hw.tolist() == [[False, True, True, True]]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 2, 255]), ("int16", [-3, 2, 300]), ("float32", [-3, 1.6, 300])],
)
def test_floats_become_what_the_type_holds(dtype, expected):
    fitted = fit_values(np.array([-3, 1.6, 300]), dtype)
    assert fitted.dtype == dtype
    assert np.allclose(fitted, expected)
