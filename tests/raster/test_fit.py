import numpy as np
import pytest
import rasterio.warp
from rasterio.transform import Affine

from lcseg.classes import load_scheme
from lcseg.raster.alignment import Alignment
from lcseg.raster.fit import measure_fit
from lcseg.raster.grid import Grid, pixel_size_m
from lcseg.raster.label import open_label
from lcseg.raster.vote import count_samples

UTM = "EPSG:26918"
X, Y = 400_000.0, 4_300_000.0
FLIP = Affine.scale(1, -1)
IMAGE = Grid(200, 300, (1.0, 0.0, X, 0.0, -1.0, Y), UTM)


def fit_of(affine: Affine, height: int = 400, width: int = 600, crs: str | None = UTM):
    alignment = Alignment(IMAGE, Grid(height, width, tuple(affine)[:6], crs), "lc.tif")
    return measure_fit(alignment, count_samples(alignment))


def test_fit_of_a_label_says_how_it_is_sampled_and_how_far_it_is_off(make_raster):
    path = make_raster(
        "lc.tif", np.ones((200, 300), "uint8"), transform=(1, 0, X + 30.25, 0, -1, Y)
    )
    with open_label(path, IMAGE, load_scheme("chesapeake-4")) as label:
        fit = label.fit
    assert fit.sampling == "shifted"
    assert fit.shift_px == (0, 0.25)
    assert fit.origin_px == (0, 30.25)
    assert fit.overlap == pytest.approx(0.9, abs=0.01)
    assert fit.crs == "NAD83 / UTM zone 18N"
    assert fit.pixel_m == pixel_size_m(IMAGE)


def test_equal_grid_is_as_it_is():
    fit = fit_of(Affine(1, 0, X, 0, -1, Y), 200, 300)
    assert (fit.sampling, fit.shift_px, fit.origin_px) == ("as it is", (0, 0), (0, 0))
    assert fit.overlap == 1


@pytest.mark.parametrize(
    ("affine", "sampling", "shift_px", "origin_px"),
    [
        (Affine(1, 0, X - 20, 0, -1, Y + 7), "shifted", (0, 0), (-7, -20)),
        (Affine(1, 0, X - 0.4, 0, -1, Y - 2.3), "shifted", (0.3, -0.4), (2.3, -0.4)),
        (Affine(3, 0, X - 6, 0, -3, Y + 4), "nearest", (0, 0), (-4, -6)),
        (Affine(3, 0, X - 6.25, 0, -3, Y), "nearest", (0, -0.25), (0, -6.25)),
        (Affine(0.5, 0, X, 0, -0.5, Y), "mode of 2 x 2", (0, 0), (0, 0)),
        (Affine(0.25, 0, X - 3.1, 0, -0.5, Y), "mode of 2 x 4", (0, -0.1), (0, -3.1)),
        (Affine(1, 0, X, 0, 1, Y - 250.2), "nearest", (0.2, 0), (250.2, 0)),
    ],
    ids=["whole", "part", "coarser", "coarser, off", "finer", "finer, off", "south-up"],
)
def test_shift_is_what_is_left_between_the_edges_of_pixels(affine, sampling, shift_px, origin_px):
    fit = fit_of(affine)
    assert fit.sampling == sampling
    assert fit.shift_px == pytest.approx(shift_px, abs=1e-5)
    assert fit.origin_px == pytest.approx(origin_px, abs=1e-5)


def test_overlap_of_nearly_all_is_told_as_it_is():
    assert fit_of(Affine(1, 0, X + 0.5, 0, -1, Y)).overlap == pytest.approx(1 - 0.5 / 300, abs=1e-6)


def test_overlap_is_the_share_of_the_image_within_the_label():
    assert fit_of(Affine(1, 0, X, 0, -1, Y), 199, 300).overlap < 1
    assert fit_of(Affine(1, 0, X + 150, 0, -1, Y - 50)).overlap == pytest.approx(0.375, abs=0.01)
    # A square that stands on its corner in the middle of the image: 100 x 100 of 200 x 300 px.
    center = Affine.translation(X + 150, Y - 100) @ Affine.rotation(45)
    diamond = center @ Affine.translation(-50, 50) @ FLIP
    assert fit_of(diamond, 100, 100).overlap == pytest.approx(1 / 6, abs=0.005)


def test_fit_of_a_label_in_another_crs_is_that_at_the_scenes_centre():
    x, y = IMAGE.affine @ (150, 100)
    (lon,), (lat,) = rasterio.warp.transform(UTM, "EPSG:4326", [x], [y])
    size_deg = 1e-4
    # A corner of the label's pixels lies on the image's centre, which is a corner of its own.
    affine = Affine(size_deg, 0, lon - 100 * size_deg, 0, -size_deg, lat + 100 * size_deg)
    fit = fit_of(affine, 200, 200, "EPSG:4326")
    assert (fit.sampling, fit.crs, fit.overlap) == ("nearest", "WGS 84", 1)
    assert fit.shift_px == pytest.approx((0, 0), abs=1e-3)
    assert fit.pixel_m == pytest.approx(9.8, abs=0.1)


def test_no_shift_is_written_without_a_minus():
    fit = fit_of(Affine(1, 0, X + 1e-9, 0, -1, Y - 1e-9))
    assert str(fit.shift_px) == str(fit.origin_px) == "(0.0, 0.0)"


def test_fit_without_a_crs_is_pixel_on_pixel():
    fit = fit_of(Affine(1, 0, 0, 0, -1, 0), 200, 300, None)
    assert (fit.sampling, fit.shift_px, fit.overlap) == ("as it is", (0, 0), 1)
    assert (fit.crs, fit.pixel_m) == ("", None)


def test_fit_about_a_pole_is_finite():
    image = Grid(100, 100, (1000.0, 0, -50_000.0, 0, -1000.0, 50_000.0), "EPSG:3413")
    label = Grid(180, 360, (1.0, 0, -180.0, 0, -1.0, 90.0), "EPSG:4326")
    alignment = Alignment(image, label, "lc.tif")
    fit = measure_fit(alignment, count_samples(alignment))
    assert fit.overlap == 1
    assert np.isfinite(fit.shift_px).all()
