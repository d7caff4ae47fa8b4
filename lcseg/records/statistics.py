"""Statistics of bands and classes, as sums that merge in any order.

moments = Moments.empty(4).add(image_hwc[valid_hw])
moments.merge(others).mean
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE

_PIECE = 1 << 20
"""Pixels that are measured at once: sums of squared bytes stay exact, copies in float64 small."""

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
        measure = _measure_bytes if pixels.dtype == np.uint8 else _measure
        moments = self
        for start in range(0, len(pixels), _PIECE):
            moments = moments.merge(measure(pixels[start : start + _PIECE]))
        return moments

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


def _measure(pixels: np.ndarray) -> Moments:
    """Measure pixels [n, C] of any number dtype, at least one, band by band in float64."""
    n, bands = pixels.shape
    mean, deviation, low, high = np.empty((4, bands))
    for band in range(bands):
        values = pixels[:, band].astype(np.float64)
        low[band], high[band] = values.min(), values.max()
        mean[band] = values.sum() / n
        values -= mean[band]
        deviation[band] = np.square(values, out=values).sum()
    return Moments(n, mean, deviation, low, high)


def _measure_bytes(pixels: np.ndarray) -> Moments:
    """Measure uint8 pixels [n, C], at least one and at most _PIECE, by exact sums of integers.

    Most imagery is of bytes, and this takes half of the time of `_measure`.
    """
    n = len(pixels)
    total = _fold(np.add, pixels, np.uint32).astype(np.int64)
    squares = _fold(np.add, np.square(pixels, dtype=np.uint16), np.uint32).astype(np.int64)
    low, high = (_fold(find, pixels, np.uint8) for find in (np.minimum, np.maximum))
    return Moments(n, total / n, (n * squares - total**2) / n, low, high)


def _fold(reduce: np.ufunc, pixels: np.ndarray, dtype: type) -> np.ndarray:
    """Reduce pixels [n, C] to [C]; many at a time, or the few bands would break up the loops."""
    n, bands = pixels.shape
    whole = n // _FOLD * _FOLD
    parts: list[np.ndarray] = [pixels[whole:].astype(dtype)]
    if whole:
        wide = pixels[:whole].reshape(-1, _FOLD * bands)
        parts.append(reduce.reduce(wide, axis=0, dtype=dtype).reshape(_FOLD, bands))
    return reduce.reduce(np.concatenate(parts), axis=0)


def count_classes(label_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labels: int64 [n_classes + 1], the last one those that are ignored."""
    values = (*range(n_classes), IGNORE)
    if n_classes > _FEW_CLASSES:
        return np.bincount(label_hw.ravel(), minlength=256)[list(values)]
    return np.array([np.count_nonzero(label_hw == value) for value in values], np.int64)
