"""What GDAL and QGIS read beside a map."""

from xml.etree import ElementTree

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.raster.legend import aux_path, style_path, write_legend, write_style

SCHEME = load_scheme("chesapeake-4")


def read_table(root: ElementTree.Element) -> dict[str, list[str]]:
    names = [field.findtext("Name") for field in root.iter("FieldDefn")]
    rows = [[cell.text for cell in row] for row in root.iter("Row")]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def test_names_and_attribute_table_lie_beside_the_map(tmp_path):
    path = tmp_path / "map.tif"
    write_legend(path, SCHEME, [3_000_000_000, 2, 3, 4])
    root = ElementTree.parse(aux_path(path)).getroot()
    assert [name.text for name in root.iter("Category")] == list(SCHEME.names)
    table = read_table(root)
    assert list(table) == ["Value", "Count", "Class", "Red", "Green", "Blue"]
    assert table["Value"] == ["0", "1", "2", "3"]
    assert table["Count"] == ["3000000000", "2", "3", "4"]
    assert table["Class"] == list(SCHEME.names)
    colors = np.array([table[c] for c in ("Red", "Green", "Blue")]).astype(int).T
    assert np.array_equal(colors, SCHEME.palette)


def test_gdal_reads_the_attribute_table(tmp_path, make_raster):
    gdal = pytest.importorskip("osgeo.gdal", reason="GDAL's own bindings read attribute tables")
    path = make_raster("map.tif", np.zeros((9, 9), np.uint8))
    write_legend(tmp_path / "map.tif", SCHEME)
    table = gdal.Open(path).GetRasterBand(1).GetDefaultRAT()
    assert table.GetRowCount() == 4


def test_style_has_the_colours_of_the_scheme(tmp_path):
    path = style_path(tmp_path / "map.tif")
    write_style(path, SCHEME)
    assert path.name == "map.qml"
    root = ElementTree.parse(path).getroot()
    assert root.tag == "qgis"
    assert root.find("pipe/rasterrenderer").get("type") == "paletted"
    entries = {entry.get("label"): entry.get("color") for entry in root.iter("paletteEntry")}
    assert entries == {land.name: land.color.lower() for land in SCHEME.classes}
