"""Two maps compared, window by window, in memory that does not grow with them.

comparison = compare(pair, Rules(min_confidence=0.7), folder)
comparison.raw, comparison.filtered            # Tally: all differences, and what is change
# folder/transitions.tif  change.tif  probability.tif

A first pass finds the differences that are believed, and the connected places that they make; a
second one leaves out places that are too small, writes the rasters and counts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lcseg.change.evidence import believe
from lcseg.change.overview import Overview
from lcseg.change.pair import MapPair
from lcseg.change.regions import NO_REGIONS, Regions
from lcseg.change.tally import Tally, count
from lcseg.classes import IGNORE, ClassScheme, LandClass
from lcseg.prediction.products import PROBABILITY_ONE
from lcseg.progress import Progress
from lcseg.raster.cog import CogProfile, class_map_profile, write_cog
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Window, cover
from lcseg.raster.patches import Patches, PatchTable
from lcseg.raster.pixel_area import measure_rows
from lcseg.transitions import encode, transition_scheme

BLOCK_PX = 1024
_CACHE_MB = 64

_ROUNDING = 1e-6
"""A place of 100 pixels of 0.3 m has 9 m², though the sum may be a shade less."""

LEAST_OF_PIXEL = 0.7
"""Least probability of change of a pixel that is part of a changed place."""

TRANSITIONS, CHANGE, PROBABILITY = "transitions.tif", "change.tif", "probability.tif"
"""The rasters that a comparison leaves."""

CHANGE_SCHEME = ClassScheme(
    "change",
    (LandClass("no change", "#E6E6E6", (0,)), LandClass("change", "#D7301F", (1,))),
    ignore=(IGNORE,),
)


@dataclass(frozen=True)
class Rules:
    """Which differences are taken for change."""

    min_confidence: float = 0.0  # Least mean probability of change of a place, if it is known.
    edge_tolerance_px: int = 0  # By how much borders may move.
    min_area_m2: float = 0.0  # Of a changed place; pixels where there is no CRS.
    most_places: int = 24  # How many of the largest places are kept track of.


@dataclass(frozen=True)
class Filtering:
    """Pixels that differ, and how many of them each rule leaves, in the order of the rules."""

    differing: int  # Of both maps.
    likely: int  # Of these, with enough probability of change.
    beyond_edges: int  # Of these, that no border explains which moved.
    change: int  # Of these, in places that are sure and large enough.


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two maps say of each other."""

    raw: Tally  # All differences taken for change.
    filtered: Tally  # After the rules; what is not believed counts as it was before.
    regions: tuple[Tally, ...]  # Filtered, by region.
    filtering: Filtering
    places: PatchTable  # The largest changed places. Sums: square metres; if there are
    # probabilities, also these and where they are known.
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
    grid, n = pair.grid, pair.scheme.n_classes
    row_m2 = measure_rows(grid, pair.before.path) if grid.crs else np.ones(grid.height)
    windows = [w.clip(grid.height, grid.width) for w in cover(grid.height, grid.width, block_px)]
    with (
        bounded_cache(_CACHE_MB),
        tempfile.TemporaryFile(dir=folder) as spool,
        Progress("change", 2 * grid.height * grid.width, "px", quiet, scale=True) as progress,
    ):
        search = _Search(pair, rules, row_m2, spool)
        with ExitStack() as stack:
            probability = None
            if pair.probabilities:
                profile = CogProfile("uint8", ("probability",), IGNORE, scale=1 / PROBABILITY_ONE)
                probability = stack.enter_context(write_cog(folder / PROBABILITY, grid, profile))
            for window in windows:
                probability_hw = search.look(window)
                if probability and probability_hw is not None:
                    probability.write(window, _to_bytes(probability_hw))
                progress.advance(window.height * window.width)
        places = search.finish()
        raw = filtered = Tally.empty(n)
        by_region = regions.empty(n)
        overview = Overview(grid, n)
        changed_pixels = 0
        with (
            write_cog(folder / TRANSITIONS, grid, _transition_profile(pair.scheme)) as transitions,
            write_cog(folder / CHANGE, grid, class_map_profile(CHANGE_SCHEME)) as change,
        ):
            for window in windows:
                before_hw, after_hw = search.read(window)
                is_change_hw = search.decide(window)
                is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
                believed_hw = np.where(is_change_hw | ~is_known_hw, after_hw, before_hw)
                transitions.write(window, encode(before_hw, believed_hw, n))
                change.write(window, np.where(is_known_hw, is_change_hw, np.uint8(IGNORE)))
                m2 = row_m2[window.slices[0]]
                raw = raw.merge(count(before_hw, after_hw, m2, n))
                filtered = filtered.merge(count(before_hw, believed_hw, m2, n))
                by_region = regions.add(by_region, window, before_hw, believed_hw, m2)
                overview.add(window, before_hw, after_hw, is_change_hw)
                changed_pixels += int(np.count_nonzero(is_change_hw))
                progress.advance(window.height * window.width)
    differing, likely, beyond_edges = search.counts.tolist()
    filtering = Filtering(differing, likely, beyond_edges, changed_pixels)
    return Comparison(raw, filtered, by_region, filtering, places, overview)


