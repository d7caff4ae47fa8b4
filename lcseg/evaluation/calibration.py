"""Whether what is said with a confidence of 0.8 is right in 80 of 100 pixels.

reliability = Reliability.empty()
for confidence, is_right in chips:
    reliability = reliability.add(confidence, is_right)
calibration = reliability.merge(of_another_worker).calibration()
calibration.ece
figure = draw_reliability(calibration)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

BINS = 15
"""As many as in the paper; all are equally wide."""

_ONE_BITS = 24
"""Confidences are summed in units of 2^-24, the precision of a float32: sums of integers are exact,
so they merge in any order. An int64 holds those of 5e11 pixels."""

_RIGHT, _SAID, _INK = "#2e7da0", "#d66c34", "#1d2327"


@dataclass(frozen=True)
class CalibrationBin:
    """The pixels whose confidence lies in one bin."""

    low: float  # Confidences are above this, and
    high: float  # at most this.
    pixels: int  # How many there are.
    accuracy: float | None  # How many of them are right; None where there are none.
    confidence: float | None  # Their mean confidence.


@dataclass(frozen=True)
class Calibration:
    """How confidence and accuracy agree."""

    ece: float  # Expected calibration error: mean |accuracy - confidence| of the bins, by pixels.
    accuracy: float  # Of all pixels that have a confidence.
    confidence: float  # Their mean.
    bins: tuple[CalibrationBin, ...]  # Equally wide, from 0 to 1.


@dataclass(frozen=True, eq=False)
class Reliability:
    """Pixels counted by their confidence: an algebra, like `Confusion`."""

    table: np.ndarray  # int64 [3, BINS]: pixels, those that are right, sums of confidence in 2^-24.

    @classmethod
    def empty(cls) -> Reliability:
        """The reliability of no pixels."""
        return cls(np.zeros((3, BINS), np.int64))

    def add(self, confidence: np.ndarray, is_right: np.ndarray) -> Reliability:
        """Count pixels.

        Args:
            confidence: float32 of any shape, from 0 to 1: the probability of what was said.
            is_right: bool of the same shape.

        Raises:
            ValueError: the shapes differ, or a confidence is no share.
        """
        if confidence.shape != is_right.shape:
            raise ValueError(f"confidence is {confidence.shape}, is_right is {is_right.shape}")
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise ValueError("a confidence is not between 0 and 1")
        units = np.rint(np.ldexp(confidence.ravel(), _ONE_BITS)).astype(np.int64)
        bins = np.maximum(units * BINS - 1, 0) >> _ONE_BITS
        sums = np.rint(np.bincount(bins, units, BINS)).astype(np.int64)
        right = np.bincount(bins[is_right.ravel()], minlength=BINS)
        return Reliability(self.table + np.stack([np.bincount(bins, minlength=BINS), right, sums]))

    def merge(self, other: Reliability) -> Reliability:
        """The reliability of the pixels of both."""
        return Reliability(self.table + other.table)

    def calibration(self) -> Calibration | None:
        """Compare confidence with accuracy; None where no pixel has a confidence.

        The expected calibration error is that of Guo et al., "On Calibration of Modern Neural
        Networks" (2017, arXiv:1706.04599), in `BINS` bins, each open below and closed above.
        """
        pixels, right, sums = self.table
        total = int(pixels.sum())
        if not total:
            return None
        said = np.ldexp(sums.astype(np.float64), -_ONE_BITS)
        edges = np.arange(BINS + 1) / BINS
        return Calibration(
            ece=float(np.abs(right - said).sum() / total),
            accuracy=float(right.sum() / total),
            confidence=float(said.sum() / total),
            bins=tuple(
                CalibrationBin(
                    low=float(edges[i]),
                    high=float(edges[i + 1]),
                    pixels=int(n),
                    accuracy=float(right[i] / n) if n else None,
                    confidence=float(said[i] / n) if n else None,
                )
                for i, n in enumerate(pixels)
            ),
        )


def draw_reliability(calibration: Calibration) -> Figure:
    """Draw accuracy over confidence, and below it how many pixels have that confidence."""
    filled = [b for b in calibration.bins if b.accuracy is not None]
    width = 1 / len(calibration.bins)
    centers = [(b.low + b.high) / 2 for b in filled]
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    accuracies = [b.accuracy for b in filled]
    above.bar(centers, accuracies, 0.92 * width, color=_RIGHT, alpha=0.85, label="accuracy")
    above.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle="--", label="as it should be")
    above.plot(
        [b.confidence for b in filled],
        accuracies,
        color=_SAID,
        marker="o",
        markersize=4,
        linewidth=1,
        clip_on=False,
        label="accuracy at the mean confidence",
    )
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    above.legend(frameon=False, loc="upper left", fontsize=9)
    total = sum(b.pixels for b in filled)
    below.bar(centers, [100 * b.pixels / total for b in filled], 0.92 * width, color="#8a949b")
    below.axvline(calibration.confidence, color=_SAID, linewidth=1)
    below.set(xlabel="confidence", ylabel="% of pixels")
    for axis in (above, below):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
