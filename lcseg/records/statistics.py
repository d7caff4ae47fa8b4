"""Statistics of bands and classes, as sums that merge in any order.

moments = Moments.empty(4).add(image_hwc[valid_hw])
moments.merge(others).mean
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE

_PIECE = 1 << 20
"""Pixels that are measured at once: copies in float64 stay small."""

_FOLD = 256
"""Pixels that are laid side by side, and the most rows of them: 256 squared bytes add up to less
than 2^24, up to where float32 holds every integer."""

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
        is_bytes = pixels.dtype == np.uint8
        measure, most = (_measure_bytes, _FOLD**2) if is_bytes else (_measure, _PIECE)
        moments = self
        for start in range(0, len(pixels), most):
            moments = moments.merge(measure(pixels[start : start + most]))
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
    """Measure uint8 pixels [n, C], at least one and at most _FOLD^2, by exact sums.

    Most imagery is of bytes, and this takes a fifth of the time of `_measure`.
    """
    n, bands = pixels.shape
    whole = n // _FOLD * _FOLD
    # Many pixels side by side, or the few bands would break up the loops.
    wide, rest = pixels[:whole].reshape(-1, _FOLD * bands), pixels[whole:]
    low, high = _bound(np.minimum, wide, rest), _bound(np.maximum, wide, rest)
    wide, rest = wide.astype(np.float32), rest.astype(np.float64)
    total = _add(wide, bands) + rest.sum(axis=0)
    wide *= wide
    squares = _add(wide, bands) + (rest**2).sum(axis=0)
    return Moments(n, total / n, (n * squares - total**2) / n, low, high)


def _add(wide: np.ndarray, bands: int) -> np.ndarray:
    """Add up whole numbers, float32 [rows, _FOLD * C], to float64 [C]."""
    # A product with ones is a sum that is made faster.
    by_column = np.ones(len(wide), np.float32) @ wide
    return np.ones(_FOLD) @ by_column.astype(np.float64).reshape(_FOLD, bands)


def _bound(find: np.ufunc, wide: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The least or greatest of each band, of pixels in rows of _FOLD and of the rest [m, C]."""
    if not len(wide):
        return find.reduce(rest, axis=0)
    of_wide = find.reduce(find.reduce(wide, axis=0).reshape(-1, rest.shape[1]), axis=0)
    return find.reduce([of_wide, *rest], axis=0) if len(rest) else of_wide


def count_classes(label_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labels: int64 [n_classes + 1], the last one those that are ignored."""
    values = (*range(n_classes), IGNORE)
    if n_classes > _FEW_CLASSES:
        return np.bincount(label_hw.ravel(), minlength=256)[list(values)]
    return np.array([np.count_nonzero(label_hw == value) for value in values], np.int64)
