"""Where chips lie, and of which split each is.

sites, layouts = lay_out(scenes, config)       # a layout for each scene
layouts[0].windows                             # int32 [n, 4]: row, col, height, width
layouts[0].splits                              # uint8 [n]: indices into SPLITS

A place on the ground is in one split, whatever scenes show it, and however often. Where blocks are
dealt, the ground of a site is divided into squares, each of one split, and a chip lies within one.
Where whole scenes are, a chip that touches the ground of a scene of a later split is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from lcseg.raster.grid import Grid, Window
from lcseg.raster.pairing import SPLITS
from lcseg.raster.site import Site, find_sites, footprint, join, outline
from lcseg.records.config import ConvertConfig
from lcseg.records.splits import assign_splits
from lcseg.records.squares import divide
from lcseg.records.survey import Scene

_SLIVER = 1 / 32
"""The share of a chip's side that is too little to lay a chip for."""

_SAME_PLACE = 0.5
"""The share of the smaller scene's ground that makes two scenes one place."""

_TOUCH_PX = 1e-3
_OTHER_UNITS = "scenes that show one place count once: use --split_by=block"


@dataclass(frozen=True, eq=False)
class Layout:
    """The chips of a scene."""

    windows: np.ndarray  # int32 [n, 4]: row, col, height, width; at edges smaller than a chip.
    splits: np.ndarray  # uint8 [n]: indices into SPLITS.
    refused: np.ndarray  # int32 [m, 4]: windows given up, on the ground of another split.


@dataclass(frozen=True)
class _Plot:
    """A part of a scene."""

    unit: str  # What is dealt whole: plots of the same unit are in the same split.
    window: Window  # In the scene.


def lay_out(scenes: Sequence[Scene], config: ConvertConfig) -> tuple[list[Site], list[Layout]]:
    """Lay chips over scenes; returns their sites, and a layout for each scene."""
    sites = find_sites([scene.grid for scene in scenes], max(config.split_buffer_px, 1))
    outlines = {
        number: footprint(scenes[number].grid, site.frame)
        for site in sites
        for number in site.scenes
    }
    whole = _deal_scenes(scenes, sites, outlines, config)
    claimed = {
        number: outlines[number].buffer(config.split_buffer_px - _TOUCH_PX, join_style="mitre")
        for number in whole
    }
    plots = {
        number: list(_divide_scene(scenes, number, site, number in whole, config))
        for site in sites
        for number in site.scenes
    }
    sizes: Counter[str] = Counter()
    for number, of_scene in plots.items():
        if number not in whole:
            for plot in of_scene:
                sizes[plot.unit] += plot.window.height * plot.window.width
    dealt = assign_splits(sizes, _shares(config), config.seed) if sizes else {}
    layouts = [
        _lay_chips(plots[number], dealt, whole.get(number), config) for number in range(len(scenes))
    ]
    for site in sites:
        for number in site.scenes:
            claims = _claims_on(number, site, whole, outlines, claimed)
            layouts[number] = _give_way(layouts[number], scenes[number].grid, site.frame, claims)
    return sites, layouts


def _shares(config: ConvertConfig) -> dict[str, float]:
    return {"val": config.val_share, "test": config.test_share}


def _deal_scenes(
    scenes: Sequence[Scene],
    sites: list[Site],
    outlines: dict[int, shapely.Polygon],
    config: ConvertConfig,
) -> dict[int, str]:
    """The splits of the scenes that go whole into one, by number."""
    whole = {number: scene.pair.split for number, scene in enumerate(scenes) if scene.pair.split}
    if config.split_by == "block":
        return whole
    places = [place for site in sites for place in _same_places(site, outlines)]
    sizes = {}
    for place in places:
        told = [whole[number] for number in place if number in whole]
        if told:
            whole.update({number: told[0] for number in place if number not in whole})
        else:
            grids = [scenes[number].grid for number in place]
            sizes[scenes[place[0]].pair.key] = sum(grid.height * grid.width for grid in grids)
    dealt = assign_splits(sizes, _shares(config), config.seed, _OTHER_UNITS) if sizes else {}
    for place in places:
        if place[0] not in whole:
            whole.update(dict.fromkeys(place, dealt[scenes[place[0]].pair.key]))
    return whole


