"""Places where one label is contradicted by one class, and which of them are the most certain.

marks = mark_places(probs_hwk, label_hw, least, edge_px=2)   # what `Patches` joins to places
found = Harvest.empty(limit=200).add(0, table, row_m2, rules)
found.places                                                 # the most certain one first
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from lcseg.audit.confident import NONE, find_issues, guess_classes
from lcseg.classes import IGNORE
from lcseg.prediction.products import PROBABILITY_ONE
from lcseg.raster.grid import Window
from lcseg.raster.patches import PatchTable

NARROW, SMALL = "narrow", "small"
"""Why a place is no finding."""


@dataclass(frozen=True)
class Marks:
    """Where the label of a block is contradicted, and by how much."""

    guess_hw: np.ndarray  # uint8: the class that is confidently there, 255: none.
    key_hw: np.ndarray  # int32: 1 + label * classes + suggested class; 0: not contradicted.
    sure_hw: np.ndarray  # bool: where the model is sure of the suggested class.
    values: tuple[np.ndarray, ...]  # [H, W] each, in the order of `_CORE` and so on.


_CORE, _SURE, _SUGGESTED, _LABEL = range(4)
"""What is summed over a place: pixels of its core, pixels in which the model is sure, and over
these the probabilities of the suggested class and of the label's, in 1/254."""


@dataclass(frozen=True)
class Rules:
    """Which places are findings."""

    n_classes: int  # Of the scheme.
    min_area_m2: float  # Least area on the ground; 0: any.


@dataclass(frozen=True)
class Place:
    """A connected area whose label is contradicted by one class."""

    scene: int  # Number of its scene.
    label: int  # Class that the label says.
    suggested: int  # Class that the model says.
    pixels: int  # How many it has.
    area_m2: float  # On the ground; NaN: not georeferenced.
    confidence: float  # Mean probability of the suggested class, where the model is sure of it.
    label_probability: float  # Mean probability of the label's class there.
    score: float  # By which places are ordered: the difference of the two.
    first: tuple[int, int]  # Row and column of its first pixel, row by row.
    window: Window  # The rectangle around it.

    @property
    def rank(self) -> tuple[float, int, tuple[int, int]]:
        """By which places are sorted: the most certain one first."""
        return -self.score, self.scene, self.first

    def key_of(self, n_classes: int) -> int:
        """The key of its pixels; see `Marks`."""
        return 1 + self.label * n_classes + self.suggested


@dataclass(frozen=True)
class Count:
    """Places that have something in common."""

    places: int = 0  # How many.
    pixels: int = 0  # Of all of them.
    area_m2: float = 0.0  # Of all of them; NaN: not known.
    sure_pixels: int = 0  # Of these, those in which the model is sure.
    confidence_sum: int = 0  # Of the probability of the suggested class over these, in 1/254.

    def merge(self, other: Count) -> Count:
        """The places of both."""
        return Count(
            self.places + other.places,
            self.pixels + other.pixels,
            self.area_m2 + other.area_m2,
            self.sure_pixels + other.sure_pixels,
            self.confidence_sum + other.confidence_sum,
        )

    @property
    def confidence(self) -> float:
        """Mean probability of the suggested class, where the model is sure of it."""
        return self.confidence_sum / (max(self.sure_pixels, 1) * PROBABILITY_ONE)


