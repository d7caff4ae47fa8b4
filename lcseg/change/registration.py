"""How far one image lies off the other, beyond what their georeferences say.

shift = measure_shift(before, after)           # images on one grid
shift.rows_px, shift.cols_px, shift.size_px    # 0.3, -1.2, 1.24: of the second against the first
shift.spread_px, shift.n_windows               # how much the windows disagree, and how many spoke
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.filters import window as taper
from skimage.registration import phase_cross_correlation

from lcseg.progress import counted
from lcseg.raster.aligned import Aligned
from lcseg.raster.grid import Window
from lcseg.raster.source import Imagery

WINDOW_PX = 256
"""Side of the windows that are compared."""

_ALONG = 7
"""Windows along each side of the raster, at most; no two share more than half of their pixels."""

_LEAST_PX = 16
"""Side of an image in which there is anything to find."""

_LEAST_VALID = 0.98
_UPSAMPLE = 20
"""Shifts are found to a twentieth of a pixel."""

_MOST_PX = 32
"""A window that seems farther off has found something else."""

_SMOOTH_PX = 1.0

LEAST_WINDOWS = 3
"""Of fewer, it cannot be said whether they agree."""


@dataclass(frozen=True)
class Shift:
    """Where the second image lies against the first: the median over windows."""

    rows_px: float  # Downwards.
    cols_px: float  # To the right.
    spread_px: float  # Median distance of the windows from that.
    n_windows: int  # That had enough to compare.

    @property
    def size_px(self) -> float:
        """How far it is off."""
        return math.hypot(self.rows_px, self.cols_px)

    @property
    def is_sure(self) -> bool:
        """Whether the windows agree well enough to believe it."""
        return self.n_windows >= LEAST_WINDOWS and self.spread_px <= max(1.0, self.size_px / 2)

    def __str__(self) -> str:
        """Say it, as of the second image."""
        down = f"{abs(self.rows_px):.2f} px {'up' if self.rows_px < 0 else 'down'}"
        right = f"{abs(self.cols_px):.2f} px {'left' if self.cols_px < 0 else 'right'}"
        place = f"{down} and {right} of the first"
        doubt = f"± {self.spread_px:.2f}, {counted(self.n_windows, 'window')}"
        return (
            f"{place} ({doubt})"
            if self.is_sure
            else f"at an unknown distance from the first ({doubt})"
        )


def measure_shift(before: Imagery, after: Imagery) -> Shift | None:
    """Compare two images of one grid in a lattice of windows; None: none has enough in both.

    Phase correlation (Kuglin and Hines 1975; refined as in Guizar-Sicairos et al. 2008) of edges:
    what is bright in one season may be dark in the other, but an edge stays an edge.
    """
    grid = before.grid
    side = min(WINDOW_PX, grid.height, grid.width)
    if side < _LEAST_PX:
        return None
    rows, cols = (
        np.linspace(0, size - side, min(_ALONG, 1 + 2 * (size - side) // side)).astype(int).tolist()
        for size in (grid.height, grid.width)
    )
    shifts = []
    for row in rows:
        for col in cols:
            edges = [_find_edges(image, Window(row, col, side, side)) for image in (before, after)]
            if any(edge is None for edge in edges):
                continue
            moved, *_ = phase_cross_correlation(
                edges[1], edges[0], upsample_factor=_UPSAMPLE, normalization="phase"
            )
            if np.abs(moved).max() <= _MOST_PX:
                shifts.append(moved)
    if not shifts:
        return None
    middle = np.median(shifts, axis=0)
    spread = float(np.median(np.hypot(*(np.array(shifts) - middle).T)))
    middle += np.subtract(_find_offset(after), _find_offset(before))
    return Shift(float(middle[0]), float(middle[1]), spread, len(shifts))


def _find_offset(image: Imagery) -> tuple[float, float]:
    """By how much (rows, columns) the pixels of an image lie off those of the grid it is read on.

    The nearest pixels are shown in their stead, so it seems to lie off as much the other way.
    """
    if not isinstance(image, Aligned) or image.fit.sampling != "shifted":
        return 0.0, 0.0
    return image.fit.shift_px


def _find_edges(image: Imagery, window: Window) -> np.ndarray | None:
    """How steep brightness is, tapered towards the border; None: too little is known of it."""
    image_hwc, valid_hw = image.read(window)
    if valid_hw.mean() < _LEAST_VALID:
        return None
    grey_hw = image_hwc.astype(np.float32).mean(axis=-1)
    grey_hw[~valid_hw] = np.median(grey_hw[valid_hw])
    edge_hw = gaussian_gradient_magnitude(grey_hw, _SMOOTH_PX, mode="reflect")
    edge_hw -= edge_hw.mean()
    if not edge_hw.std():
        return None
    return edge_hw / edge_hw.std() * taper("hann", edge_hw.shape)
