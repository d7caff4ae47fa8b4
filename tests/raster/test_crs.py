import numpy as np
import pyproj
import pytest
from rasterio.crs import CRS

from lcseg.errors import LcsegError
from lcseg.raster.crs import crs_name, is_geographic, is_same_crs, transform_places


def test_crs_has_a_name_and_places_in_it_have_places_in_another():
    assert crs_name("EPSG:32618") == "WGS 84 / UTM zone 18N"
    lon, lat = np.array([[-77.0, -75.0]]), np.array([[38.9, 40.0]])
    x, y = transform_places("EPSG:4326", "EPSG:32618", lon, lat, "lc.tif")
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32618", always_xy=True)
    np.testing.assert_allclose((x, y), to_utm.transform(lon, lat), atol=1e-3)
    assert x.shape == (1, 2)


@pytest.mark.parametrize(
    ("crs", "name"),
    [
        ("EPSG:4326", "WGS 84"),
        (CRS.from_epsg(26918).to_wkt(), "NAD83 / UTM zone 18N"),
        ("+proj=utm +zone=18 +datum=NAD83", "unknown"),
        ('LOCAL_CS["site",UNIT["metre",1]]', "site"),
        ("EPSG:999999", "EPSG:999999"),
        ("", ""),
    ],
)
def test_name_is_that_which_people_know_it_by(crs, name):
    assert crs_name(crs) == name


def test_crs_is_the_same_however_it_is_spelt():
    assert is_same_crs("EPSG:26918", CRS.from_epsg(26918).to_wkt())
    assert not is_same_crs("EPSG:26918", "EPSG:26917")
    assert not is_same_crs("EPSG:26918", "EPSG:999999")


def test_only_longitude_and_latitude_are_geographic():
    found = [is_geographic(crs) for crs in ("EPSG:4326", "EPSG:26918", "EPSG:999999")]
    assert found == [True, False, False]


@pytest.mark.parametrize("crs", ["EPSG:999999", "IAU_2015:49900", "nonsense"])
def test_crs_without_a_way_to_it_is_an_error(crs):
    here = np.zeros(1)
    with pytest.raises(LcsegError, match=r"lc\.tif: its CRS .* cannot be reached from the image's"):
        transform_places("EPSG:4326", crs, here, here, "lc.tif")


def test_place_that_a_projection_does_not_reach_is_an_error():
    lon, lat = np.array([0.0, 0.0]), np.array([0.0, 95.0])
    with pytest.raises(LcsegError, match=r"lc\.tif: its CRS .* (does not reach|cannot be reached)"):
        transform_places("EPSG:4326", "EPSG:3857", lon, lat, "lc.tif")


def test_nad27_is_not_taken_for_nad83():
    """In Washington the two lie about 30 m apart; a ballpark shift would leave them as one."""
    lon, lat = np.array([-77.0]), np.array([38.9])
    x27, y27 = transform_places("EPSG:4267", "EPSG:26918", lon, lat, "lc.tif")
    x83, y83 = transform_places("EPSG:4269", "EPSG:26918", lon, lat, "lc.tif")
    assert 20 < np.hypot(x27 - x83, y27 - y83)[0] < 40
