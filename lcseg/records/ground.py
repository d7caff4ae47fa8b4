"""Where chips lie on the ground, and what became of each: what a picture of it is drawn from.

panels, counts = look_at_ground(plan, outcomes)
panels[0].chips["val"]                         # corners, float [n, 4, 2]: col and row in the frame
counts["val"]                                  # chips of all sites, those without a panel too
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.raster.grid import Grid
from lcseg.raster.pairing import SPLITS
from lcseg.raster.site import Site, footprint, project
from lcseg.records.parts import PartOutcome, PieceTally
from lcseg.records.plan import Plan
from lcseg.records.selection import REASONS

REFUSED = "on the ground of another split"
FATES = (*SPLITS, *REASONS.values(), REFUSED)
"""What may become of a chip: kept for a split, or the reason why it was not."""

MOST_PANELS = 60
MOST_SQUARES = 50_000
"""In a picture: more would be smaller than what prints, and take long."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A site, ready to be drawn in the pixels of its frame."""

    names: tuple[str, ...]  # Of its scenes.
    outlines: tuple[np.ndarray, ...]  # Of its scenes, float [n, 2]: col, row.
    chips: dict[str, np.ndarray]  # By fate: corners, float [n, 4, 2]: col, row.
    chips_per_square: int  # Along a side; above 1 one chip stands for its neighbours.
    pixel_m: float | None  # Ground sample distance of the frame.
    north: tuple[float, float] | None  # The way there, in cols and rows; None: not known.

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the outlines."""
        corners = np.concatenate(self.outlines)
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return left, top, right, bottom


def sort_tallies(plan: Plan, outcomes: Sequence[PartOutcome]) -> list[list[PieceTally]]:
    """The tallies of each scene, in order."""
    tallies: list[list[PieceTally]] = [[] for _ in plan.scenes]
    for outcome in outcomes:
        for tally in outcome.tallies:
            tallies[tally.scene].append(tally)
    return tallies


def find_fates(plan: Plan, scene: int, tallies: Sequence[PieceTally]) -> np.ndarray:
    """What became of the chips of a scene, uint8 [n + m]: indices into FATES.

    First the n chips of its layout, then the m that were refused.
    """
    layout, codes = plan.layouts[scene], list(REASONS)
    letters = np.array(list("".join(tally.fates for tally in tallies)), "U1")
    found = layout.splits.copy()
    for place, code in enumerate(codes, start=len(SPLITS)):
        found[letters == code] = place
    return np.concatenate([found, np.full(len(layout.refused), len(FATES) - 1, np.uint8)])


def look_at_ground(
    plan: Plan, outcomes: Sequence[PartOutcome]
) -> tuple[list[Panel], dict[str, int]]:
    """Make panels of the largest sites, and count the chips of all sites by fate."""
    fates = [find_fates(plan, i, own) for i, own in enumerate(sort_tallies(plan, outcomes))]
    counts = sum((Counter(dict(enumerate(np.bincount(own).tolist()))) for own in fates), Counter())
    shown = sorted(plan.sites, key=lambda site: -_area(plan, site))[:MOST_PANELS]
    panels = [_make_panel(plan, site, fates, MOST_SQUARES // len(shown)) for site in shown]
    return panels, {name: counts[place] for place, name in enumerate(FATES)}


def _area(plan: Plan, site: Site) -> int:
    grids = [plan.scenes[number].grid for number in site.scenes]
    return sum(grid.height * grid.width for grid in grids)


def _make_panel(plan: Plan, site: Site, fates: list[np.ndarray], most: int) -> Panel:
    count = sum(len(fates[number]) for number in site.scenes)
    per_square = int(np.ceil(np.sqrt(max(count, 1) / most)))
    chips: dict[str, list[np.ndarray]] = {name: [np.zeros((0, 4, 2))] for name in FATES}
    for number in site.scenes:
        grid, layout = plan.scenes[number].grid, plan.layouts[number]
        windows, own = np.concatenate([layout.windows, layout.refused]), fates[number]
        if per_square > 1:
            windows, own = _thin_out(windows, own, grid, per_square * plan.config.chip_px)
        for place in np.unique(own):
            chips[FATES[place]].append(_find_corners(windows[own == place], grid, site.frame))
    first = plan.scenes[site.scenes[0]]
    return Panel(
        names=tuple(plan.scenes[number].pair.key for number in site.scenes),
        outlines=tuple(
            np.array(footprint(plan.scenes[number].grid, site.frame).exterior.coords)
            for number in site.scenes
        ),
        chips={name: np.concatenate(corners) for name, corners in chips.items()},
        chips_per_square=per_square,
        pixel_m=first.pixel_m,
        north=_find_north(site.frame),
    )


def _thin_out(
    windows: np.ndarray, fates: np.ndarray, grid: Grid, side_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Let the chip next to the middle of each square of a scene stand for the whole square.

    A chip in the middle, unlike the commonest one, keeps the shares of rare fates as they are.
    """
    middles = windows[:, :2] + windows[:, 2:] / 2
    squares = (middles // side_px).astype(np.int64)
    off = np.abs(middles - (squares + 0.5) * side_px).max(axis=1)
    order = np.lexsort((off, squares[:, 1], squares[:, 0]))
    ordered = squares[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = ordered[is_first] * side_px
    sizes = np.minimum(side_px, np.array([grid.height, grid.width]) - starts)
    return np.concatenate([starts, sizes], axis=1), fates[order[is_first]]


def _find_corners(windows: np.ndarray, grid: Grid, frame: Grid) -> np.ndarray:
    """The corners of windows of a scene in the pixels of a frame, float [n, 4, 2]: col, row."""
    rows, cols, heights, widths = windows.T.astype(float)
    corner_rows = np.stack([rows, rows, rows + heights, rows + heights], axis=1)
    corner_cols = np.stack([cols, cols + widths, cols + widths, cols], axis=1)
    return np.stack(project(grid, frame, corner_cols, corner_rows), axis=-1)


def _find_north(frame: Grid) -> tuple[float, float] | None:
    """The way to the north of the CRS, as a unit vector in cols and rows."""
    if frame.crs is None:
        return None
    inverse = ~frame.affine
    north = np.array([inverse.b, inverse.e])
    col, row = (north / np.hypot(*north)).tolist()
    return col, row
