"""Maps of transitions that are shown: where land cover has changed, from what to what.

changes = open_changes("change/transitions.tif", image.grid)
changes.pixels                                 # {7: 5120, …}: of each change, the commonest first
changes.choose_factor(5.3)                     # 8: the overview for pixels 5.3 times as large

What is stable is left out, so that the rest lies over imagery. An overview by mode would leave out
small changes, so these are made here: any change goes before what is stable.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.raster.alignment import Alignment
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.cog import read_class_names
from lcseg.raster.dataset import bounded_cache, identify, open_raster
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.levels import list_levels
from lcseg.transitions import classes_of, find_changed

_PROBABILITY = "probability.tif"
"""What `lcseg change` writes beside its map where it knows probabilities, and its one band."""

_BLOCK_PX = 2048
_KEPT_PX = 1 << 25
_SLACK = 1.001
_COLORS = 256


@dataclass(frozen=True, eq=False)
class Changes:
    """A map of transitions, and overviews of what has changed in it."""

    path: str  # Of the map.
    probability: str  # Raster of the probability of change, on the same grid; empty: none.
    scheme: ClassScheme  # The transitions.
    grid: Grid
    pixels: dict[int, int]  # Of each change that there is, by its code; the commonest first.
    factor: int  # Pixels of the map along a side of one of the finest overview.
    overviews: tuple[np.ndarray, ...]  # uint8, each half of the one before; 255: no change.

    def choose_factor(self, pixels: float) -> int:
        """The least power of two that is no smaller than the pixels of a picture.

        So each pixel of an overview is under one of the picture, and no change is passed over.
        """
        least = 1 << max(math.ceil(math.log2(max(pixels, 1.0) / _SLACK)), 0)
        return min(least, self.factor << (len(self.overviews) - 1))

    def coarsen(self, factor: int) -> Grid:
        """The grid of an overview."""
        a, b, c, d, e, f = self.grid.transform
        return Grid(
            -(-self.grid.height // factor),
            -(-self.grid.width // factor),
            (a * factor, b * factor, c, d * factor, e * factor, f),
            self.grid.crs,
        )

    def find_overview(self, factor: int) -> np.ndarray | None:
        """An overview that is kept, uint8 [H, W]; None: it is finer than those."""
        if factor < self.factor:
            return None
        return self.overviews[(factor // self.factor).bit_length() - 1]


def open_changes(path: str, image: Grid) -> Changes:
    """Open a map of transitions of the place of an image, and look through all of it.

    Raises:
        LcsegError: it is none, or of another place.
    """
    if not read_class_names(path):
        raise _not_transitions(path)
    beside = find_probability(path)
    changes = _survey(path, beside, identify([path, *filter(None, [beside])]))
    Alignment(image, changes.grid, path).require_overlap()
    return changes


def find_probability(path: str) -> str:
    """The raster of the probability of change beside a map of transitions; empty: there is none."""
    beside = Path(path).with_name(_PROBABILITY)
    if not beside.is_file():
        return ""
    with open_raster(str(beside)) as dataset:
        # `lcseg predict` may have been told to write its probabilities to a file of that name.
        return str(beside) if dataset.descriptions == ("probability",) else ""


def read_changed(mapped: ClassMap, window: Window) -> np.ndarray:
    """Codes of what has changed in a window, which may overhang the map; 255 elsewhere."""
    code_hw = mapped.read(window)
    n_classes = math.isqrt(mapped.scheme.n_classes)
    return np.where(find_changed(code_hw, n_classes), code_hw, np.uint8(IGNORE))


def shrink(code_hw: np.ndarray, factor: int) -> np.ndarray:
    """Halve, until the sides are divided by a power of two."""
    while factor > 1:
        code_hw, factor = halve(code_hw), factor // 2
    return code_hw


def halve(code_hw: np.ndarray) -> np.ndarray:
    """Of every four pixels the change that most of them show, of several the first; 255: none."""
    height, width = code_hw.shape
    if height % 2 or width % 2:
        code_hw = np.pad(code_hw, ((0, height % 2), (0, width % 2)), constant_values=IGNORE)
    four = [code_hw[row::2, col::2] for row in (0, 1) for col in (0, 1)]
    found = four[3]
    for each in four[2::-1]:
        found = np.where(each == IGNORE, found, each)
    # The pair that is looked at last goes before the others.
    for i, j in ((2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)):
        found = np.where((four[i] == four[j]) & (four[i] != IGNORE), four[i], found)
    return found


@functools.lru_cache(maxsize=4)
def _survey(path: str, probability: str, _: object) -> Changes:
    """Look through a map, once for each state of its files."""
    with open_class_map(path) as mapped, bounded_cache():
        if classes_of(mapped.scheme) is None:
            raise _not_transitions(path)
        grid = mapped.grid
        if probability and list_levels(probability)[0].grid != grid:
            raise LcsegError(
                probability, f"does not lie on the grid of {path}", "compare the maps again"
            )
        factor = 1
        while -(-grid.height // factor) * -(-grid.width // factor) > _KEPT_PX:
            factor *= 2
        shape = -(-grid.height // factor), -(-grid.width // factor)
        overview_hw = np.full(shape, IGNORE, np.uint8)
        counts = np.zeros(_COLORS, np.int64)
        for window in cover(grid.height, grid.width, _BLOCK_PX):
            code_hw = read_changed(mapped, window)
            counts += np.bincount(code_hw.ravel(), minlength=_COLORS)
            small_hw = shrink(code_hw, factor)
            place = Window(window.row // factor, window.col // factor, *small_hw.shape).clip(*shape)
            overview_hw[place.slices] = small_hw[: place.height, : place.width]
    overviews = [overview_hw]
    while max(overviews[-1].shape) > 1:
        overviews.append(halve(overviews[-1]))
    order = np.argsort(-counts[:IGNORE], kind="stable").tolist()
    pixels = {code: int(counts[code]) for code in order if counts[code]}
    return Changes(path, probability, mapped.scheme, grid, pixels, factor, tuple(overviews))


def _not_transitions(path: str) -> LcsegError:
    return LcsegError(
        path, "is no map of transitions", "name transitions.tif, which lcseg change writes"
    )
