"""The largest changed places: what they were, what they are, how sure that is, and pictures.

places = describe_places("transitions.tif", comparison.places, pair)
write_places(Path("places.gpkg"), places, "transitions.tif")
tiles = draw_place(places[0], pair, transitions, images, dates)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from lcseg.change.pair import MapPair
from lcseg.change.search import mean_probability
from lcseg.pictures import encode_png, stretch
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.crs import LONLAT, transform_places
from lcseg.raster.grid import Grid, Window
from lcseg.raster.patches import PatchTable, find_area, trace
from lcseg.raster.source import Imagery
from lcseg.raster.vector import write_features
from lcseg.transitions import find_changed

_MOST_TRACED_PX = 1 << 24
"""Pixels around a place that is outlined; of a larger one the rectangle around it is given."""

_LEAST_PX, _MOST_PX = 64, 1024
_AROUND = 0.3
_PICTURE_PX = 320
_LINE = (255, 236, 0)
_LEAST_HECTARES = 0.1

Tiles = Sequence[tuple[str, bytes]]
"""Pictures of a place: titles, and PNGs of the same size."""


@dataclass(frozen=True)
class Place:
    """A connected area that changed."""

    number: int  # From 1, the largest.
    before: str  # The class most of it was, of the commonest transition in it.
    after: str  # The class that this is now.
    share: float  # Of the place that went this way.
    pixels: int
    hectares: float | None  # None: there is no CRS.
    probability: float | None  # Mean probability of change; None: known nowhere in it.
    lonlat: tuple[float, float] | None  # Of its centre; None: there is no CRS.
    first: tuple[int, int]  # Row and column of its first pixel.
    window: Window  # Around it.

    @property
    def size(self) -> str:
        """How large it is, as text."""
        if self.hectares is None:
            return f"{self.pixels:,} px"
        is_small = self.hectares < _LEAST_HECTARES
        return f"{1e4 * self.hectares:,.0f} m²" if is_small else f"{self.hectares:,.2f} ha"


def describe_places(path: str, table: PatchTable, pair: MapPair) -> tuple[Place, ...]:
    """Look at places in a map of transitions.

    Args:
        path: of that map.
        table: the places.
        pair: the maps that were compared.
    """
    probabilities: list[float | None] = [None] * len(table)
    if pair.probabilities:
        is_known = table.sums[:, 2] > 0
        found = zip(mean_probability(table).tolist(), is_known.tolist(), strict=True)
        probabilities = [value if known else None for value, known in found]
    places = []
    with open_class_map(path, allow_ungeoreferenced=True) as transitions:
        for i in range(len(table)):
            window, first = table.window(i), _pair_of(table.first[i])
            code = _commonest(transitions, _bounded(window), first, pair.scheme.n_classes)
            before, after = divmod(code[0], pair.scheme.n_classes)
            has_crs = pair.grid.crs is not None
            places.append(
                Place(
                    i + 1,
                    pair.scheme.names[before],
                    pair.scheme.names[after],
                    code[1],
                    int(table.pixels[i]),
                    float(table.sums[i, 0]) / 1e4 if has_crs else None,
                    probabilities[i],
                    _center(pair.grid, window) if has_crs else None,
                    first,
                    window,
                )
            )
    return tuple(places)


def write_places(path: Path, places: Sequence[Place], transitions_path: str) -> None:
    """Write places as polygons, with what is known of them."""
    with open_class_map(transitions_path, allow_ungeoreferenced=True) as transitions:
        grid = transitions.grid
        shapes = np.array([_outline(transitions, place) for place in places], object)
    numbers = ("hectares", "probability")
    fields = {
        "id": np.array([place.number for place in places], np.int32),
        "before": np.array([place.before for place in places], object),
        "after": np.array([place.after for place in places], object),
        "share": np.array([place.share for place in places]),
        "pixels": np.array([place.pixels for place in places], np.int64),
    }
    for name in numbers:
        values = [getattr(place, name) for place in places]
        fields[name] = np.array([np.nan if v is None else v for v in values], float)
    write_features(path, grid.crs, "Polygon", shapes, fields)


def draw_place(
    place: Place,
    pair: MapPair,
    transitions: ClassMap,
    images: tuple[Imagery | None, Imagery | None],
    dates: tuple[str, str],
) -> Tiles:
    """Picture a place at both dates: imagery, if there is any, and maps, with its outline."""
    window = _around(place.window, pair.grid)
    step = max(-(-max(window.height, window.width) // _PICTURE_PX), 1)
    is_place_hw = find_changed(transitions.read(window), pair.scheme.n_classes)
    if window.holds(*place.first):
        is_place_hw = find_area(is_place_hw.astype(np.uint8), window, place.first)
    is_line_hw = _draw_line(is_place_hw[::step, ::step])
    tiles = []
    for image, date in zip(images, dates, strict=True):
        if image:
            image_hwc, valid_hw = image.read(window)
            rgb_hwc = stretch(image_hwc[::step, ::step], valid_hw[::step, ::step])
            rgb_hwc[is_line_hw] = _LINE
            tiles.append((f"image, {date}", encode_png(rgb_hwc)))
    for label_hw, date in zip(pair.read(window), dates, strict=True):
        rgb_hwc = pair.scheme.colorize(label_hw[::step, ::step])
        rgb_hwc[is_line_hw] = _LINE
        tiles.append((f"map, {date}", encode_png(rgb_hwc)))
    return tiles


def _commonest(
    transitions: ClassMap, window: Window, first: tuple[int, int], n: int
) -> tuple[int, float]:
    """The commonest transition of a place, and its share of it."""
    code_hw = transitions.read(window)
    is_place_hw = find_area(find_changed(code_hw, n).astype(np.uint8), window, first)
    counts = np.bincount(code_hw[is_place_hw], minlength=1)
    return int(counts.argmax()), float(counts.max() / counts.sum())


def _outline(transitions: ClassMap, place: Place) -> shapely.Polygon:
    """Along the edges of its pixels; of a very large place, the rectangle around it."""
    window, grid = place.window, transitions.grid
    if window.height * window.width > _MOST_TRACED_PX:
        top, left = window.row, window.col
        bottom, right = top + window.height, left + window.width
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return shapely.Polygon([grid.affine @ corner for corner in corners])
    n = round(transitions.scheme.n_classes**0.5)
    is_changed_hw = find_changed(transitions.read(window), n)
    return trace(is_changed_hw.astype(np.uint8), window, place.first, grid)


def _bounded(window: Window) -> Window:
    """The upper part of a window that is too large to be read at once."""
    rows = max(_MOST_TRACED_PX // window.width, 1)
    return Window(window.row, window.col, min(window.height, rows), window.width)


def _around(window: Window, grid: Grid) -> Window:
    """A square about the middle of a place, or about all of it and a little more, in the grid."""
    side = max(window.height, window.width) * (1 + 2 * _AROUND)
    side_px = int(np.clip(round(side), _LEAST_PX, _MOST_PX))
    row = window.row + window.height // 2 - side_px // 2
    col = window.col + window.width // 2 - side_px // 2
    row = max(min(row, grid.height - side_px), 0)
    col = max(min(col, grid.width - side_px), 0)
    return Window(row, col, side_px, side_px).clip(grid.height, grid.width)


def _draw_line(is_place_hw: np.ndarray) -> np.ndarray:
    """The pixels around a place, bool [H, W]."""
    wide = np.pad(is_place_hw, 1)
    around = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return around & ~is_place_hw


def _center(grid: Grid, window: Window) -> tuple[float, float]:
    x, y = grid.affine @ (window.col + window.width / 2, window.row + window.height / 2)
    lon, lat = transform_places(grid.crs or "", LONLAT, np.array([x]), np.array([y]), "places")
    return float(lon[0]), float(lat[0])


def _pair_of(values: np.ndarray) -> tuple[int, int]:
    row, col = values.tolist()
    return row, col
