"""Scenes that lie on the same ground.

sites = find_sites([first.grid, second.grid], margin_px=32)
sites[0].scenes                                # (0, 1): the numbers of scenes that touch
cols, rows = project(second.grid, sites[0].frame, cols, rows)

The pixel grid of a site's first scene, continued beyond its edges, is the frame in which all of
its scenes are compared. Scenes of different sites share no ground.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.warp
import shapely

from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window

_EDGE_POINTS = 9
_WEB_MERCATOR = 3857


@dataclass(frozen=True)
class Site:
    """Scenes on the same ground."""

    scenes: tuple[int, ...]  # Their numbers, ascending.
    frame: Grid  # The grid of the first of them.


def find_sites(grids: Sequence[Grid], margin_px: int = 0) -> list[Site]:
    """Put scenes together whose surroundings, in longitude and latitude, overlap.

    Args:
        grids: of the scenes; one without a CRS is a site of its own.
        margin_px: how far a scene's surroundings reach beyond it, in its pixels.
    """
    worlds: dict[str, list[int]] = {}
    boxes = []
    for number, grid in enumerate(grids):
        world, box = _locate(grid, margin_px)
        boxes.append(box)
        worlds.setdefault(world or f"scene {number}", []).append(number)
    links = [
        (numbers[a], numbers[b])
        for numbers in worlds.values()
        for a, b in _touching([boxes[n] for n in numbers])
    ]
    return [Site(scenes, grids[scenes[0]]) for scenes in join(len(grids), links)]


def join(count: int, links: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The groups of 0 .. count - 1 that links connect, each ascending, by their first members."""
    group_of = {number: [number] for number in range(count)}
    for a, b in links:
        small, large = sorted((group_of[a], group_of[b]), key=len)
        if small is not large:
            large.extend(small)
            group_of.update(dict.fromkeys(small, large))
    groups = {id(group): tuple(sorted(group)) for group in group_of.values()}
    return sorted(groups.values())


def project(
    own: Grid, other: Grid, cols: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say where places of one grid are in another, float (cols, rows) in pixels of both."""
    return Alignment(own, other, "--images").project(cols, rows)


def outline(windows: np.ndarray, own: Grid, other: Grid) -> np.ndarray:
    """Say where the edges of windows lie in another grid.

    Args:
        windows: float [n, 4]: row, col, height, width in `own`.
        own: the grid that they are of.
        other: the grid that they are wanted in.

    Returns:
        Points along the four edges of each, float [n, points, 2] of (column, row).
    """
    edge = np.linspace(0, 1, _EDGE_POINTS)
    ones, zeros = np.ones_like(edge), np.zeros_like(edge)
    across = np.concatenate([edge, ones, edge[::-1], zeros])
    down = np.concatenate([zeros, edge, ones, edge[::-1]])
    row, col, height, width = np.asarray(windows, float).T[..., None]
    return np.stack(project(own, other, col + across * width, row + down * height), axis=-1)


def footprint(grid: Grid, frame: Grid) -> shapely.Polygon:
    """The outline of a scene in the pixels of a frame."""
    whole = np.array([[0, 0, grid.height, grid.width]])
    return shapely.Polygon(outline(whole, grid, frame)[0])


def _locate(grid: Grid, margin_px: int) -> tuple[str, tuple[float, float, float, float]]:
    """The world of a scene and its box there: (left, bottom, right, top).

    The world is the Earth in longitude and latitude, the CRS if it is of another body, and empty
    without a CRS.
    """
    height, width = (size + 2 * margin_px for size in (grid.height, grid.width))
    transform = grid.transform_of(Window(-margin_px, -margin_px, height, width))
    wide = Grid(height, width, transform, grid.crs)
    if grid.crs is None:
        return "", wide.bounds()
    try:
        left, bottom, right, top = rasterio.warp.transform_bounds(
            grid.crs, "EPSG:4326", *wide.bounds()
        )
    except GDAL_ERRORS:
        return grid.crs, wide.bounds()
    # Across the antimeridian the right edge has the smaller longitude.
    return "Earth", (left, bottom, right + 360 if right < left else right, top)


def _touching(boxes: list[tuple[float, float, float, float]]) -> list[tuple[int, int]]:
    """Pairs of boxes that touch, also where one of them is moved around the Earth."""
    shapes = shapely.box(*np.array(boxes).T)
    tree = shapely.STRtree(shapes)
    pairs: list[tuple[int, int]] = []
    for around in (0, 360):
        moved = shapely.box(*np.add(boxes, [around, 0, around, 0]).T)
        pairs += zip(*tree.query(moved, predicate="intersects").tolist(), strict=True)
    return [(a, b) for a, b in pairs if a != b]
