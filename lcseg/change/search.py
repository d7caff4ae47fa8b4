"""Where differences between two maps are believed to be change, window by window.

with tempfile.TemporaryFile() as spool:
    search = Search(pair, Rules(min_confidence=0.85), row_m2, spool)
    for window in windows:
        probability_hw = search.look(window)   # a first pass over all windows
    places = search.finish()                   # the largest changed places
    is_change_hw = search.decide(window)       # a second one, when all is known

What is large or sure enough to be change is known of a place when all of it was seen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lcseg.change.evidence import add_rim, find_core
from lcseg.change.pair import MapPair
from lcseg.classes import IGNORE
from lcseg.raster.grid import Window
from lcseg.raster.patches import Patches, PatchTable

LEAST_OF_PIXEL = 0.7
"""Least probability of change of a pixel that is part of a changed place."""


_ROUNDING = 1e-6
"""A place of 100 pixels of 0.3 m has 9 m², though the sum may be a shade less."""


@dataclass(frozen=True)
class Rules:
    """Which differences are taken for change."""

    min_confidence: float = 0.0  # Least mean probability of change of a place, if it is known.
    edge_tolerance_px: int = 0  # By how much borders may move.
    min_area_m2: float = 0.0  # Of a changed place; pixels where there is no CRS.
    most_places: int = 24  # How many of the largest places are kept track of.

    @property
    def least_of_pixel(self) -> float:
        """Least probability of change of a pixel that is part of a place."""
        return min(LEAST_OF_PIXEL, self.min_confidence)


class Search:
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
        self.counts = [0, 0, 0]  # Pixels that differ, that are likely, that no border explains.
        self.unknown = 0  # Of those that differ, pixels without a probability.

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
            # What is not known, NaN, is not less.
            is_sure_hw = is_differing_hw & ~(probability_hw < self._rules.least_of_pixel)
            self.unknown += int(np.count_nonzero((is_differing_hw & np.isnan(probability_hw))[own]))
            probability_hw = probability_hw[own]
        is_core_hw = find_core(before_hw, after_hw, is_sure_hw, tolerance_px)
        is_believed_hw = add_rim(is_core_hw, is_sure_hw, tolerance_px)
        stages = [stage[own] for stage in (is_differing_hw, is_sure_hw, is_believed_hw)]
        found = (int(np.count_nonzero(stage)) for stage in stages)
        self.counts = [n + more for n, more in zip(self.counts, found, strict=True)]
        self._connect(window, stages[-1], is_core_hw[own], probability_hw)
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
        self,
        window: Window,
        is_believed_hw: np.ndarray,
        is_core_hw: np.ndarray,
        probability_hw: np.ndarray | None,
    ) -> None:
        """Add what is believed in a window to the places, and keep it for the second pass."""
        m2_hw = np.broadcast_to(self._row_m2[window.slices[0]][:, None], is_believed_hw.shape)
        values = [m2_hw, is_core_hw]
        if probability_hw is not None:
            is_known_hw = ~np.isnan(probability_hw)
            values += [np.where(is_known_hw, probability_hw, 0), is_known_hw]
        whole, kept_hw = self._patches.add(window, is_believed_hw.view(np.uint8), values)
        self._largest = [self._choose_largest([*self._largest, whole])]
        self._place_of[window] = self._spool.seek(0, os.SEEK_END)
        self._spool.write(np.packbits(kept_hw).tobytes())

    def _is_change(self, table: PatchTable) -> np.ndarray:
        """Whether places have a core, are large and, on average, sure enough, bool [n]."""
        m2, core = table.sums[:, :2].T
        is_change = (core > 0) & (m2 >= self._rules.min_area_m2 * (1 - _ROUNDING))
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
    total, known = table.sums[:, 2:].T
    return np.where(known > 0, total / np.maximum(known, 1), 1.0)
