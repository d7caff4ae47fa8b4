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
        values = pixels.astype(np.float64)
        mean = values.mean(axis=0)
        deviation = np.square(values - mean).sum(axis=0)
        return self.merge(Moments(len(values), mean, deviation, values.min(0), values.max(0)))

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


def count_classes(label_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labels: int64 [n_classes + 1], the last one those that are ignored."""
    counts = np.bincount(label_hw.ravel(), minlength=256)
    return np.append(counts[:n_classes], counts[IGNORE])