@dataclass(frozen=True)
class Harvest:
    """What was found; harvests merge in any order."""

    limit: int  # How many places are kept.
    places: tuple[Place, ...] = ()  # The most certain ones, the most certain one first.
    pairs: dict[tuple[int, int], Count] = field(default_factory=dict)  # By label and suggestion.
    dropped: dict[str, Count] = field(default_factory=dict)  # By reason.

    def add(self, scene: int, table: PatchTable, row_m2: np.ndarray, rules: Rules) -> Harvest:
        """Add areas of a scene, summed over the values of `Marks`.

        Args:
            scene: its number.
            table: the areas.
            row_m2: float64 [H], of each pixel of a row of the scene; NaN: not known.
            rules: which of them are findings.
        """
        # What was reached from beside but holds no sure pixel is no place of its own.
        table = table.take(table.sums[:, _SURE] > 0)
        areas_m2 = table.pixels * row_m2[(table.first[:, 0] + table.last_row) // 2]
        is_wide = table.sums[:, _CORE] > 0
        # Without a CRS an area is NaN, which is not below anything.
        is_large = ~(areas_m2 < rules.min_area_m2)
        dropped = {
            reason: _count(table, areas_m2, chosen)
            for reason, chosen in ((NARROW, ~is_wide), (SMALL, is_wide & ~is_large))
        }
        kept = is_wide & is_large
        pairs = {
            divmod(int(key) - 1, rules.n_classes): _count(
                table, areas_m2, kept & (table.keys == key)
            )
            for key in np.unique(table.keys[kept])
        }
        scores = _score(table)
        order = np.lexsort((table.first[:, 1], table.first[:, 0], -scores))
        best = order[kept[order]][: self.limit]
        places = tuple(
            _describe(scene, table, index, float(areas_m2[index]), float(scores[index]), rules)
            for index in best.tolist()
        )
        return self.merge(Harvest(self.limit, places, pairs, dropped))

    def merge(self, other: Harvest) -> Harvest:
        """What was found in both."""
        places = sorted(self.places + other.places, key=lambda place: place.rank)
        return Harvest(
            self.limit,
            tuple(places[: self.limit]),
            _merge(self.pairs, other.pairs),
            _merge(self.dropped, other.dropped),
        )

    @property
    def total(self) -> Count:
        """All places that are findings, listed or not."""
        total = Count()
        for count in self.pairs.values():
            total = total.merge(count)
        return total


def mark_places(
    probs_hwk: np.ndarray, label_hw: np.ndarray, least: np.ndarray, edge_px: int
) -> Marks:
    """Mark where labels are contradicted.

    A place is where the model is sure of one class that is not the label's, and as much as
    `edge_px` around that, as far as the label is the same and that class the most probable one. A
    pixel belongs to its core if the model is sure of the same all within `edge_px`, in rows and
    columns: what has no core is nowhere wider than a border that is off by `edge_px` to both sides.

    Args:
        probs_hwk: uint8 [H + 2 edge, W + 2 edge, K], 0 to 254.
        label_hw: uint8 of the same size, 255 where a pixel does not count.
        least: the least probability of each class that is confident.
        edge_px: how far borders may be drawn off; all arrays are wider by it on every side.
    """
    guess_hw = guess_classes(probs_hwk, least)
    is_sure_hw = find_issues(probs_hwk, label_hw, guess_hw)
    prediction_hw = probs_hwk.argmax(axis=-1).astype(np.uint8)
    suggested_hw = np.where(is_sure_hw, guess_hw, prediction_hw)
    is_other_hw = (label_hw != IGNORE) & (suggested_hw != label_hw)
    key_hw = 1 + label_hw.astype(np.int32) * len(least) + suggested_hw
    sure_hw, side = np.where(is_sure_hw, key_hw, 0), 2 * edge_px + 1
    is_core_hw = is_sure_hw & (maximum_filter(sure_hw, side) == minimum_filter(sure_hw, side))
    key_hw = np.where(is_other_hw & _reach(sure_hw, key_hw, side), key_hw, 0)
    values = (
        is_core_hw,
        is_sure_hw,
        _take(probs_hwk, suggested_hw) * is_sure_hw,
        _take(probs_hwk, label_hw) * is_sure_hw,
    )
    own = slice(edge_px, len(key_hw) - edge_px), slice(edge_px, key_hw.shape[1] - edge_px)
    return Marks(guess_hw[own], key_hw[own], is_sure_hw[own], tuple(value[own] for value in values))


def _reach(sure_hw: np.ndarray, key_hw: np.ndarray, side: int) -> np.ndarray:
    """Where a key is that the model is sure of within a square around it, bool [H, W]."""
    reach_hw = np.zeros(sure_hw.shape, bool)
    for key in np.unique(sure_hw[sure_hw > 0]):
        reach_hw |= (key_hw == key) & maximum_filter(sure_hw == key, side)
    return reach_hw


def _take(probs_hwk: np.ndarray, class_hw: np.ndarray) -> np.ndarray:
    """The probability of a class at each pixel; without a meaning where there is none."""
    index_hw = np.where(class_hw == NONE, 0, class_hw).astype(np.intp)
    return np.take_along_axis(probs_hwk, index_hw[..., None], axis=-1)[..., 0]


def _score(table: PatchTable) -> np.ndarray:
    """How certain places are, float64 [n]: by how much the model prefers its class to the label's.

    Size only decides what is a place: what is large and moderately sure is ground that the model
    does not know.
    """
    margins = table.sums[:, _SUGGESTED] - table.sums[:, _LABEL]
    return np.asarray(margins / (table.sums[:, _SURE] * PROBABILITY_ONE))


def _describe(
    scene: int, table: PatchTable, index: int, area_m2: float, score: float, rules: Rules
) -> Place:
    label, suggested = divmod(int(table.keys[index]) - 1, rules.n_classes)
    one = float(table.sums[index, _SURE]) * PROBABILITY_ONE
    row, col = table.first[index].tolist()
    return Place(
        scene,
        label,
        suggested,
        int(table.pixels[index]),
        area_m2,
        float(table.sums[index, _SUGGESTED]) / one,
        float(table.sums[index, _LABEL]) / one,
        score,
        (row, col),
        table.window(index),
    )


def _count(table: PatchTable, areas_m2: np.ndarray, chosen: np.ndarray) -> Count:
    return Count(
        int(np.count_nonzero(chosen)),
        int(table.pixels[chosen].sum()),
        math.fsum(areas_m2[chosen]),
        int(table.sums[chosen, _SURE].sum()),
        int(table.sums[chosen, _SUGGESTED].sum()),
    )


def _merge(one: dict, other: dict) -> dict:
    keys = sorted({*one, *other})
    return {key: one.get(key, Count()).merge(other.get(key, Count())) for key in keys}
