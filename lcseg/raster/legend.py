"""What the values of a class map mean, where other programs look for it.

write_legend("map.tif", scheme, class_pixels)  # map.tif.aux.xml: class names and attribute table
write_style("map.qml", scheme)                 # for QGIS
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from lcseg.classes import ClassScheme
from lcseg.files import replaced

_TYPES = {"Count": "1", "Class": "2"}
"""Real numbers, as integers have 32 bits, and text; the others are integers, 0."""
_USES = {"Value": "5", "Count": "1", "Class": "2", "Red": "6", "Green": "7", "Blue": "8"}
"""The columns of an attribute table, and what GDAL calls their use (GDALRATFieldUsage)."""


def aux_path(path: Path) -> Path:
    """Where GDAL keeps what has no place in a raster file itself."""
    return path.with_name(path.name + ".aux.xml")


def style_path(path: Path) -> Path:
    """Where QGIS looks for how a raster is drawn."""
    return path.with_suffix(".qml")


def write_legend(path: Path, scheme: ClassScheme, class_pixels: Sequence[int] = ()) -> None:
    """Write class names and a raster attribute table beside a class map.

    Args:
        path: the map.
        scheme: its classes.
        class_pixels: how many pixels each class has; none: it is not known.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for name in scheme.names:
        ElementTree.SubElement(names, "Category").text = name
    table = ElementTree.SubElement(
        band, "GDALRasterAttributeTable", Row0Min="0", BinSize="1", tableType="thematic"
    )
    columns = [column for column in _USES if column != "Count" or class_pixels]
    for index, column in enumerate(columns):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        ElementTree.SubElement(field, "Name").text = column
        ElementTree.SubElement(field, "Type").text = _TYPES.get(column, "0")
        ElementTree.SubElement(field, "Usage").text = _USES[column]
    for index, (name, color) in enumerate(zip(scheme.names, scheme.palette, strict=True)):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        counted = [class_pixels[index]] if class_pixels else []
        for value in (index, *counted, name, *map(int, color)):
            ElementTree.SubElement(row, "F").text = str(value)
    _write(root, aux_path(path))


def write_style(path: Path, scheme: ClassScheme) -> None:
    """Write a style of QGIS that draws a class map in the colours of its scheme."""
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    entries = ElementTree.SubElement(renderer, "colorPalette")
    for index, land in enumerate(scheme.classes):
        ElementTree.SubElement(
            entries,
            "paletteEntry",
            value=str(index),
            color=land.color.lower(),
            label=land.name,
            alpha="255",
        )
    _write(root, path)


def _write(root: ElementTree.Element, path: Path) -> None:
    ElementTree.indent(root)
    with replaced(path) as aside:
        ElementTree.ElementTree(root).write(aside, encoding="utf-8")
