"""Maps as polygons, held against scipy's labels and against the map itself."""

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.polygons import write_polygons

SCHEME = load_scheme("chesapeake-4")
PLACE = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)


def make_labels() -> np.ndarray:
    """Patches of some pixels, single ones among them, and a part without data."""
    random = np.random.default_rng(0)
    labels_hw = np.repeat(np.repeat(random.integers(0, 4, (12, 15)), 8, 0), 8, 1).astype(np.uint8)
    labels_hw[random.random(labels_hw.shape) < 0.02] = 3
    labels_hw[:20, :30] = IGNORE
    return labels_hw


def read_polygons(path):
    meta, _, geometry, fields = pyogrio.raw.read(path)
    return meta, shapely.from_wkb(geometry), dict(zip(meta["fields"], fields, strict=True))


def test_polygons_are_the_patches_of_the_map(tmp_path, make_raster):
    labels_hw = make_labels()
    path = make_raster("map.tif", labels_hw, transform=PLACE, nodata=IGNORE)
    n = write_polygons(path, tmp_path / "map.gpkg", SCHEME)
    meta, polygons, fields = read_polygons(tmp_path / "map.gpkg")
    assert n == len(polygons) == sum(ndimage.label(labels_hw == k)[1] for k in range(4))
    assert meta["crs"] == "EPSG:26918"
    assert shapely.is_valid(polygons).all()
    assert np.allclose(fields["area_m2"], shapely.area(polygons))
    assert [SCHEME.names[k] for k in fields["class"]] == list(fields["name"])
    back_hw = rasterize(
        zip(polygons, fields["class"], strict=True),
        labels_hw.shape,
        fill=IGNORE,
        transform=Affine(*PLACE),
        dtype="uint8",
    )
    assert np.array_equal(back_hw, labels_hw)


def test_small_patches_join_the_largest_beside_them(tmp_path, make_raster):
    labels_hw = np.zeros((40, 40), np.uint8)
    labels_hw[:, 20:] = 1
    labels_hw[10, 10:14] = 2
    labels_hw[30:33, 30:33] = 2
    labels_hw[0, 0], labels_hw[0, 1], labels_hw[1, 0] = 3, IGNORE, IGNORE
    path = make_raster("map.tif", labels_hw, transform=PLACE, nodata=IGNORE)
    write_polygons(path, tmp_path / "map.gpkg", SCHEME, min_area_m2=5 * 4)
    _, polygons, fields = read_polygons(tmp_path / "map.gpkg")
    found = sorted(zip(fields["class"].tolist(), fields["area_m2"].tolist(), strict=True))
    # Nobody is beside the one in the corner.
    assert found == [(0, 797 * 4.0), (1, 791 * 4.0), (2, 9 * 4.0), (3, 4.0)]
    assert polygons[fields["class"] == 1][0].interiors


def test_what_ogr_cannot_write_is_refused(tmp_path, make_raster):
    path = make_raster("map.tif", make_labels())
    with pytest.raises(
        LcsegError, match=r"map\.docx: has an extension that names no vector format"
    ):
        write_polygons(path, tmp_path / "map.docx", SCHEME)


def test_map_without_place_has_polygons_without_area(tmp_path, make_raster):
    path = make_raster("map.tif", make_labels(), crs=None, transform=None, nodata=IGNORE)
    write_polygons(path, tmp_path / "map.gpkg", SCHEME)
    assert np.isnan(read_polygons(tmp_path / "map.gpkg")[2]["area_m2"]).all()
    with pytest.raises(LcsegError, match="has no CRS, so no areas"):
        write_polygons(path, tmp_path / "other.gpkg", SCHEME, min_area_m2=100)
