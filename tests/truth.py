"""What a place's map is at points of the ground, by pyproj and rasterio alone.

truth = Truth(place)
class_n, is_clear_n = truth.at(xs, ys, 3857)
truth.colors(class_n)                          # uint8 [n, 4], transparent where nothing is mapped
"""

from __future__ import annotations

import numpy as np
import rasterio
from pyproj import Transformer
from served import CRS, LEFT, SIZE_PX, TOP, Place

from lcseg.classes import IGNORE, load_scheme

SCHEME = load_scheme("chesapeake-4")
NATIVE = 17
"""Zoom of web map tiles whose pixels are no larger than those of a place."""

ORIGIN_M = 20037508.342789244
_BORDER_PX = 1e-3
"""Points that are closer to the border of their pixel may be taken for its neighbour's."""


class Truth:
    """The map of a place."""

    def __init__(self, place: Place) -> None:
        with rasterio.open(place.map) as dataset:
            self.label_hw: np.ndarray = dataset.read(1)
        self.table = np.zeros((256, 4), np.uint8)
        self.table[: SCHEME.n_classes, :3] = SCHEME.palette
        self.table[: SCHEME.n_classes, 3] = 255

    def at(self, xs: np.ndarray, ys: np.ndarray, crs: int | str) -> tuple[np.ndarray, np.ndarray]:
        """Classes of points, and whether each lies well within its pixel."""
        own_x, own_y = Transformer.from_crs(crs, CRS, always_xy=True).transform(xs, ys)
        rows, cols = TOP - own_y, own_x - LEFT
        is_clear = (abs(rows - np.round(rows)) > _BORDER_PX) & (
            abs(cols - np.round(cols)) > _BORDER_PX
        )
        inside = (rows >= 0) & (rows < SIZE_PX) & (cols >= 0) & (cols < SIZE_PX)
        at = tuple(np.clip(np.floor(axis), 0, SIZE_PX - 1).astype(int) for axis in (rows, cols))
        return np.where(inside, self.label_hw[at], np.uint8(IGNORE)), is_clear

    def on(
        self, box: tuple[float, float, float, float], size: tuple[int, int], crs: int | str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same at the centres of the pixels of a picture; box: left, bottom, right, top."""
        left, bottom, right, top = box
        width, height = size
        xs = left + (np.arange(width) + 0.5) * (right - left) / width
        ys = top - (np.arange(height) + 0.5) * (top - bottom) / height
        return self.at(*np.meshgrid(xs, ys), crs)

    def colors(self, class_n: np.ndarray) -> np.ndarray:
        """Colours, uint8 […, 4]."""
        return self.table[class_n]

    def choose_points(self, count: int, seed: int, reach_px: int = 1) -> np.ndarray:
        """Points of Web Mercator, float [count, 2], in the midst of spots of one class each.

        Args:
            count: how many, as many of each class as of the others.
            seed: of the choice.
            reach_px: how far around a point its class reaches, or further.
        """
        side = 2 * reach_px + 1
        around = np.lib.stride_tricks.sliding_window_view(self.label_hw, (side, side))
        is_even = around.min(axis=(2, 3)) == around.max(axis=(2, 3))
        inner_hw = self.label_hw[reach_px:-reach_px, reach_px:-reach_px]
        spots = [np.argwhere(is_even & (inner_hw == k)) for k in range(SCHEME.n_classes)]
        random = np.random.default_rng(seed)
        # The rarest first: what they lack the others make up for.
        chosen: list[np.ndarray] = []
        for left, places in enumerate(sorted(spots, key=len)):
            share = -(-(count - len(chosen)) // (len(spots) - left))
            chosen += list(random.permutation(places)[:share])
        rows, cols = np.array(chosen).T + reach_px + 0.5
        project = Transformer.from_crs(CRS, 3857, always_xy=True)
        return np.column_stack(project.transform(LEFT + cols, TOP - rows))


def native_box() -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """All tiles of the native zoom that a place lies in: left, bottom, right, top; and its size."""
    to_mercator = Transformer.from_crs(CRS, 3857, always_xy=True)
    edge = np.linspace(0, SIZE_PX, 51)
    xs, ys = to_mercator.transform(*np.meshgrid(LEFT + edge, TOP - edge))
    tile_m = 2 * ORIGIN_M / 2**NATIVE
    first_col, first_row = (xs.min() + ORIGIN_M) // tile_m, (ORIGIN_M - ys.max()) // tile_m
    last_col, last_row = (xs.max() + ORIGIN_M) // tile_m, (ORIGIN_M - ys.min()) // tile_m
    size = int(last_col - first_col + 1) * 256, int(last_row - first_row + 1) * 256
    left, top = float(first_col * tile_m - ORIGIN_M), float(ORIGIN_M - first_row * tile_m)
    return (left, top - size[1] / 256 * tile_m, left + size[0] / 256 * tile_m, top), size
