"""Units of ground: chips of a data set that must not be parted, for they show the same ground.

units = find_units(manifest, scenes, windows, "data")
units.names[units.of_chip[0]]                  # "2019/3/7": the square that the first chip is in

A unit is a square of a site, as convert has dealt them, or a whole scene where it has dealt scenes.
Units whose chips share ground, of whichever scenes and dates, are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from lcseg.errors import LcsegError
from lcseg.raster.grid import Grid
from lcseg.raster.site import Site, find_sites, join, outline
from lcseg.records.manifest import Manifest

_TOUCH_PX = 0.01
"""Chips that lie side by side share no ground, whatever rounding says."""

_REPEAT = "convert the rasters again"


@dataclass(frozen=True, eq=False)
class Units:
    """Which chips belong together."""

    names: tuple[str, ...]  # Of the units, by the first of what was joined.
    of_chip: np.ndarray  # int [n]: the number of each chip's unit.


def find_units(manifest: Manifest, scenes: np.ndarray, windows: np.ndarray, where: str) -> Units:
    """Find the units of all chips of a data set.

    Args:
        manifest: of the data set; its settings say how the ground was divided.
        scenes: int [n]: the number of the scene of each chip.
        windows: int [n, 4]: row, col, height and width of what each chip shows of its scene.
        where: the data set, for errors.

    Raises:
        LcsegError: the settings do not say enough, or chips of one scene overlap.
    """
    grids = [Grid(s.height, s.width, s.transform, s.crs) for s in manifest.sources]
    gap_px = _read_setting(manifest, "split_buffer_px", 0, where)
    period = manifest.chip_px * _read_setting(manifest, "block_chips", 1, where) + gap_px
    by_scene = manifest.settings.get("split_by") == "scene"
    names = np.empty(len(scenes), object)
    links = [np.zeros((0, 2), int)]
    for site in find_sites(grids, max(gap_px, 1)):
        chips = np.flatnonzero(np.isin(scenes, site.scenes))
        if not len(chips):
            continue
        outlines = _outline(site, grids, scenes[chips], windows[chips])
        middles = (outlines.min(axis=1) + outlines.max(axis=1)) / 2
        first = manifest.sources[site.scenes[0]].key
        for chip, (col, row) in zip(chips.tolist(), middles // period, strict=True):
            own = manifest.sources[scenes[chip]].key
            names[chip] = own if by_scene else f"{first}/{row:.0f}/{col:.0f}"
        polygons = shapely.polygons(outlines)
        pairs = chips[shapely.STRtree(polygons).query(polygons, predicate="intersects").T]
        links.append(pairs[pairs[:, 0] < pairs[:, 1]])
    pairs = np.concatenate(links)
    _require_apart(scenes, pairs, where)
    known, numbers = np.unique(names.astype(str), return_inverse=True)
    groups = join(len(known), map(tuple, np.unique(numbers[pairs], axis=0).tolist()))
    unit_of = np.empty(len(known), int)
    for unit, members in enumerate(groups):
        unit_of[list(members)] = unit
    return Units(tuple(str(known[members[0]]) for members in groups), unit_of[numbers])


def _outline(site: Site, grids: list[Grid], scenes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Outlines of chips of a site in the pixels of its frame, a shade smaller than they are."""
    inner = windows + np.array([_TOUCH_PX, _TOUCH_PX, -2 * _TOUCH_PX, -2 * _TOUCH_PX])
    outlines = np.zeros((len(scenes), *outline(inner[:1], site.frame, site.frame).shape[1:]))
    for number in site.scenes:
        is_own = scenes == number
        if is_own.any():
            outlines[is_own] = outline(inner[is_own], grids[number], site.frame)
    return outlines


def _require_apart(scenes: np.ndarray, pairs: np.ndarray, where: str) -> None:
    """Refuse chips of one scene that overlap: who judges must count no pixel twice."""
    if (scenes[pairs[:, 0]] == scenes[pairs[:, 1]]).any():
        raise LcsegError(
            where,
            "its training chips overlap, so not all can be for testing",
            f"{_REPEAT} without --stride_px",
        )


def _read_setting(manifest: Manifest, name: str, least: int, where: str) -> int:
    value = manifest.settings.get(name)
    if not isinstance(value, int) or value < least:
        raise LcsegError(
            where,
            f"does not say how its ground was divided: {name} of its settings is {value}",
            f"{_REPEAT} with lcseg convert",
        )
    return value
