"""Statistics of bands and classes, as sums that merge in any order.

moments = Moments.empty(4).add(image_hwc[valid_hw])
moments.merge(others).mean
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and sum of squared deviations of each band, float64 [C].

    Merged by the pairwise update of Chan, Golub and LeVeque (1979), which does not cancel.
    """

    count: int  # Pixels seen.
    mean: np.ndarray  # Mean of each band, 0 before the first pixel.
    deviation: np.ndarray  # Sum of squared deviations from the mean, by band.
    low: np.ndarray  # Least value of each band.
    high: np.ndarray  # Greatest value of each band.

    @classmethod
    def empty(cls, bands: int) -> Moments:
        zeros = np.zeros(bands)
        return cls(0, zeros, zeros, np.full(bands, np.inf), np.full(bands, -np.inf))

    def add(self, pixels: np.ndarray) -> Moments:
        """Count pixels, [n, C] of any number dtype."""
        if not len(pixels):
            return self
        of_bands = (_count_values(band) for band in pixels.T)
        moments = [_measure(values, counts) for values, counts in of_bands]
        return self.merge(Moments(len(pixels), *map(np.array, zip(*moments, strict=True))))

    def merge(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * other.count / count,
            self.deviation + other.deviation + np.square(apart) * self.count * other.count / count,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of each band; 1 where a band is constant, so that it can divide."""
        std = np.sqrt(self.deviation / max(self.count, 1))
        # The mean of equal values may be rounded, so that their deviation is not quite 0.
        return np.where(self.high > self.low, std, 1.0)


def _count_values(band: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a band, float64, and how often each occurs; bytes are counted by value."""
    if band.dtype != np.uint8:
        return band.astype(np.float64), np.ones(1)
    counts = np.bincount(band, minlength=256)
    values = np.flatnonzero(counts)
    return values.astype(np.float64), counts[values]


def _measure(values: np.ndarray, counts: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, sum of squared deviations, least and greatest of values that occur so often."""
    weights = np.broadcast_to(counts, values.shape)
    mean = np.average(values, weights=weights)
    deviation = (weights * np.square(values - mean)).sum()
    return mean, deviation, values.min(), values.max()


def count_classes(label_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labels: int64 [n_classes + 1], the last one those that are ignored."""
    counts = np.bincount(label_hw.ravel(), minlength=256)
    return np.append(counts[:n_classes], counts[IGNORE])
