"""Points in vector files."""

import numpy as np
import pytest
from pyproj import Transformer

from lcseg.errors import LcsegError
from lcseg.raster.points import read_points, write_points

XY = np.array([[400_000.5, 4_299_999.5], [400_010.5, 4_299_000.25]])
FIELDS = {
    "id": np.array([1, 2], np.int32),
    "seed": np.array([2**40, 2**40], np.int64),
    "reference": np.array([None, "tree/forest"], object),
    "note": np.array([None, None], object),
}


@pytest.mark.parametrize("name", ["points.gpkg", "points.geojson", "points.shp"])
def test_points_and_their_fields_are_read_back(tmp_path, name):
    write_points(tmp_path / "new" / name, "EPSG:26918", XY, FIELDS)
    points = read_points(tmp_path / "new" / name)
    if name.endswith(".geojson"):
        # Its standard knows longitude and latitude alone, to a centimetre.
        assert "4326" in points.crs
        lonlat = Transformer.from_crs(26918, 4326, always_xy=True).transform(*XY.T)
        assert points.xy == pytest.approx(np.transpose(lonlat), abs=1e-7)
    else:
        assert "NAD83 / UTM zone 18N" in points.crs or "26918" in points.crs
        assert points.xy == pytest.approx(XY, abs=1e-6)
    assert list(points.fields) == list(FIELDS)
    for field, values in FIELDS.items():
        assert points.fields[field].tolist() == values.tolist()
    assert all(path.stem == "points" for path in (tmp_path / "new").iterdir())


def test_a_table_holds_places_as_columns(tmp_path):
    write_points(tmp_path / "points.csv", "EPSG:26918", XY, FIELDS)
    points = read_points(tmp_path / "points.csv")
    assert list(points.fields) == ["X", "Y", *FIELDS]
    assert points.fields["X"].astype(float).tolist() == XY[:, 0].tolist()


def test_a_table_without_places_has_none(tmp_path):
    (tmp_path / "points.csv").write_text("id,reference\n1,water\n2,\n")
    points = read_points(tmp_path / "points.csv")
    assert np.isnan(points.xy).all()
    assert points.xy.shape == (2, 2)
    assert points.fields["id"].tolist() == ["1", "2"]


def test_an_extension_that_names_no_format_is_refused(tmp_path):
    with pytest.raises(LcsegError, match=r"points\.what: has an extension that names no vector"):
        write_points(tmp_path / "points.what", "EPSG:26918", XY, FIELDS)
    assert not list(tmp_path.iterdir())


def test_what_is_no_vector_file_is_refused(tmp_path):
    with pytest.raises(LcsegError, match=r"none.gpkg: does not exist"):
        read_points(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("no points")
    with pytest.raises(LcsegError, match=r"text.gpkg: is no vector file that can be read"):
        read_points(tmp_path / "text.gpkg")


def test_nothing_is_left_where_writing_fails(tmp_path):
    with pytest.raises(LcsegError, match=r"points\.gpkg: cannot be written"):
        write_points(tmp_path / "points.gpkg", "no CRS", XY, FIELDS)
    assert not list(tmp_path.iterdir())
