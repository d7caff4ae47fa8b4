"""Statistics of bands and classes, as sums that merge in any order.

moments = Moments.empty(4).add(image_hwc[valid_hw])
moments.merge(others).mean
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE

_FOLD = 256
_FEW_CLASSES = 12
"""Up to so many, comparing with each is faster than counting by value."""


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
        mean, deviation = _measure(pixels)
        low, high = (_fold(reduce, pixels) for reduce in (np.min, np.max))
        return self.merge(Moments(len(pixels), mean, deviation, low, high))

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


def _measure(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sum of squared deviations of each band of pixels [n, C], float64 [C]."""
    n = len(pixels)
    if pixels.dtype == np.uint8:
        # Bytes are summed exactly as they are: an eighth of the memory of float64.
        total = _fold(_add, pixels)
        squares = _fold(_add, np.square(pixels, dtype=np.uint16))
        return total / n, (n * squares - total**2) / n
    values = pixels.astype(np.float64)
    mean = _fold(np.sum, values) / n
    return mean, _fold(np.sum, np.square(values - mean))


def _add(values: np.ndarray, axis: int) -> np.ndarray:
    """Add up integers: squares of bytes in 32 bits, which do for 66,000 rows, and sums in 64."""
    is_short = values.itemsize <= 2 and len(values) < 66_000
    return values.sum(axis, np.uint32 if is_short else np.int64)


def _fold(reduce: Callable[..., np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Reduce pixels [n, C] to [C]; many at a time, or the few bands would break up the loops."""
    n, bands = pixels.shape
    whole = n // _FOLD * _FOLD
    wide = reduce(pixels[:whole].reshape(-1, _FOLD * bands), axis=0) if whole else pixels[:0]
    parts = [wide.reshape(-1, bands), pixels[whole:].astype(wide.dtype)]
    return reduce(np.concatenate(parts), axis=0)


def count_classes(label_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labels: int64 [n_classes + 1], the last one those that are ignored."""
    values = (*range(n_classes), IGNORE)
    if n_classes > _FEW_CLASSES:
        return np.bincount(label_hw.ravel(), minlength=256)[list(values)]
    return np.array([np.count_nonzero(label_hw == value) for value in values], np.int64)
