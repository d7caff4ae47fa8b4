"""Imagery whose values are brought to the units of other imagery.

image = Rescaled(image, scale=0.0255, offset=0, dtype="uint8")
"""

from __future__ import annotations

import numpy as np

from lcseg.raster.grid import Window
from lcseg.raster.source import Imagery


class Rescaled:
    """Imagery of value * scale + offset, rounded to the nearest value that `dtype` holds."""

    def __init__(self, image: Imagery, scale: float, offset: float, dtype: str) -> None:
        self.path, self.grid, self.bands = image.path, image.grid, image.bands
        self.dtype = dtype
        self._image = image
        self._scale, self._offset = scale, offset

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Imagery` says."""
        image_hwc, valid_hw = self._image.read(window)
        values_hwc = image_hwc * np.float64(self._scale) + self._offset
        image_hwc = fit_values(values_hwc, self.dtype)
        image_hwc[~valid_hw] = 0
        return image_hwc, valid_hw


def fit_values(values: np.ndarray, dtype: str) -> np.ndarray:
    """Turn floats into a pixel type: integers are rounded, and kept within what it holds."""
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
