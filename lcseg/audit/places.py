"""Places where one label is contradicted by one class, and which of them are the most certain.

found = Harvest(limit=200).add(0, table, row_m2, rules)   # areas that `Patches` has joined
found.places                                              # the most certain one first
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from lcseg.audit.marks import CORE, LABEL, SUGGESTED, SURE
from lcseg.raster.grid import Window
from lcseg.raster.patches import PatchTable
from lcseg.raster.probabilities import PROBABILITY_ONE

NARROW, SMALL = "narrow", "small"
"""Why a place is no finding."""


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
        table = table.take(table.sums[:, SURE] > 0)
        areas_m2 = table.pixels * row_m2[(table.first[:, 0] + table.last_row) // 2]
        is_wide = table.sums[:, CORE] > 0
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


def _score(table: PatchTable) -> np.ndarray:
    """How certain places are, float64 [n]: by how much the model prefers its class to the label's.

    Size only decides what is a place: what is large and moderately sure is ground that the model
    does not know.
    """
    margins = table.sums[:, SUGGESTED] - table.sums[:, LABEL]
    return np.asarray(margins / (table.sums[:, SURE] * PROBABILITY_ONE))


def _describe(
    scene: int, table: PatchTable, index: int, area_m2: float, score: float, rules: Rules
) -> Place:
    label, suggested = divmod(int(table.keys[index]) - 1, rules.n_classes)
    one = float(table.sums[index, SURE]) * PROBABILITY_ONE
    row, col = table.first[index].tolist()
    return Place(
        scene,
        label,
        suggested,
        int(table.pixels[index]),
        area_m2,
        float(table.sums[index, SUGGESTED]) / one,
        float(table.sums[index, LABEL]) / one,
        score,
        (row, col),
        table.window(index),
    )


def _count(table: PatchTable, areas_m2: np.ndarray, chosen: np.ndarray) -> Count:
    return Count(
        int(np.count_nonzero(chosen)),
        int(table.pixels[chosen].sum()),
        math.fsum(areas_m2[chosen]),
        int(table.sums[chosen, SURE].sum()),
        int(table.sums[chosen, SUGGESTED].sum()),
    )


def _merge(one: dict, other: dict) -> dict:
    keys = sorted({*one, *other})
    return {key: one.get(key, Count()).merge(other.get(key, Count())) for key in keys}