class _Search:
    """The first pass: where differences are believed, and which of them are connected.

    Args:
        pair: the maps.
        rules: say what is believed.
        row_m2: float64 [H]: ground of a pixel of each row.
        spool: a file for what is found.
    """

    def __init__(self, pair: MapPair, rules: Rules, row_m2: np.ndarray, spool: BinaryIO) -> None:
        self._pair, self._rules, self._row_m2, self._spool = pair, rules, row_m2, spool
        self._patches = Patches(self._is_change)
        self._largest: list[PatchTable] = []
        self._place_of: dict[Window, int] = {}
        self.counts = np.zeros(3, np.int64)

    def look(self, window: Window) -> np.ndarray | None:
        """Look at a window; returns the probability of change in it, if that is known."""
        tolerance_px = self._rules.edge_tolerance_px
        wide, own = self._widen(window)
        before_hw, after_hw = self._pair.read(wide)
        is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
        is_differing_hw = is_known_hw & (before_hw != after_hw)
        probability_hw = self._pair.read_probability(wide)
        is_sure_hw = is_differing_hw
        if probability_hw is not None:
            least = min(LEAST_OF_PIXEL, self._rules.min_confidence)
            # What is not known, NaN, is not less.
            is_sure_hw = is_differing_hw & ~(probability_hw < least)
            probability_hw = probability_hw[own]
        is_believed_hw = believe(before_hw, after_hw, is_sure_hw, tolerance_px)
        stages = [stage[own] for stage in (is_differing_hw, is_sure_hw, is_believed_hw)]
        self.counts += [np.count_nonzero(stage) for stage in stages]
        self._connect(window, stages[-1], probability_hw)
        return probability_hw

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read both maps in a window as `look` does.

        Between CRSs, what is read at once decides by a hair which pixel is the nearest.
        """
        wide, own = self._widen(window)
        before_hw, after_hw = self._pair.read(wide)
        return before_hw[own], after_hw[own]

    def _widen(self, window: Window) -> tuple[Window, tuple[slice, slice]]:
        """All that decides on a window, and where it lies in that."""
        wide = window.widen(2 * self._rules.edge_tolerance_px)
        return wide, window.within(wide).slices

    def _connect(
        self, window: Window, is_believed_hw: np.ndarray, probability_hw: np.ndarray | None
    ) -> None:
        """Add what is believed in a window to the places, and keep it for the second pass."""
        m2_hw = np.broadcast_to(self._row_m2[window.slices[0]][:, None], is_believed_hw.shape)
        values = [m2_hw]
        if probability_hw is not None:
            is_known_hw = ~np.isnan(probability_hw)
            values += [np.where(is_known_hw, probability_hw, 0), is_known_hw]
        whole, kept_hw = self._patches.add(window, is_believed_hw.view(np.uint8), values)
        self._largest = [self._choose_largest([*self._largest, whole])]
        self._place_of[window] = self._spool.seek(0, os.SEEK_END)
        self._spool.write(np.packbits(kept_hw).tobytes())

    def _is_change(self, table: PatchTable) -> np.ndarray:
        """Whether places are large enough and, on average, sure enough, bool [n]."""
        is_change = table.sums[:, 0] >= self._rules.min_area_m2 * (1 - _ROUNDING)
        if self._pair.probabilities:
            is_change &= mean_probability(table) >= self._rules.min_confidence
        return is_change

    def _choose_largest(self, tables: Sequence[PatchTable]) -> PatchTable:
        """The largest places, the largest one first."""
        table = PatchTable.join(tables)
        # By where they lie if they are of one size: the order of the blocks must not matter.
        order = np.lexsort((table.first[:, 1], table.first[:, 0], -table.pixels))
        return table.take(order[: self._rules.most_places])

    def finish(self) -> PatchTable:
        """The largest places, when all windows were looked at."""
        return self._choose_largest([*self._largest, self._patches.finish()])

    def decide(self, window: Window) -> np.ndarray:
        """What of a window is change, bool [H, W]."""
        shape, pixels = (window.height, window.width), window.height * window.width
        self._spool.seek(self._place_of[window])
        bits = np.frombuffer(self._spool.read(-(-pixels // 8)), np.uint8)
        return self._patches.settle(window, np.unpackbits(bits, count=pixels).reshape(shape))


def mean_probability(table: PatchTable) -> np.ndarray:
    """The mean probability of change of places, float64 [n]; 1 where it is not known at all."""
    _, total, known = table.sums.T
    return np.where(known > 0, total / np.maximum(known, 1), 1.0)


def _transition_profile(scheme: ClassScheme) -> CogProfile:
    transitions = transition_scheme(scheme)
    return class_map_profile(transitions, {"lcseg_classes": transitions.name})


def _to_bytes(probability_hw: np.ndarray) -> np.ndarray:
    """Probabilities as shares of 254, 255 where they are not known."""
    scaled_hw = np.rint(np.nan_to_num(probability_hw) * PROBABILITY_ONE).astype(np.uint8)
    return np.where(np.isnan(probability_hw), np.uint8(IGNORE), scaled_hw)
