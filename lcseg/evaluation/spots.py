"""The places where a map is worst, and pictures of them.

worst = Worst(limit=6)
for place in places:
    worst = worst.add(judge_spot(place, label_hw, prediction_hw))
worst.spots                                    # at most 6, the least accurate one first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE
from lcseg.pictures import encode_png

ENOUGH = 0.25
"""Share of a spot that has to be labelled: a handful of pixels says little."""

_SAME, _OTHER = (208, 213, 216), (200, 40, 40)

Tiles = Sequence[tuple[str, bytes]]
"""Pictures of one spot: titles, and PNGs of the same size."""


@dataclass(frozen=True)
class Place:
    """Where a spot lies."""

    scene: str  # Name of the scene; empty: the map that is judged.
    row: int  # First row in the scene.
    col: int  # First column in the scene.
    chip: int | None = None  # Its number in the split; None: it is no chip.


@dataclass(frozen=True)
class Spot:
    """A chip, or a window of a map, and how good the map is there."""

    place: Place  # Where it lies.
    n_pixels: int  # Pixels that have both a label and a prediction.
    overall_accuracy: float  # Share of them whose class is right.


@dataclass(frozen=True)
class Worst:
    """The spots with the least accuracy; they add and merge in any order."""

    limit: int  # How many are kept.
    spots: tuple[Spot, ...] = ()  # The least accurate one first.

    def add(self, spot: Spot | None) -> Worst:
        """Keep a spot if it is one of the worst."""
        return self if spot is None else self.merge(Worst(self.limit, (spot,)))

    def merge(self, other: Worst) -> Worst:
        """The worst of both."""
        return Worst(self.limit, tuple(sorted(self.spots + other.spots, key=_rank)[: self.limit]))


def judge_spot(
    place: Place, label_hw: np.ndarray, prediction_hw: np.ndarray, least_px: float
) -> Spot | None:
    """Judge a spot; None if fewer than `least_px` pixels have both a label and a prediction.

    Args:
        place: where it lies.
        label_hw: uint8 class indices, 255 where ignored.
        prediction_hw: likewise, of the same shape.
        least_px: what is enough.
    """
    counted_hw = (label_hw != IGNORE) & (prediction_hw != IGNORE)
    n_pixels = int(np.count_nonzero(counted_hw))
    if n_pixels < max(least_px, 1):
        return None
    right = np.count_nonzero(counted_hw & (label_hw == prediction_hw))
    return Spot(place, n_pixels, right / n_pixels)


def draw_tiles(pictures: Sequence[tuple[str, np.ndarray]]) -> Tiles:
    """Encode titled uint8 [H, W, 3] pictures."""
    return [(title, encode_png(picture_hwc)) for title, picture_hwc in pictures]


def draw_confidence(confidence_hw: np.ndarray) -> np.ndarray:
    """Picture confidences, 0 (black) to 1 (white), as uint8 [H, W, 3]; NaN is black."""
    grey_hw = np.rint(np.nan_to_num(confidence_hw) * 255).astype(np.uint8)
    return np.repeat(grey_hw[..., None], 3, axis=-1)


def draw_difference(label_hw: np.ndarray, prediction_hw: np.ndarray) -> np.ndarray:
    """Picture where class indices differ, red on grey, as uint8 [H, W, 3]; black: not compared."""
    picture_hwc = np.zeros((*label_hw.shape, 3), np.uint8)
    counted_hw = (label_hw != IGNORE) & (prediction_hw != IGNORE)
    picture_hwc[counted_hw] = _SAME
    picture_hwc[counted_hw & (label_hw != prediction_hw)] = _OTHER
    return picture_hwc


def _rank(spot: Spot) -> tuple[float, str, int, int, int]:
    place = spot.place
    return spot.overall_accuracy, place.scene, place.row, place.col, place.chip or 0
