"""What is counted of labelled pixels for a report, and its scores for parts of them.

tally = Tally.empty(scheme.n_classes)
for label_hw, prediction_hw, confidence_hw in chips:
    tally = tally.merge(count(label_hw, prediction_hw, confidence_hw, scheme.n_classes))
tally.confusion, tally.reliability.calibration(), tally.distances(scheme.names)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE
from lcseg.evaluation.border import BAND_NAMES, band_distances
from lcseg.evaluation.calibration import Reliability
from lcseg.evaluation.confusion import Confusion


@dataclass(frozen=True)
class PartScores:
    """How good a map is on a part of the pixels."""

    name: str  # Of the scene; or the distance to the nearest border, in pixels.
    n_pixels: int  # Pixels that have both a label and a prediction.
    overall_accuracy: float | None  # Share of them whose class is right; None where there are none.
    mean_iou: float | None  # Over the classes that occur in the part.
    counts: tuple[tuple[int, ...], ...]  # Pixels: reference in rows, prediction in columns.


@dataclass(frozen=True, eq=False)
class Tally:
    """Pixels counted by class, by distance to the border, and by confidence: an algebra."""

    by_distance: np.ndarray  # int64 [bands, n, n]: a confusion matrix for each band.
    reliability: Reliability  # Of the pixels that have a confidence.

    @classmethod
    def empty(cls, n_classes: int) -> Tally:
        """The tally of no pixels."""
        shape = len(BAND_NAMES), n_classes, n_classes
        return cls(np.zeros(shape, np.int64), Reliability.empty())

    @property
    def confusion(self) -> Confusion:
        """The confusion matrix of all pixels."""
        return Confusion(self.by_distance.sum(axis=0))

    def merge(self, other: Tally) -> Tally:
        """The tally of the pixels of both."""
        return Tally(
            self.by_distance + other.by_distance, self.reliability.merge(other.reliability)
        )

    def distances(self, names: Sequence[str]) -> tuple[PartScores, ...]:
        """The scores of each band of distance, from the nearest; `names` are the classes'."""
        pairs = zip(BAND_NAMES, self.by_distance, strict=True)
        return tuple(score_part(band, Confusion(counts), names) for band, counts in pairs)


def count(
    label_hw: np.ndarray,
    prediction_hw: np.ndarray,
    confidence_hw: np.ndarray | None,
    n_classes: int,
    margin_px: int = 0,
) -> Tally:
    """Count pixels that have both a label and a prediction.

    Args:
        label_hw: uint8 class indices, 255 where ignored; `margin_px` wider on every side.
        prediction_hw: uint8 class indices, 255 where there is none.
        confidence_hw: float32, the probability of the prediction, NaN where it is not known; None:
            nowhere.
        n_classes: how many classes there are.
        margin_px: labels that are known around, for the distances to borders.
    """
    height, width = prediction_hw.shape
    core = slice(margin_px, margin_px + height), slice(margin_px, margin_px + width)
    own_hw, bands_hw = label_hw[core], band_distances(label_hw)[core]
    counted_hw = (own_hw != IGNORE) & (prediction_hw != IGNORE)
    own, said = own_hw[counted_hw], prediction_hw[counted_hw]
    cells = (bands_hw[counted_hw].astype(np.int64) * n_classes + own) * n_classes + said
    shape = len(BAND_NAMES), n_classes, n_classes
    table = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)
    reliability = Reliability.empty()
    if confidence_hw is not None:
        confidence = confidence_hw[counted_hw]
        is_known = ~np.isnan(confidence)
        reliability = reliability.add(confidence[is_known], (own == said)[is_known])
    return Tally(table, reliability)


def score_part(name: str, confusion: Confusion, names: Sequence[str]) -> PartScores:
    """Score a part of the pixels; `names` are the classes'."""
    scores = confusion.scores(names)
    return PartScores(
        name, scores.n_pixels, scores.overall_accuracy, scores.mean_iou, confusion.cells
    )


def rank_scenes(by_scene: Mapping[str, Confusion], names: Sequence[str]) -> tuple[PartScores, ...]:
    """The scores of each scene that has a labelled pixel, the least accurate one first."""
    parts = [score_part(scene, confusion, names) for scene, confusion in by_scene.items()]
    return tuple(
        sorted(
            (part for part in parts if part.n_pixels),
            key=lambda part: (part.overall_accuracy, part.name),
        )
    )
