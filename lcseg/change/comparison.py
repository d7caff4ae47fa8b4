"""Two maps compared, window by window, in memory that does not grow with them.

comparison = compare(pair, Rules(min_confidence=0.7), folder)
comparison.raw, comparison.filtered            # Tally: all differences, and what is change
# folder/transitions.tif  change.tif, each with legend and style;  probability.tif

A first pass finds the differences that are believed, and the connected places that they make; a
second one leaves out places that are too small, writes the rasters and counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg.change.overview import Overview
from lcseg.change.pair import MapPair
from lcseg.change.regions import NO_REGIONS, Regions
from lcseg.change.search import Rules, Search
from lcseg.change.tally import Tally, count
from lcseg.classes import IGNORE, ClassScheme, LandClass
from lcseg.progress import Progress
from lcseg.raster.cog import CogProfile, class_map_profile, write_cog
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Window, cover
from lcseg.raster.legend import style_path, write_legend, write_style
from lcseg.raster.patches import PatchTable
from lcseg.raster.pixel_area import measure_rows
from lcseg.raster.probabilities import probability_profile, to_shares
from lcseg.transitions import encode, transition_scheme

BLOCK_PX = 1024
_CACHE_MB = 64

TRANSITIONS, CHANGE, PROBABILITY = "transitions.tif", "change.tif", "probability.tif"
"""The rasters that a comparison leaves."""

CHANGE_SCHEME = ClassScheme(
    "change",
    (LandClass("no change", "#E6E6E6", (0,)), LandClass("change", "#D7301F", (1,))),
    ignore=(IGNORE,),
)


@dataclass(frozen=True)
class Filtering:
    """Pixels that differ, and how many of them each rule leaves, in the order of the rules."""

    differing: int  # Of both maps.
    likely: int  # Of these, with enough probability of change.
    beyond_edges: int  # Of these, that no border explains which moved.
    change: int  # Of these, in places that are sure and large enough.
    unknown: int = 0  # Of those that differ, without a probability though others have one.


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two maps say of each other."""

    raw: Tally  # All differences taken for change.
    filtered: Tally  # After the rules; what is not believed counts as it was before.
    regions: tuple[Tally, ...]  # Filtered, by region.
    filtering: Filtering
    places: PatchTable  # The largest changed places. Sums: square metres, pixels of the core; if
    # there are probabilities, also these and where they are known.
    overview: Overview  # Pictures of the whole.


def compare(
    pair: MapPair,
    rules: Rules,
    folder: Path,
    regions: Regions = NO_REGIONS,
    quiet: bool = True,
    block_px: int = BLOCK_PX,
) -> Comparison:
    """Compare two maps, and write what has changed into a folder.

    Args:
        pair: the open maps.
        rules: say which differences are change.
        folder: where the rasters go.
        regions: to sum up by, on the grid of the pair.
        quiet: show no progress.
        block_px: side of what is read at once; it changes nothing but the memory.
    """
    grid = pair.grid
    row_m2 = measure_rows(grid, pair.before.path) if grid.crs else np.ones(grid.height)
    windows = [w.clip(grid.height, grid.width) for w in cover(grid.height, grid.width, block_px)]
    with (
        bounded_cache(_CACHE_MB),
        tempfile.TemporaryFile(dir=folder) as spool,
        Progress("change", 2 * grid.height * grid.width, "px", quiet, scale=True) as progress,
    ):
        search = Search(pair, rules, row_m2, spool)
        _look_everywhere(search, pair, windows, folder, progress)
        places = search.finish()
        counts = _Counts(pair, regions, row_m2)
        _write_change(search, counts, pair, windows, folder, progress)
    _describe_values(folder, pair.scheme, counts.filtered)
    differing, likely, beyond_edges = search.counts
    filtering = Filtering(
        differing, likely, beyond_edges, counts.filtered.changed_pixels, search.unknown
    )
    return Comparison(
        counts.raw, counts.filtered, counts.by_region, filtering, places, counts.overview
    )


def _look_everywhere(
    search: Search, pair: MapPair, windows: Sequence[Window], folder: Path, progress: Progress
) -> None:
    """The first pass, which writes the probability of change, if that is known."""
    profile = probability_profile(("probability",))
    with ExitStack() as stack:
        probability = None
        if pair.probabilities:
            probability = stack.enter_context(write_cog(folder / PROBABILITY, pair.grid, profile))
        for window in windows:
            probability_hw = search.look(window)
            if probability and probability_hw is not None:
                probability.write(window, to_shares(probability_hw))
            progress.advance(window.height * window.width)


class _Counts:
    """What is counted in the second pass."""

    def __init__(self, pair: MapPair, regions: Regions, row_m2: np.ndarray) -> None:
        n = pair.scheme.n_classes
        self.raw = self.filtered = Tally.empty(n)
        self.by_region = regions.empty(n)
        self.overview = Overview(pair.grid, n)
        self._regions, self._row_m2 = regions, row_m2

    def add(
        self,
        window: Window,
        before_hw: np.ndarray,
        after_hw: np.ndarray,
        believed_hw: np.ndarray,
        is_change_hw: np.ndarray,
    ) -> None:
        """Count a window: both maps, and the second as it is believed."""
        m2, n = self._row_m2[window.slices[0]], self.raw.n_classes
        self.raw = self.raw.merge(count(before_hw, after_hw, m2, n))
        self.filtered = self.filtered.merge(count(before_hw, believed_hw, m2, n))
        self.by_region = self._regions.add(self.by_region, window, before_hw, believed_hw, m2)
        self.overview.add(window, before_hw, after_hw, is_change_hw)


def _write_change(
    search: Search,
    counts: _Counts,
    pair: MapPair,
    windows: Sequence[Window],
    folder: Path,
    progress: Progress,
) -> None:
    """The second pass, which writes what has changed, and counts it."""
    grid, n = pair.grid, pair.scheme.n_classes
    with (
        write_cog(folder / TRANSITIONS, grid, _transition_profile(pair.scheme)) as transitions,
        write_cog(folder / CHANGE, grid, class_map_profile(CHANGE_SCHEME)) as change,
    ):
        for window in windows:
            before_hw, after_hw = search.read(window)
            is_change_hw = search.decide(window)
            is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
            # What is not believed is as it was.
            believed_hw = np.where(is_change_hw | ~is_known_hw, after_hw, before_hw)
            transitions.write(window, encode(before_hw, believed_hw, n))
            change.write(window, np.where(is_known_hw, is_change_hw, np.uint8(IGNORE)))
            counts.add(window, before_hw, after_hw, believed_hw, is_change_hw)
            progress.advance(window.height * window.width)


def _describe_values(folder: Path, scheme: ClassScheme, filtered: Tally) -> None:
    """Leave the meaning of the values where GIS programs look for it, with their counts."""
    known = filtered.pixels[:-1, :-1]
    changed = filtered.changed_pixels
    for name, own, pixels in (
        (TRANSITIONS, transition_scheme(scheme), known.ravel().tolist()),
        (CHANGE, CHANGE_SCHEME, [int(known.sum()) - changed, changed]),
    ):
        write_legend(folder / name, own, pixels)
        write_style(style_path(folder / name), own)


def _transition_profile(scheme: ClassScheme) -> CogProfile:
    transitions = transition_scheme(scheme)
    return class_map_profile(transitions, {"lcseg_classes": transitions.name})
