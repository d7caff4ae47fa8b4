"""How far labelled pixels are from the border of their class, in bands of distance.

bands_hw = band_distances(label_hw)            # uint8, an index of BAND_NAMES
band_distances(label_hw[rows, cols])           # the same, MARGIN_PX away from what was cut

Maps err at borders first: there labels are drawn by hand, and pixels are mixed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lcseg.classes import IGNORE

BAND_NAMES = ("1", "2", "3–4", "5–8", "9–16", "over 16")
"""Distances in pixels, from the nearest to the farthest."""

MARGIN_PX = 16
"""Labels farther away than this change no band."""

_STEPS_PX = (1, 1, 2, 4, 8)
"""Each widens the square that a pixel knows of: to 1, 2, 4, 8 and 16 px on every side."""


def band_distances(label_hw: np.ndarray) -> np.ndarray:
    """Sort pixels by their distance to the nearest pixel of another class.

    A diagonal step counts as one (chessboard distance), so that distances are whole. Neither
    ignored pixels nor the edge of the array are a border: nobody knows what is there.

    Args:
        label_hw: uint8 class indices, 255 where ignored.

    Returns:
        uint8 [H, W], an index of `BAND_NAMES`; without a meaning where the label is ignored.
    """
    is_ignored = label_hw == IGNORE
    # One more than the index, so that 0 is no class at all.
    own_hw = label_hw + np.uint8(1)
    highest, lowest = own_hw, np.where(is_ignored, np.uint8(IGNORE), own_hw)
    bands_hw = np.full(label_hw.shape, len(_STEPS_PX), np.uint8)
    for step_px in _STEPS_PX:
        highest = _widen(highest, step_px, np.maximum)
        lowest = _widen(lowest, step_px, np.minimum)
        # Who sees another class within a radius sees it within all that are larger.
        bands_hw -= (highest != own_hw) | (lowest != own_hw)
    return bands_hw


def _widen(values_hw: np.ndarray, step_px: int, choose: Callable[..., np.ndarray]) -> np.ndarray:
    """Let each pixel choose among itself and those `step_px` away in rows, then in columns."""
    for axis in (0, 1):
        values = np.moveaxis(values_hw, axis, 0)
        chosen_hw = values_hw.copy()
        chosen = np.moveaxis(chosen_hw, axis, 0)
        choose(chosen[step_px:], values[:-step_px], out=chosen[step_px:])
        choose(chosen[:-step_px], values[step_px:], out=chosen[:-step_px])
        values_hw = chosen_hw
    return values_hw
