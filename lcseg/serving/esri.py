"""How ArcGIS says places: boxes, points, spatial references; and what it is told where it errs.

grid = make_grid(parse_bbox("0,0,9,9"), parse_size("800,600"), "EPSG:3857", "EPSG:26918")
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from lcseg.errors import LcsegError
from lcseg.raster.crs import authority_code, transform_places
from lcseg.raster.grid import Grid
from lcseg.serving.dataset import Dataset

VERSION = 11.1
MAX_SIDE_PX = 4096
WEB_MERCATOR = 3857

_OLD_NAMES = {102100: WEB_MERCATOR, 102113: WEB_MERCATOR, 900913: WEB_MERCATOR}
"""Numbers that Web Mercator had before EPSG gave it one."""

_BARE_POINT = re.compile(r"\s*\{\s*x\s*:\s*([^,{}]+),\s*y\s*:\s*([^,{}]+)\}\s*")
"""A point as QGIS writes it, which is no JSON."""

_EDGE = 21
_MOST_JSON = 4096
_FIRST_OF_ESRI = 37_000
"""Of the numbers that Esri gives itself; EPSG's are smaller."""


class EsriError(Exception):
    """A request that cannot be answered, said as ArcGIS says it.

    Args:
        message: one line for people, without names of files.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.status = message, status


def parse_reference(text: str, dataset: Dataset) -> str:
    """The CRS of a spatial reference: a number, or JSON with wkid; empty: Web Mercator.

    Raises:
        EsriError: it is neither.
    """
    if not text:
        return f"EPSG:{WEB_MERCATOR}"
    values = _parse_json(text) if text.lstrip().startswith("{") else {"wkid": text}
    code = values.get("latestWkid") or values.get("wkid")
    if code is None or not str(code).isascii() or not str(code).isdigit() or len(str(code)) > 6:
        raise EsriError("a spatial reference is a number, or JSON with its wkid")
    number = _OLD_NAMES.get(int(code), int(code))
    crs = f"EPSG:{number}" if number < _FIRST_OF_ESRI else f"ESRI:{number}"
    if authority_code(crs) is None:
        raise EsriError(f"the spatial reference {int(code)} is not known")
    # Its own may be spelt otherwise, and pixels then no longer fall on pixels.
    return dataset.grid.crs or crs if crs == authority_code(dataset.grid.crs or "") else crs


def parse_numbers(text: str, count: int, name: str) -> list[float]:
    """So many finite numbers with commas between them.

    Raises:
        EsriError: they are not.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise EsriError(f"{name} is {count} numbers with commas between them")
    return numbers


def parse_bbox(text: str) -> tuple[float, float, float, float]:
    """Left, bottom, right, top; esri-leaflet says the top before the bottom.

    Raises:
        EsriError: it is no box.
    """
    x0, y0, x1, y1 = parse_numbers(text, 4, "bbox")
    left, bottom, right, top = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    if left == right or bottom == top:
        raise EsriError("bbox holds no area")
    return left, bottom, right, top


def parse_point(text: str, reference: str, dataset: Dataset) -> tuple[float, float, str]:
    """The x and y of a point, and its CRS: two numbers, or JSON that may say its reference itself.

    Raises:
        EsriError: it is no point.
    """
    if bare := _BARE_POINT.fullmatch(text):
        text = f"{bare[1]},{bare[2]}"
    elif text.lstrip().startswith("{"):
        values = _parse_json(text)
        own = values.get("spatialReference")
        reference = json.dumps(own) if own else reference
        text = f"{values.get('x', '')},{values.get('y', '')}"
    x, y = parse_numbers(text, 2, "geometry")
    return x, y, parse_reference(reference, dataset)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        EsriError: it is no size, or a larger one than is drawn.
    """
    width, height = (int(side) for side in parse_numbers(text or "400,400", 2, "size"))
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise EsriError(f"size is from 1 to {MAX_SIDE_PX} pixels a side")
    return width, height


def make_grid(
    bbox: tuple[float, float, float, float], size: tuple[int, int], box_crs: str, crs: str
) -> Grid:
    """The grid of a picture of a box, which may be given in another CRS.

    Raises:
        EsriError: the box does not lie in that CRS.
    """
    left, bottom, right, top = bbox
    if box_crs != crs:
        edge = np.linspace(0, 1, _EDGE)
        xs, ys = np.meshgrid(left + edge * (right - left), bottom + edge * (top - bottom))
        try:
            x, y = transform_places(box_crs, crs, xs, ys, "bbox")
        except LcsegError as error:
            raise EsriError("bbox does not lie in the spatial reference of the picture") from error
        left, bottom, right, top = (float(v) for v in (x.min(), y.min(), x.max(), y.max()))
    width, height = size
    pixel = (right - left) / width, (top - bottom) / height
    if not all(side > 0 and math.isfinite(side) for side in pixel):
        raise EsriError("bbox holds no area")
    return Grid(height, width, (pixel[0], 0.0, left, 0.0, -pixel[1], top), crs)


def say_reference(crs: str) -> dict[str, Any]:
    """A CRS as a spatial reference."""
    code = authority_code(crs)
    if code == f"EPSG:{WEB_MERCATOR}":
        return {"wkid": 102100, "latestWkid": WEB_MERCATOR}
    authority, _, number = (code or "").partition(":")
    if authority in ("EPSG", "ESRI") and number.isdecimal():
        return {"wkid": int(number), "latestWkid": int(number)}
    return {"wkt": crs}


def say_extent(grid: Grid) -> dict[str, Any]:
    """The extent of a grid."""
    left, bottom, right, top = grid.bounds()
    reference = say_reference(grid.crs or "")
    return {
        "xmin": left,
        "ymin": bottom,
        "xmax": right,
        "ymax": top,
        "spatialReference": reference,
    }


def _parse_json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text) if len(text) <= _MOST_JSON else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise EsriError("this JSON cannot be read")
    return values
