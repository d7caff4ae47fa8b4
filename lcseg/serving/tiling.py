"""Web map tiles: where they lie, and from which zoom on they show something.

grid = tile_grid(14, 4670, 6210)               # UnknownError: there is no such tile
zooms = measure_zooms(dataset, "soft")
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import morecantile

from lcseg.raster.grid import EQUATOR_RADIUS_M, Grid, pixel_size_m
from lcseg.serving.dataset import Dataset
from lcseg.serving.gallery import UnknownError
from lcseg.serving.reading import MOST_READ_PX

TMS_ID = "WebMercatorQuad"
TMS = morecantile.tms.get(TMS_ID)
TILE_PX = 256
MAX_ZOOM = 24
HALF_WORLD_M = math.pi * EQUATOR_RADIUS_M
"""From the middle of Web Mercator to its edge."""

_CRS = "EPSG:3857"
_CLOSER = 3
"""Zooms beyond that of the pixels, for those who want to see each of them."""

_PREDICTED_COARSER = 1
"""Zooms short of that of the pixels: beyond, most of what is predicted would not be shown."""


@dataclass(frozen=True)
class Zooms:
    """Zooms of web map tiles."""

    least: int  # From which on the layer is shown.
    native: int  # At which a tile's pixels are no larger than the image's.
    most: int  # That is worth asking for.


def tile_grid(z: int, x: int, y: int) -> Grid:
    """The grid of a tile, in Web Mercator.

    Raises:
        UnknownError: there is no such tile.
    """
    if not 0 <= z <= MAX_ZOOM or not (0 <= x < 2**z and 0 <= y < 2**z):
        raise UnknownError
    half = HALF_WORLD_M
    pixel = 2 * half / TILE_PX / 2**z
    left, top = x * TILE_PX * pixel - half, half - y * TILE_PX * pixel
    return Grid(TILE_PX, TILE_PX, (pixel, 0.0, left, 0.0, -pixel, top), _CRS)


def measure_zooms(dataset: Dataset, layer: str = "classes") -> Zooms:
    """The zooms that show a layer; what has overviews is there in more of them than the rest."""
    _, south, _, north = dataset.bounds_lonlat
    ground_m = pixel_size_m(dataset.grid) or 1.0
    latitude = math.radians(max(min((south + north) / 2, 85), -85))
    widest = 2 * HALF_WORLD_M / TILE_PX * math.cos(latitude)
    native = math.ceil(math.log2(widest / ground_m) - 1e-3)
    native = max(min(native, MAX_ZOOM - _CLOSER), 0)
    return Zooms(max(native - _count_coarser(dataset, layer), 0), native, native + _CLOSER)


def _count_coarser(dataset: Dataset, layer: str) -> int:
    """Zooms short of that of the pixels in which a layer is still shown."""
    if layer == "change":
        return MAX_ZOOM
    read = {"imagery": dataset.image_levels, "classes": dataset.map_levels}
    if layer == "labels" or (layer == "difference" and dataset.map_levels):
        read[layer] = dataset.image_levels[:1]
    if not read.get(layer):
        return _PREDICTED_COARSER
    coarsest = read[layer][-1]
    if coarsest.grid.height * coarsest.grid.width <= MOST_READ_PX:
        return MAX_ZOOM
    # A tile of the zoom of the pixels lies on up to twice as many of them along a side.
    most_px = math.isqrt(MOST_READ_PX) / (2 * TILE_PX)
    return math.floor(math.log2(most_px * coarsest.factor))


def list_limits(dataset: Dataset, z: int) -> tuple[int, int, int, int]:
    """The tiles of a zoom that show a data set: first and last row, first and last column."""
    west, south, east, north = dataset.bounds_lonlat
    inside = [max(min(latitude, 85.0), -85.0) for latitude in (south, north)]
    upper, lower = TMS.tile(west, inside[1], z), TMS.tile(east, inside[0], z)
    return upper.y, lower.y, upper.x, lower.x
