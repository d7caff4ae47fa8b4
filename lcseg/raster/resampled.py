"""Imagery read at another ground sample distance, on the same ground.

image = Resampled(image, factor=0.6)           # pixels of 0.6 m become pixels of 1 m
"""

from __future__ import annotations

import numpy as np

from lcseg.raster.grid import Grid, Window
from lcseg.raster.rescaled import fit_values
from lcseg.raster.source import Imagery


class Resampled:
    """Imagery with about `factor` times as many pixels along each side.

    The grid's extent stays the same to the bit, so its number of pixels is rounded. A new pixel is
    the mean of the old ones around it, weighted by a triangle as wide as two pixels of the coarser
    grid: linear interpolation for smaller pixels, free of aliasing for larger ones. It is valid
    where the old pixel at its centre is. The weights are functions of the place in the grid, so a
    pixel does not depend on the window that it is read in.
    """

    def __init__(self, image: Imagery, factor: float) -> None:
        self.path, self.dtype, self.bands = image.path, image.dtype, image.bands
        self._image = image
        old = image.grid
        height, width = (max(round(size * factor), 1) for size in (old.height, old.width))
        self._steps = old.height / height, old.width / width
        a, b, c, d, e, f = old.transform
        down, across = self._steps
        place = (a * across, b * down, c, d * across, e * down, f)
        self.grid = Grid(height, width, place, old.crs)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Imagery` says."""
        rows, row_weights = find_taps(window.row, window.height, self._steps[0])
        cols, col_weights = find_taps(window.col, window.width, self._steps[1])
        first_row, first_col = int(rows.min()), int(cols.min())
        needed = Window(
            first_row, first_col, int(rows.max()) - first_row + 1, int(cols.max()) - first_col + 1
        )
        image_hwc, valid_hw = self._image.read(needed)
        # Invalid pixels are 0, and so is their weight.
        sums = np.concatenate([image_hwc, valid_hw[..., None]], axis=-1, dtype=np.float32)
        sums = _combine(sums, rows - first_row, row_weights, axis=0)
        sums = _combine(sums, cols - first_col, col_weights, axis=1)
        at_rows, at_cols = (
            np.floor((np.arange(start, start + count) + 0.5) * step).astype(int)
            for start, count, step in (
                (window.row, window.height, self._steps[0]),
                (window.col, window.width, self._steps[1]),
            )
        )
        valid_hw = valid_hw[np.ix_(at_rows - first_row, at_cols - first_col)]
        weights_hw = np.where(valid_hw, sums[..., -1], 1)
        image_hwc = fit_values(sums[..., :-1] / weights_hw[..., None], self.dtype)
        image_hwc[~valid_hw] = 0
        return image_hwc, valid_hw


def find_taps(start: int, count: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Which old pixels make each new one along an axis, and how much of it.

    Args:
        start: the first new pixel.
        count: new pixels.
        step: old pixels in a new one.

    Returns:
        Indices of old pixels, which may lie outside of the axis, int [count, n], and their
        weights, float64 [count, n], which sum to 1.
    """
    reach = max(step, 1.0)
    centers = (np.arange(start, start + count) + 0.5) * step
    first = np.floor(centers - reach).astype(int)
    indices = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    weights = np.maximum(1 - np.abs(indices + 0.5 - centers[:, None]) / reach, 0)
    return indices, weights / weights.sum(axis=1, keepdims=True)


def _combine(values: np.ndarray, indices: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Weighted sums of slices along an axis, float32."""
    shape = [1] * values.ndim
    shape[axis] = -1
    total: np.ndarray = np.zeros(1, np.float32)
    for index, weight in zip(indices.T, weights.T.astype(np.float32), strict=True):
        total = total + np.take(values, index, axis) * weight.reshape(shape)
    return total