def _same_places(site: Site, outlines: dict[int, shapely.Polygon]) -> list[tuple[int, ...]]:
    """The scenes of a site, those that show the same place together."""
    shapes = [outlines[number] for number in site.scenes]
    links = [
        (a, b)
        for a, first in enumerate(shapes)
        for b, second in enumerate(shapes[:a])
        if first.intersection(second).area > _SAME_PLACE * min(first.area, second.area)
    ]
    groups = join(len(shapes), links)
    return [tuple(site.scenes[index] for index in group) for group in groups]


def _divide_scene(
    scenes: Sequence[Scene], number: int, site: Site, is_whole: bool, config: ConvertConfig
) -> list[_Plot]:
    """The plots of a scene: by the squares of its site, or, if it goes whole, of its own."""
    grid, side_px = scenes[number].grid, config.chip_px * config.block_chips
    frame, gap_px = (grid, 0) if is_whole else (site.frame, config.split_buffer_px)
    first = scenes[site.scenes[0]].pair.key
    return [
        _Plot(f"{first}/{square}", window)
        for square, window in divide(grid, frame, side_px, gap_px)
    ]


def _lay_chips(
    plots: list[_Plot], dealt: dict[str, str], whole: str | None, config: ConvertConfig
) -> Layout:
    """Lay chips over the plots of a scene."""
    windows, splits = [np.zeros((0, 4), np.int32)], []
    for plot in plots:
        split = whole or dealt[plot.unit]
        # Those who judge must count no pixel twice: only training chips may overlap.
        stride_px = (config.stride_px if split == "train" else 0) or config.chip_px
        windows.append(_cover(plot.window, config.chip_px, stride_px))
        splits += [SPLITS.index(split)] * len(windows[-1])
    chips = np.concatenate(windows)
    # Along the rows of the scene, as most rasters are stored, and not square by square.
    order = np.lexsort((chips[:, 1], chips[:, 0]))
    return Layout(chips[order], np.array(splits, np.uint8)[order], windows[0])


def _cover(plot: Window, chip_px: int, stride_px: int) -> np.ndarray:
    """Chips from the upper left of a plot, int32 [n, 4]; those at its far edges are clipped."""
    starts, sizes = zip(
        *(_steps(size, chip_px, stride_px) for size in (plot.height, plot.width)), strict=True
    )
    rows, cols = np.meshgrid(plot.row + starts[0], plot.col + starts[1], indexing="ij")
    heights, widths = np.meshgrid(*sizes, indexing="ij")
    chips = np.stack([rows, cols, heights, widths], axis=-1)
    return chips.reshape(-1, 4).astype(np.int32)


def _steps(size: int, chip_px: int, stride_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Where chips begin along a side, and how far each reaches."""
    sliver_px = chip_px * _SLIVER
    beyond = int(np.ceil((size - chip_px - sliver_px) / stride_px))
    starts = np.arange(max(beyond, 0) + 1 if size > sliver_px else 0) * stride_px
    return starts, np.minimum(chip_px, size - starts)


def _claims_on(
    number: int,
    site: Site,
    whole: dict[int, str],
    outlines: dict[int, shapely.Polygon],
    claimed: dict[int, shapely.Polygon],
) -> list[tuple[int, shapely.Polygon]]:
    """The ground that goes before that of a scene: (index into SPLITS, outline), in the frame.

    A scene that goes whole goes before squares; of two such, the one of the later split does.
    """

    def rank(scene: int) -> int:
        return SPLITS.index(whole[scene]) if scene in whole else -1

    first = (other for other in site.scenes if rank(other) > rank(number))
    claims = ((rank(other), claimed[other]) for other in first)
    return [(split, claim) for split, claim in claims if claim.intersects(outlines[number])]


def _give_way(
    layout: Layout, grid: Grid, frame: Grid, claims: list[tuple[int, shapely.Polygon]]
) -> Layout:
    """Give up the chips that touch ground which another split claims."""
    if not claims or not len(layout.windows):
        return layout
    chips = shapely.polygons(outline(layout.windows, grid, frame))
    is_refused = np.zeros(len(chips), bool)
    for split, claim in claims:
        is_refused |= shapely.intersects(chips, claim) & (layout.splits != split)
    kept = layout.windows[~is_refused], layout.splits[~is_refused]
    return Layout(*kept, layout.windows[is_refused])
