"""A raster at full size and smaller: its overviews, and which of them a picture needs.

levels = list_levels("map.tif")                # the raster itself, then its overviews
level = choose_level(levels, 5.3)              # for pictures whose pixels are 5.3 times as large
with open_raster("map.tif", level.overview) as dataset: …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lcseg.raster.dataset import grid_of, open_raster
from lcseg.raster.grid import Grid

_SLACK = 1.01
"""Overviews of odd sizes are a shade coarser than their name says."""


@dataclass(frozen=True)
class Level:
    """A raster at one of its sizes."""

    overview: int | None  # Its number among the overviews, from 0; None: the raster itself.
    factor: float  # Pixels of the raster along a side of one of its own.
    grid: Grid


def list_levels(path: str) -> tuple[Level, ...]:
    """The sizes in which a raster can be read, from the finest on."""
    with open_raster(path) as dataset:
        levels = [Level(None, 1.0, grid_of(dataset))]
        n_overviews = len(dataset.overviews(1)) if dataset.count else 0
    for overview in range(n_overviews):
        with open_raster(path, overview) as dataset:
            grid = grid_of(dataset)
            levels.append(Level(overview, levels[0].grid.width / grid.width, grid))
    return tuple(levels)


def choose_level(levels: Sequence[Level], pixels: float) -> Level:
    """The coarsest level whose pixels are no larger than those of a picture.

    Args:
        levels: from the finest on.
        pixels: of the raster along a side of one of the picture.
    """
    return [level for level in levels if level.factor <= max(pixels, 1.0) * _SLACK][-1]
