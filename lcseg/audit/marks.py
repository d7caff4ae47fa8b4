"""Where the labels of a block are contradicted, pixel by pixel.

marks = mark_places(probs_hwk, label_hw, least, edge_px=3)
patches.add(window, marks.key_hw, marks.values)      # joins them to places
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from lcseg.audit.confident import NONE, find_issues, guess_classes
from lcseg.classes import IGNORE

CORE, SURE, SUGGESTED, LABEL = range(4)
"""What is summed over a place: pixels of its core, pixels in which the model is sure, and over
these the probabilities of the suggested class and of the label's, in 1/254."""


@dataclass(frozen=True)
class Marks:
    """Where the label of a block is contradicted, and by how much."""

    guess_hw: np.ndarray  # uint8: the class that is confidently there, 255: none.
    key_hw: np.ndarray  # int32: 1 + label * classes + suggested class; 0: not contradicted.
    sure_hw: np.ndarray  # bool: where the model is sure of the suggested class.
    values: tuple[np.ndarray, ...]  # [H, W] each, in the order of `CORE` and so on.


def mark_places(
    probs_hwk: np.ndarray, label_hw: np.ndarray, least: np.ndarray, edge_px: int
) -> Marks:
    """Mark where labels are contradicted.

    A place is where the model is sure of one class that is not the label's, and as much as
    `edge_px` around that, as far as the label is the same and that class the most probable one. A
    pixel belongs to its core if the model is sure of the same all within `edge_px`, in rows and
    columns: what has no core is nowhere wider than a border that is off by `edge_px` to both sides.

    Args:
        probs_hwk: uint8 [H + 2 edge, W + 2 edge, K], 0 to 254.
        label_hw: uint8 of the same size, 255 where a pixel does not count.
        least: the least probability of each class that is confident.
        edge_px: how far borders may be drawn off; all arrays are wider by it on every side.
    """
    guess_hw = guess_classes(probs_hwk, least)
    is_sure_hw = find_issues(probs_hwk, label_hw, guess_hw)
    prediction_hw = probs_hwk.argmax(axis=-1).astype(np.uint8)
    suggested_hw = np.where(is_sure_hw, guess_hw, prediction_hw)
    is_other_hw = (label_hw != IGNORE) & (suggested_hw != label_hw)
    key_hw = 1 + label_hw.astype(np.int32) * len(least) + suggested_hw
    sure_hw, side = np.where(is_sure_hw, key_hw, 0), 2 * edge_px + 1
    is_core_hw = is_sure_hw & (maximum_filter(sure_hw, side) == minimum_filter(sure_hw, side))
    key_hw = np.where(is_other_hw & _reach(sure_hw, key_hw, side), key_hw, 0)
    values = (
        is_core_hw,
        is_sure_hw,
        _take(probs_hwk, suggested_hw) * is_sure_hw,
        _take(probs_hwk, label_hw) * is_sure_hw,
    )
    own = slice(edge_px, len(key_hw) - edge_px), slice(edge_px, key_hw.shape[1] - edge_px)
    return Marks(guess_hw[own], key_hw[own], is_sure_hw[own], tuple(value[own] for value in values))


def _reach(sure_hw: np.ndarray, key_hw: np.ndarray, side: int) -> np.ndarray:
    """Where a key is that the model is sure of within a square around it, bool [H, W]."""
    reach_hw = np.zeros(sure_hw.shape, bool)
    for key in np.unique(sure_hw[sure_hw > 0]):
        reach_hw |= (key_hw == key) & maximum_filter(sure_hw == key, side)
    return reach_hw


def _take(probs_hwk: np.ndarray, class_hw: np.ndarray) -> np.ndarray:
    """The probability of a class at each pixel; without a meaning where there is none."""
    index_hw = np.where(class_hw == NONE, 0, class_hw).astype(np.intp)
    return np.take_along_axis(probs_hwk, index_hw[..., None], axis=-1)[..., 0]
